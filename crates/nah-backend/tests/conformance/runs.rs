//! How runs go on and how they end: retries of one callback, replays that fail, time limits, cuts, and leadership.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{KindOptions, core::Causes, prelude::*, watch::CallbackOptions};
use serde_json::json;

use crate::{fixtures::Seen, lease::Election, scenario::scenarios, world::World};

scenarios! {
    a_failure_that_is_one_callbacks_alone_is_retried_for_it_alone => "E11" (Loose),
    a_replay_that_fails_is_retried_for_the_late_callback_alone => "E18, E19, E11" (Loose),
    a_callback_that_takes_too_long_fails_alone_and_comes_again => "E14, E7" (Loose),
    a_resync_shows_every_object_again_without_a_request => "B25, E2" (Loose),
    a_shutdown_cuts_off_what_does_not_end_and_names_it => "G9" (Loose),
    a_follower_takes_over_with_a_warm_cache => "G3, G4, G6, G11" (Faulty),
}

fn config_map(name: &str) -> serde_json::Value {
    json!({ "metadata": { "name": name }, "data": { "k": "v" } })
}

async fn a_failure_that_is_one_callbacks_alone_is_retried_for_it_alone(world: &World) -> Result<()> {
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    let other = seen.clone();
    backend.with_options(CallbackOptions::default().retried_alone()).watcher(
        "alone",
        move |change: Change<ConfigMap>| {
            seen.tell(("alone", change.failures));
            async move { if change.failures < 2 { Err("not yet".into()) } else { Ok(()) } }
        },
    )?;
    backend.watcher("other", move |change: Change<ConfigMap>| {
        other.tell(("other", change.failures));
        async { Ok(()) }
    })?;
    backend.start().await?;
    world.behind_create("configmaps", config_map("a")).await?;
    runs.are([("alone", 0), ("other", 0), ("alone", 1), ("alone", 2)]).await?;
    runs.nothing_for(Duration::from_millis(300)).await
}

async fn a_replay_that_fails_is_retried_for_the_late_callback_alone(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("a")).await?;
    let backend = world.backend();
    let (early, mut early_runs) = Seen::new();
    backend.watcher("early", move |_: Change<ConfigMap>| {
        early.tell(());
        async { Ok(()) }
    })?;
    backend.start().await?;
    early_runs.next().await?;
    let (late, mut late_runs) = Seen::new();
    backend.watcher("late", move |change: Change<ConfigMap>| {
        late.tell((change.failures, change.causes));
        async move {
            assert!(change.failures > 0, "the first run panics, as it should");
            Ok(())
        }
    })?;
    ensure!(late_runs.next().await? == (0, Causes::REPLAY));
    ensure!(late_runs.next().await? == (1, Causes::REPLAY | Causes::RETRY));
    early_runs.nothing_for(Duration::from_millis(300)).await
}

async fn a_callback_that_takes_too_long_fails_alone_and_comes_again(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("a")).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    let other = seen.clone();
    backend.with_options(CallbackOptions::default().time_limit(Duration::from_millis(100))).watcher(
        "slow",
        move |change: Change<ConfigMap>| {
            seen.tell(("slow", change.failures));
            async move {
                if change.failures == 0 {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        },
    )?;
    backend.watcher("other", move |change: Change<ConfigMap>| {
        other.tell(("other", change.failures));
        async { Ok(()) }
    })?;
    backend.start().await?;
    runs.are([("slow", 0), ("other", 0), ("slow", 1), ("other", 1)]).await
}

async fn a_resync_shows_every_object_again_without_a_request(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("a")).await?;
    let options = KindOptions::default().resync(Duration::from_secs(1));
    let backend = world.backend_of(world.client.clone(), |builder| builder.kind::<ConfigMap>(options));
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell((change.object.is_some(), change.causes));
        async { Ok(()) }
    })?;
    backend.start().await?;
    ensure!(runs.next().await? == (true, Causes::INITIAL));
    let before = world.story.text();
    for _ in 0..2 {
        ensure!(runs.next().await? == (true, Causes::RESYNC));
    }
    ensure!(world.story.text() == before, "{}", world.story.text());
    Ok(())
}

async fn a_shutdown_cuts_off_what_does_not_end_and_names_it(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("a")).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("endless", move |_: Change<ConfigMap>| {
        seen.tell(());
        std::future::pending::<Result<(), nah_backend::core::BoxError>>()
    })?;
    backend.start().await?;
    runs.next().await?;
    let ended = backend.shutdown(Duration::from_millis(100)).await;
    let key = (world.namespace.as_str(), "a").into();
    ensure!(ended.cut_off == [("endless".to_owned(), (*ConfigMap::kind_of()).clone(), key)], "{ended:?}");
    ensure!(ended.blocked.is_empty() && ended.keys_left == 1, "{ended:?}");
    ensure!(backend.downgrade().upgrade().is_none());
    Ok(())
}

/// Two replicas and one lease: the second begins when the first gives it back, or does not renew it any more.
async fn a_follower_takes_over_with_a_warm_cache(world: &World) -> Result<()> {
    let (leader, follower) = (world.backend(), world.backend());
    let election = |name| Election::new(world.client.clone(), &world.namespace, name, Duration::from_secs(2));
    let (mut first, mut second) = (election("first"), election("second"));
    let (seen, mut runs) = Seen::new();
    for (name, backend) in [("first", &leader), ("second", &follower)] {
        let seen = seen.clone();
        backend.watcher("maps", move |change: Change<ConfigMap>| {
            seen.tell((name, change.key.name().to_owned()));
            async { Ok(()) }
        })?;
    }
    leader.start_when(Box::pin(async { Ok(first.won().await?) })).await?;
    follower.preload().await?;
    world.behind_create("configmaps", config_map("a")).await?;
    ensure!(runs.next().await? == ("first", "a".to_owned()));
    let key = (world.namespace.as_str(), "a");
    let read =
        crate::fixtures::eventually("it is known", async || Ok(follower.get::<ConfigMap>(key).await.is_ok()));
    read.await?;
    let watches = world.story.count("WATCH", "/configmaps");

    // It keeps the lease while both are there, and gives it back after its callbacks have ended.
    let taking = follower.start_when(Box::pin(async { Ok(second.won().await?) }));
    let leaving = async {
        tokio::select! {
            () = first.lost() => anyhow::bail!("it renews its lease"),
            nothing = runs.nothing_for(Duration::from_secs(3)) => nothing?,
        }
        ensure!(leader.shutdown(Duration::from_secs(5)).await.cut_off.is_empty());
        first.release().await
    };
    let (taken, left) = futures::join!(taking, leaving);
    left?;
    taken?;
    ensure!(runs.next().await? == ("second", "a".to_owned()));
    world.behind_create("configmaps", config_map("b")).await?;
    ensure!(runs.next().await? == ("second", "b".to_owned()));
    ensure!(world.story.count("WATCH", "/configmaps") == watches, "{}", world.story.text());
    Ok(())
}
