//! What other threads, and code of users that runs in unexpected places, may do meanwhile.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use futures_util::FutureExt;

use super::*;

/// As what a callback holds: when it is dropped, another thread looks at the list. Only a lock makes that wait.
struct Asks(Callbacks, mpsc::Sender<Option<usize>>);

impl Drop for Asks {
    fn drop(&mut self) {
        let (tx, rx) = mpsc::channel();
        let callbacks = self.0.clone();
        thread::spawn(move || tx.send(callbacks.len()));
        self.1.send(rx.recv_timeout(Duration::from_secs(10)).ok()).unwrap();
    }
}

#[tokio::test]
async fn a_callback_is_dropped_without_a_lock() // G17
{
    let callbacks = pods();
    let (tell, told) = mpsc::channel();
    let asks = |name: &'static str| {
        let held = Asks(callbacks.clone(), tell.clone());
        on(&callbacks, name, move |_| {
            let _held = &held;
            async { Ok(()) }
        })
    };
    asks("unregistered").unregister();
    assert_eq!(told.recv().unwrap(), Some(0));
    let own: Arc<Mutex<Option<Registration>>> = Arc::default();
    let (inner, held) = (own.clone(), Asks(callbacks.clone(), tell.clone()));
    *own.lock() = Some(on(&callbacks, "unregistered in its run", move |_| {
        let _held = &held;
        inner.lock().take().unwrap().unregister();
        async { Ok(()) }
    }));
    run(&callbacks, change("x")).await;
    assert_eq!(told.recv().unwrap(), Some(0));
    asks("closed");
    callbacks.close();
    assert_eq!(told.recv().unwrap(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn unregister_and_wait_from_inside_a_run_that_a_callback_drives_does_not_wait_for_that() // G17
{
    let (outer, inner) = (pods(), pods());
    let own: Arc<Mutex<Option<Registration>>> = Arc::default();
    let theirs = own.clone();
    on(&inner, "ends the outer one", move |_| {
        let registration = theirs.lock().take();
        async move {
            registration.unwrap().unregister_and_wait().await;
            Ok(())
        }
    });
    *own.lock() = Some(on(&outer, "drives", move |_| {
        let inner = inner.clone();
        async move {
            let report = run(&inner, change("y")).await;
            assert!(report.is_ok(), "{report}");
            Ok(())
        }
    }));
    let run = tokio::time::timeout(Duration::from_secs(1), run(&outer, change("x")));
    assert!(run.await.expect("it waits for itself").is_ok());
}

/// Takes its callback away and waits for the end of its runs, when it is dropped; tells whether that was immediate.
struct Leaves(Option<Registration>, Log);

impl Drop for Leaves {
    fn drop(&mut self) {
        let left = self.0.take().unwrap().unregister_and_wait().now_or_never();
        self.1.note(if left.is_some() { "at once" } else { "would wait" });
    }
}

#[tokio::test]
async fn what_a_call_drops_when_it_is_cut_off_is_inside_it() // G17
{
    let (callbacks, log) = (pods(), Log::default());
    let own: Arc<Mutex<Option<Registration>>> = Arc::default();
    let (inner, inner_log) = (own.clone(), log.clone());
    *own.lock() = Some(on(&callbacks, "never ends", move |_| {
        let held = Leaves(inner.lock().take(), inner_log.clone());
        async move {
            let _held = held;
            std::future::pending::<CallbackResult>().await
        }
    }));
    assert!(run(&callbacks, change("x")).now_or_never().is_none());
    assert_eq!(log.take(), ["at once"]);
    assert!(callbacks.is_empty());
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn whoever_waits_for_a_run_that_ends_meanwhile_is_told() // E21
{
    // The run ends on another thread while this one begins to wait, each round a little later.
    let (begin, runs) = mpsc::channel::<(Callbacks, mpsc::Sender<()>, Arc<AtomicUsize>)>();
    let other = thread::spawn(move || {
        for (callbacks, ended, meet) in runs {
            let mut run = Box::pin(run(&callbacks, change("x")));
            assert!(run.as_mut().now_or_never().is_none());
            meet.fetch_add(1, Ordering::SeqCst);
            // Spins, to be there at the same moment, but not for as long as a thread may be without a processor.
            for spins in 0.. {
                match meet.load(Ordering::SeqCst) {
                    2 => break,
                    _ if spins < 1_000 => std::hint::spin_loop(),
                    _ => thread::yield_now(),
                }
            }
            drop(run);
            ended.send(()).unwrap();
        }
    });
    for round in 0..5_000 {
        let callbacks = pods();
        let registration = on(&callbacks, "stuck", |_| std::future::pending::<CallbackResult>());
        let (tell, ended) = mpsc::channel();
        let meet = Arc::new(AtomicUsize::new(0));
        begin.send((callbacks.clone(), tell, meet.clone())).unwrap();
        while meet.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        let count = Arc::new(Count::default());
        let mut wait = Box::pin(registration.unregister_and_wait());
        meet.fetch_add(1, Ordering::SeqCst);
        for _ in 0..round % 256 {
            std::hint::spin_loop();
        }
        let polled = wait.as_mut().poll(&mut Context::from_waker(&Waker::from(count.clone())));
        ended.recv().unwrap();
        assert!(polled == Poll::Ready(()) || count.0.load(Ordering::SeqCst) == 1, "round {round}");
    }
    drop(begin);
    other.join().unwrap();
}
