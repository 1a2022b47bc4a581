//! The trait that callbacks are registered by.

use nah_core::{GroupVersionKind, Object};
use nah_watch::{Callback, Requeue, WatchError, Watcher, WatcherExt};

use super::*;

/// A watcher of pods alone.
pub(super) struct Pods(pub(super) Callbacks);

impl Watcher for Pods {
    fn add_callback(
        &self,
        gvk: &GroupVersionKind,
        name: &str,
        callback: Arc<dyn Callback>,
    ) -> Result<Registration, WatchError> {
        assert_eq!(gvk.kind, "Pod");
        self.0.add(name, callback)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("context said {0}")]
struct Mine(u8);

async fn reconcile(context: Arc<u8>, change: Change<Pod>) -> Result<Requeue, Mine> {
    match change.object {
        Some(_) => Ok(Requeue(std::time::Duration::from_secs((*context).into()))),
        None => Err(Mine(*context)),
    }
}

#[tokio::test]
async fn closures_and_functions_register_in_each_form() {
    // E26
    let callbacks = pods();
    let watcher: Arc<dyn Watcher> = Arc::new(Arc::new(Pods(callbacks.clone())));
    watcher
        .watcher("typed", |change: Change<Pod>| async move {
            assert!(change.object.is_some_and(|pod| pod.spec.is_none()));
            Ok(())
        })
        .unwrap();
    watcher
        .watcher_for_kind(&Pod::kind_of(), "untyped", |change| async move {
            assert_eq!(change.object.as_ref().map(Object::key), Some(&change.key));
            Ok(change.object)
        })
        .unwrap();
    watcher.watcher_with("function", Arc::new(7), reconcile).unwrap();
    let report = run(&callbacks, change("x")).await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.requeue_after.map(|after| after.as_secs()), Some(7));
    let report = run(&callbacks, gone("x")).await;
    assert_eq!(report.failures.last().unwrap().to_string(), "handler function Pod: context said 7");
}

#[tokio::test]
async fn any_error_goes_through_the_question_mark() {
    let callbacks = pods();
    on(&callbacks, "parse", |_| async {
        let _: u8 = "many".parse()?;
        Ok(())
    });
    on(&callbacks, "anyhow", |_| async {
        anyhow::Context::context("7".parse::<u8>().and("".parse::<u8>()), "while counting")?;
        Ok(())
    });
    let report = run(&callbacks, change("x")).await;
    assert_eq!(
        report.to_string(),
        "handler parse Pod: invalid digit found in string, handler anyhow Pod: while counting"
    );
}

#[test]
fn every_trait_can_be_an_object() {
    fn check(_: Option<&dyn Watcher>, _: Option<&dyn Callback>) {}
    check(None, None);
}
