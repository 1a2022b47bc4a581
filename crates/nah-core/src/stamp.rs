//! Which state of which object a text is.

use crate::{ObjectKey, json::Cursor};

/// Which state of which object a text is, read from its beginning: enough to tell whether that state is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stamp<'a> {
    /// `metadata.namespace`; none of a cluster-scoped object.
    pub namespace: Option<&'a str>,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.uid`.
    pub uid: &'a str,
    /// `metadata.resourceVersion`.
    pub resource_version: &'a str,
}

impl<'a> Stamp<'a> {
    /// The stamp of the object whose text begins with `beginning`. What stands behind it is not looked at, and may be
    /// broken.
    ///
    /// None where not all of it stands there, and where it is written in a way that takes more to read: an
    /// [`Outline`](crate::Outline) of the whole text knows it then.
    pub fn read(beginning: &'a str) -> Option<Self> {
        let (mut namespace, mut name, mut uid, mut version) = (None, None, None, None);
        let mut is_over = false;
        let mut cursor = Cursor::new(beginning);
        // Both walks end as soon as there is nothing more to learn.
        _ = cursor.fields(|cursor, field| {
            if field != "metadata" {
                return cursor.skip().map(drop);
            }
            let all = cursor.fields(|cursor, field| {
                let place = match field {
                    "namespace" => &mut namespace,
                    "name" => &mut name,
                    "uid" => &mut uid,
                    "resourceVersion" => &mut version,
                    _ => return cursor.skip().map(drop),
                };
                *place = Some(cursor.text()?);
                is_over = namespace.is_some() && name.is_some() && uid.is_some() && version.is_some();
                (!is_over).then_some(())
            });
            is_over |= all.is_some();
            None
        });
        let stamp = Self { namespace, name: name?, uid: uid?, resource_version: version? };
        is_over.then_some(stamp)
    }

    /// `namespace/name`, or `name`.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::Stamp;

    const POD: &str =
        r#"{"metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"7","labels":{}},"spec":{}}"#;

    #[test]
    fn is_read_as_soon_as_it_stands_there() // C2
    {
        let stamp = Stamp { namespace: Some("n"), name: "a", uid: "u", resource_version: "7" };
        let enough = POD.find(",\"labels").expect("they stand there");
        for end in 0..=POD.len() {
            assert_eq!(Stamp::read(&POD[..end]), (end >= enough).then_some(stamp), "{}", &POD[..end]);
        }
        assert_eq!(stamp.key().as_str(), "n/a");
    }

    #[test]
    fn without_a_namespace_it_takes_all_of_the_metadata() {
        let node = r#"{"kind":"Node","metadata":{"labels":{"name":"x"},"uid":"u","resourceVersion":"7","name":"a"},"#;
        let stamp = Stamp { namespace: None, name: "a", uid: "u", resource_version: "7" };
        assert_eq!(Stamp::read(node), Some(stamp));
        assert_eq!(Stamp::read(&node[..node.len() - 2]), None, "a namespace may follow");
        assert_eq!(stamp.key().as_str(), "a");
    }

    #[test]
    fn what_is_missing_or_written_otherwise_makes_none() {
        for (from, to) in [
            (r#""uid":"u","#, ""),
            (r#""a""#, r#""\u0061""#),
            (r#""7""#, "7"),
            (r#""n""#, "null"),
            (r#""name""#, r#""n\u0061me""#),
            ("{\"metadata", "[\"metadata"),
            ("metadata", "meta"),
        ] {
            assert_eq!(Stamp::read(&POD.replacen(from, to, 1)), None, "{from} to {to}");
        }
    }
}
