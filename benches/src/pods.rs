//! Pods as large clusters have them: about 12.9 KB of JSON each, varied, the same for the same seed.

mod managed_fields;
mod spec;
mod status;
mod words;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use self::words::{ANNOTATIONS, LABELS, NAMESPACES, TEAMS, pick};

/// How many Pods one workload has.
const REPLICAS: usize = 20;
/// How many Pods a node has.
pub const PODS_PER_NODE: usize = 100;

/// So many Pods: workloads of twenty replicas each, spread over teams, namespaces and nodes.
///
/// What a workload's Pods share (image, env, probes, labels) is drawn once a workload, what a Pod has alone (uid, IPs,
/// container ids, times) once a Pod. Random text is random: uids, hashes and ids compress to what they are.
#[derive(Clone, Copy, Debug)]
pub struct Pods {
    seed: u64,
    count: usize,
}

/// One Pod's place, and where its random parts come from.
struct Draw {
    number: usize,
    workload: Workload,
    /// Of the Pod alone.
    own: Rng,
}

/// What the Pods of one workload share.
struct Workload {
    name: String,
    namespace: String,
    team: &'static str,
    hash: String,
    owner_uid: String,
    /// Starts anew for each Pod, so that every Pod draws the same.
    shared: Rng,
}

impl Pods {
    /// `count` Pods of this seed.
    pub fn new(seed: u64, count: usize) -> Self {
        Self { seed, count }
    }

    /// How many nodes they are on, a hundred on each.
    pub fn nodes(&self) -> usize {
        (self.count / PODS_PER_NODE).max(1)
    }

    /// The name of the node that the Pod of this number is on.
    pub fn node(&self, number: usize) -> String {
        // A prime step spreads a workload, and leaves every node with as many Pods.
        node_name(number.wrapping_mul(7919) % self.nodes())
    }

    /// Namespace and name of a Pod.
    pub fn name(&self, number: usize) -> (String, String) {
        let draw = self.draw(number);
        (draw.workload.namespace.clone(), draw.name())
    }

    /// The Pod of this number as a server stores it at `version`, with everything but `apiVersion` and `kind`, which
    /// the items of a list come without.
    pub fn pod(&self, number: usize, version: usize) -> Value {
        let mut draw = self.draw(number);
        let node = self.node(number);
        let mut metadata = draw.metadata(version);
        let spec = spec::spec(&mut draw, &node);
        let status = status::status(&mut draw, &spec);
        let fields = managed_fields::managed_fields(&metadata, &spec, &status);
        metadata["managedFields"] = fields;
        json!({"metadata": metadata, "spec": spec, "status": status})
    }

    fn draw(&self, number: usize) -> Draw {
        let workload = Workload::new(self.seed, number / REPLICAS);
        let own = Rng::with_seed(self.seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Draw { number, workload, own }
    }
}

impl Workload {
    fn new(seed: u64, number: usize) -> Self {
        let mut shared = Rng::with_seed(!seed ^ (number as u64 + 1).wrapping_mul(0xd1b5_4a32_d192_ed03));
        let team = TEAMS[number % TEAMS.len()];
        Self {
            name: format!("{}-{}-{number}", pick(&mut shared, words::APPS), pick(&mut shared, words::ROLES)),
            namespace: format!("{team}-{}", number % NAMESPACES),
            team,
            hash: words::hex(&mut shared, 10),
            owner_uid: words::uid(&mut shared),
            shared,
        }
    }
}

impl Draw {
    fn name(&self) -> String {
        let mut own = self.own.clone();
        format!("{}-{}-{}", self.workload.name, self.workload.hash, words::suffix(&mut own, self.number))
    }

