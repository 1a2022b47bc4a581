//! The rights that a backend says it needs, on a real kube-apiserver. Not run by default: NAH_CONTROL_PLANE names the
//! directory that `cargo xtask control-plane --build` has filled.

use std::{fmt, path::Path, time::Duration};

use futures::StreamExt as _;
use http::{HeaderName, HeaderValue};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    core::v1::{ConfigMap, Namespace, Node, Secret},
    rbac::v1::{ClusterRole, PolicyRule, Role, Subject},
};
use kube::{
    Api, Client, Config, Resource as _,
    api::{DeleteParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::events::{Event, EventType},
};
use nah_backend::{KubeBackend, Manifests, Rights, client::Verb, prelude::*};
use nah_testing::{ControlPlane, ControlPlaneOptions};
use serde_json::json;

const GRACE: Duration = Duration::from_secs(5);

/// An operator, and what it does in a session.
struct Operator {
    name: &'static str,
    namespaces: &'static [&'static str],
    rights: Rights,
}

/// What a session does; each needs rights of its own.
type Step = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn config(kubeconfig: &Path, user: Option<&str>) -> Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.headers.extend(
        user.map(|user| (HeaderName::from_static("impersonate-user"), HeaderValue::from_str(user).unwrap())),
    );
    config
}

impl Operator {
    fn backend(&self, config: Config) -> KubeBackend {
        let builder = KubeBackend::builder(config).unwrap().sync_timeout(Duration::from_secs(4));
        let backend = builder.namespaces(self.namespaces.iter().copied()).build();
        backend.watcher("maps", |_: Change<ConfigMap>| async { Ok(()) }).unwrap();
        if self.namespaces.is_empty() {
            backend.informer::<Node>().unwrap();
        }
        backend
    }

    /// Does all that the operator has rights for, and gives up at the first refusal.
    async fn session(&self, admin: &Client, config: Config, writes: bool) -> Step {
        let backend = self.backend(config);
        let done = self.steps(admin, &backend, writes).await;
        backend.shutdown(GRACE).await;
        done
    }

    async fn steps(&self, admin: &Client, backend: &KubeBackend, writes: bool) -> Step {
        backend.start().await?;
        let namespace = self.namespaces.first().copied().unwrap_or("default");
        let key = ObjectKey::from((namespace, "held"));
        self.follows(admin, backend, &key).await?;
        backend.get_live::<ConfigMap>(&key).await?;
        backend.list_live::<ConfigMap>(ListOptions::default().in_namespace(namespace)).await?;
        if self.namespaces.is_empty() {
            // The API server allows an absent object to be asked for, or does not.
            backend.get_live::<Node>(ObjectKey::cluster("none")).await.optional()?;
            backend.list_live::<Node>(ListOptions::default()).await?;
            let mut events = backend.watch(&Node::kind_of(), ListOptions::default());
            // There may be nothing to tell of; a refusal is told at once.
            if let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(1), events.next()).await {
                event?;
            }
        }
        if !writes {
            return Ok(());
        }
        let new: ConfigMap = serde_json::from_value(json!({
            "metadata": { "generateName": "new-", "namespace": namespace, "labels": { "of": self.name } }
        }))?;
        let made = backend.create(&new).await?;
        let changed = ConfigMap { data: Some([("k".into(), "v".into())].into()), ..(*made).clone() };
        let made = backend.update(&changed).await?;
        let key = made.key()?;
        backend.modify::<ConfigMap>(&key, |map| drop(map.data.take())).await?;
        let event = Event {
            type_: EventType::Normal,
            reason: "Made".into(),
            note: None,
            action: "Make".into(),
            secondary: None,
        };
        let recorder = backend.recorder(self.name);
        for _ in 0..2 {
            recorder.publish(&event, &made.object_ref(&())).await?; // and counts the second one
        }
        backend.delete(&*made).await?;
        let own =
            ListOptions::default().in_namespace(namespace).matching_text(&format!("of={}", self.name))?;
        backend.delete_all_of::<ConfigMap>(own).await?;
        if self.namespaces.is_empty() {
            let node: Node = serde_json::from_value(json!({ "metadata": { "generateName": "n-" } }))?;
            let node = backend.create(&node).await?;
            let unready = json!([{ "type": "Ready", "status": "False" }]);
            let condition = serde_json::from_value::<Vec<_>>(unready)?;
            backend
                .modify_status::<Node>(node.key()?, |node| {
                    node.status.get_or_insert_default().conditions = Some(condition.clone());
                })
                .await?;
            backend.delete(&*node).await?;
        }
        Ok(())
    }
}

