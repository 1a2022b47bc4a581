//! Which crate must not reach which.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;
use xshell::{Shell, cmd};

/// A crate, and what must not stand in the tree of its normal dependencies with default features.
const ABSENT: &[(&str, &[&str])] = &[
    ("nah-core", &["tokio", "kube-client", "hyper", "nah-trigger", "nah-watch", "nah-cache", "nah-client"]),
    ("nah-trigger", &["kube-client", "hyper", "zstd", "zstd-sys", "nah-watch", "nah-cache", "nah-client"]),
    ("nah-watch", &["kube-client", "hyper", "zstd", "zstd-sys", "nah-trigger", "nah-cache", "nah-client"]),
    ("nah-cache", &["kube-runtime", "nah-trigger", "nah-watch", "nah-client", "nah-backend", "nah-testing"]),
    ("nah-client", &["kube-runtime", "nah-trigger", "nah-watch", "nah-backend", "nah-testing"]),
    ("nah-backend", &["kube", "nah-testing"]),
    (
        "nah-testing",
        &["nah-core", "nah-trigger", "nah-watch", "nah-cache", "nah-client", "nah-backend", "kube-runtime"],
    ),
];

/// Crates that nothing may depend on, in any way.
const LEAVES: &[&str] = &["benches", "xtask"];

/// Complains of every arrow that must be absent.
pub(super) fn check(shell: &Shell) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (name, absent) in ABSENT {
        let format = "{p}";
        let tree =
            cmd!(shell, "cargo tree --package {name} --edges normal --prefix none --format {format} --quiet");
        complaints.extend(forbidden(name, absent, &tree.quiet().read()?));
    }
    let metadata = cmd!(shell, "cargo metadata --no-deps --format-version 1 --quiet").quiet().read()?;
    complaints.extend(manifests(&serde_json::from_str(&metadata)?));
    Ok(complaints)
}

fn forbidden(name: &str, absent: &[&str], tree: &str) -> Vec<String> {
    let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let found = absent.iter().filter(|other| reached.contains(*other));
    found
        .map(|other| format!("{name} must not reach {other}: cargo tree -p {name} -e normal -i {other}"))
        .collect()
}

/// What the manifests themselves must not say.
fn manifests(metadata: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let of_its_own = package["publish"].as_array().is_some_and(|registries| registries.is_empty());
            if LEAVES.contains(&on) {
                complaints.push(format!("{name} must not depend on {on}"));
            }
            if on == "k8s-openapi" && dependency["kind"].is_null() && !of_its_own {
                complaints.extend(versions(&dependency["features"]).map(|it| picks(name, it)));
            }
        }
        for (feature, enables) in package["features"].as_object().into_iter().flatten() {
            let enables = enables.as_array().into_iter().flatten().filter_map(Value::as_str);
            for version in
                enables.filter_map(|it| it.strip_prefix("k8s-openapi/")).filter(|it| is_version(it))
            {
                complaints.push(format!("feature {feature}: {}", picks(name, version)));
            }
        }
    }
    complaints
}

fn picks(name: &str, version: &str) -> String {
    format!("{name} picks the Kubernetes {version}: outside dev-dependencies that is the application's to do")
}

fn versions(features: &Value) -> impl Iterator<Item = &str> {
    features.as_array().into_iter().flatten().filter_map(Value::as_str).filter(|feature| is_version(feature))
}

fn is_version(feature: &str) -> bool {
    feature == "latest" || feature == "earliest" || feature.starts_with("v1_")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{forbidden, manifests};

    #[test]
    fn a_reached_crate_is_told_and_one_that_is_named_alike_is_not() {
        let tree = "nah-core v0.1.0 (/somewhere)\nkube-core v5.0.0\nserde v1.0.0\ntokio-util v0.7.0\n";
        assert_eq!(forbidden("nah-core", &["tokio", "kube-client"], tree), Vec::<String>::new());
        let found = forbidden("nah-core", &["tokio", "serde"], tree);
        assert_eq!(found, ["nah-core must not reach serde: cargo tree -p nah-core -e normal -i serde"]);
    }

    #[test]
    fn a_library_that_picks_a_kubernetes_is_told() {
        let metadata = |kind: serde_json::Value, features: &[&str]| {
            json!({ "packages": [{ "name": "nah-x", "publish": null, "features": {}, "dependencies": [
                { "name": "k8s-openapi", "kind": kind, "features": features },
            ] }] })
        };
        assert_eq!(manifests(&metadata(json!("dev"), &["latest"])).len(), 0);
        assert_eq!(manifests(&metadata(json!(null), &["schemars"])).len(), 0);
        assert_eq!(manifests(&metadata(json!(null), &["v1_37"])).len(), 1);
    }

    #[test]
    fn a_feature_that_picks_a_kubernetes_is_told() {
        let metadata = json!({ "packages": [{
            "name": "nah-x", "publish": null, "dependencies": [], "features": { "server": ["k8s-openapi/latest"] },
        }] });
        assert_eq!(manifests(&metadata).len(), 1);
    }

    #[test]
    fn nobody_depends_on_a_leaf() {
        let metadata = json!({ "packages": [{
            "name": "nah-x", "publish": null, "features": {},
            "dependencies": [{ "name": "benches", "kind": "dev", "features": [] }],
        }] });
        assert_eq!(manifests(&metadata), ["nah-x must not depend on benches"]);
    }
}
