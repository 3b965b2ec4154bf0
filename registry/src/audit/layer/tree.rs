//! What one layer puts where.
//!
//! Owns: the paths of a layer in one form, what each is, whiteouts. Pure and bounded. Never: looks at other layers.

use std::collections::{HashMap, HashSet};

use crate::audit::binary::Program;

/// Marks a file of lower layers as deleted (image-spec, layer.md "Whiteouts").
pub const WHITEOUT: &[u8] = b".wh.";
/// Marks a directory's content in lower layers as deleted.
pub const OPAQUE: &[u8] = b".wh..wh..opq";
/// Bytes of the first line of a script that Linux reads (`BINPRM_BUF_SIZE`).
pub const SCRIPT_BYTES: usize = 256;

/// What a path takes besides its name, in bytes.
const PATH_BYTES: usize = 64;

/// What one layer puts where. Paths have no leading slash and no `.` or `..`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: HashMap<Box<[u8]>, Node>,
    whiteouts: HashSet<Box<[u8]>>,
    opaque: HashSet<Box<[u8]>>,
    bytes: usize,
    /// Whether the layer was read to its end.
    pub is_whole: bool,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file.
    File {
        /// Somebody may execute it.
        is_executable: bool,
        /// What it starts with, if that is known to run.
        body: Option<Box<Body>>,
    },
    /// A symbolic link, and what it says.
    Symlink(Box<[u8]>),
    /// Another name of a file; the path is of the same form as those of the tree.
    Hardlink(Box<[u8]>),
    /// A directory.
    Dir {
        /// False: only something in it has an entry.
        has_entry: bool,
    },
    /// A device, a pipe.
    Other,
}

/// The start of a file that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A program, and the name of its interpreter (`PT_INTERP`).
    Program(Program, Option<Box<[u8]>>),
    /// What follows `#!` in the first line, at most [`SCRIPT_BYTES`] of it.
    Script(Box<[u8]>),
}

impl Tree {
    /// Adds an entry. A later one of the same name replaces an earlier one, as unpacking does; a directory keeps what is in it.
    pub fn insert(&mut self, path: &[u8], node: Node) {
        self.imply_parents(path);
        let held = match &node {
            Node::Symlink(target) | Node::Hardlink(target) => target.len(),
            Node::File { body: Some(_), .. } => SCRIPT_BYTES,
            _ => 0,
        };
        self.bytes += PATH_BYTES + path.len() + held;
        self.nodes.insert(path.into(), node);
    }

    /// Adds a whiteout of a path of lower layers.
    pub fn white_out(&mut self, path: &[u8]) {
        self.bytes += PATH_BYTES + path.len();
        self.whiteouts.insert(path.into());
    }

    /// Hides what lower layers have in a directory.
    pub fn make_opaque(&mut self, dir: &[u8]) {
        self.bytes += PATH_BYTES + dir.len();
        self.opaque.insert(dir.into());
    }

    /// Returns what is at a path.
    pub fn node(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Returns all paths, in no order.
    pub fn nodes(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes.iter().map(|(path, node)| (&**path, node))
    }

    /// Returns the paths of lower layers it deletes, in no order.
    pub fn whiteouts(&self) -> impl Iterator<Item = &[u8]> {
        self.whiteouts.iter().map(|path| &**path)
    }

    /// Returns the directories whose content in lower layers it hides, in no order.
    pub fn opaque_dirs(&self) -> impl Iterator<Item = &[u8]> {
        self.opaque.iter().map(|path| &**path)
    }

    /// Returns about how many bytes of memory it takes; what is there twice counts twice.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of paths.
    pub fn len(&self) -> usize {
        self.nodes.len() + self.whiteouts.len() + self.opaque.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether lower layers' entry at a path is hidden by this layer.
    pub fn hides(&self, path: &[u8]) -> bool {
        let is_gone = |path: &[u8]| self.whiteouts.contains(path);
        let is_closed = |dir: &[u8]| {
            is_gone(dir)
                || self.opaque.contains(dir)
                || self.nodes.get(dir).is_some_and(|node| !matches!(node, Node::Dir { .. }))
        };
        is_gone(path) || parents(path).any(is_closed)
    }

    fn imply_parents(&mut self, path: &[u8]) {
        for dir in parents(path) {
            // What is above a directory that is known is known as well.
            if self.nodes.contains_key(dir) {
                return;
            }
            self.bytes += PATH_BYTES + dir.len();
            self.nodes.insert(dir.into(), Node::Dir { has_entry: false });
        }
    }
}

/// Returns the directories above a path, the nearest first, down to the root (an empty path).
pub fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(parent(path), |path| parent(path))
}

fn parent(path: &[u8]) -> Option<&[u8]> {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => Some(&path[..slash]),
        None => (!path.is_empty()).then_some(&path[..0]),
    }
}

/// Returns the last component.
pub fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Brings a path into the tree's form, as containerd does before it unpacks. None if it leads out of the root.
pub fn clean(path: &[u8]) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if out.is_empty() {
                    return None;
                }
                out.truncate(out.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
            }
            part => push(&mut out, part),
        }
    }
    Some(out)
}

/// Appends a component.
pub fn push(path: &mut Vec<u8>, part: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        let cases: [(&[u8], Option<&[u8]>); 8] = [
            (b"./usr//bin/./app", Some(b"usr/bin/app")),
            (b"/usr/bin/", Some(b"usr/bin")),
            (b"a/../b", Some(b"b")),
            (b"a/b/../../c", Some(b"c")),
            (b"../x", None),
            (b"a/../../x", None),
            (b"./", Some(b"")),
            (b"", Some(b"")),
        ];
        for (path, want) in cases {
            assert_eq!(clean(path).as_deref(), want, "{}", String::from_utf8_lossy(path));
        }
        assert_eq!(parents(b"a/b/c").collect::<Vec<_>>(), [&b"a/b"[..], b"a", b""]);
        assert_eq!(parents(b"a").collect::<Vec<_>>(), [&b""[..]]);
        assert_eq!(parents(b"").count(), 0);
    }

    #[test]
    fn whiteouts_and_what_replaces_a_directory_hide_what_is_below() {
        let mut tree = Tree::default();
        tree.white_out(b"gone");
        tree.make_opaque(b"fresh");
        tree.insert(b"was/dir", Node::Other);
        tree.insert(b"still/here", Node::Dir { has_entry: true });
        for hidden in [&b"gone"[..], b"gone/x", b"gone/x/y", b"fresh/x", b"was/dir/x"] {
            assert!(tree.hides(hidden), "{}", String::from_utf8_lossy(hidden));
        }
        for seen in [&b"goner"[..], b"fresh", b"was/dir", b"was/other", b"still/here/x", b""] {
            assert!(!tree.hides(seen), "{}", String::from_utf8_lossy(seen));
        }
        assert_eq!(tree.node(b"was"), Some(&Node::Dir { has_entry: false }));
    }
}