impl Operator {
    /// Is told of changes that somebody else makes, one after the other. A kind whose watch is refused is listed again
    /// and again, with growing pauses: it learns of them too, but not in time.
    async fn follows(&self, admin: &Client, backend: &KubeBackend, key: &ObjectKey) -> Step {
        let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), key.namespace().unwrap_or_default());
        let changes = async {
            for _ in 0..6 {
                let value = format!("{}", fastrand::u64(..));
                let patch = kube::api::Patch::Merge(json!({ "data": { "value": value } }));
                maps.patch(key.name(), &Default::default(), &patch).await?;
                let is_there = |map: Option<&ConfigMap>| {
                    map.and_then(|map| map.data.as_ref()?.get("value")).is_some_and(|held| *held == value)
                };
                backend.wait_for(key, is_there).await?;
            }
            Ok(())
        };
        let told = tokio::time::timeout(Duration::from_secs(4), changes).await;
        told.unwrap_or_else(|_| Err(format!("not told in time: {:?}", backend.status()).into()))
    }
}

/// The real server, and who may do what there.
struct Court {
    ground: ControlPlane,
    admin: Client,
}

impl Court {
    async fn open() -> Self {
        let binaries =
            std::env::var_os("NAH_CONTROL_PLANE").expect("NAH_CONTROL_PLANE names a control plane");
        let ground =
            ControlPlane::start(binaries, ControlPlaneOptions::default()).await.expect("a control plane");
        let admin = Client::try_from(config(ground.kubeconfig(), None).await).unwrap();
        Self { ground, admin }
    }

    async fn user(&self, name: &str) -> Config {
        config(self.ground.kubeconfig(), Some(name)).await
    }

    async fn grant(&self, manifests: &Manifests) {
        let new = PostParams::default();
        if let Some(role) = &manifests.cluster_role {
            Api::all(self.admin.clone()).create(&new, role).await.unwrap();
        }
        if let Some(binding) = &manifests.cluster_role_binding {
            Api::all(self.admin.clone()).create(&new, binding).await.unwrap();
        }
        for role in &manifests.roles {
            let namespace = role.metadata.namespace.as_deref().unwrap();
            Api::namespaced(self.admin.clone(), namespace).create(&new, role).await.unwrap();
        }
        for binding in &manifests.role_bindings {
            let namespace = binding.metadata.namespace.as_deref().unwrap();
            Api::namespaced(self.admin.clone(), namespace).create(&new, binding).await.unwrap();
        }
    }

    /// Gives the role of `name` these rules, in the cluster or in a namespace.
    async fn rule(&self, name: &str, namespace: Option<&str>, rules: Vec<PolicyRule>) {
        let patch = kube::api::Patch::Merge(json!({ "rules": rules }));
        let params = Default::default();
        match namespace {
            Some(namespace) => {
                let roles: Api<Role> = Api::namespaced(self.admin.clone(), namespace);
                roles.patch(name, &params, &patch).await.unwrap();
            }
            None => {
                let roles: Api<ClusterRole> = Api::all(self.admin.clone());
                roles.patch(name, &params, &patch).await.unwrap();
            }
        }
    }

