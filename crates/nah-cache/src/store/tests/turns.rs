//! Long lists: taken in on a thread that may be kept busy, while others go on.

use std::{
    sync::mpsc,
    thread::{self, ThreadId},
};

use tokio::task::yield_now;

use super::*;
use crate::store::difference::{News, Next, Placed};

/// More than is taken in at once.
const MANY: usize = 40;

fn pods(version: u64) -> Vec<Value> {
    (0..MANY).map(|n| on("n1", pod(&format!("a/{n:02}"), &format!("u{n}"), version))).collect()
}

fn items(store: &Store, version: u64) -> Vec<Listed> {
    pods(version).iter().map(|pod| Listed::New(arrived(store, pod))).collect()
}

/// A store of many, and a list of others: as an index has come since they arrived, its extractor is asked while the
/// list is taken in. It says where, and for the last object waits for a word.
fn slow() -> (Arc<Store>, Vec<Listed>, mpsc::Receiver<ThreadId>, mpsc::Sender<()>) {
    let store = store();
    list(&store, 1, &pods(1));
    let items = items(&store, 2);
    let ((says, said), (word, waits)) = (mpsc::channel(), mpsc::channel::<()>());
    let (says, waits) = (parking_lot::Mutex::new(says), parking_lot::Mutex::new(waits));
    let extract = move |object: &Object| {
        if object.resource_version() == Some(&2.into()) {
            _ = says.lock().send(thread::current().id());
            if object.key().name() == format!("{}", MANY - 1) {
                _ = waits.lock().recv();
            }
        }
        Ok(vec![object.resource_version().map(ToString::to_string).unwrap_or_default()])
    };
    let build = store.add_index("version", Extract::Object(Arc::new(extract))).expect("a new index");
    build.into_iter().for_each(|mut build| while !build.step(MANY) {});
    (store, items, said, word)
}

fn at(version: u64) -> ListOptions {
    ListOptions::default().matching_field("version", version.to_string())
}

