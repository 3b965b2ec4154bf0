//! What vouches for an image: signatures, SBOMs, provenance, by the media types and annotations their tools write.
//!
//! Owns: telling one kind from another. Pure. Never: checks a signature; that one is there is all that is said.

use crate::oci::{Annotations, Descriptor, Manifest, media_type};

/// What is known to be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    pub(super) signature: bool,
    pub(super) sbom: bool,
    pub(super) provenance: bool,
}

impl Evidence {
    const SIGNATURE: Self = Self { signature: true, sbom: false, provenance: false };
    const SBOM: Self = Self { signature: false, sbom: true, provenance: false };
    const PROVENANCE: Self = Self { signature: false, sbom: false, provenance: true };

    /// Returns both together.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            signature: self.signature || other.signature,
            sbom: self.sbom || other.sbom,
            provenance: self.provenance || other.provenance,
        }
    }
}

/// The annotations that name an in-toto predicate: BuildKit's, cosign's on layers, and that of Sigstore's bundles.
const PREDICATE: [&str; 3] = ["in-toto.io/predicate-type", "predicateType", "dev.sigstore.bundle.predicateType"];
/// The predicate of cosign 3 for a plain signature.
const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";

/// Returns whether an entry of a list of referrers has to be read to know what it is.
pub(super) fn needs_reading(entry: &Descriptor) -> bool {
    match told_type(entry) {
        None => true,
        Some(kind) => of_type(kind, &entry.annotations).is_none() && is_envelope(kind),
    }
}

/// Returns what an entry of a list of referrers is.
pub(super) fn of_entry(entry: &Descriptor, read: Option<&Manifest>) -> Evidence {
    let own = told_type(entry).and_then(|kind| of_type(kind, &entry.annotations));
    own.or_else(|| read.map(of_manifest)).unwrap_or_default()
}

/// Returns what a manifest holds: by its type, or by the statements in its layers.
pub(super) fn of_manifest(manifest: &Manifest) -> Evidence {
    let Manifest::Image(image) = manifest else { return Evidence::default() };
    let types = [type_of(manifest), Some(image.config.media_type.as_str())];
    let told = types.into_iter().flatten().find_map(|kind| of_type(kind, &image.annotations)).unwrap_or_default();
    image.layers.iter().fold(told, |all, layer| {
        let named = of_predicate(&layer.annotations);
        all.and(named.or_else(|| of_type(&layer.media_type, &layer.annotations)).unwrap_or_default())
    })
}

/// Returns the type of an artifact, as a list of referrers should tell it (distribution-spec, "Listing Referrers").
pub(super) fn type_of(manifest: &Manifest) -> Option<&str> {
    match manifest {
        Manifest::Image(image) => {
            image.artifact_type.as_deref().filter(|kind| says_something(kind)).or(Some(&image.config.media_type))
        }
        Manifest::Index(index) => index.artifact_type.as_deref(),
    }
    .filter(|kind| says_something(kind))
}

/// Returns the type an entry tells.
pub(super) fn told_type(entry: &Descriptor) -> Option<&str> {
    entry.artifact_type.as_deref().filter(|kind| says_something(kind))
}

fn says_something(kind: &str) -> bool {
    !kind.is_empty() && kind != media_type::OCI_EMPTY && !media_type::is_config(kind)
}

/// Whether something of this type may be any of the three.
fn is_envelope(kind: &str) -> bool {
    kind.starts_with(BUNDLE) || kind.contains("in-toto") || kind.contains("dsse")
}

fn of_type(kind: &str, annotations: &Annotations) -> Option<Evidence> {
    let lower = kind.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if let Some(evidence) = of_predicate(annotations) {
        return Some(evidence);
    }
    if lower.starts_with(BUNDLE) {
        // Without a predicate it is the signature of a message, and so it says where it says anything.
        let content = annotations.get("dev.sigstore.bundle.content").map(String::as_str);
        return (content == Some("message-signature")).then_some(Evidence::SIGNATURE);
    }
    if has(&["notary.signature", "cosign.artifact.sig", "cosign.simplesigning"]) {
        return Some(Evidence::SIGNATURE);
    }
    if has(&["spdx", "cyclonedx", "syft", "sbom"]) {
        return Some(Evidence::SBOM);
    }
    has(&["slsa", "provenance"]).then_some(Evidence::PROVENANCE)
}

