//! A ground, a factory on it, and who listens; takes the steps of a script and looks at what came of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::StreamExt;
use nah_cache::{
    Applied, CacheFactory, CacheOptions, Extract, FieldIndexer, HandlerRegistration, Informer,
    InformerFactory, KindCacheOptions, ListOptions, Observer, informers,
};
use nah_testing::Fault;
use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    folded::{Folded, Rows, row},
    ground::Ground,
    kinds::{NAMESPACES, SORTS, Sort},
    script::{Script, Step},
};

pub(crate) const TRAP: &str = "a trap of the script";

const FIELD: &str = "data.value";

pub(crate) struct World {
    ground: Ground,
    factory: InformerFactory,
    trap: Arc<Trap>,
    watched: BTreeMap<Sort, Watched>,
    /// What those were told who listen no more.
    retired: Vec<Arc<Mutex<Folded>>>,
    /// The namespaces that are cached; none are all.
    namespaces: Option<BTreeSet<&'static str>>,
    selects: bool,
    indexed: bool,
    defined: bool,
    /// The history went back.
    restored: bool,
}

struct Watched {
    informer: Informer,
    handlers: Vec<(Ear, Arc<Mutex<Folded>>)>,
}

enum Ear {
    Quick(HandlerRegistration),
    Slow(JoinHandle<()>),
}

/// An observer that panics when it was told to.
#[derive(Default)]
struct Trap(AtomicBool);

impl Observer for Trap {
    fn applied(&self, _: &Informer, _: Option<&str>, _: &Applied<'_>) {
        if self.0.swap(false, Relaxed) {
            std::panic::panic_any(TRAP);
        }
    }
}

impl World {
    pub(crate) async fn new(ground: Ground, script: &Script) -> Self {
        let mut options = CacheOptions::default().concurrent_lists(1);
        if script.scoped {
            options = options.namespaces(NAMESPACES);
        }
        for sort in SORTS {
            let mut kind = KindCacheOptions::default();
            if let Some(size) = script.page_size {
                kind = kind.page_size(size);
            }
            if script.selects && sort == Sort::Secret {
                kind = kind.labels([("tier", "front")].into_iter().collect());
            }
            options = options.kind(sort.gvk(), kind);
        }
        if script.old_server {
            ground.fault(&Fault::answer(422).on("watch"));
        }
        ground.repair(false).await;
        let (factory, driver) = informers(ground.client(), options);
        tokio::spawn(driver.run());
        let trap = Arc::new(Trap::default());
        factory.observe(trap.clone());
        Self {
            ground,
            factory,
            trap,
            watched: BTreeMap::new(),
            retired: Vec::new(),
            namespaces: script.scoped.then(|| NAMESPACES.into()),
            selects: script.selects,
            indexed: false,
            defined: false,
            restored: false,
        }
    }

