//! What controllers do in a real cluster: emptying namespaces, collecting garbage.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Value, json};

use super::{
    delete::DeleteOptions,
    kinds::Resource,
    objects::Stored,
    state::{State, Write},
};

/// An object with its kind in some version.
type Found = (Arc<Resource>, Arc<Stored>);

// === impl State ===

impl State {
    pub(crate) fn do_chores(&mut self, write: &Write) {
        self.has_chores = false;
        if self.options.collects_garbage {
            // Each pass can make new garbage; an object less or a finalizer less each time, so it ends.
            while self.collect_garbage(write) {}
        }
        if self.options.finalizes_namespaces {
            self.finalize_namespaces(write);
        }
    }

    fn finalize_namespaces(&mut self, write: &Write) {
        let namespaces: Vec<_> = self.objects.collection("namespaces").items().values().cloned().collect();
        let Some(resource) = self.kinds.find("", "v1", "namespaces") else { return };
        for namespace in namespaces.iter().filter(|namespace| namespace.is_terminating()) {
            let name = namespace.name();
            let content = self.everything(|stored| stored.namespace() == Some(name));
            for (resource, stored) in content {
                // What has finalizers stays, and so does the namespace: the next removal looks again.
                let _ = self.delete(write, &resource, Some(name), stored.name(), &DeleteOptions::default());
            }
            let is_empty = self.everything(|stored| stored.namespace() == Some(name)).is_empty();
            if is_empty && namespace.finalizers().is_empty() {
                self.remove(write, &resource, "namespaces", name);
            }
        }
        self.has_chores = false;
    }

    /// One pass of the collector; whether it changed anything.
    fn collect_garbage(&mut self, write: &Write) -> bool {
        let all = self.everything(|_| true);
        let uids: HashSet<_> = all.iter().map(|(_, stored)| stored.uid().to_owned()).collect();
        let mut dependents: HashMap<String, Vec<Found>> = HashMap::new();
        let mut changed = false;
        for (resource, stored) in &all {
            let owners: Vec<_> = owner_uids(stored);
            for owner in &owners {
                dependents.entry(owner.clone()).or_default().push((resource.clone(), stored.clone()));
            }
            let is_orphan = !owners.is_empty() && !owners.iter().any(|owner| uids.contains(owner));
            if is_orphan && !stored.is_terminating() {
                let options =
                    DeleteOptions { uid: Some(stored.uid().to_owned()), ..DeleteOptions::default() };
                changed |= self.delete(write, resource, stored.namespace(), stored.name(), &options).is_ok();
            }
        }
        for (resource, stored) in all.iter().filter(|(_, stored)| stored.is_terminating()) {
            let finalizers = stored.finalizers();
            let own = dependents.get(stored.uid()).map(Vec::as_slice).unwrap_or_default();
            if finalizers.iter().any(|one| one == "foregroundDeletion") {
                for (resource, dependent) in own.iter().filter(|(_, one)| !one.is_terminating()) {
                    let options = DeleteOptions::default();
                    let name = dependent.name();
                    changed |= self.delete(write, resource, dependent.namespace(), name, &options).is_ok();
                }
                if own.is_empty() {
                    changed |= self.drop_finalizer(write, resource, stored, "foregroundDeletion");
                }
            } else if finalizers.iter().any(|one| one == "orphan") {
                for (resource, dependent) in own {
                    changed |= self.disown(write, resource, dependent, stored.uid());
                }
                changed |= self.drop_finalizer(write, resource, stored, "orphan");
            }
        }
        changed
    }

    fn drop_finalizer(
        &mut self,
        write: &Write,
        resource: &Arc<Resource>,
        stored: &Stored,
        finalizer: &str,
    ) -> bool {
        let mut finalizers = stored.finalizers();
        finalizers.retain(|one| one != finalizer);
        self.set_metadata(write, resource, stored, "finalizers", json!(finalizers))
    }

    fn disown(&mut self, write: &Write, resource: &Arc<Resource>, stored: &Stored, owner: &str) -> bool {
        let references = stored.metadata("ownerReferences").as_array().into_iter().flatten();
        let left: Vec<_> = references.filter(|reference| reference["uid"] != owner).cloned().collect();
        self.set_metadata(write, resource, stored, "ownerReferences", json!(left))
    }

    fn set_metadata(
        &mut self,
        write: &Write,
        resource: &Arc<Resource>,
        stored: &Stored,
        field: &str,
        value: Value,
    ) -> bool {
        let mut object = resource.stamp(stored);
        object["metadata"][field] = value;
        let part = super::write::Part::Main;
        self.update(write, resource, stored.namespace(), stored.name(), part, object).is_ok()
    }

    /// All objects that `keep` keeps, each with its kind in some version.
    fn everything(&mut self, keep: impl Fn(&Stored) -> bool) -> Vec<Found> {
        let mut all = Vec::new();
        for storage in self.objects.storages() {
            let Some(resource) = self.kinds.of_storage(&storage) else { continue };
            let items = self.objects.collection(&storage).items().values();
            all.extend(items.filter(|stored| keep(stored)).map(|stored| (resource.clone(), stored.clone())));
        }
        all
    }
}

fn owner_uids(stored: &Stored) -> Vec<String> {
    let references = stored.metadata("ownerReferences").as_array().into_iter().flatten();
    references.filter_map(|reference| reference["uid"].as_str().map(str::to_owned)).collect()
}
