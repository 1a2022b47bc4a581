//! A sorted sequence in shared chunks: cloned at once, copied a chunk at a time.

mod apart;

use std::{cmp::Ordering, fmt, ops::Range, slice, sync::Arc};

/// What a chunk holds at most. Larger ones are copied for longer, smaller ones are more to walk over.
const FULL: usize = 256;
/// What a chunk holds when many are made at once: room for a few more before the first split.
const PACKED: usize = 192;
/// Below this, a chunk is joined with its neighbour.
const SPARSE: usize = 64;

/// A sorted sequence whose clones share every chunk that neither has changed since.
///
/// A tree of chunks: a lookup, a change, an item by its rank and the rank of an item each cost a walk from the root,
/// three chunks for a million items. The order is the caller's: each method takes a function that says how an item
/// stands to what is sought, as `slice::binary_search_by` does, and it must be the same order every time.
#[derive(Clone)]
pub(crate) struct Spine<T> {
    root: Arc<Node<T>>,
    len: usize,
}

#[derive(Clone)]
enum Node<T> {
    Leaf(Vec<T>),
    Branch(Vec<Child<T>>),
}

#[derive(Clone)]
struct Child<T> {
    node: Arc<Node<T>>,
    len: usize,
}

/// The items of a range, in order.
pub(crate) struct Iter<'a, T> {
    spine: &'a Spine<T>,
    chunk: slice::Iter<'a, T>,
    rest: Range<usize>,
}

// === impl Spine ===

impl<T> Default for Spine<T> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl<T> Spine<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, order: impl Fn(&T) -> Ordering) -> Option<&T> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(items) => return items.get(items.binary_search_by(order).ok()?),
                Node::Branch(children) => node = &children.get(child_of(children, &order))?.node,
            }
        }
    }

    /// How many items stand before what is sought.
    pub(crate) fn rank(&self, order: impl Fn(&T) -> Ordering) -> usize {
        let (mut node, mut before) = (&*self.root, 0);
        loop {
            match node {
                Node::Leaf(items) => return before + items.partition_point(|item| order(item).is_lt()),
                Node::Branch(children) => {
                    let at = child_of(children, &order);
                    before += children.iter().take(at).map(|child| child.len).sum::<usize>();
                    match children.get(at) {
                        Some(child) => node = &child.node,
                        None => return before,
                    }
                }
            }
        }
    }

    /// The item that `rank` items stand before.
    pub(crate) fn at(&self, rank: usize) -> Option<&T> {
        self.chunk_at(rank).first()
    }

    pub(crate) fn iter(&self) -> Iter<'_, T> {
        self.range(0..self.len)
    }

    /// The items of these ranks; what is beyond the end is left out.
    pub(crate) fn range(&self, ranks: Range<usize>) -> Iter<'_, T> {
        let end = ranks.end.min(self.len);
        Iter { spine: self, chunk: [].iter(), rest: ranks.start.min(end)..end }
    }

    /// What the chunks take in memory, in bytes, with the room they have left; what items point to is not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.root.bytes()
    }

    /// The bytes of `other`'s chunks that this one does not have.
    #[cfg(test)]
    pub(crate) fn bytes_apart(&self, other: &Self) -> usize {
        let (mut own, mut left) = (std::collections::HashSet::new(), vec![&self.root]);
        while let Some(node) = left.pop() {
            own.insert(Arc::as_ptr(node));
            left.extend(node.children().iter().map(|child| &child.node));
        }
        let (mut apart, mut left) = (0, vec![&other.root]);
        while let Some(node) = left.pop() {
            if !own.contains(&Arc::as_ptr(node)) {
                let below = node.children().iter().map(|child| child.node.bytes()).sum::<usize>();
                apart += node.bytes() - below;
                left.extend(node.children().iter().map(|child| &child.node));
            }
        }
        apart
    }

    /// The rest of the chunk from `rank` on.
    fn chunk_at(&self, rank: usize) -> &[T] {
        let (mut node, mut rank) = (&*self.root, rank);
        'node: loop {
            match node {
                Node::Leaf(items) => return items.get(rank..).unwrap_or_default(),
                Node::Branch(children) => {
                    for child in children {
                        if rank < child.len {
                            node = &child.node;
                            continue 'node;
                        }
                        rank -= child.len;
                    }
                    return &[];
                }
            }
        }
    }
}

