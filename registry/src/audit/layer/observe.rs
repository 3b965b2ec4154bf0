//! What stands out in a layer's entries.
//!
//! Owns: noting it, entry by entry. Never: judges, or keeps more than counts and a few names.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;
use tar::EntryType;

use super::facts::{Contents, Noted, Oddity};
use super::inflate::Seen;
use super::tree::{Node, OPAQUE, Tree, WHITEOUT, base_name, clean, parents, push};
use crate::oci::Digest;
use crate::verify::tar_walk::Head;

/// Where eStargz has its table of contents (containerd/stargz-snapshotter, docs/estargz.md).
const CONTENTS: &[u8] = b"stargz.index.json";
/// Largest table of contents that is read, in bytes.
const CONTENTS_BYTES: u64 = 32 << 20;

/// Names of files that hold secrets wherever they are.
const SECRET_NAMES: [&[u8]; 12] = [
    b".npmrc",
    b".pypirc",
    b".netrc",
    b"_netrc",
    b".pgpass",
    b".git-credentials",
    b".dockercfg",
    b".boto",
    b"id_rsa",
    b"id_dsa",
    b"id_ecdsa",
    b"id_ed25519",
];
/// Names that do only in one directory.
const SECRET_PATHS: [&str; 9] = [
    ".aws/credentials",
    ".docker/config.json",
    ".kube/config",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".azure/accessTokens.json",
    ".config/gcloud/application_default_credentials.json",
    ".config/gh/hosts.yml",
];
/// Where other people's examples are.
const EXAMPLES: [&str; 5] = ["node_modules", "testdata", "test", "tests", "doc"];

/// Notes what stands out.
#[derive(Debug, Default)]
pub(super) struct Observer {
    pub(super) noted: BTreeMap<Oddity, Noted>,
    pub(super) newest: Option<(u64, String)>,
    pub(super) contents: Option<Contents>,
}

impl Observer {
    /// Looks at an entry before it goes into the tree; `path` is its name in the tree's form, if it has one.
    pub(super) fn look(&mut self, head: &Head<'_>, path: Option<&[u8]>, tree: &Tree, content: &mut dyn Read) {
        self.name(head, path, tree);
        self.link(head, path);
        self.rights(head);
        let is_file = matches!(head.kind, EntryType::Regular | EntryType::Continuous);
        let Some(path) = path else { return };
        if is_file && head.size > 0 && is_secret(path) {
            self.note(Oddity::Secret, path);
        }
        if is_file && path == CONTENTS && head.size <= CONTENTS_BYTES {
            self.contents = contents(content);
        } else if is_file && self.newest.as_ref().is_none_or(|(newest, _)| head.mtime > *newest) {
            self.newest = Some((head.mtime, String::from_utf8_lossy(path).into_owned()));
        }
    }

    /// Returns what is only known at the end.
    pub(super) fn finish(mut self, tree: &Tree, gzip: &Seen) -> Self {
        let mut own: Vec<&[u8]> = tree.whiteouts().filter(|path| is_entry(tree, path)).collect();
        own.sort_unstable();
        own.into_iter().for_each(|path| self.note(Oddity::OwnWhiteout, path));
        if gzip.more > 0 {
            self.noted.insert(Oddity::GzipMember, Noted { count: gzip.more, first: Vec::new() });
        }
        if gzip.is_trailed {
            self.noted.insert(Oddity::Trailing, Noted { count: 1, first: Vec::new() });
        }
        self
    }

    fn note(&mut self, oddity: Oddity, name: &[u8]) {
        self.noted.entry(oddity).or_default().add(name);
    }

    fn name(&mut self, head: &Head<'_>, path: Option<&[u8]>, tree: &Tree) {
        let name = head.path;
        if name.is_empty() {
            return self.note(Oddity::Nameless, name);
        }
        if name.split(|&byte| byte == b'/').any(|part| part == b"..") {
            self.note(Oddity::Traversal, name);
        }
        if name.starts_with(b"/") {
            self.note(Oddity::Absolute, name);
        }
        if name.contains(&0) {
            self.note(Oddity::Nul, name);
        }
        if std::str::from_utf8(name).is_err() {
            self.note(Oddity::NotUtf8, name);
        }
        if head.has_two_names {
            self.note(Oddity::TwoNames, name);
        }
        let Some(path) = path else { return };
        let base = base_name(path);
        if base == WHITEOUT {
            self.note(Oddity::NamelessWhiteout, name);
        }
        if base.starts_with(WHITEOUT) && base != OPAQUE {
            return;
        }
        let is_dir = head.kind == EntryType::Directory;
        let is_twice = match tree.node(path) {
            Some(Node::Dir { has_entry }) => *has_entry && !is_dir,
            Some(_) => true,
            None => false,
        };
        if is_twice {
            self.note(Oddity::Duplicate, name);
        }
    }

    fn link(&mut self, head: &Head<'_>, path: Option<&[u8]>) {
        match head.kind {
            EntryType::Link if clean(head.link).is_none() => self.note(Oddity::HardlinkOut, head.path),
            EntryType::Symlink if !head.link.starts_with(b"/") => {
                let Some(path) = path else { return };
                let mut target = parents(path).next().unwrap_or_default().to_vec();
                push(&mut target, head.link);
                if clean(&target).is_none() {
                    self.note(Oddity::SymlinkOut, head.path);
                }
            }
            _ => {}
        }
    }

    fn rights(&mut self, head: &Head<'_>) {
        let name = head.path;
        match head.kind {
            EntryType::Char | EntryType::Block => self.note(Oddity::Device, name),
            EntryType::Fifo => self.note(Oddity::Special, name),
            EntryType::Regular | EntryType::Continuous => {
                if head.mode & 0o4000 != 0 {
                    self.note(Oddity::Setuid, name);
                }
                // Without the right to run it, the bit asks for locks.
                if head.mode & 0o2010 == 0o2010 {
                    self.note(Oddity::Setgid, name);
                }
                if head.mode & 0o002 != 0 {
                    self.note(Oddity::WorldWritable, name);
                }
            }
            EntryType::Directory if head.mode & 0o1002 == 0o002 => self.note(Oddity::WorldWritable, name),
            _ => {}
        }
        if head.xattrs.iter().any(|name| name == "security.capability") {
            self.note(Oddity::Capability, name);
        }
    }
}

fn is_entry(tree: &Tree, path: &[u8]) -> bool {
    tree.node(path).is_some_and(|node| !matches!(node, Node::Dir { has_entry: false }))
}

fn is_secret(path: &[u8]) -> bool {
    let text = String::from_utf8_lossy(path);
    let is_example = text.split('/').any(|part| EXAMPLES.contains(&part));
    let ends = |end: &str| text.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'));
    !is_example && (SECRET_NAMES.contains(&base_name(path)) || SECRET_PATHS.iter().any(|end| ends(end)))
}

#[derive(Deserialize)]
struct Toc {
    entries: Vec<TocEntry>,
}

#[derive(Deserialize)]
struct TocEntry {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

fn contents(content: &mut dyn Read) -> Option<Contents> {
    let mut bytes = Vec::new();
    content.take(CONTENTS_BYTES).read_to_end(&mut bytes).ok()?;
    let names = serde_json::from_slice::<Toc>(&bytes).ok().map(|toc| {
        let real = toc.entries.into_iter().filter(|entry| entry.kind != "chunk");
        real.map(|entry| entry.name).collect()
    });
    Some(Contents { digest: Digest::sha256(&bytes), names })
}
