//! Layers on top of one another: what is at a path when all are unpacked.
//!
//! Owns: looking a path up from the top layer down, through links of any layer, without needing layers that cannot matter.
//! Pure. Never: reads a layer; it says which one it would have to.

use std::collections::VecDeque;

use super::tree::{Node, Tree, clean, push};

/// Links followed for one path: Linux's `MAXSYMLINKS`.
const MOST_LINKS: usize = 40;
/// Parts of paths walked for one path, those of links included: a path of `PATH_MAX` is no deeper in practice.
const MOST_STEPS: usize = 512;
/// Longest path that is looked up, in bytes: Linux's `PATH_MAX`.
const LONGEST_PATH: usize = 4096;

/// Layers, base first. One that was not read is `None`.
#[derive(Debug, Clone, Copy)]
pub struct Stack<'a> {
    layers: &'a [Option<&'a Tree>],
    trust: Trust,
}

/// What a layer that was read in part is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// What was seen of it counts, though a later entry of the same name may replace it.
    SoFar,
    /// It says nothing before it was read to its end.
    WholeOnly,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<'a> {
    /// Nothing, or a link that leads nowhere.
    Missing,
    /// This; the path is where it really is.
    Found {
        /// Number of the layer, from the base.
        layer: usize,
        /// Without links.
        path: Vec<u8>,
        /// What it is: never a link.
        node: &'a Node,
    },
    /// A layer has to be read for this path first.
    Unread {
        /// Its number.
        layer: usize,
        /// What is asked of it.
        path: Vec<u8>,
    },
}

/// What may still be spent on one path.
struct Effort {
    links: usize,
    steps: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self { links: MOST_LINKS, steps: MOST_STEPS }
    }
}

const ROOT: Node = Node::Dir { has_entry: true };

impl<'a> Stack<'a> {
    /// Returns the stack.
    pub fn new(layers: &'a [Option<&'a Tree>], trust: Trust) -> Self {
        Self { layers, trust }
    }

    /// Returns how far layers that were read in part are trusted.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// Returns the layers.
    pub fn layers(&self) -> &'a [Option<&'a Tree>] {
        self.layers
    }

    /// Follows a path from the root through links.
    pub fn resolve(&self, path: &[u8]) -> Seen<'a> {
        self.follow(path, self.layers.len(), &mut Effort::default())
    }

    /// Returns what is at exactly this path (of a tree's form), links not followed.
    pub fn at(&self, path: &[u8]) -> Seen<'a> {
        self.below(path, self.layers.len())
    }

    /// Returns whether a path leads through more links than are followed, in a circle, and how many steps that took.
    pub fn is_circle(&self, path: &[u8]) -> (bool, usize) {
        let mut effort = Effort::default();
        let seen = self.follow(path, self.layers.len(), &mut effort);
        (seen == Seen::Missing && effort.links == 0, MOST_STEPS - effort.steps)
    }

    /// The same in the layers below `top`.
    fn below(&self, path: &[u8], top: usize) -> Seen<'a> {
        let mut implied: Option<(usize, &Node)> = None;
        for layer in (0..top).rev() {
            // What is in a directory is there even if a lower layer has a link in the directory's place.
            let unread = || match implied.filter(|_| self.trust == Trust::SoFar) {
                Some((layer, node)) => Seen::Found { layer, path: path.to_vec(), node },
                None => Seen::Unread { layer, path: path.to_vec() },
            };
            let Some(tree) = self.layers[layer] else { return unread() };
            if !tree.is_whole && self.trust == Trust::WholeOnly {
                return unread();
            }
            match tree.node(path) {
                // Unpacking something in a directory does not replace a link to a directory by one.
                Some(node @ Node::Dir { has_entry: false }) => implied = implied.or(Some((layer, node))),
                Some(node) => return Seen::Found { layer, path: path.to_vec(), node },
                None if !tree.is_whole => return unread(),
                None => {}
            }
            if tree.hides(path) {
                break;
            }
        }
        match implied {
            Some((layer, node)) => Seen::Found { layer, path: path.to_vec(), node },
            None => Seen::Missing,
        }
    }

    fn follow(&self, path: &[u8], top: usize, effort: &mut Effort) -> Seen<'a> {
        let mut rest: VecDeque<Vec<u8>> = parts(path);
        let mut here: Vec<u8> = Vec::new();
        let mut last = Seen::Found { layer: 0, path: Vec::new(), node: &ROOT };
        while let Some(part) = rest.pop_front() {
            let Some(left) = effort.steps.checked_sub(1) else { return Seen::Missing };
            effort.steps = left;
            if part == b".." {
                here.truncate(here.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
                last = Seen::Found { layer: 0, path: here.clone(), node: &ROOT };
                continue;
            }
            let dir = here.clone();
            push(&mut here, &part);
            if here.len() > LONGEST_PATH {
                return Seen::Missing;
            }
            let seen = self.below(&here, top);
            let Seen::Found { layer, node, .. } = &seen else { return seen };
            match node {
                Node::Symlink(target) => {
                    if let Some(found) = self.through(&here, &rest, *layer, top) {
                        return found;
                    }
                    let Some(left) = effort.links.checked_sub(1) else { return Seen::Missing };
                    effort.links = left;
                    here = if target.starts_with(b"/") { Vec::new() } else { dir };
                    for part in parts(target).into_iter().rev() {
                        rest.push_front(part);
                    }
                    last = Seen::Found { layer: *layer, path: here.clone(), node: &ROOT };
                }
                Node::Hardlink(target) if rest.is_empty() => {
                    let Some(left) = effort.links.checked_sub(1) else { return Seen::Missing };
                    effort.links = left;
                    // The file it was when the link was made, whatever upper layers have there.
                    return self.follow(target, layer + 1, effort);
                }
                Node::Dir { .. } => last = seen,
                _ if rest.is_empty() => return seen,
                _ => return Seen::Missing,
            }
        }
        last
    }

    /// An upper layer may have `bin/app` where a lower one has `bin` as a link to `usr/bin`: unpacking follows the link.
    fn through(&self, link: &[u8], rest: &VecDeque<Vec<u8>>, layer: usize, top: usize) -> Option<Seen<'a>> {
        let mut whole = link.to_vec();
        rest.iter().for_each(|part| push(&mut whole, part));
        let whole = clean(&whole).filter(|_| !rest.is_empty())?;
        (layer + 1..top).rev().find_map(|layer| {
            let node = self.layers[layer]?.node(&whole).filter(|node| matches!(node, Node::File { .. }))?;
            Some(Seen::Found { layer, path: whole.clone(), node })
        })
    }
}

