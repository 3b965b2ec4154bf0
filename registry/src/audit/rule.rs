//! What a rule is.

use super::facts::{ImageFacts, RepositoryFacts};
use super::finding::{Findings, Severity};
use super::policy::Expectations;

/// One rule. Its fields are what `polyarch audit explain` shows.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable name; never given to another rule.
    pub id: &'static str,
    /// What it finds, in one line.
    pub title: &'static str,
    /// How bad that is, if neither the policy nor the case says otherwise.
    pub severity: Severity,
    /// What has to be read for it.
    pub cost: Cost,
    /// The column of the report it belongs to.
    pub group: Group,
    /// Public reports of the defect, `owner/repository#number` or an advisory's name.
    pub evidence: &'static [&'static str],
    /// How it comes about, whom it hurts, and when it is none.
    pub explanation: &'static str,
    /// What to do about it, in one line.
    pub fix: &'static str,
    pub(super) check: Check,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Check {
    /// One image at a time.
    Image(fn(&ImageFacts, &Expectations, &mut Findings)),
    /// A repository as a whole, after all of its images.
    Repository(fn(&RepositoryFacts, &Expectations, &mut Findings)),
}

/// What has to be read for a rule, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cost {
    /// Indexes and manifests.
    Manifests,
    /// Configurations too.
    Configs,
    /// The referrers of each manifest, and the list of tags.
    Referrers,
    /// A HEAD for each blob.
    Blobs,
    /// Part of a layer: as much as a program's header needs.
    Binaries,
    /// Every layer, whole.
    Layers,
    /// Other repositories or registries.
    Elsewhere,
}

impl Cost {
    /// Returns what is read, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifests => "manifests",
            Self::Configs => "configurations",
            Self::Referrers => "referrers and tags",
            Self::Blobs => "a HEAD for each blob",
            Self::Binaries => "part of some layers",
            Self::Layers => "every layer",
            Self::Elsewhere => "other repositories",
        }
    }
}

/// A column of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Whether everything is there and is what its digest says.
    Complete,
    /// Whether the platforms are the right ones.
    Platforms,
    /// Whether programs are for the platform they are in.
    Binaries,
    /// Whether the platforms are of one build.
    Drift,
    /// Whether clients can read it.
    Format,
    /// Signatures, SBOMs, attestations.
    Signed,
    /// What the policy asks for.
    Policy,
    /// What is in the layers.
    Layers,
}

impl Group {
    /// Every group, in the order of the columns.
    pub const ALL: [Self; 8] = [
        Self::Complete,
        Self::Platforms,
        Self::Binaries,
        Self::Drift,
        Self::Format,
        Self::Signed,
        Self::Policy,
        Self::Layers,
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Platforms => "platforms",
            Self::Binaries => "binaries",
            Self::Drift => "drift",
            Self::Format => "format",
            Self::Signed => "signed",
            Self::Policy => "policy",
            Self::Layers => "layers",
        }
    }
}