    /// Takes the steps, comes to rest, and looks.
    pub(crate) async fn play(mut self, script: &Script, verbose: bool) -> Result<(), String> {
        let began = Instant::now();
        for (at, step) in (0..).zip(&script.steps) {
            if verbose {
                println!("{at:4} {:>12.3?} {step:?}", began.elapsed());
            }
            let _: u32 = at;
            self.take(step).await;
        }
        self.trap.0.store(false, Relaxed);
        SORTS.into_iter().for_each(|sort| self.watch(sort));
        self.ground.calm().await;
        let mut wrong = Vec::new();
        for _ in 0..self.ground.looks() {
            wrong = self.look().await;
            if wrong.is_empty() {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        let states: Vec<_> = self.factory.status().iter().map(|status| format!("{status:?}")).collect();
        self.factory.stop();
        self.ground.end().await;
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(format!("{}\n\n{}", wrong.join("\n"), states.join("\n"))),
        }
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Put(sort, namespace, name, value) => {
                self.ground.put(&sort.object(namespace, name, *value), sort.plural()).await;
            }
            Step::Delete(sort, namespace, name) => {
                self.ground.remove(&sort.object(namespace, name, 0), sort.plural()).await;
            }
            Step::Wait(time) => sleep(*time).await,
            Step::Fault(fault) => self.ground.fault(fault),
            Step::Cut(sort) => self.ground.cut(*sort),
            Step::Restart => self.ground.restart().await,
            Step::Away(time) => self.ground.away(*time).await,
            Step::Compact => self.ground.compact().await,
            Step::Backup => self.ground.backup().await,
            Step::Restore(writes) => {
                self.restored = true;
                self.trap.0.store(false, Relaxed);
                let all = self.watched.values().flat_map(|watched| &watched.handlers);
                all.for_each(|(_, folded)| folded.lock().lenient = true);
                self.ground.restore(*writes).await;
                self.ground.repair(self.defined).await;
            }
            Step::Define(wanted) => {
                self.defined = *wanted;
                self.ground.define(*wanted).await;
            }
            Step::Watch(sort) => self.watch(*sort),
            Step::Unwatch(sort) => {
                if let Some(watched) = self.watched.remove(sort) {
                    self.factory.remove_kind(&sort.gvk());
                    self.indexed &= *sort != Sort::ConfigMap;
                    watched.handlers.into_iter().for_each(|handler| self.retire(handler));
                }
            }
            Step::Handle(sort) => self.handle(*sort, None),
            Step::HandleSlowly(sort, time) => self.handle(*sort, Some(*time)),
            Step::Unhandle(sort) => {
                if let Some(handler) = self.watched.get_mut(sort).and_then(|watched| watched.handlers.pop()) {
                    self.retire(handler);
                }
            }
            Step::Index => self.index(),
            Step::AddNamespace(namespace) => {
                if let Some(namespaces) = &mut self.namespaces {
                    namespaces.insert(namespace);
                    self.factory.add_namespace(namespace).expect("a factory that runs");
                }
            }
            Step::RemoveNamespace(namespace) => self.leave(namespace).await,
            Step::Refresh(sort) => {
                if let Some(watched) = self.watched.get(sort) {
                    watched.informer.refresh();
                }
            }
            Step::Trap => self.trap.0.store(true, Relaxed),
        }
    }

    fn watch(&mut self, sort: Sort) {
        let informer = self.factory.informer_for_kind(&sort.gvk()).expect("a factory that runs");
        self.watched.entry(sort).or_insert(Watched { informer, handlers: Vec::new() });
    }

    fn handle(&mut self, sort: Sort, pause: Option<Duration>) {
        let Some(watched) = self.watched.get_mut(&sort) else { return };
        let lenient = self.restored || self.selects && sort == Sort::Secret;
        let folded = Arc::new(Mutex::new(Folded { lenient, ..Folded::default() }));
        let told = folded.clone();
        let ear = match pause {
            None => {
                let handler = watched.informer.add_event_handler(move |event| told.lock().take(event));
                Ear::Quick(handler.expect("an informer that runs"))
            }
            Some(pause) => {
                let mut events = watched.informer.subscribe().expect("an informer that runs");
                Ear::Slow(tokio::spawn(async move {
                    while let Some(Ok(event)) = events.next().await {
                        told.lock().take(event);
                        sleep(pause).await;
                    }
                }))
            }
        };
        watched.handlers.push((ear, folded));
    }

    fn retire(&mut self, (ear, folded): (Ear, Arc<Mutex<Folded>>)) {
        match ear {
            Ear::Quick(handler) => handler.remove(),
            Ear::Slow(task) => task.abort(),
        }
        self.retired.push(folded);
    }

    fn index(&mut self) {
        if self.watched.contains_key(&Sort::ConfigMap) && !self.indexed {
            self.indexed = true;
            let extract = Extract::Path(FIELD.into());
            self.factory.add_index(&Sort::ConfigMap.gvk(), FIELD, extract).expect("a new index");
        }
    }

