//! What callbacks leave behind.

use std::time::Duration;

use nah_core::{ApiResource, DynamicObject, Object};
use nah_watch::{Outcome, Requeue};

use super::*;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test]
async fn the_earliest_requeue_counts() {
    let callbacks = pods();
    on(&callbacks, "a", |_| async { Ok(Requeue(seconds(30))) });
    on(&callbacks, "b", |_| async { Ok(()) });
    on(&callbacks, "c", |_| async { Ok(Some(Requeue(seconds(5)))) });
    on(&callbacks, "d", |_| async { Ok(None::<Requeue>) });
    assert_eq!(run(&callbacks, change("x")).await.requeue_after, Some(seconds(5)));
}

#[tokio::test]
async fn a_requeue_counts_also_when_another_callback_fails() {
    let callbacks = pods();
    on(&callbacks, "a", |_| async { Ok(Requeue(seconds(30))) });
    failing(&callbacks, "b", "no");
    let report = run(&callbacks, change("x")).await;
    assert_eq!((report.requeue_after, report.failures.len()), (Some(seconds(30)), 1));
}

#[tokio::test]
async fn an_outcome_says_both() {
    let (callbacks, log) = (pods(), Log::default());
    on(&callbacks, "a", |_| async {
        let object = Object::from_typed(labelled(pod("x"), "a"))?;
        Ok(Outcome::default().with_object(object).with_requeue(seconds(7)))
    });
    seeing(&callbacks, &log, "b");
    assert_eq!(run(&callbacks, change("x")).await.requeue_after, Some(seconds(7)));
    assert_eq!(log.take(), ["b sees a"]);
}

#[test]
fn a_dynamic_object_that_does_not_say_its_kind_is_an_error() {
    let mut object = DynamicObject::new("x", &ApiResource::erase::<Pod>(&()));
    object.types = None;
    assert_eq!(
        Arc::new(object).into_outcome().unwrap_err().to_string(),
        "object names no apiVersion and kind"
    );
}
