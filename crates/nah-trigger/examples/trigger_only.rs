//! Program 6: nah-trigger alone, with keys and causes of one's own and a loop of one's own.
use futures::{StreamExt, stream::FuturesUnordered};
use nah_trigger::{Lane, QueueOptions, queue};
use std::time::Duration;

async fn work(_: u64) -> Result<(), std::io::Error> {
    Ok(())
}
async fn crawler() {
    let (handle, mut keys) = queue::<u64, ()>(QueueOptions::default());
    handle.add(7, (), Lane::Fresh);
    handle.add_after(7, (), Duration::from_secs(60));
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(claim) = keys.next(), if running.len() < 4 => running.push(async move {
                match work(*claim.key()).await {
                    Ok(()) => claim.done(),
                    Err(error) => println!("again in {:?}: {error}", claim.retry()),
                }
            }),
            Some(()) = running.next() => {}
            else => break,
        }
    }
}
fn main() {
    let _ = crawler;
}
