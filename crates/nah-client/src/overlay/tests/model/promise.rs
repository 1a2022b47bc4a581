//! What reads promise, checked on the model.

use super::{
    client::{Client, Facts},
    kind::{Kind, Selection, selects, uid},
    op::Op,
    server::{NAMES, Obj},
};
use nah_core::ObjectKey;

use crate::overlay::{Changes, Look};

/// A list that has begun: what the overlay said then, and what the client knew.
pub(super) struct Reading {
    kind: usize,
    changes: Changes,
    facts: Facts,
    unsure: Vec<&'static str>,
}

impl Client {
    pub(super) fn begin_reading(&mut self, at: usize) {
        let kind = &self.kinds[at];
        if kind.synced && self.readings.len() < 3 {
            let unsure = NAMES.into_iter().filter(|name| kind.get(name).is_none()).collect();
            let facts = self.facts.clone();
            self.readings.push(Reading { kind: at, changes: kind.changes(), facts, unsure });
        }
    }

    /// A list that began a while ago shows what was known then, or something newer.
    fn end_reading(&self, reading: Reading) -> Result<(), String> {
        let Reading { kind, changes, facts, unsure } = reading;
        let list = self.kinds[kind].select(changes, Selection::All);
        for name in NAMES {
            let view = list.iter().find(|object| object.name == name);
            self.promised(kind, name, view, &facts, unsure.contains(&name))
                .map_err(|error| format!("a list that had begun: {error}"))?;
        }
        Ok(())
    }

    /// Checks what is promised of reads, after `op`.
    pub(super) fn check(&mut self, op: &Op) -> Result<(), String> {
        if let Op::End(at) = op
            && !self.readings.is_empty()
        {
            let reading = self.readings.remove(at % self.readings.len());
            self.end_reading(reading)?;
        }
        for at in 0..self.kinds.len() {
            let kind = &self.kinds[at];
            if !kind.synced {
                continue; // Reads wait for the first list.
            }
            let changes = kind.changes();
            let select = |selection| (selection, kind.select(changes.clone(), selection));
            let lists = [Selection::All, Selection::Picked, Selection::Odd].map(select);
            let mut unsure: Vec<_> = changes.unsure.iter().map(|key| key.name().to_owned()).collect();
            unsure.sort();
            for (selection, list) in &lists {
                let kept = kind.keep_up(*selection);
                if kept != (list.clone(), unsure.clone()) {
                    return Err(format!(
                        "kept up, the list of {selection:?} is {kept:?}, anew {list:?}, {unsure:?}"
                    ));
                }
            }
            for name in NAMES {
                let by = |list: &[Obj]| list.iter().find(|object| object.name == name).cloned();
                let view = kind.get(name);
                if view.is_none() != changes.unsure.iter().any(|key| key.name() == name) {
                    return Err(format!(
                        "{name}: get shows {view:?}, a list is unsure of {:?}",
                        changes.unsure
                    ));
                }
                let shown = view.clone().unwrap_or_else(|| by(&lists[0].1));
                self.promised(at, name, shown.as_ref(), &self.facts, view.is_none())?;
                for (selection, list) in &lists {
                    let expected = shown.clone().filter(|object| selects(object, *selection));
                    if by(list) != expected {
                        return Err(format!(
                            "{name}: shows {shown:?}, the list of {selection:?} {:?}",
                            by(list)
                        ));
                    }
                }
                let last = self.last.get(&(at, name));
                if let Some(object) = shown.filter(|_| view.is_some()) {
                    if last.is_some_and(|(uid, rv)| *uid == object.uid && *rv > object.rv) {
                        return Err(format!("{name}: went back from {last:?} to {object:?}"));
                    }
                    self.last.insert((at, name), (object.uid, object.rv));
                }
            }
        }
        Ok(())
    }

    /// What is shown of `name` in one version of the kind, by somebody who knew `facts`. Where only the server knows,
    /// `get` asks it, and a list may show what is older.
    fn promised(
        &self,
        at: usize,
        name: &'static str,
        view: Option<&Obj>,
        facts: &Facts,
        unsure: bool,
    ) -> Result<(), String> {
        let kind = &self.kinds[at];
        if let Some(object) = view {
            if facts.gone.contains(&object.uid) {
                return Err(format!("{name}: shows {object:?}, known to be gone"));
            }
            if kind.ended.get(&object.uid).is_some_and(|ended| *ended > object.rv) {
                return Err(format!("{name}: shows {object:?}, whose end the informer has reported"));
            }
            if !object.scoped {
                return Err(format!("{name}: shows {object:?}, outside the scope"));
            }
            if !self.server.had(object) {
                return Err(format!("{name}: shows {object:?}, which never was"));
            }
        }
        let fact = facts.newest.get(&(at, name)).filter(|fact| !facts.gone.contains(&fact.uid) && !unsure);
        match (fact, view) {
            (Some(fact), Some(object)) if object.rv < fact.rv => {
                Err(format!("{name}: shows {object:?}, older than our {fact:?}"))
            }
            (Some(fact), None)
                if fact.scoped
                    && !self.server.ended(name, fact.rv..=kind.observed)
                    && !self.is_told_of(kind, name, fact) =>
            {
                Err(format!("{name}: our {fact:?} is not visible at {}", kind.observed))
            }
            _ => Ok(()),
        }
    }

    /// Whether what was seen of `fact` has ended, and an answer has said so before the informer does.
    fn is_told_of(&self, kind: &Kind, name: &str, fact: &Obj) -> bool {
        let look = kind.overlay.look(&ObjectKey::cluster(name), kind.observed);
        let told = matches!(look, Look::Absent(version) if version >= fact.rv);
        (told || kind.overlay.hides(Some(&uid(fact)))) && self.server.ended(name, fact.rv..=u64::MAX)
    }
}
