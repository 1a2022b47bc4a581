//! Program 5: kinds known at run time; one composer that owns many of them.
use nah_backend::{
    core::{BoxError, DynamicObject},
    prelude::*,
    watch::{Registration, Requeue},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

struct Composer {
    backend: Arc<dyn Backend>,
    owner: GroupVersionKind,
    kinds: Mutex<HashMap<GroupVersionKind, Registration>>,
}
impl Composer {
    fn own(self: &Arc<Self>, gvk: GroupVersionKind) -> Result<(), BoxError> {
        let this = self.clone();
        let registration = self.backend.watcher_for_kind(&gvk, "composer", move |change| {
            let this = this.clone();
            async move {
                let Some(object) = change.object.or(change.last_known) else { return Ok(()) };
                for owner in object.owners().iter().filter(|owner| owner.gvk.kind == this.owner.kind) {
                    let key = ObjectKey::new(change.key.namespace(), &owner.name);
                    this.backend.trigger_for_kind(&this.owner, &key, Duration::ZERO)?;
                }
                Ok(())
            }
        })?;
        self.kinds.lock().unwrap().insert(gvk, registration);
        Ok(())
    }
    fn disown(&self, gvk: &GroupVersionKind) {
        if let Some(registration) = self.kinds.lock().unwrap().remove(gvk) {
            registration.unregister();
        }
    }
    async fn collect(&self, gvk: &GroupVersionKind, owner_uid: &str) -> Result<(), BoxError> {
        let orphans = self.backend.list_for_kind(gvk, ListOptions::default().owned_by(owner_uid)).await?;
        for object in orphans.handles() {
            self.backend.delete_for_kind(gvk, object.key(), &Default::default()).await?;
        }
        Ok(())
    }
    async fn grow(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<Requeue, BoxError> {
        let mut widget = DynamicObject::clone(&*self.backend.get_for_kind(gvk, key).await?.dynamic()?);
        widget.data["spec"]["size"] = 3.into();
        self.backend.update(&widget).await?;
        Ok(Requeue(Duration::from_secs(1)))
    }
    /// Many kinds in one stream of handles.
    fn informers(
        &self,
        kinds: &[GroupVersionKind],
    ) -> Result<Vec<nah_backend::cache::Subscription>, BoxError> {
        kinds.iter().map(|gvk| Ok(self.backend.informer_for_kind(gvk)?.subscribe()?)).collect()
    }
}
fn main() {
    let _ = (Composer::own, Composer::disown, Composer::collect, Composer::grow, Composer::informers);
}
