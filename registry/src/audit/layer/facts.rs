//! What was seen of one layer.
//!
//! Owns: the data, bounded: counts, and the first few names of each kind. Pure. Never: an opinion.

use std::collections::BTreeMap;

use super::tree::Tree;
use crate::oci::Digest;
use crate::oci::media_type::LayerCompression;

/// Names kept of each kind.
pub const KEPT: usize = 5;

/// One pass over a layer.
#[derive(Debug, Clone)]
pub struct LayerFacts {
    /// What it puts where.
    pub tree: Tree,
    /// How the pass ended.
    pub ended: Ended,
    /// Bytes of the blob that were read.
    pub size: u64,
    /// Bytes they decompressed to.
    pub unpacked: u64,
    /// Digest of the blob; none if it was not read to its end.
    pub digest: Option<Digest>,
    /// SHA-256 of the decompressed layer; none if it was not read to its end, or nobody asked.
    pub diff_id: Option<Digest>,
    /// As its first bytes say; none if they are of nothing known.
    pub compression: Option<LayerCompression>,
    /// What stands out in it, if somebody asked.
    pub noted: BTreeMap<Oddity, Noted>,
    /// Its newest file: seconds since 1970 and name.
    pub newest: Option<(u64, String)>,
    /// SHA-256 and names of a table of contents in it, as eStargz has one.
    pub contents: Option<Contents>,
}

/// A table of contents within a layer, for clients that fetch single files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Digest of its bytes.
    pub digest: Digest,
    /// The names in it; none if it cannot be read.
    pub names: Option<Vec<String>>,
}

/// How a pass over a layer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// At its end.
    Whole,
    /// Before it, for nobody needed more.
    Enough,
    /// The archive is wrong at an offset in bytes.
    Tar {
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// It cannot be decompressed; why.
    Compression(String),
    /// It decompresses to more than is read.
    Bomb,
    /// It has more entries, or longer names, than are kept.
    TooMany,
}

/// What may stand out in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Oddity {
    /// A name that leads out of the root.
    Traversal,
    /// A name from the root of the file system.
    Absolute,
    /// A name with a NUL in it.
    Nul,
    /// No name.
    Nameless,
    /// A name that is not UTF-8.
    NotUtf8,
    /// A name that was there before, and no directory's.
    Duplicate,
    /// Two headers name one entry differently.
    TwoNames,
    /// A symbolic link that leads out of the root.
    SymlinkOut,
    /// A hard link to something outside the root.
    HardlinkOut,
    /// A whiteout of nothing.
    NamelessWhiteout,
    /// The layer deletes what it has itself.
    OwnWhiteout,
    /// It runs as its owner.
    Setuid,
    /// It runs as its group.
    Setgid,
    /// Everybody may change it.
    WorldWritable,
    /// It has capabilities of the kernel's.
    Capability,
    /// Its name is one of those that hold secrets.
    Secret,
    /// A device.
    Device,
    /// A pipe, or what has no place in an archive.
    Special,
    /// A further gzip member.
    GzipMember,
    /// Bytes after the end of the compressed data.
    Trailing,
}

/// How often something was seen, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// How often.
    pub count: u64,
    /// The first [`KEPT`] names. Not escaped.
    pub first: Vec<String>,
}

impl Noted {
    /// Adds one.
    pub fn add(&mut self, name: &[u8]) {
        self.count += 1;
        if self.first.len() < KEPT {
            // Names may be as long as the archive likes.
            self.first.push(String::from_utf8_lossy(&name[..name.len().min(200)]).into_owned());
        }
    }

    /// Returns the names as one text: `a, b and 3 more`.
    pub fn list(&self) -> String {
        let names = self.first.join(", ");
        match self.count.saturating_sub(self.first.len() as u64) {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }
}

impl LayerFacts {
    /// Of a layer of which nothing is known.
    pub(in crate::audit) fn empty() -> Self {
        Self {
            tree: Tree::default(),
            ended: Ended::Whole,
            size: 0,
            unpacked: 0,
            digest: None,
            diff_id: None,
            compression: None,
            noted: BTreeMap::new(),
            newest: None,
            contents: None,
        }
    }

    /// Returns what was seen of a kind.
    pub fn noted(&self, oddity: Oddity) -> Option<&Noted> {
        self.noted.get(&oddity)
    }

    /// Returns why the layer cannot be unpacked or judged; none if it was read as far as it was to be.
    pub fn fault(&self) -> Option<String> {
        match &self.ended {
            Ended::Whole | Ended::Enough => None,
            Ended::Tar { offset, reason } => Some(format!("{reason}, at byte {offset} of the unpacked layer")),
            Ended::Compression(reason) => Some(format!("it cannot be decompressed: {reason}")),
            Ended::Bomb => Some(format!("its {} bytes decompress to more than {}", self.size, self.unpacked)),
            Ended::TooMany => {
                Some(format!("its names take more memory than is spent on them, after {} of them", self.tree.len()))
            }
        }
    }
}
