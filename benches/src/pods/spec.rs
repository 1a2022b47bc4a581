//! What a Pod shall be.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{
    Draw,
    words::{self, ENV, REGISTRIES, pick},
};

/// The spec of a Pod on `node`, the same for all Pods of a workload but for the node and the token volume.
pub(super) fn spec(draw: &mut Draw, node: &str) -> Value {
    let app = draw.workload.name.clone();
    // Another place of the workload's sequence than its metadata has, the same for each of its Pods.
    let mut rng = Rng::with_seed(!draw.workload.shared.clone().u64(..));
    let token = format!("kube-api-access-{}", words::suffix(&mut draw.own, draw.number));
    let names = ["main", "istio-proxy", "log-shipper"];
    let count = if rng.u8(..100) < 15 { 3 } else { 2 };
    let containers: Vec<Value> =
        names[..count].iter().map(|name| container(&mut rng, name, &app, &token)).collect();
    let mut spec = json!({
        "containers": containers,
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": true,
        "nodeName": node,
        "priority": 0,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {"fsGroup": 1000 + rng.u32(..64), "runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"}},
        "serviceAccount": app,
        "serviceAccountName": app,
        "terminationGracePeriodSeconds": *rng.choice(&[30, 45, 60, 120]).unwrap_or(&30),
        "tolerations": [
            {"effect": "NoExecute", "key": "node.kubernetes.io/not-ready", "operator": "Exists",
                "tolerationSeconds": 300},
            {"effect": "NoExecute", "key": "node.kubernetes.io/unreachable", "operator": "Exists",
                "tolerationSeconds": 300},
        ],
        "volumes": [
            {"name": token, "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
                {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                    "path": "namespace"}]}},
            ]}},
            {"configMap": {"defaultMode": 420, "name": format!("{app}-config")}, "name": "config"},
            {"emptyDir": {"sizeLimit": "256Mi"}, "name": "scratch"},
        ],
    });
    if rng.u8(..100) < 40 {
        spec["affinity"] = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "podAffinityTerm": {"labelSelector": {"matchLabels": {"app.kubernetes.io/name": app}},
                "topologyKey": "kubernetes.io/hostname"}, "weight": 100}]}});
        spec["topologySpreadConstraints"] = json!([{
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": app}}, "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
        }]);
    }
    spec
}

fn container(rng: &mut Rng, name: &str, app: &str, token: &str) -> Value {
    let version = format!("{}.{}.{}", rng.u8(..5), rng.u8(..30), rng.u8(..30));
    let image = format!("{}/{app}-{name}:{version}", pick(rng, REGISTRIES));
    let port = 8000 + u32::from(rng.u8(..100));
    let probe = |path: &str, period: u32| {
        json!({"failureThreshold": 3, "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
            "periodSeconds": period, "successThreshold": 1, "timeoutSeconds": 2})
    };
    let mut container = json!({
        "env": env(rng, app),
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "name": name,
        "ports": [{"containerPort": port, "name": "http", "protocol": "TCP"}],
        "readinessProbe": probe("/ready", 5),
        "resources": {
            "limits": {"memory": pick(rng, &["512Mi", "1Gi", "2Gi"])},
            "requests": {
                "cpu": pick(rng, &["50m", "100m", "250m"]), "memory": pick(rng, &["128Mi", "256Mi", "512Mi"]),
            },
        },
        "volumeMounts": [
            {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": token, "readOnly": true},
        ],
    });
    if name == "main" {
        container["args"] = json!(["--config=/etc/config/app.yaml", format!("--service={app}")]);
        container["securityContext"] =
            json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        container["livenessProbe"] = probe("/healthz", 10);
        if let Some(mounts) = container["volumeMounts"].as_array_mut() {
            mounts.push(json!({"mountPath": "/etc/config", "name": "config", "readOnly": true}));
            mounts.push(json!({"mountPath": "/tmp", "name": "scratch"}));
        }
    }
    container
}

fn env(rng: &mut Rng, app: &str) -> Vec<Value> {
    let mut env = vec![
        json!({"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}),
        json!({"name": "DATABASE_PASSWORD", "valueFrom": {"secretKeyRef": {"key": "password",
            "name": format!("{app}-database")}}}),
    ];
    let first = rng.usize(..ENV.len());
    for at in 0..1 + rng.usize(..3) {
        let (name, values) = ENV[(first + at * 3) % ENV.len()];
        let value = if values.is_empty() { words::hex(rng, 40) } else { pick(rng, values).to_owned() };
        env.push(json!({"name": name, "value": value}));
    }
    env
}