    /// The last namespace cannot leave: none would mean all of them.
    async fn leave(&mut self, namespace: &'static str) {
        match &mut self.namespaces {
            Some(namespaces) if namespaces.len() > 1 => _ = namespaces.remove(namespace),
            _ => return,
        }
        self.factory.remove_namespace(namespace);
        // Its objects leave once the driver has been polled, and then nobody has anything of it to be told.
        sleep(Duration::from_millis(1)).await;
        for (_, folded) in self.watched.values().flat_map(|watched| &watched.handlers) {
            folded.lock().forget(namespace);
        }
    }

    /// Everything that does not agree.
    async fn look(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (sort, watched) in &self.watched {
            let Watched { informer, handlers } = watched;
            let mut truth = self.ground.truth(*sort, self.selects && *sort == Sort::Secret).await;
            if let Some(namespaces) = self.namespaces.as_ref().filter(|_| sort.is_namespaced()) {
                truth.retain(|key, _| key.split_once('/').is_some_and(|(own, _)| namespaces.contains(own)));
            }
            match informer.list(&ListOptions::default()) {
                Ok(list) => {
                    let cached = list.handles().map(|object| (object.key().to_string(), row(object)));
                    differ(&mut wrong, &format!("the cache of {sort:?}"), &cached.collect(), &truth);
                }
                Err(error) => wrong.push(format!("{sort:?} cannot be read: {error}")),
            }
            for (at, (_, folded)) in handlers.iter().enumerate() {
                let folded = folded.lock();
                wrong.extend(folded.wrong.iter().map(|wrong| format!("handler {at} of {sort:?}: {wrong}")));
                differ(&mut wrong, &format!("handler {at} of {sort:?}"), &folded.rows, &truth);
            }
            if informer.status().quarantined > 0 {
                wrong.push(format!("{sort:?} has bad objects: {:?}", informer.quarantined()));
            }
        }
        wrong.extend(self.retired.iter().flat_map(|folded| folded.lock().wrong.clone()));
        if self.indexed
            && let Some(watched) = self.watched.get(&Sort::ConfigMap)
        {
            wrong.extend(found(&watched.informer).err());
        }
        wrong
    }
}

/// Whether the index finds every object under its value, and nothing else.
fn found(informer: &Informer) -> Result<(), String> {
    let all = informer.list(&ListOptions::default()).map_err(|error| error.to_string())?;
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for object in all.handles() {
        let json: serde_json::Value = serde_json::from_slice(&object.json().unwrap()).unwrap();
        if let Some(value) = json["data"]["value"].as_str() {
            expected.entry(value.to_owned()).or_default().insert(object.key().to_string());
        }
    }
    let values = informer.index_values(FIELD).map_err(|error| error.to_string())?;
    if !values.iter().eq(expected.keys()) {
        return Err(format!("the index has {values:?} and not {:?}", expected.keys()));
    }
    for (value, keys) in expected {
        let list = informer.list(&ListOptions::default().matching_field(FIELD, &value));
        let list = list.map_err(|error| error.to_string())?;
        let found: BTreeSet<_> = list.handles().map(|object| object.key().to_string()).collect();
        if found != keys {
            return Err(format!("the index finds {found:?} under {value} and not {keys:?}"));
        }
    }
    Ok(())
}

fn differ(wrong: &mut Vec<String>, who: &str, believed: &Rows, truth: &Rows) {
    for (key, row) in believed {
        match truth.get(key) {
            None => wrong.push(format!("{who} has {key} {row:?}, which is gone")),
            Some(other) if other != row => wrong.push(format!("{who} has {key} {row:?} and not {other:?}")),
            Some(_) => {}
        }
    }
    let missing = truth.iter().filter(|(key, _)| !believed.contains_key(*key));
    wrong.extend(missing.map(|(key, row)| format!("{who} lacks {key} {row:?}")));
}
