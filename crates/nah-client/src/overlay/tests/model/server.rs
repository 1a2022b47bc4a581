//! The server of the model: objects, versions, a history; answers as the real one words them.

use std::collections::BTreeMap;

use http::StatusCode;

pub(super) const NAMES: [&str; 2] = ["a", "b"];
/// The versions in which the kind is served.
pub(super) const VERSIONS: [&str; 2] = ["v1", "v2"];

/// The first version. They are about to have a digit more, which a comparison of texts gets wrong.
pub(super) const START: u64 = 96;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Obj {
    pub(super) name: &'static str,
    pub(super) uid: u32,
    pub(super) rv: u64,
    pub(super) deleting: bool,
    /// Whether finalizers hold it, those in its metadata and those in its spec (a Namespace has such).
    pub(super) fin: bool,
    pub(super) spec_fin: bool,
    /// Whether the cache's own selector selects it.
    pub(super) scoped: bool,
    /// Whether the reader's selector selects it.
    pub(super) picked: bool,
    /// Its content, by which an index finds it. Only a whole answer shows it.
    pub(super) data: u32,
}

/// What a write wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) fin: bool,
    pub(super) spec_fin: bool,
    pub(super) scoped: bool,
    pub(super) picked: bool,
    pub(super) data: u32,
}

#[derive(Clone)]
pub(super) struct Server {
    pub(super) rv: u64,
    uids: u32,
    pub(super) objects: BTreeMap<&'static str, Obj>,
    /// Every change: at which version, whether it ended the object, and its state then.
    pub(super) log: Vec<(u64, bool, Obj)>,
}

/// An answer, and what whoever gets it then knows to be true.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) code: StatusCode,
    pub(super) body: String,
    /// The uids that it says are gone.
    pub(super) gone: Vec<u32>,
    /// The states that it has brought about or shown.
    pub(super) seen: Vec<Obj>,
}

/// The form of an object in an answer.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Whole(usize),
    Metadata,
    Scale,
}

impl Server {
    pub(super) fn new() -> Self {
        Self { rv: START, uids: 0, objects: BTreeMap::new(), log: Vec::new() }
    }

    fn log(&mut self, deleted: bool, object: &Obj) {
        self.log.push((self.rv, deleted, object.clone()));
    }

    fn keep(&mut self, object: Obj) -> Obj {
        self.rv += 1;
        let object = Obj { rv: self.rv, ..object };
        self.objects.insert(object.name, object.clone());
        self.log(false, &object);
        object
    }

    fn end(&mut self, object: &Obj) {
        self.rv += 1;
        self.objects.remove(object.name);
        let last = Obj { rv: self.rv, ..object.clone() };
        self.log(true, &last);
    }

    pub(super) fn create(&mut self, through: usize, name: &'static str, spec: Spec) -> Reply {
        if self.objects.contains_key(name) {
            return failure(StatusCode::CONFLICT, "AlreadyExists", name);
        }
        self.uids += 1;
        let Spec { fin, spec_fin, scoped, picked, data } = spec;
        let uid = self.uids;
        let object = Obj { name, uid, rv: 0, deleting: false, fin, spec_fin, scoped, picked, data };
        let object = self.keep(object);
        Reply { code: StatusCode::CREATED, ..shows(Form::Whole(through), object) }
    }

    pub(super) fn put(&mut self, through: usize, sent: &Obj, spec: Spec) -> Reply {
        match self.objects.get(sent.name) {
            None => failure(StatusCode::NOT_FOUND, "NotFound", sent.name),
            Some(current) if current.uid != sent.uid || current.rv != sent.rv => {
                failure(StatusCode::CONFLICT, "Conflict", sent.name)
            }
            Some(_) => self.patch(Form::Whole(through), sent.name, spec),
        }
    }

    /// A write of all but the finalizers in the spec, which have a door of their own.
    pub(super) fn patch(&mut self, form: Form, name: &'static str, spec: Spec) -> Reply {
        let Some(current) = self.objects.get(name).cloned() else {
            return failure(StatusCode::NOT_FOUND, "NotFound", name);
        };
        let Spec { fin, scoped, picked, data, .. } = spec;
        if current.deleting && !fin && !current.spec_fin {
            // The real server answers with the old version, and what it removes is what it was.
            self.end(&Obj { fin, ..current.clone() });
            let reply = shows(form, Obj { fin, ..current.clone() });
            return match form {
                Form::Whole(_) => Reply { gone: vec![current.uid], seen: Vec::new(), ..reply },
                // It does not show whether anything else holds the object.
                Form::Metadata | Form::Scale => {
                    Reply { seen: vec![Obj { rv: self.rv, fin, ..current }], ..reply }
                }
            };
        }
        let object = self.keep(Obj { fin, scoped, picked, data, ..current });
        shows(form, object)
    }

    pub(super) fn apply(&mut self, through: usize, name: &'static str, spec: Spec) -> Reply {
        match self.objects.contains_key(name) {
            true => self.patch(Form::Whole(through), name, spec),
            false => self.create(through, name, spec),
        }
    }

    /// A write to a subresource, which answers with the whole object, or with a kind of its own.
    pub(super) fn subresource(&mut self, form: Form, name: &'static str, data: u32) -> Reply {
        let Some(current) = self.objects.get(name).cloned() else {
            return failure(StatusCode::NOT_FOUND, "NotFound", name);
        };
        let object = self.keep(Obj { data, ..current });
        shows(form, object)
    }