impl<T: Clone> Spine<T> {
    /// From items that are in order and without doubles.
    pub(crate) fn from_sorted(items: impl IntoIterator<Item = T>) -> Self {
        let mut items = items.into_iter();
        let mut level = Vec::new();
        loop {
            let mut chunk = Vec::with_capacity(PACKED);
            chunk.extend(items.by_ref().take(PACKED));
            if chunk.is_empty() {
                break;
            }
            chunk.shrink_to_fit();
            level.push(Child::new(Node::Leaf(chunk)));
        }
        while level.len() > 1 {
            let mut below = level.into_iter().peekable();
            level = Vec::new();
            while below.peek().is_some() {
                level.push(Child::new(Node::Branch(below.by_ref().take(PACKED).collect())));
            }
        }
        level.pop().map_or_else(Self::default, |Child { node, len }| Self { root: node, len })
    }

    /// Puts `item` where `order` says, and gives back the one that stood there.
    pub(crate) fn put(&mut self, item: T, order: impl Fn(&T) -> Ordering) -> Option<T> {
        let (replaced, right) = Arc::make_mut(&mut self.root).put(item, &order);
        if replaced.is_none() {
            self.len += 1;
        }
        if let Some(right) = right {
            let right = Child::new(right);
            let left = Child { len: self.len - right.len, node: std::mem::take(self).root };
            *self = Self { len: left.len + right.len, root: Arc::new(Node::Branch(vec![left, right])) };
        }
        replaced
    }

    /// The item that stands where `order` says, to be changed; `order` must say the same of it afterwards.
    pub(crate) fn get_mut(&mut self, order: impl Fn(&T) -> Ordering) -> Option<&mut T> {
        // What is not there must not cost a copy of the chunks on the way.
        self.get(&order)?;
        let mut node = Arc::make_mut(&mut self.root);
        loop {
            match node {
                Node::Leaf(items) => {
                    let at = items.binary_search_by(order).ok()?;
                    return items.get_mut(at);
                }
                Node::Branch(children) => {
                    let at = child_of(children, &order);
                    node = Arc::make_mut(&mut children.get_mut(at)?.node);
                }
            }
        }
    }

    /// Takes an item out.
    pub(crate) fn take(&mut self, order: impl Fn(&T) -> Ordering) -> Option<T> {
        // What is not there must not cost a copy of the chunks on the way.
        self.get(&order)?;
        let taken = Arc::make_mut(&mut self.root).take(&order);
        if taken.is_some() {
            self.len -= 1;
        }
        while let Node::Branch(children) = &*self.root
            && children.len() < 2
        {
            let only = children.first().map(|child| child.node.clone());
            self.root = only.unwrap_or_else(|| Self::default().root);
        }
        taken
    }
}

impl<T: fmt::Debug> fmt::Debug for Spine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

// === impl Node ===

impl<T> Node<T> {
    fn last(&self) -> Option<&T> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(items) => return items.last(),
                Self::Branch(children) => node = &children.last()?.node,
            }
        }
    }

    fn bytes(&self) -> usize {
        // A node behind an Arc: with its two counts.
        size_of::<Self>()
            + 2 * size_of::<usize>()
            + match self {
                Self::Leaf(items) => items.capacity() * size_of::<T>(),
                Self::Branch(children) => {
                    let below = children.iter().map(|child| child.node.bytes()).sum::<usize>();
                    children.capacity() * size_of::<Child<T>>() + below
                }
            }
    }

    #[cfg(test)]
    fn children(&self) -> &[Child<T>] {
        match self {
            Self::Leaf(_) => &[],
            Self::Branch(children) => children,
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Branch(children) => children.len(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Branch(children) => children.iter().map(|child| child.len).sum(),
        }
    }
}