    fn metadata(&mut self, version: usize) -> Value {
        let name = self.name();
        let Workload { name: app, namespace, team, hash, owner_uid, shared } = &self.workload;
        let mut shared = shared.clone();
        let mut labels = Map::new();
        labels.insert("app.kubernetes.io/name".into(), app.as_str().into());
        labels.insert("pod-template-hash".into(), hash.as_str().into());
        labels.insert("team".into(), (*team).into());
        some_of(&mut shared, LABELS, 7, &mut labels);
        let mut annotations = Map::new();
        some_of(&mut shared, ANNOTATIONS, 7, &mut annotations);
        annotations.insert("checksum/config".into(), words::hex(&mut shared, 64).into());
        annotations.insert("cni.projectcalico.org/containerID".into(), words::hex(&mut self.own, 64).into());
        let address = format!("{}/32", status::pod_ip(self.number));
        annotations.insert("cni.projectcalico.org/podIP".into(), address.as_str().into());
        annotations.insert("cni.projectcalico.org/podIPs".into(), address.into());
        annotations.insert("kubectl.kubernetes.io/restartedAt".into(), words::time(&mut shared).into());
        json!({
            "annotations": annotations,
            "creationTimestamp": words::time(&mut self.own),
            "generateName": format!("{app}-{hash}-"),
            "labels": labels,
            "name": name,
            "namespace": namespace,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "blockOwnerDeletion": true, "controller": true, "kind": "ReplicaSet",
                "name": format!("{app}-{hash}"), "uid": owner_uid,
            }],
            "resourceVersion": version.to_string(),
            "uid": words::uid(&mut self.own),
        })
    }
}

/// The name of a node.
pub fn node_name(number: usize) -> String {
    format!("ip-10-{}-{}-{}.eu-central-1.compute.internal", number / 200, number % 200, number * 37 % 251)
}

/// Up to `most` of these keys, each with one of its values.
fn some_of(rng: &mut Rng, keys: &[(&str, &[&str])], most: usize, into: &mut Map<String, Value>) {
    for _ in 0..most {
        let (key, values) = keys[rng.usize(..keys.len())];
        // A value of nothing is a hash: a build, a commit, a checksum.
        let value = match values {
            [] => words::hex(rng, 40),
            values => pick(rng, values).to_owned(),
        };
        into.insert(key.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pods: &Pods, number: usize) -> String {
        pods.pod(number, 7).to_string()
    }

    #[test]
    fn the_same_seed_makes_the_same_pods() {
        assert_eq!(text(&Pods::new(1, 1_000), 77), text(&Pods::new(1, 1_000), 77));
        assert_ne!(text(&Pods::new(1, 1_000), 77), text(&Pods::new(2, 1_000), 77));
        assert_ne!(text(&Pods::new(1, 1_000), 77), text(&Pods::new(1, 1_000), 78));
    }

    #[test]
    fn they_are_as_large_as_pods_are() {
        let pods = Pods::new(1, 2_000);
        let (mut whole, mut stripped) = (0, 0);
        for number in 0..500 {
            let mut pod = pods.pod(number * 4, 1);
            whole += pod.to_string().len();
            pod["metadata"]["managedFields"].take();
            stripped += pod.to_string().len();
        }
        assert!((12_400..13_400).contains(&(whole / 500)), "{} bytes with managedFields", whole / 500);
        assert!((7_300..8_300).contains(&(stripped / 500)), "{} bytes without", stripped / 500);
    }

    #[test]
    fn names_are_unique_and_are_the_pods_own() {
        let pods = Pods::new(1, 3_000);
        let names: std::collections::HashSet<_> = (0..3_000).map(|number| pods.name(number)).collect();
        assert_eq!(names.len(), 3_000);
        let (namespace, name) = pods.name(41);
        let pod = pods.pod(41, 1);
        assert_eq!(
            (&pod["metadata"]["namespace"], &pod["metadata"]["name"]),
            (&namespace.into(), &name.into())
        );
    }

    #[test]
    fn every_node_has_a_hundred() {
        let pods = Pods::new(1, 10_000);
        let on = |node: &str| (0..10_000).filter(|number| pods.node(*number) == node).count();
        assert_eq!((on(&node_name(0)), on(&node_name(99))), (PODS_PER_NODE, PODS_PER_NODE));
    }

    #[test]
    fn they_are_pods() {
        let pods = Pods::new(1, 2_000);
        for number in 0..200 {
            let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pods.pod(number, 1)).unwrap();
            assert!(pod.spec.unwrap().containers.len() >= 2);
            assert_eq!(pod.metadata.managed_fields.unwrap().len(), 3);
        }
    }
}
