//! Small objects, for caches of a million: ConfigMaps of about 300 bytes.

use serde_json::{Value, json};

/// A hundred of these have the same value.
pub const PER_VALUE: usize = 100;
const NAMESPACES: usize = 200;

/// Namespace and name of a ConfigMap.
pub fn name(number: usize) -> (String, String) {
    (format!("team-{}", number % NAMESPACES), format!("settings-{number:07}"))
}

/// The value that a hundred of `count` ConfigMaps share, in `data.shard`.
pub fn shard(number: usize, count: usize) -> String {
    format!("shard-{}", number % (count / PER_VALUE).max(1))
}

/// The ConfigMap of this number, of so many, at `version`.
pub fn config_map(number: usize, count: usize, version: usize) -> Value {
    let (namespace, name) = name(number);
    // Spread over all 128 bits, so that no two uids look alike.
    let random = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    json!({
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("{random:032x}"),
            "resourceVersion": version.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": format!("app-{}", number % 17)},
        },
        "data": {"shard": shard(number, count), "mode": if number.is_multiple_of(3) { "eager" } else { "lazy" }},
    })
}