impl<T: Clone> Node<T> {
    /// What was replaced, and the right half where the node had to be split.
    fn put(&mut self, item: T, order: &impl Fn(&T) -> Ordering) -> (Option<T>, Option<Self>) {
        match self {
            Self::Leaf(items) => match items.binary_search_by(order) {
                Ok(at) => (Some(std::mem::replace(&mut items[at], item)), None),
                Err(at) => {
                    grow(items);
                    items.insert(at, item);
                    (None, halve(items).map(Self::Leaf))
                }
            },
            Self::Branch(children) => {
                // Behind the last item stands the last child's end.
                let at = child_of(children, order).min(children.len() - 1);
                let child = &mut children[at];
                let (replaced, right) = Arc::make_mut(&mut child.node).put(item, order);
                child.len += usize::from(replaced.is_none());
                if let Some(right) = right {
                    let right = Child::new(right);
                    child.len -= right.len;
                    children.insert(at + 1, right);
                }
                (replaced, halve(children).map(Self::Branch))
            }
        }
    }

    fn take(&mut self, order: &impl Fn(&T) -> Ordering) -> Option<T> {
        match self {
            Self::Leaf(items) => {
                let taken = items.binary_search_by(order).ok().map(|at| items.remove(at));
                if items.is_empty() || items.capacity() > 2 * items.len() + SPARSE {
                    items.shrink_to(items.len() + items.len() / 4);
                }
                taken
            }
            Self::Branch(children) => {
                let at = child_of(children, order);
                let child = children.get_mut(at)?;
                let taken = Arc::make_mut(&mut child.node).take(order)?;
                child.len -= 1;
                if child.node.width() < SPARSE {
                    join(children, at);
                }
                Some(taken)
            }
        }
    }

    /// Appends what stands behind this node.
    fn append(&mut self, right: Self) {
        match (self, right) {
            (Self::Leaf(left), Self::Leaf(right)) => left.extend(right),
            (Self::Branch(left), Self::Branch(right)) => left.extend(right),
            // All leaves are equally deep.
            (Self::Leaf(_), Self::Branch(_)) | (Self::Branch(_), Self::Leaf(_)) => {}
        }
    }
}

impl<T> Child<T> {
    fn new(node: Node<T>) -> Self {
        Self { len: node.len(), node: Arc::new(node) }
    }
}

/// The child in which what is sought stands, or would; their number where it stands behind all of them.
fn child_of<T>(children: &[Child<T>], order: impl Fn(&T) -> Ordering) -> usize {
    children.partition_point(|child| child.node.last().is_some_and(|last| order(last).is_lt()))
}

/// Makes room for one more, and for few beyond that: doubled room would lie idle in most chunks.
fn grow<T>(items: &mut Vec<T>) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len() / 8 + 4);
    }
}

fn halve<T>(items: &mut Vec<T>) -> Option<Vec<T>> {
    (items.len() > FULL).then(|| {
        let right = items.split_off(items.len() / 2);
        items.shrink_to_fit();
        right
    })
}

/// Joins a sparse child with a neighbour where both fit into one, and drops an empty one.
fn join<T: Clone>(children: &mut Vec<Child<T>>, at: usize) {
    if children[at].len == 0 {
        children.remove(at);
        return;
    }
    let fits = |left: &[Child<T>]| left.iter().map(|child| child.node.width()).sum::<usize>() <= PACKED;
    let left = [at.checked_sub(1), Some(at)]
        .into_iter()
        .flatten()
        .find(|&left| children.get(left..left + 2).is_some_and(fits));
    if let Some(left) = left {
        let right = children.remove(left + 1);
        let child = &mut children[left];
        child.len += right.len;
        Arc::make_mut(&mut child.node).append(Arc::unwrap_or_clone(right.node));
    }
}

// === impl Iter ===

impl<T> Iter<'_, T> {
    /// The item that comes after `n` others, where that is known without a search.
    pub(crate) fn ahead(&self, n: usize) -> Option<&T> {
        self.chunk.as_slice().get(n)
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        if self.rest.is_empty() {
            return None;
        }
        if self.chunk.len() == 0 {
            self.chunk = self.spine.chunk_at(self.rest.start).iter();
        }
        self.rest.start += 1;
        self.chunk.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest.len(), Some(self.rest.len()))
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

#[cfg(test)]
mod tests;
