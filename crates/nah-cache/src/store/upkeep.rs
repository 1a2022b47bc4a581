//! What a store does so that its objects stay small: trains a dictionary, encodes again what was encoded otherwise.

use std::sync::{Arc, Weak, atomic::Ordering::Relaxed};

use nah_core::Object;
use tokio::{
    runtime::Handle,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{Store, encoding::Training, entry::Entry};
use crate::handler::yield_now;

/// How many objects are encoded again before others have their turn.
const STEP: usize = 256;
/// How many arrivals that no commit has taken in are remembered, to learn from: all of a first list until there is a
/// dictionary, and afterwards a sample, in case they become others.
const NURSERY: usize = 8192;
const SAMPLE: usize = 1024;

/// The work that is done for all stores of a factory when nothing else is to be done.
#[derive(Debug)]
pub(crate) struct Upkeep(UnboundedReceiver<Weak<Store>>);

/// Where stores ask for it.
#[derive(Debug)]
pub(crate) struct Waiting(UnboundedSender<Weak<Store>>);

impl Upkeep {
    pub(crate) fn new() -> (Waiting, Self) {
        let (sender, receiver) = unbounded_channel();
        (Waiting(sender), Self(receiver))
    }

    /// Serves the stores, one after the other, until it is dropped.
    pub(crate) async fn run(mut self) {
        while let Some(store) = self.0.recv().await {
            if let Some(store) = store.upgrade() {
                store.is_waiting.store(false, Relaxed);
                store.improve().await;
                store.repack().await;
            }
        }
    }
}

impl Store {
    /// Lets others have their turn; makes a dictionary first where one is due. Whoever takes objects in calls this now
    /// and then, so that what it takes in meanwhile does not pile up as it came.
    pub(crate) async fn tend(self: &Arc<Self>) {
        if self.shelf.codec.wants_training() {
            Box::pin(self.train()).await;
        }
        yield_now().await;
    }

    /// Makes a dictionary of everything where there is one of the beginning only: the first objects of a list are of the
    /// same namespaces, and not what most of them are. It is kept where it is a tenth better.
    pub(super) async fn improve(self: &Arc<Self>) {
        let objects = self.known.read().objects.len();
        if self.shelf.codec.wants_better(objects) {
            let mut trainee = Trainee { store: self, trained: None, objects };
            let (training, present) = (self.training(&[]), self.shelf.codec.generation());
            trainee.trained = blocking(move || training.run(present.as_deref())).await.flatten();
        }
    }

    async fn train(self: &Arc<Self>) {
        let arrivals = self.nursery.lock().clone();
        let objects = self.known.read().objects.len() + arrivals.len();
        let mut trainee = Trainee { store: self, trained: None, objects };
        let training = self.training(&arrivals);
        trainee.trained = blocking(move || training.run(None)).await.flatten();
        drop(trainee);
        // Those that no commit has taken in yet are found nowhere else.
        for some in arrivals.chunks(STEP) {
            let some: Vec<_> = some.iter().filter_map(Weak::upgrade).collect();
            blocking(move || some.iter().for_each(|entry| _ = entry.pack())).await;
        }
        drop(std::mem::take(&mut *self.nursery.lock()));
        self.ask_for_upkeep();
    }

    /// Samples from all over the kind.
    fn training(&self, arrivals: &[Weak<Entry>]) -> Training {
        let objects = self.known.read().objects.clone();
        let arrived: usize = arrivals.iter().filter_map(Weak::upgrade).map(|entry| entry.size()).sum();
        let mean = arrived.checked_div(arrivals.len()).unwrap_or_default().max(1);
        // What is committed is packed, if anything was before: its size is a guess, and the training cuts off at twice.
        let committed = objects.at(0).and_then(Entry::of).map_or(mean, Entry::size);
        let stride = Training::stride(arrived + committed * objects.len());
        let mut training = Training::new();
        for entry in arrivals.iter().step_by(stride).filter_map(Weak::upgrade) {
            _ = entry.with_json(|json| training.add(json));
        }
        let mut next = 0;
        while let Some(object) = objects.at(next) {
            if let Some(entry) = Entry::of(object) {
                _ = entry.with_json(|json| training.add(json));
            }
            next += stride;
        }
        training
    }

    /// Asks for what is not encoded as it would be now to be encoded so, when there is time.
    pub(crate) fn ask_for_upkeep(self: &Arc<Self>) {
        let common = self.shelf.common.as_ref();
        let codec = &self.shelf.codec;
        let is_due = || codec.is_behind() || codec.is_outgrown(self.known.read().objects.len());
        if let Some(common) = common.filter(|_| is_due())
            && !self.is_waiting.swap(true, Relaxed)
        {
            // Refused only when the factory is stopped, and then there is nothing to do.
            _ = common.waiting.0.send(Arc::downgrade(self));
        }
    }

    /// Encodes everything as it would be encoded now, a few at a time, until there is nothing left to do.
    pub(super) async fn repack(&self) {
        let mut changed = true;
        while std::mem::take(&mut changed) {
            let mut next = 0;
            loop {
                let objects = self.known.read().objects.clone();
                let some: Vec<Object> = objects.range(next..next + STEP).cloned().collect();
                drop(objects);
                if some.is_empty() {
                    break;
                }
                next += some.len();
                changed |= blocking(move || repack(&some)).await.unwrap_or_default();
                yield_now().await;
            }
        }
    }

    /// Puts an object that has come where it is encoded in time.
    pub(super) fn shelve(&self, entry: &Arc<Entry>) {
        let (listeners, is_trained) = (self.listeners.load(Relaxed), self.shelf.codec.is_trained());
        {
            let mut nursery = self.nursery.lock();
            if nursery.len() >= if is_trained { SAMPLE } else { NURSERY } {
                // Every second of them, so that those of the beginning are not all there is.
                let mut at = 0;
                nursery.retain(|entry| {
                    at += 1;
                    at % 2 == 0 && entry.strong_count() > 0
                });
            }
            nursery.push(Arc::downgrade(entry));
        }
        match &self.shelf.common {
            _ if !is_trained => {}
            Some(common) if listeners > 0 => common.fresh.push(entry),
            _ => _ = entry.pack(),
        }
    }
}

fn repack(objects: &[Object]) -> bool {
    objects.iter().filter_map(|object| object.body::<Entry>()).fold(false, |any, entry| entry.pack() | any)
}

/// Says how a training ended, also where the future that awaits it is dropped.
struct Trainee<'a> {
    store: &'a Store,
    trained: Option<super::encoding::Generation>,
    /// Of how many objects the samples are.
    objects: usize,
}

impl Drop for Trainee<'_> {
    fn drop(&mut self) {
        self.store.shelf.codec.adopt(self.trained.take(), self.objects);
    }
}

/// Pure work on a thread that may be kept busy; here, where there is no runtime to ask for one.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.ok(),
        Err(_) => Some(work()),
    }
}
