//! Which keys a change of the overlay was about, the last ones.

use std::collections::VecDeque;

use nah_core::ObjectKey;

/// How many are kept. What has not been looked at for longer is made anew.
const KEPT: usize = if cfg!(test) { 16 } else { 4096 };

/// The keys under which a reader may see something else since, in order.
#[derive(Debug, Default)]
pub(super) struct Touched {
    keys: VecDeque<ObjectKey>,
    /// How many there were before these.
    before: u64,
}

impl Touched {
    pub(super) fn note(&mut self, key: &ObjectKey) {
        if self.keys.len() == KEPT {
            self.keys.pop_front();
            self.before += 1;
        }
        self.keys.push_back(key.clone());
    }

    /// Notes that every key may be among them.
    pub(super) fn note_all(&mut self) {
        self.before = self.now() + 1;
        self.keys.clear();
    }

    pub(super) fn now(&self) -> u64 {
        self.before + self.keys.len() as u64
    }

    /// Those that came after `at`, which was now; none where it is not known any more which they are.
    pub(super) fn since(&self, at: u64) -> Option<impl Iterator<Item = &ObjectKey>> {
        let known = usize::try_from(at.checked_sub(self.before)?).ok()?;
        Some(self.keys.iter().skip(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(touched: &Touched, at: u64) -> Option<Vec<String>> {
        touched.since(at).map(|keys| keys.map(ToString::to_string).collect())
    }

    #[test]
    fn the_last_keys_are_known_and_older_ones_are_known_to_be_lost() {
        let mut touched = Touched::default();
        let begin = touched.now();
        touched.note(&ObjectKey::cluster("a"));
        let middle = touched.now();
        touched.note(&ObjectKey::cluster("b"));
        assert_eq!(since(&touched, begin), Some(vec!["a".into(), "b".into()]));
        assert_eq!(since(&touched, middle), Some(vec!["b".into()]));
        (0..KEPT - 1).for_each(|_| touched.note(&ObjectKey::cluster("c")));
        assert_eq!(since(&touched, begin), None);
        assert_eq!(since(&touched, middle).map(|keys| keys.len()), Some(KEPT));
        let before = touched.now();
        touched.note_all();
        assert_eq!(since(&touched, before), None);
        assert_eq!(since(&touched, touched.now()), Some(Vec::new()));
    }
}