    pub(super) fn finalize(&mut self, through: usize, name: &'static str) -> Reply {
        let Some(current) = self.objects.get(name).cloned() else {
            return failure(StatusCode::NOT_FOUND, "NotFound", name);
        };
        let free = Obj { spec_fin: false, ..current.clone() };
        if current.deleting && !current.fin {
            self.end(&free);
            let reply = shows(Form::Whole(through), free);
            return Reply { gone: vec![current.uid], seen: Vec::new(), ..reply };
        }
        let object = self.keep(free);
        shows(Form::Whole(through), object)
    }

    /// Answers with a `Status` that names nothing.
    pub(super) fn evict(&mut self, name: &'static str) -> Reply {
        let reply = self.delete(0, name);
        if !reply.code.is_success() {
            return reply;
        }
        let body = r#"{"kind":"Status","apiVersion":"v1","status":"Success"}"#.to_owned();
        Reply { code: StatusCode::CREATED, body, gone: Vec::new(), ..reply }
    }

    pub(super) fn delete(&mut self, through: usize, name: &'static str) -> Reply {
        let Some(current) = self.objects.get(name).cloned() else {
            return failure(StatusCode::NOT_FOUND, "NotFound", name);
        };
        if current.fin || current.spec_fin {
            let object =
                if current.deleting { current } else { self.keep(Obj { deleting: true, ..current }) };
            return shows(Form::Whole(through), object);
        }
        self.end(&current);
        let details = format!(r#""details":{{"name":"{name}","kind":"things","uid":"u{}"}}"#, current.uid);
        let body = format!(r#"{{"kind":"Status","apiVersion":"v1","status":"Success",{details}}}"#);
        Reply { code: StatusCode::OK, body, gone: vec![current.uid], seen: Vec::new() }
    }

    /// Answers with the objects as they were.
    pub(super) fn delete_all(&mut self, through: usize) -> Reply {
        let items: Vec<_> = self.objects.values().cloned().collect();
        let gone = items.iter().flat_map(|item| self.delete(through, item.name).gone).collect();
        Reply { gone, seen: Vec::new(), ..self.listing(through, items) }
    }

    pub(super) fn get(&self, through: usize, name: &'static str) -> Reply {
        match self.objects.get(name) {
            Some(object) => shows(Form::Whole(through), object.clone()),
            None => failure(StatusCode::NOT_FOUND, "NotFound", name),
        }
    }

    pub(super) fn list(&self, through: usize) -> Reply {
        self.listing(through, self.objects.values().cloned().collect())
    }

    fn listing(&self, through: usize, items: Vec<Obj>) -> Reply {
        let shown: Vec<_> = items.iter().map(|item| json(Form::Whole(through), item)).collect();
        let (version, shown) = (VERSIONS[through], shown.join(","));
        let body = format!(r#"{{"kind":"ThingList","apiVersion":"g/{version}","items":[{shown}]}}"#);
        Reply { code: StatusCode::OK, body, gone: Vec::new(), seen: items }
    }

    /// What was there at a version.
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

    /// A backup of `version` is restored.
    pub(super) fn restore(&mut self, version: u64) {
        self.objects = self.at(version);
        self.log.retain(|(rv, ..)| *rv <= version);
        self.rv = version;
    }

    /// Whether there ever was this very state.
    pub(super) fn had(&self, object: &Obj) -> bool {
        self.log.iter().any(|(_, deleted, state)| !deleted && state == object)
    }

    /// Whether the object has ended or has left the cache's selection at one of these versions.
    pub(super) fn ended(&self, name: &str, versions: std::ops::RangeInclusive<u64>) -> bool {
        let ends = |(rv, deleted, object): &(u64, bool, Obj)| {
            object.name == name && versions.contains(rv) && (*deleted || !object.scoped)
        };
        self.log.iter().any(ends)
    }
}

pub(super) fn failure(code: StatusCode, reason: &str, name: &str) -> Reply {
    let details = format!(r#""details":{{"name":"{name}","kind":"things"}}"#);
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"{reason}","code":{},{details}}}"#,
        code.as_u16()
    );
    Reply { code, body, gone: Vec::new(), seen: Vec::new() }
}

fn shows(form: Form, object: Obj) -> Reply {
    let body = json(form, &object);
    Reply { code: StatusCode::OK, body, gone: Vec::new(), seen: vec![object] }
}

pub(super) fn json(form: Form, object: &Obj) -> String {
    let Obj { name, uid, rv, deleting, fin, spec_fin, scoped, picked, data } = object;
    let kind = match form {
        Form::Whole(through) => format!(r#""apiVersion":"g/{}","kind":"Thing""#, VERSIONS[through]),
        Form::Metadata => r#""apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata""#.into(),
        Form::Scale => r#""apiVersion":"autoscaling/v1","kind":"Scale""#.into(),
    };
    let finalizers = if *fin { r#","finalizers":["f"]"# } else { "" };
    let deletion = match deleting {
        true => r#","deletionTimestamp":"2026-01-01T00:00:00Z","deletionGracePeriodSeconds":0"#,
        false => "",
    };
    let spec = match form {
        Form::Whole(_) if *spec_fin => format!(r#","spec":{{"data":{data},"finalizers":["f"]}}"#),
        Form::Whole(_) => format!(r#","spec":{{"data":{data}}}"#),
        Form::Metadata | Form::Scale => String::new(),
    };
    format!(
        r#"{{{kind},"metadata":{{"name":"{name}","uid":"u{uid}","resourceVersion":"{rv}",
        "labels":{{"scoped":"{scoped}","picked":"{picked}"}}{finalizers}{deletion}}}{spec}}}"#
    )
}
