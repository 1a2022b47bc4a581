//! A crawler: the queue alone, with keys of our own and no Kubernetes in sight.
//!
//! Four pages are fetched at a time. One of them fails twice and is tried again after its backoff; one is looked at
//! again after a while because we asked for that. `cargo run -p nah-trigger --example trigger_only`

#![allow(clippy::print_stdout)]

use std::{error::Error, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use nah_trigger::{Backoff, Closed, Lane, QueueOptions, queue};

/// Fetches a page; page 3 is down for its first two visits.
async fn fetch(page: u64, failures: u32) -> Result<(), Box<dyn Error>> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    if page == 3 && failures < 2 { Err("connection refused".into()) } else { Ok(()) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Closed> {
    let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let (handle, mut pages) = queue::<u64, ()>(QueueOptions::default().with_backoff(backoff));
    for page in 0..8 {
        handle.add(page, (), Lane::Fresh)?;
    }
    // Both are one visit, a fifth of a second from now: of two delays the earlier counts.
    handle.add_after(7, (), Duration::from_secs(60))?;
    handle.add_after(7, (), Duration::from_millis(200))?;

    let mut visits = 0;
    let mut running = FuturesUnordered::new();
    let end = tokio::time::sleep(Duration::from_millis(600));
    tokio::pin!(end);
    loop {
        tokio::select! {
            // A key is taken only when there is room for it, and never while it is being worked on.
            Some(claim) = pages.next(), if running.len() < 4 => running.push(async move {
                let page = *claim.key();
                match fetch(page, claim.failures()).await {
                    Ok(()) => {
                        println!("page {page}: fetched, after a wait of {:?}", claim.waited());
                        claim.done();
                    }
                    Err(error) => println!("page {page}: {error}; again in {:?}", claim.retry()),
                }
            }),
            Some(()) = running.next() => visits += 1,
            // No more requests: what is delayed is dropped, what is due still has its turn.
            () = &mut end, if !end.is_elapsed() => handle.close(),
            else => break,
        }
    }
    println!("{visits} visits to 8 pages");
    assert_eq!(visits, 8 + 2 + 1);
    Ok(())
}
