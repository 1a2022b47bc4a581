//! Who is called, in which order, with what.

use nah_core::{Causes, Object};

use super::*;

#[tokio::test]
async fn calls_in_the_order_of_registration() {
    // E7
    let (callbacks, log) = (pods(), Log::default());
    for name in ["c", "a", "b"] {
        noting(&callbacks, &log, name);
    }
    assert!(run(&callbacks, change("x")).await.is_ok());
    assert_eq!(log.take(), ["c", "a", "b"]);
}

#[tokio::test]
async fn awaits_each_before_the_next() {
    // E7
    let (callbacks, log) = (pods(), Log::default());
    for name in ["a", "b"] {
        let log = log.clone();
        on(&callbacks, name, move |_| {
            let log = log.clone();
            async move {
                log.note(format!("{name} begins"));
                tokio::task::yield_now().await;
                log.note(format!("{name} ends"));
                Ok(())
            }
        });
    }
    run(&callbacks, change("x")).await;
    assert_eq!(log.take(), ["a begins", "a ends", "b begins", "b ends"]);
}

#[tokio::test]
async fn all_are_called_also_after_one_failed() {
    // E7
    let (callbacks, log) = (pods(), Log::default());
    noting(&callbacks, &log, "a");
    failing(&callbacks, "b", "no");
    noting(&callbacks, &log, "c");
    let report = run(&callbacks, change("x")).await;
    assert_eq!((log.take(), report.failures.len()), (vec!["a".to_owned(), "c".to_owned()], 1));
}

#[tokio::test]
async fn a_callback_gets_kind_key_object_and_causes() {
    // E1, E6
    let callbacks = pods();
    on(&callbacks, "a", |change| async move {
        assert_eq!(change.gvk.kind, "Pod");
        assert_eq!(change.key.as_str(), "default/x");
        assert_eq!(change.object.unwrap().metadata.name.as_deref(), Some("x"));
        assert_eq!(change.causes, Causes::TRIGGER | Causes::RETRY);
        assert_eq!(change.failures, 3);
        Ok(())
    });
    let mut change = change("x").caused_by(Causes::TRIGGER | Causes::RETRY);
    change.failures = 3;
    let report = run(&callbacks, change).await;
    assert!(report.is_ok(), "{report}");
}

#[tokio::test]
async fn a_returned_object_is_what_the_next_is_called_with() {
    // E8
    let (callbacks, log) = (pods(), Log::default());
    seeing(&callbacks, &log, "first");
    on(&callbacks, "second", |_| async { Ok(labelled(pod("x"), "second")) });
    seeing(&callbacks, &log, "third");
    on(&callbacks, "fourth", |_| async { Ok(Some(labelled(pod("x"), "fourth"))) });
    seeing(&callbacks, &log, "fifth");
    run(&callbacks, change("x")).await;
    assert_eq!(log.take(), ["first sees plain", "third sees second", "fifth sees fourth"]);
}

#[tokio::test]
async fn nothing_returned_leaves_the_object_as_it_was() {
    // E8, Q61
    let (callbacks, log) = (pods(), Log::default());
    on(&callbacks, "none", |_| async { Ok(None::<Object>) });
    failing(&callbacks, "fails", "no");
    on(&callbacks, "no uid", |_| async {
        let mut pod = pod("x");
        pod.metadata.uid = None;
        Ok(labelled(pod, "no uid"))
    });
    on(&callbacks, "empty uid", |_| async {
        let mut pod = pod("x");
        pod.metadata.uid = Some(String::new());
        Ok(labelled(pod, "empty uid"))
    });
    seeing(&callbacks, &log, "last");
    run(&callbacks, change("x")).await;
    assert_eq!(log.take(), ["last sees plain"]);
}

#[tokio::test]
async fn a_returned_object_lasts_for_one_run() {
    // E9
    let (callbacks, log) = (pods(), Log::default());
    seeing(&callbacks, &log, "first");
    on(&callbacks, "second", |_| async { Ok(labelled(pod("x"), "second")) });
    let original = change("x");
    run(&callbacks, original.clone()).await;
    run(&callbacks, original.clone()).await;
    assert_eq!(log.take(), ["first sees plain", "first sees plain"]);
    assert!(original.object.unwrap().labels().is_empty());
}

#[tokio::test]
async fn gone_is_gone_for_every_callback() {
    // E4, E10, Q15
    let (callbacks, log) = (pods(), Log::default());
    seeing(&callbacks, &log, "first");
    on(&callbacks, "second", |_| async { Ok(labelled(pod("x"), "second")) });
    seeing(&callbacks, &log, "third");
    run(&callbacks, gone("x")).await;
    assert_eq!(log.take(), ["first sees none", "third sees none"]);
}

#[tokio::test]
async fn another_object_that_is_returned_is_left_aside() {
    let (callbacks, log) = (pods(), Log::default());
    on(&callbacks, "another name", |_| async { Ok(labelled(pod("y"), "another")) });
    on(&callbacks, "another kind", |_| async {
        let metadata = pod("x").metadata;
        Ok(Arc::new(ConfigMap { metadata, ..ConfigMap::default() }))
    });
    seeing(&callbacks, &log, "last");
    assert!(run(&callbacks, change("x")).await.is_ok());
    assert_eq!(log.take(), ["last sees plain"]);
}

#[tokio::test]
async fn every_callback_is_shown_what_was_last_known() {
    // E4
    let callbacks = pods();
    for name in ["a", "b"] {
        on(&callbacks, name, |change| async move {
            assert_eq!(change.last_known.unwrap().uid().unwrap().as_str(), "uid-of-x");
            assert!(change.object.is_none() && !change.certain);
            Ok(())
        });
    }
    let mut change = gone("x");
    change.last_known = self::change("x").object;
    change.certain = false;
    let report = run(&callbacks, change).await;
    assert!(report.is_ok(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn runs_of_different_keys_overlap() {
    // E15
    let callbacks = pods();
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    on(&callbacks, "meets", move |_| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            Ok(())
        }
    });
    let both = async { tokio::join!(run(&callbacks, change("x")), run(&callbacks, change("y"))) };
    assert!(tokio::time::timeout(std::time::Duration::from_secs(1), both).await.is_ok());
}

#[tokio::test]
async fn no_lock_is_held_while_a_callback_runs() {
    // G17
    let (callbacks, log) = (pods(), Log::default());
    let (inner, inner_log) = (callbacks.clone(), log.clone());
    on(&callbacks, "busy", move |_| {
        let (callbacks, log) = (inner.clone(), inner_log.clone());
        async move {
            noting(&callbacks, &log, "added inside");
            assert_eq!(callbacks.len(), 2);
            assert_eq!(callbacks.running().len(), 1);
            let nested = callbacks.run(gone("y"), &Meant::default()).await;
            // Inside the nested run this very callback fails: the name is taken.
            assert_eq!(nested.failures.len(), 1);
            Ok(())
        }
    });
    let report = run(&callbacks, change("x")).await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(log.take(), ["added inside"]);
}

#[tokio::test]
async fn a_run_without_callbacks_is_a_success() {
    let report = run(&pods(), change("x")).await;
    assert!(report.is_ok() && !report.wants_retry() && report.requeue_after.is_none());
    assert_eq!(report.to_string(), "");
}