    /// Waits until the server's authorizer has seen whether `user` may.
    async fn settled(
        &self,
        user: &str,
        namespace: Option<&str>,
        rule: &PolicyRule,
        verb: &str,
        allowed: bool,
    ) {
        let reviews: Api<SubjectAccessReview> = Api::all(self.admin.clone());
        for resource in rule.resources.iter().flatten() {
            let (resource, subresource) = match resource.split_once('/') {
                Some((resource, part)) => (resource, Some(part.to_owned())),
                None => (resource.as_str(), None),
            };
            let review = SubjectAccessReview {
                spec: SubjectAccessReviewSpec {
                    user: Some(user.into()),
                    resource_attributes: Some(ResourceAttributes {
                        group: rule.api_groups.as_ref().and_then(|groups| groups.first().cloned()),
                        resource: Some(resource.into()),
                        subresource,
                        namespace: namespace.map(Into::into),
                        verb: Some(verb.into()),
                        ..ResourceAttributes::default()
                    }),
                    ..SubjectAccessReviewSpec::default()
                },
                ..SubjectAccessReview::default()
            };
            let mut answer = None;
            for _ in 0..200 {
                answer = reviews.create(&PostParams::default(), &review).await.unwrap().status;
                if answer.as_ref().is_some_and(|status| status.allowed == allowed) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_eq!(answer.map(|status| status.allowed), Some(allowed), "{user} {verb} {resource}");
        }
    }

    /// Shows that the rules of `operator` are enough, and that none of their verbs can be spared.
    async fn try_case(&self, operator: &Operator, writes: bool) {
        let name = operator.name;
        let config = self.user(name).await;
        let refused = operator.session(&self.admin, config.clone(), writes).await;
        assert!(refused.is_err(), "{name} has rights before they are given");

        let rules = operator.backend(config.clone()).required_rules(&operator.rights).await.unwrap();
        let subject = Subject { kind: "User".into(), name: name.into(), ..Subject::default() };
        self.grant(&rules.manifests(name, &[subject])).await;
        let cluster = rules.cluster.iter().map(|_| None);
        let places: Vec<_> = cluster.chain(rules.namespaces.keys().map(|name| Some(name.as_str()))).collect();
        let of = |place: Option<&str>| match place {
            None => rules.cluster.clone(),
            Some(namespace) => rules.namespaces[namespace].clone(),
        };
        let mut places = places;
        places.dedup();
        for &place in &places {
            for rule in of(place) {
                for verb in &rule.verbs {
                    self.settled(name, place, &rule, verb, true).await;
                }
            }
        }
        operator.session(&self.admin, config.clone(), writes).await.unwrap();

        for &place in &places {
            let whole = of(place);
            for (index, rule) in whole.iter().enumerate() {
                for verb in &rule.verbs {
                    let mut less = whole.clone();
                    less[index].verbs.retain(|other| other != verb);
                    // A rule without verbs is refused.
                    less.retain(|rule| !rule.verbs.is_empty());
                    self.rule(name, place, less).await;
                    self.settled(name, place, rule, verb, false).await;
                    let done = operator.session(&self.admin, config.clone(), writes).await;
                    let without = Without { place, verb, rule };
                    let error = done.expect_err(&without.to_string()).to_string();
                    println!("{name} {without}: {error}");
                    let says_why =
                        error.contains("forbidden") || verb == "watch" && error.contains("not told in time");
                    assert!(says_why, "{without}: {error}");
                    self.rule(name, place, whole.clone()).await;
                    self.settled(name, place, rule, verb, true).await;
                }
            }
        }
        operator.session(&self.admin, config, writes).await.unwrap();
    }
}

/// What was taken away.
struct Without<'a> {
    place: Option<&'a str>,
    verb: &'a str,
    rule: &'a PolicyRule,
}

impl fmt::Display for Without<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resources = self.rule.resources.as_deref().unwrap_or_default().join(",");
        write!(f, "without {} {resources} in {}", self.verb, self.place.unwrap_or("the cluster"))
    }
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn the_rules_are_enough_and_no_verb_can_be_spared() {
    let court = Court::open().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(court.admin.clone());
    let held: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "held" } })).unwrap();
    maps.create(&PostParams::default(), &held).await.unwrap();
    let shop: Namespace = serde_json::from_value(json!({ "metadata": { "name": "shop" } })).unwrap();
    Api::all(court.admin.clone()).create(&PostParams::default(), &shop).await.unwrap();
    Api::<ConfigMap>::namespaced(court.admin.clone(), "shop")
        .create(&PostParams::default(), &held)
        .await
        .unwrap();

    let writes = [Verb::Create, Verb::Update, Verb::JsonPatch, Verb::Delete, Verb::DeleteAll];
    let reader = Operator { name: "reader", namespaces: &[], rights: Rights::default() };
    court.try_case(&reader, false).await;
    let rights = Rights::default().writes::<ConfigMap>(writes).events();
    let tenant = Operator { name: "tenant", namespaces: &["shop"], rights: rights.clone() };
    court.try_case(&tenant, true).await;
    let rights =
        rights.writes::<Node>([Verb::Create, Verb::Delete]).writes_part::<Node>("status", [Verb::JsonPatch]);
    let full = Operator { name: "full", namespaces: &[], rights };
    court.try_case(&full, true).await;

    // What the tenant has in its namespace it has nowhere else, and of nothing else.
    let tenant = Client::try_from(court.user("tenant").await).unwrap();
    let own: Api<ConfigMap> = Api::namespaced(tenant.clone(), "shop");
    own.get("held").await.unwrap();
    let other: Api<ConfigMap> = Api::namespaced(tenant.clone(), "default");
    assert!(other.get("held").await.unwrap_err().to_string().contains("forbidden"));
    let secrets: Api<Secret> = Api::namespaced(tenant, "shop");
    assert!(secrets.list(&Default::default()).await.unwrap_err().to_string().contains("forbidden"));
    maps.delete("held", &DeleteParams::default()).await.unwrap();
    court.ground.shutdown().await.unwrap();
}