/// Lets `future` go on until `done` says so.
async fn until<T>(future: impl Future<Output = T>, done: impl Fn() -> bool) {
    let mut future = std::pin::pin!(future);
    while !done() && future.as_mut().now_or_never().is_none() {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_long_list_is_taken_in_on_another_thread_and_others_go_on() // A5, B11
{
    let (store, items, said, word) = slow();
    let mut commit = Box::pin(store.commit(None, items, MANY, 2.into()));
    assert!((&mut commit).now_or_never().is_none(), "nobody waits for it here");
    // The last of its objects is looked at.
    let mut asked = 0;
    while asked < MANY {
        _ = (&mut commit).now_or_never();
        match said.try_recv() {
            Ok(thread) => {
                asked += 1;
                assert_ne!(thread, thread::current().id());
            }
            Err(_) => yield_now().await,
        }
    }
    // Readers see what was before; who would change something waits, and bookmarks, indexes and subscribers do not.
    assert_eq!(select(&store, at(1)).len(), MANY);
    assert!(store.turn_now().is_none());
    assert!(store.turn().now_or_never().is_none());
    store.bookmark(None, 2.into());
    let mut early = subscribe(&store);
    assert_eq!(told(&mut early).len(), MANY);
    word.send(()).expect("it waits");
    assert_eq!(commit.await, []);
    assert_eq!((select(&store, at(1)).len(), select(&store, at(2)).len()), (0, MANY));
    assert_eq!(told(&mut early).first().map(String::as_str), Some("a/00 1>2"));
    assert!(store.turn_now().is_some());
}

#[tokio::test]
async fn a_list_that_is_given_up_before_it_is_in_its_place_changes_nothing() // A5, A14
{
    let (store, items, _said, word) = slow();
    let mut events = subscribe(&store);
    told(&mut events);
    let mut commit = Box::pin(store.commit(None, items, MANY, 2.into()));
    assert!((&mut commit).now_or_never().is_none());
    drop(commit);
    drop(word);
    assert!(store.turn_now().is_some(), "others may change something at once");
    // Also what it has already looked at is filed as it was.
    put(&store, &on("n1", pod("a/00", "u0", 3)));
    assert_eq!((select(&store, at(1)).len(), select(&store, at(2)).len()), (MANY - 1, 0));
    assert_eq!(told(&mut events), ["a/00 1>3"]);
}

#[tokio::test]
async fn a_list_that_can_be_read_is_told_also_where_nobody_waits_for_it() // B6, B7
{
    let store = store();
    list(&store, 1, &pods(1));
    let mut events = subscribe(&store);
    told(&mut events);
    let commit = store.commit(None, items(&store, 2), MANY, 2.into());
    let held = store.clone();
    until(commit, move || held.holds(&("a", "00").into(), Some("u0"), Some("2"))).await;
    let turn = store.turn().await;
    assert_eq!(told(&mut events).len(), MANY);
    drop(turn);
}

#[tokio::test]
async fn a_long_list_of_a_store_that_closes_is_left() // C24
{
    let (store, items, _said, word) = slow();
    let mut commit = Box::pin(store.commit(None, items, MANY, 2.into()));
    assert!((&mut commit).now_or_never().is_none());
    store.close();
    drop(word);
    assert_eq!(commit.await, []);
    assert!(store.is_empty());
}

#[tokio::test]
async fn a_namespace_leaves_in_its_turn() // C27
{
    let store = store_of(&[Some("a"), Some("b")]);
    list_in(&store, Some("a"), 1, &pods(1));
    list_in(&store, Some("b"), 1, &[pod("b/x", "x", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    let turn = store.turn().await;
    let mut leave = Box::pin(store.leave(Some("a")));
    assert!((&mut leave).now_or_never().is_none());
    assert_eq!(select(&store, ListOptions::default()).len(), MANY + 1);
    drop(turn);
    assert_eq!(leave.await.len(), MANY);
    assert_eq!((select(&store, ListOptions::default()), told(&mut events)), (vec!["b/x".to_owned()], vec![]));
}

/// A list that has been compared and built, and is not in its place yet.
fn built(store: &Store, scope: Option<&str>, version: u64, pods: &[Value]) -> Next {
    let items: Vec<_> = pods.iter().map(|pod| Listed::New(arrived(store, pod))).collect();
    let difference = store.compare(scope.unwrap_or_default().into(), items, version.into());
    store.build(difference).expect("it is wanted")
}

fn there(store: &Store, next: Next) -> News {
    let Placed::There(news) = store.put_in_place(next) else { panic!("something came in between") };
    news
}

#[test]
fn who_comes_while_a_list_is_told_knows_it_already() // B13
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let news = there(&store, built(&store, None, 2, &[pod("a/x", "1", 2)]));
    let mut late = subscribe(&store);
    store.tell(news);
    assert_eq!(told(&mut late), ["+a/x@2"]);
}

#[test]
fn a_second_look_that_is_asked_for_while_a_list_is_told_comes_after_it() // B6, B25
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    let news = there(&store, built(&store, None, 2, &[pod("a/x", "1", 2), pod("a/y", "2", 1)]));
    events.resync();
    assert_eq!(told(&mut events), [""; 0], "what it would be shown is not told yet");
    store.tell(news);
    let mut all = told(&mut events);
    all.sort();
    assert_eq!(all, ["a/x 1>2", "a/y 1>1"]);
}

#[test]
fn an_index_that_comes_while_a_list_is_taken_in_has_all_of_it() // A10
{
    let store = store();
    list(&store, 1, &[on("n1", pod("a/x", "1", 1)), on("n1", pod("a/y", "2", 1))]);
    let next = built(&store, None, 2, &[on("n2", pod("a/x", "1", 2)), on("n2", pod("a/z", "3", 2))]);
    let build = store.add_index("spec.nodeName", Extract::Path("spec.nodeName".into())).expect("a new index");
    let Placed::Stale(next) = store.put_in_place(next) else { panic!("its values are missing") };
    let next = store.build(next.again()).expect("it is wanted");
    let removed = store.tell(there(&store, next));
    assert_eq!(removed, [(("a", "y").into(), Some("2".into()))]);
    build.into_iter().for_each(|mut build| while !build.step(1) {});
    let on = |node| select(&store, ListOptions::default().matching_field("spec.nodeName", node));
    assert_eq!((on("n1"), on("n2")), (vec![], vec!["a/x".to_owned(), "a/z".to_owned()]));
}

#[test]
fn what_other_namespaces_do_while_a_list_is_taken_in_stands() // A15, C28
{
    let store = store_of(&[Some("a"), Some("b")]);
    list_in(&store, Some("b"), 1, &[]);
    let next = built(&store, Some("a"), 2, &[pod("a/x", "1", 2)]);
    store.bookmark(Some("b"), 9.into());
    store.add_scope(Some("c"));
    store.tell(there(&store, next));
    assert_eq!(store.observed_in(Some("b")), Some(9.into()));
    assert!(!store.has_synced(), "one more has to be listed");
    let next = built(&store, Some("a"), 3, &[pod("a/x", "1", 3)]);
    store.remove_scope(Some("a"));
    assert!(matches!(store.put_in_place(next), Placed::Unwanted(_)), "it has left");
}
