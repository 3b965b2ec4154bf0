//! What is known of tags beside the images they lead to.
//!
//! Owns: the data. Pure. Never: an opinion.

use crate::oci::Digest;

/// How a mirror differs from its source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorFacts {
    /// The source, `host/name`.
    pub source: String,
    /// Tags that are the same.
    pub same: usize,
    /// Tags that only the mirror has.
    pub only_here: Vec<String>,
    /// Tags that differ, and how.
    pub different: Vec<(String, Difference)>,
}

/// How a tag of a mirror differs from its source's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The mirror does not have it.
    Missing {
        /// Where it leads at the source.
        there: Digest,
    },
    /// Its index lacks platforms.
    Lacking {
        /// Where it leads.
        here: Digest,
        /// Where it leads at the source.
        there: Digest,
        /// What is missing.
        platforms: Vec<String>,
    },
    /// The same images are under another digest.
    Rewrapped {
        /// Where it leads.
        here: Digest,
        /// Where it leads at the source.
        there: Digest,
    },
    /// It is another image.
    Other {
        /// Where it leads.
        here: Digest,
        /// Where it leads at the source.
        there: Digest,
    },
    /// It is the same, but what refers to it at the source is missing.
    Referrers {
        /// Where it leads.
        of: Digest,
        /// What is missing; never empty.
        lost: Vec<Digest>,
    },
}

/// An image, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFacts {
    /// The tag.
    pub tag: String,
    /// What it leads to.
    pub digest: Digest,
    /// Whether that is an index.
    pub is_index: bool,
    /// Platforms that were read.
    pub platforms: usize,
    /// When the newest of them was created, RFC 3339, as written.
    pub created: Option<String>,
}

/// A tag that leads elsewhere than it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTag {
    /// The tag.
    pub tag: String,
    /// Where it led.
    pub from: Digest,
    /// Where it leads now; none: it is gone.
    pub to: Option<Digest>,
    /// Since when.
    pub since: Since,
}

/// When a tag led elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// When this audit read it.
    Audit,
    /// In an earlier report.
    Report,
}
