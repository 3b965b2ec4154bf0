//! Which base images the audited images are made of, and whether those are current.
//!
//! Owns: what an image says of its bases (annotations, labels, provenance), recognising a base by its layers, and asking once for
//! each base's tag. Never: takes a base whose tag could not be asked for as current or as behind.

mod clues;
mod gather;
mod look;
mod provenance;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use gather::Gatherer;

use crate::oci::Digest;

/// Version of the shape: raised when a field changes its meaning or goes.
pub const INVENTORY_VERSION: u32 = 1;

/// All bases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// [`INVENTORY_VERSION`].
    pub version: u32,
    /// Bases, by name and digest.
    pub bases: Vec<Base>,
    /// Images that tell nothing of their base, and of which none was recognised.
    pub unknown: Vec<String>,
    /// What could not be read: images, attestations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<String>,
}

/// One digest of a base that is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// `host/name:tag`, as the images say.
    pub name: String,
    /// The digest in use; none if no image says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Platforms it is used for.
    pub platforms: BTreeSet<String>,
    /// How it is known.
    pub known_by: BTreeSet<KnownBy>,
    /// Images that use it.
    pub used_by: BTreeSet<String>,
    /// When it was created, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Whole days since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_days: Option<i64>,
    /// Whether it is what its tag points at.
    #[serde(flatten)]
    pub state: State,
}

/// How a base is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// The image names it: `org.opencontainers.image.base.name` and `.digest`, as annotations or labels.
    Annotation,
    /// Its layers begin the image's, and it was audited as well.
    Layers,
    /// The build's provenance lists it. That may be the image of a stage that nothing but files came from.
    Provenance,
}

/// Whether a base is what its tag points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// It is.
    Current,
    /// The tag points elsewhere by now.
    Behind {
        /// Where.
        current: Digest,
    },
    /// The tag is gone.
    Gone,
    /// No digest is known that could be compared, or no tag.
    Unknown,
    /// The registry could not be asked.
    Unchecked {
        /// Why.
        reason: String,
    },
}

impl State {
    /// Returns its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Behind { .. } => "behind",
            Self::Gone => "tag gone",
            Self::Unknown => "unknown",
            Self::Unchecked { .. } => "could not check",
        }
    }
}

impl KnownBy {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Annotation => "annotation",
            Self::Layers => "layers",
            Self::Provenance => "provenance",
        }
    }
}
