//! What a Pod is, as its kubelet says.

use serde_json::{Value, json};

use super::{Draw, words};

/// The status of a running Pod of this spec.
pub(super) fn status(draw: &mut Draw, spec: &Value) -> Value {
    let started = words::time(&mut draw.own);
    let address = pod_ip(draw.number);
    let conditions: Vec<Value> =
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
            .iter()
            .map(|kind| {
                json!({"lastProbeTime": null, "lastTransitionTime": words::time(&mut draw.own), "status": "True", "type": kind})
            })
            .collect();
    let containers = spec["containers"].as_array().cloned().unwrap_or_default();
    let statuses: Vec<Value> = containers.iter().map(|container| container_status(draw, container)).collect();
    let host = draw.number % 65_000;
    let host = format!("10.8.{}.{}", host / 250, host % 250);
    json!({
        "conditions": conditions,
        "containerStatuses": statuses,
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "observedGeneration": 1,
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "qosClass": "Burstable",
        "startTime": started,
    })
}

fn container_status(draw: &mut Draw, container: &Value) -> Value {
    let image = container["image"].as_str().unwrap_or_default();
    let repository = image.rsplit_once(':').map_or(image, |(repository, _)| repository);
    // The digest is the image's: the same for each of its Pods.
    let mut digest = draw.workload.shared.clone();
    digest.seed(digest.get_seed() ^ image.len() as u64);
    let mounts: Vec<Value> = container["volumeMounts"].as_array().into_iter().flatten().map(mount).collect();
    json!({
        "containerID": format!("containerd://{}", words::hex(&mut draw.own, 64)),
        "image": image,
        "imageID": format!("{repository}@sha256:{}", words::hex(&mut digest, 64)),
        "lastState": {},
        "name": container["name"],
        "ready": true,
        "resources": container["resources"],
        "restartCount": draw.own.u8(..4),
        "started": true,
        "state": {"running": {"startedAt": words::time(&mut draw.own)}},
        "volumeMounts": mounts,
    })
}

fn mount(mount: &Value) -> Value {
    let mut mount = mount.clone();
    if mount["readOnly"] == true {
        mount["recursiveReadOnly"] = "Disabled".into();
    }
    mount
}

pub(super) fn pod_ip(number: usize) -> String {
    format!("100.{}.{}.{}", 64 + number / 65_025 % 64, number / 255 % 255, number % 255)
}
