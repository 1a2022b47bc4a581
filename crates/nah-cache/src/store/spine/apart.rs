//! Where two states of a spine differ.

use std::{cmp::Ordering, sync::Arc};

use super::{Node, Spine};

impl<T> Spine<T> {
    /// The items of this one and those of `other` that stand in chunks which the two do not share, each in order.
    ///
    /// All that differs is among them, and what stands beside it in the chunks. Costs as much as these are, and their
    /// branches.
    pub(crate) fn apart<'a>(
        &'a self,
        other: &'a Self,
        order: impl Fn(&T, &T) -> Ordering,
    ) -> [Vec<&'a T>; 2] {
        let mut apart = [Vec::new(), Vec::new()];
        let (mut left, mut right) = (vec![&self.root], vec![&other.root]);
        loop {
            let (mine, theirs) = match (left.last().copied(), right.last().copied()) {
                (None, None) => return apart,
                (mine, theirs) => (mine, theirs),
            };
            let shared = mine.zip(theirs).is_some_and(|(mine, theirs)| Arc::ptr_eq(mine, theirs));
            if shared {
                _ = (left.pop(), right.pop());
            } else if !(descend(&mut left) || descend(&mut right)) {
                // Two leaves: the one that ends first stands for itself.
                let ends = |node: Option<&'a Arc<Node<T>>>| node.and_then(|node| node.last());
                let first = match (ends(mine), ends(theirs)) {
                    (Some(mine), Some(theirs)) => order(mine, theirs),
                    (mine, _) if mine.is_some() || theirs.is_none() => Ordering::Less,
                    _ => Ordering::Greater,
                };
                let [ours, others] = &mut apart;
                if first.is_le() {
                    take(&mut left, ours);
                }
                if first.is_ge() {
                    take(&mut right, others);
                }
            }
        }
    }
}

/// Puts the children of a branch in its place.
fn descend<T>(nodes: &mut Vec<&Arc<Node<T>>>) -> bool {
    let Some(Node::Branch(children)) = nodes.last().map(|node| &***node) else { return false };
    nodes.pop();
    nodes.extend(children.iter().rev().map(|child| &child.node));
    true
}

fn take<'a, T>(nodes: &mut Vec<&'a Arc<Node<T>>>, items: &mut Vec<&'a T>) {
    if let Some(Node::Leaf(leaf)) = nodes.pop().map(|node| &**node) {
        items.extend(leaf);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn changed(spine: &mut Spine<u32>, steps: &[(u32, bool)]) {
        for (item, puts) in steps {
            let order = |other: &u32| other.cmp(item);
            _ = if *puts { spine.put(*item, order) } else { spine.take(order) };
        }
    }

    proptest! {
        #[test]
        fn all_that_differs_is_apart(
            len in 0..2000_u32,
            steps in prop::collection::vec((0..4000_u32, any::<bool>()), 0..300),
            more in prop::collection::vec((0..4000_u32, any::<bool>()), 0..300),
        ) {
            let mut one = Spine::from_sorted((0..len).map(|item| item * 2));
            let mut two = one.clone();
            changed(&mut one, &steps);
            changed(&mut two, &more);
            for (one, two) in [(&one, &two), (&two, &one), (&one, &Spine::default())] {
                let apart = one.apart(two, Ord::cmp).map(|items| items.into_iter().copied().collect::<Vec<_>>());
                let items = [one, two].map(|spine| spine.iter().copied().collect::<BTreeSet<_>>());
                for (apart, items) in apart.iter().zip(&items) {
                    prop_assert!(apart.is_sorted_by(|a, b| a < b) && apart.iter().all(|item| items.contains(item)));
                }
                let [mine, theirs] = &items;
                let [ours, others] = apart.map(BTreeSet::from_iter);
                prop_assert!(mine.difference(theirs).all(|item| ours.contains(item)));
                prop_assert!(theirs.difference(mine).all(|item| others.contains(item)));
            }
        }
    }

    #[test]
    fn what_is_shared_is_not_looked_at() {
        let one = Spine::from_sorted(0..100_000_u32);
        let mut two = one.clone();
        assert_eq!(one.apart(&two, Ord::cmp), [Vec::<&u32>::new(), Vec::new()]);
        changed(&mut two, &[(50_000, false), (200_000, true)]);
        let [ours, others] = one.apart(&two, Ord::cmp);
        assert!(ours.len() <= 2 * super::super::FULL && others.len() <= 2 * super::super::FULL);
        assert!(ours.contains(&&50_000) && others.contains(&&200_000));
    }
}
