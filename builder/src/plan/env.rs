//! Variables of a stage: cheap to copy for the stages built upon it, and hashed as they change.
//!
//! A file may have thousands of stages that each add a variable to the one before, so neither copying nor hashing may
//! look at every variable: the map shares what did not change, the hash is a sum over the variables.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// A variable's value and what it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Var {
    /// Value, expanded.
    pub(super) value: Arc<str>,
    /// The automatic argument about the target that went into it.
    pub(super) taint: Option<Arc<str>>,
}

impl Var {
    pub(super) fn plain(value: &str) -> Self {
        Self { value: value.into(), taint: None }
    }
}

/// Variables by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Env {
    root: Option<Arc<Node>>,
    sum: [u64; 4],
    tainted: usize,
    taint: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
enum Node {
    Leaf(u64, Vec<(Arc<str>, Var)>),
    Branch([Option<Arc<Node>>; 16]),
}

impl Env {
    pub(super) fn get(&self, name: &str) -> Option<&Var> {
        let hash = hash(name);
        let mut node = self.root.as_deref()?;
        for depth in 0.. {
            match node {
                Node::Branch(children) => node = children[nibble(hash, depth)].as_deref()?,
                Node::Leaf(_, list) => return list.iter().find(|(known, _)| &**known == name).map(|(_, var)| var),
            }
        }
        None
    }

    pub(super) fn insert(&mut self, name: &str, var: Var) {
        if let Some(old) = self.get(name) {
            let had_taint = old.taint.is_some();
            let digest = digest(name, &old.value);
            self.tainted -= usize::from(had_taint);
            add(&mut self.sum, digest, u64::wrapping_sub);
        }
        add(&mut self.sum, digest(name, &var.value), u64::wrapping_add);
        if let Some(taint) = &var.taint {
            self.tainted += 1;
            self.taint = Some(Arc::clone(taint));
        }
        self.root = Some(put(self.root.take(), hash(name), 0, name, var));
    }

    /// Returns a hash of all names and values.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        for (at, word) in self.sum.iter().enumerate() {
            out[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Returns the automatic argument about the target that some variable has, if one does.
    pub(super) fn taint(&self) -> Option<&Arc<str>> {
        self.taint.as_ref().filter(|_| self.tainted > 0)
    }
}

fn put(node: Option<Arc<Node>>, hash: u64, depth: usize, name: &str, var: Var) -> Arc<Node> {
    let Some(mut node) = node else { return Arc::new(Node::Leaf(hash, vec![(name.into(), var)])) };
    let changed = match Arc::make_mut(&mut node) {
        Node::Branch(children) => {
            let child = &mut children[nibble(hash, depth)];
            *child = Some(put(child.take(), hash, depth + 1, name, var));
            None
        }
        Node::Leaf(own, list) if *own == hash => {
            match list.iter_mut().find(|(known, _)| &**known == name) {
                Some((_, old)) => *old = var,
                None => list.push((name.into(), var)),
            }
            None
        }
        Node::Leaf(own, list) => {
            let mut children = [const { None }; 16];
            let old = Node::Leaf(*own, std::mem::take(list));
            children[nibble(*own, depth)] = Some(Arc::new(old));
            let child = &mut children[nibble(hash, depth)];
            *child = Some(put(child.take(), hash, depth + 1, name, var));
            Some(Node::Branch(children))
        }
    };
    changed.map_or(node, Arc::new)
}

fn nibble(hash: u64, depth: usize) -> usize {
    // Two different hashes differ in one of their sixteen nibbles.
    ((hash >> (depth.min(15) * 4)) & 15) as usize
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

fn digest(name: &str, value: &str) -> [u64; 4] {
    let mut hasher = Sha256::new();
    hasher.update((name.len() as u64).to_le_bytes());
    hasher.update(name);
    hasher.update(value);
    let bytes = hasher.finalize();
    std::array::from_fn(|at| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
        u64::from_le_bytes(word)
    })
}

fn add(sum: &mut [u64; 4], digest: [u64; 4], operation: fn(u64, u64) -> u64) {
    for (sum, word) in sum.iter_mut().zip(digest) {
        *sum = operation(*sum, word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_do_not_change_each_other() {
        let mut first = Env::default();
        for at in 0..1000 {
            first.insert(&format!("V{at}"), Var::plain(&at.to_string()));
        }
        let mut second = first.clone();
        second.insert("V7", Var { value: "other".into(), taint: Some("TARGETARCH".into()) });
        assert_eq!(first.get("V7").map(|var| &*var.value), Some("7"));
        assert_eq!(second.get("V7").map(|var| &*var.value), Some("other"));
        assert!((0..1000).all(|at| first.get(&format!("V{at}")).is_some()) && first.get("V1000").is_none());
        assert!(first.taint().is_none() && second.taint().is_some());
        second.insert("V7", Var::plain("7"));
        assert!(second.taint().is_none());
        assert_eq!(first.digest(), second.digest(), "the hash knows what is there, not how it came there");
        second.insert("V8", Var::plain("9"));
        assert_ne!(first.digest(), second.digest());
    }
}
