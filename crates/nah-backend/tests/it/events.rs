//! Events in the name of a controller, by kube-runtime's recorder.

use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event as Recorded};
use kube::{
    Resource as _,
    runtime::events::{Event, EventType},
};
use nah_backend::prelude::*;

use crate::ground::{ground, map};

#[tokio::test]
async fn a_recorder_tells_of_an_object_and_counts_what_it_repeats() {
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    let map = backend.create(&map("a")).await.unwrap();
    let recorder = backend.recorder("painter");
    let event = Event {
        type_: EventType::Warning,
        reason: "Faded".into(),
        note: Some("the colour has gone".into()),
        action: "Paint".into(),
        secondary: None,
    };
    for _ in 0..3 {
        recorder.publish(&event, &map.object_ref(&())).await.unwrap();
    }
    let all = backend.list_live::<Recorded>(ListOptions::default()).await.unwrap();
    let all: Vec<_> = all.into_iter().collect::<Result<_, _>>().unwrap();
    let [told] = &*all else { panic!("{all:?}") };
    assert_eq!(told.reporting_controller.as_deref(), Some("painter"));
    assert_eq!(told.reason.as_deref(), Some("Faded"));
    assert_eq!(told.regarding.as_ref().unwrap().uid, map.metadata.uid);
    assert_eq!(told.series.as_ref().map(|series| series.count), Some(3));
    assert_eq!(ConfigMap::kind(&()), told.regarding.as_ref().unwrap().kind.as_deref().unwrap());
}