fn of_predicate(annotations: &Annotations) -> Option<Evidence> {
    let named = PREDICATE.iter().find_map(|key| annotations.get(*key))?;
    let lower = named.to_ascii_lowercase();
    Some(if lower.starts_with(COSIGN_SIGN) {
        Evidence::SIGNATURE
    } else if lower.starts_with("https://slsa.dev/provenance") {
        Evidence::PROVENANCE
    } else if ["spdx", "cyclonedx", "sbom"].iter().any(|word| lower.contains(word)) {
        Evidence::SBOM
    } else {
        Evidence::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, RawManifest};

    fn entry(kind: Option<&str>, annotations: &[(&str, &str)]) -> Descriptor {
        let mut entry = Descriptor::new(media_type::OCI_MANIFEST, Digest::sha256("x"), 1);
        entry.artifact_type = kind.map(str::to_owned);
        entry.annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        entry
    }

    #[test]
    fn entries_tell_what_they_are() {
        let none = Evidence::default();
        let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
        let key = "dev.sigstore.bundle.predicateType";
        for (kind, annotations, want, reads) in [
            (Some("application/vnd.cncf.notary.signature"), vec![], Evidence::SIGNATURE, false),
            (Some("application/vnd.dev.cosign.artifact.sig.v1+json"), vec![], Evidence::SIGNATURE, false),
            (Some(bundle), vec![(key, "https://sigstore.dev/cosign/sign/v1")], Evidence::SIGNATURE, false),
            (Some(bundle), vec![(key, "https://slsa.dev/provenance/v1")], Evidence::PROVENANCE, false),
            (Some(bundle), vec![(key, "https://spdx.dev/Document")], Evidence::SBOM, false),
            (Some(bundle), vec![(key, "https://in-toto.io/attestation/vulns")], none, false),
            (Some(bundle), vec![], none, true),
            (Some("application/spdx+json"), vec![], Evidence::SBOM, false),
            (Some("application/vnd.cyclonedx+json"), vec![], Evidence::SBOM, false),
            (Some("application/vnd.in-toto+json"), vec![], none, true),
            (Some("application/vnd.example.notes"), vec![], none, false),
            (Some(media_type::OCI_EMPTY), vec![], none, true),
            (Some(""), vec![], none, true),
            (None, vec![], none, true),
        ] {
            let entry = entry(kind, &annotations);
            assert_eq!((of_entry(&entry, None), needs_reading(&entry)), (want, reads), "{kind:?} {annotations:?}");
        }
    }

    #[test]
    fn manifests_tell_by_their_layers() {
        let manifest = |config: &str, layers: serde_json::Value| {
            let config = Descriptor::new(config, Digest::sha256("{}"), 2);
            let body = serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers});
            RawManifest::new(media_type::OCI_MANIFEST, body.to_string()).view().unwrap()
        };
        let layer = |kind: &str, key: &str, value: &str| serde_json::json!({"mediaType": kind, "digest": Digest::sha256("y"), "size": 1, "annotations": {key: value}});
        let dsse = "application/vnd.dsse.envelope.v1+json";
        let both = serde_json::json!([
            layer(media_type::IN_TOTO, "in-toto.io/predicate-type", "https://slsa.dev/provenance/v0.2"),
            layer(dsse, "predicateType", "https://cyclonedx.org/bom"),
        ]);
        let want = Evidence { signature: false, sbom: true, provenance: true };
        assert_eq!(of_manifest(&manifest(media_type::OCI_CONFIG, both)), want);
        let cosign = serde_json::json!([layer("application/vnd.dev.cosign.simplesigning.v1+json", "a", "b")]);
        assert_eq!(of_manifest(&manifest(media_type::OCI_CONFIG, cosign)), Evidence::SIGNATURE);
        assert_eq!(of_manifest(&manifest("application/spdx+json", serde_json::json!([]))), Evidence::SBOM);
    }
}
