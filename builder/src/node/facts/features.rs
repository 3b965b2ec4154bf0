//! What which daemon can do, as a table.

use std::collections::BTreeSet;

use super::{BuildkitVersion, ImageStore};

/// Something not every daemon can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feature {
    /// The OCI exporter writes blobs into our content service (`tar=false`), so that present ones are not sent.
    ContentExport,
    /// The OCI exporter writes a tar.
    OciTarExport,
    /// `attest:provenance`, `attest:sbom`.
    Attestations,
    /// Named contexts (`context:NAME`).
    NamedContexts,
    /// `oci-layout://` contexts.
    OciLayoutContexts,
    /// Inline cache.
    CacheInline,
    /// Cache in a registry.
    CacheRegistry,
    /// Cache in a local directory.
    CacheLocal,
    /// Cache in GitHub Actions.
    CacheGha,
    /// Cache in S3.
    CacheS3,
    /// Cache in Azure blob storage.
    CacheAzblob,
    /// `shm-size` and `ulimit`.
    ResourceOptions,
    /// zstd layers.
    Zstd,
    /// eStargz layers.
    Estargz,
    /// A compression level.
    CompressionLevel,
    /// Annotations in each platform's manifest.
    ManifestAnnotations,
    /// Questions to the frontend: outline and targets.
    Outline,
    /// Questions to the frontend: lint.
    Lint,
    /// `Control.Info`.
    Info,
}

/// How the classic store comes by a feature.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Classic {
    /// Not at all.
    No,
    /// As any BuildKit of that version.
    SameVersion,
    /// Always: polyarch does it itself, on the saved image.
    Ourselves,
}

/// Feature, first BuildKit 0.x that has it, and the classic store's way to it.
const TABLE: [(Feature, u32, Classic); 19] = [
    (Feature::ContentExport, 11, Classic::No),
    (Feature::OciTarExport, 3, Classic::No),
    (Feature::Attestations, 11, Classic::No),
    (Feature::NamedContexts, 10, Classic::SameVersion),
    (Feature::OciLayoutContexts, 11, Classic::No),
    (Feature::CacheInline, 4, Classic::SameVersion),
    (Feature::CacheRegistry, 3, Classic::No),
    (Feature::CacheLocal, 3, Classic::No),
    (Feature::CacheGha, 9, Classic::No),
    (Feature::CacheS3, 11, Classic::No),
    (Feature::CacheAzblob, 11, Classic::No),
    (Feature::ResourceOptions, 9, Classic::SameVersion),
    (Feature::Zstd, 10, Classic::Ourselves),
    (Feature::Estargz, 10, Classic::No),
    (Feature::CompressionLevel, 10, Classic::Ourselves),
    (Feature::ManifestAnnotations, 11, Classic::Ourselves),
    (Feature::Outline, 11, Classic::SameVersion),
    (Feature::Lint, 14, Classic::SameVersion),
    (Feature::Info, 11, Classic::SameVersion),
];

/// The features of one daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features(BTreeSet<Feature>);

impl Features {
    /// Looks the features of a store and a version up.
    pub fn of(store: ImageStore, version: BuildkitVersion) -> Self {
        let has = |(feature, since, classic): &(Feature, u32, Classic)| {
            let new_enough = version >= BuildkitVersion { major: 0, minor: *since };
            let there = match (store, classic) {
                (ImageStore::Containerd | ImageStore::Buildkitd, _) | (ImageStore::Classic, Classic::SameVersion) => {
                    new_enough
                }
                (ImageStore::Classic, Classic::Ourselves) => true,
                (ImageStore::Classic, Classic::No) => false,
            };
            there.then_some(*feature)
        };
        Self(TABLE.iter().filter_map(has).collect())
    }

    /// Whether the daemon has a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.0.contains(&feature)
    }
}

impl Feature {
    /// What a daemon needs to have the feature, for messages.
    pub(super) fn needs(self, store: ImageStore) -> String {
        let row = TABLE.iter().find(|(feature, ..)| *feature == self);
        match row {
            Some((_, _, Classic::No)) if store == ImageStore::Classic => {
                "Docker's containerd image store or a standalone BuildKit".to_owned()
            }
            Some((_, since, _)) => format!("BuildKit 0.{since} or later"),
            None => "another daemon".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(store: ImageStore, minor: u32) -> Features {
        Features::of(store, BuildkitVersion { major: 0, minor })
    }

    #[test]
    fn has_a_row_for_every_feature_once() {
        let rows: BTreeSet<Feature> = TABLE.iter().map(|(feature, ..)| *feature).collect();
        assert_eq!(rows.len(), TABLE.len());
    }

    /// Seen on real daemons: see the table of image stores in ARCHITECTURE.md.
    #[test]
    fn agrees_with_the_daemons_seen() {
        let modern = features(ImageStore::Containerd, 25);
        assert!(TABLE.iter().all(|(feature, ..)| modern.has(*feature)));
        let classic = features(ImageStore::Classic, 25);
        for (feature, want) in [
            (Feature::ContentExport, false),
            (Feature::Attestations, false),
            (Feature::NamedContexts, true),
            (Feature::OciLayoutContexts, false),
            (Feature::CacheInline, true),
            (Feature::CacheRegistry, false),
            (Feature::Zstd, true),
            (Feature::Estargz, false),
            (Feature::Info, true),
        ] {
            assert_eq!(classic.has(feature), want, "{feature:?}");
        }
        let old = features(ImageStore::Classic, 8);
        for feature in [Feature::NamedContexts, Feature::Info, Feature::ResourceOptions] {
            assert!(!old.has(feature), "{feature:?}");
        }
        assert!(old.has(Feature::CacheInline));
    }
}
