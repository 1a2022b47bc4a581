//! The server of the model: objects, versions, a history; answers as the real one words them.

use std::collections::BTreeMap;

use http::StatusCode;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Obj {
    pub(super) name: &'static str,
    pub(super) uid: u32,
    pub(super) rv: u64,
    pub(super) deleting: bool,
    pub(super) fin: bool,
    /// Whether the cache's own selector selects it.
    pub(super) scoped: bool,
    /// Whether the reader's selector selects it.
    pub(super) picked: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) fin: bool,
    pub(super) scoped: bool,
    pub(super) picked: bool,
}

#[derive(Default)]
pub(super) struct Server {
    pub(super) rv: u64,
    pub(super) uids: u32,
    pub(super) objects: BTreeMap<&'static str, Obj>,
    pub(super) log: Vec<(u64, bool, Obj)>,
}

pub(super) type Reply = (StatusCode, String);

impl Server {
    pub(super) fn log(&mut self, deleted: bool, object: &Obj) {
        self.log.push((self.rv, deleted, object.clone()));
    }

    pub(super) fn create(&mut self, name: &'static str, spec: Spec) -> Reply {
        if self.objects.contains_key(name) {
            return failure(StatusCode::CONFLICT, "AlreadyExists", name);
        }
        self.rv += 1;
        self.uids += 1;
        let Spec { fin, scoped, picked } = spec;
        let object = Obj { name, uid: self.uids, rv: self.rv, deleting: false, fin, scoped, picked };
        self.objects.insert(name, object.clone());
        self.log(false, &object);
        (StatusCode::CREATED, json(&object))
    }

    pub(super) fn put(&mut self, sent: &Obj, spec: Spec) -> Reply {
        let Some(current) = self.objects.get(sent.name).cloned() else {
            return failure(StatusCode::NOT_FOUND, "NotFound", sent.name);
        };
        if current.uid != sent.uid || current.rv != sent.rv {
            return failure(StatusCode::CONFLICT, "Conflict", sent.name);
        }
        let Spec { fin, scoped, picked } = spec;
        self.rv += 1;
        if current.deleting && !fin {
            self.objects.remove(sent.name);
            self.log(true, &Obj { rv: self.rv, fin, ..current.clone() });
            // The real server answers with the old version.
            return (StatusCode::OK, json(&Obj { fin, ..current }));
        }
        let object = Obj { rv: self.rv, fin, scoped, picked, ..current };
        self.objects.insert(sent.name, object.clone());
        self.log(false, &object);
        (StatusCode::OK, json(&object))
    }

    pub(super) fn delete(&mut self, name: &'static str) -> Reply {
        let Some(current) = self.objects.get(name).cloned() else {
            return failure(StatusCode::NOT_FOUND, "NotFound", name);
        };
        if current.fin {
            if current.deleting {
                return (StatusCode::OK, json(&current));
            }
            self.rv += 1;
            let object = Obj { rv: self.rv, deleting: true, ..current };
            self.objects.insert(name, object.clone());
            self.log(false, &object);
            return (StatusCode::OK, json(&object));
        }
        self.rv += 1;
        self.objects.remove(name);
        self.log(true, &Obj { rv: self.rv, ..current.clone() });
        let details = format!(r#""details":{{"name":"{name}","kind":"things","uid":"u{}"}}"#, current.uid);
        (StatusCode::OK, format!(r#"{{"kind":"Status","apiVersion":"v1","status":"Success",{details}}}"#))
    }

    pub(super) fn delete_all(&mut self) -> Reply {
        let items: Vec<_> = self.objects.values().cloned().collect();
        for item in &items {
            self.delete(item.name);
        }
        let items: Vec<_> = items.iter().map(json).collect();
        (
            StatusCode::OK,
            format!(r#"{{"kind":"ThingList","apiVersion":"g/v1","items":[{}]}}"#, items.join(",")),
        )
    }

    pub(super) fn get(&self, name: &'static str) -> Reply {
        match self.objects.get(name) {
            Some(object) => (StatusCode::OK, json(object)),
            None => failure(StatusCode::NOT_FOUND, "NotFound", name),
        }
    }

    pub(super) fn at(&self, version: u64) -> BTreeMap<&'static str, Obj> {
        let mut objects = BTreeMap::new();
        for (rv, deleted, object) in &self.log {
            if *rv > version {
                break;
            }
            match deleted {
                true => drop(objects.remove(object.name)),
                false => drop(objects.insert(object.name, object.clone())),
            }
        }
        objects
    }
}

pub(super) fn failure(code: StatusCode, reason: &str, name: &str) -> Reply {
    let details = format!(r#""details":{{"name":"{name}","kind":"things"}}"#);
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"{reason}","code":{},{details}}}"#,
        code.as_u16()
    );
    (code, body)
}

pub(super) fn json(object: &Obj) -> String {
    let Obj { name, uid, rv, deleting, fin, scoped, picked } = object;
    let finalizers = if *fin { r#","finalizers":["f"]"# } else { "" };
    let deletion = match deleting {
        true => r#","deletionTimestamp":"2026-01-01T00:00:00Z","deletionGracePeriodSeconds":0"#,
        false => "",
    };
    format!(
        r#"{{"apiVersion":"g/v1","kind":"Thing","metadata":{{"name":"{name}","uid":"u{uid}","resourceVersion":"{rv}",
        "labels":{{"scoped":"{scoped}","picked":"{picked}"}}{finalizers}{deletion}}}}}"#
    )
}