fn parts(path: &[u8]) -> VecDeque<Vec<u8>> {
    let part = |part: &&[u8]| !part.is_empty() && *part != b".";
    path[..path.len().min(LONGEST_PATH)].split(|&byte| byte == b'/').filter(part).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Node = Node::File { is_executable: true, body: None };

    fn layer(nodes: &[(&str, Node)]) -> Tree {
        let mut tree = Tree::default();
        tree.is_whole = true;
        nodes.iter().for_each(|(path, node)| tree.insert(path.as_bytes(), node.clone()));
        tree
    }

    fn link(target: &str) -> Node {
        Node::Symlink(target.as_bytes().into())
    }

    /// Layer and real path, or why there is none.
    fn seen(layers: &[Option<&Tree>], path: &str) -> String {
        match Stack::new(layers, Trust::SoFar).resolve(path.as_bytes()) {
            Seen::Missing => "missing".to_owned(),
            Seen::Found { layer, path, .. } => format!("{layer} {}", String::from_utf8_lossy(&path)),
            Seen::Unread { layer, path } => format!("unread {layer} {}", String::from_utf8_lossy(&path)),
        }
    }

    #[test]
    fn the_last_layer_with_a_path_counts() {
        let base = layer(&[("usr/bin/app", FILE), ("usr/bin/old", FILE)]);
        let mut top = layer(&[("usr/bin/app", FILE)]);
        top.white_out(b"usr/bin/old");
        let layers = [Some(&base), Some(&top)];
        assert_eq!(seen(&layers, "/usr/bin/app"), "1 usr/bin/app");
        assert_eq!(seen(&layers, "/usr/bin/old"), "missing");
        assert_eq!(seen(&layers, "/usr/bin/app/x"), "missing");
        let mut opaque = layer(&[("usr/bin/new", FILE)]);
        opaque.make_opaque(b"usr/bin");
        let layers = [Some(&base), Some(&opaque)];
        assert_eq!(
            (seen(&layers, "/usr/bin/app"), seen(&layers, "usr/bin/new")),
            ("missing".into(), "1 usr/bin/new".into())
        );
        let again = layer(&[("usr/bin/old", FILE)]);
        assert_eq!(seen(&[Some(&base), Some(&top), Some(&again)], "/usr/bin/old"), "2 usr/bin/old");
        let file = layer(&[("usr/bin", FILE)]);
        let dir = layer(&[("usr/bin", Node::Dir { has_entry: true })]);
        assert_eq!(seen(&[Some(&base), Some(&file), Some(&dir)], "/usr/bin/app"), "missing", "replaced in between");
    }

    #[test]
    fn links_are_followed_across_layers() {
        let base = layer(&[("bin", link("usr/bin")), ("usr/bin/busybox", FILE), ("usr/bin/sh", link("busybox"))]);
        let top = layer(&[("app/run", link("../bin/sh")), ("up", link("/../../usr/./bin//sh")), ("dot", link("."))]);
        let layers = [Some(&base), Some(&top)];
        for path in ["/bin/sh", "/app/run", "/up", "/dot/bin/sh", "/app/../bin/busybox"] {
            assert_eq!(seen(&layers, path), "0 usr/bin/busybox", "{path}");
        }
        assert_eq!(seen(&layers, "/bin"), "0 usr/bin");
        let own = layer(&[("bin/sh", FILE)]);
        assert_eq!(seen(&[Some(&base), Some(&own)], "/bin/sh"), "1 bin/sh", "unpacked through the link");
        let dir = layer(&[("bin", Node::Dir { has_entry: true }), ("bin/own", FILE)]);
        assert_eq!(seen(&[Some(&base), Some(&dir)], "/bin/sh"), "missing", "a directory took the link's place");
    }

    #[test]
    fn hard_links_lead_to_the_file_of_their_time() {
        let base = layer(&[("bin/gunzip", FILE), ("bin/uncompress", Node::Hardlink(b"bin/gunzip"[..].into()))]);
        let top = layer(&[("bin/gunzip", Node::Other)]);
        assert_eq!(seen(&[Some(&base), Some(&top)], "/bin/uncompress"), "0 bin/gunzip");
        let itself = layer(&[("a", Node::Hardlink(b"b"[..].into())), ("b", Node::Hardlink(b"a"[..].into()))]);
        assert_eq!(seen(&[Some(&itself)], "/a"), "missing");
    }

    #[test]
    fn cycles_and_long_chains_end() {
        let cycle = layer(&[("a", link("b")), ("b", link("a")), ("self", link("self/x"))]);
        assert_eq!((seen(&[Some(&cycle)], "/a"), seen(&[Some(&cycle)], "/self")), ("missing".into(), "missing".into()));
        let chain: Vec<(String, Node)> = (0..50).map(|n| (format!("l{n}"), link(&format!("l{}", n + 1)))).collect();
        let mut chain: Vec<(&str, Node)> = chain.iter().map(|(name, node)| (name.as_str(), node.clone())).collect();
        chain.push(("l50", FILE));
        let chain = layer(&chain);
        assert_eq!((seen(&[Some(&chain)], "/l0"), seen(&[Some(&chain)], "/l10")), ("missing".into(), "0 l50".into()));
    }

    #[test]
    fn only_layers_that_matter_are_asked_for() {
        let top = layer(&[("app", FILE), ("etc", Node::Dir { has_entry: true })]);
        assert_eq!(seen(&[None, Some(&top)], "/app"), "1 app");
        assert_eq!(seen(&[None, Some(&top)], "/bin/sh"), "unread 0 bin");
        assert_eq!(seen(&[None, None], "/app"), "unread 1 app");
        let mut part = top;
        part.is_whole = false;
        let layers = [None, Some(&part)];
        assert_eq!(seen(&layers, "/app"), "1 app");
        assert_eq!(seen(&layers, "/bin/sh"), "unread 1 bin");
        let strict = Stack::new(&layers, Trust::WholeOnly).resolve(b"/app");
        assert_eq!(strict, Seen::Unread { layer: 1, path: b"app".to_vec() });
    }
}
