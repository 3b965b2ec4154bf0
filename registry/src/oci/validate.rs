//! Whether an image manifest and its configuration belong together and to the platform asked for.
//!
//! Owns: the checks that need no layer bytes. Never: stops at the first problem.

use std::fmt;

use super::{Digest, ImageConfig, ImageManifest, Platform, media_type};

/// One thing that is wrong with an image: where, what was wanted, what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageProblem {
    /// The platform the image is for.
    pub platform: Platform,
    /// The blob at fault.
    pub blob: Digest,
    /// What is wrong.
    pub mismatch: Mismatch,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// A field of the configuration's platform differs from the platform asked for.
    #[error("configuration has {field} {got:?}, want {want:?}")]
    Platform {
        /// `os`, `architecture`, `variant` or `os.version`.
        field: &'static str,
        /// Asked for, normalised.
        want: String,
        /// Found, normalised.
        got: String,
    },
    /// The manifest has another number of layers than the configuration has diff_ids.
    #[error("manifest has {got} layers, its configuration {want} diff_ids")]
    LayerCount {
        /// Number of diff_ids.
        want: usize,
        /// Number of layers.
        got: usize,
    },
    /// The manifest's `config` is not an image configuration.
    #[error("configuration has media type {got:?}, want an image configuration")]
    ConfigType {
        /// Found.
        got: String,
    },
    /// An entry of `layers` is not a layer.
    #[error("layer {index} has media type {got:?}, want an image layer")]
    LayerType {
        /// Position, from 0.
        index: usize,
        /// Found.
        got: String,
    },
}

impl fmt::Display for ImageProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.platform, self.blob, self.mismatch)
    }
}

/// Returns every problem of an image that should be for `asked`.
pub fn validate_image(asked: &Platform, config: &ImageConfig, manifest: &ImageManifest) -> Vec<ImageProblem> {
    let at = |blob: &Digest, mismatch| ImageProblem { platform: asked.clone(), blob: blob.clone(), mismatch };
    let in_config = |mismatch| at(&manifest.config.digest, mismatch);
    let mut problems = Vec::new();
    if !media_type::is_config(&manifest.config.media_type) {
        problems.push(in_config(Mismatch::ConfigType { got: manifest.config.media_type.clone() }));
    }
    problems.extend(platform_mismatches(asked, &config.platform()).into_iter().map(in_config));
    let (want, got) = (config.rootfs.diff_ids.len(), manifest.layers.len());
    if want != got {
        problems.push(in_config(Mismatch::LayerCount { want, got }));
    }
    for (index, layer) in manifest.layers.iter().enumerate() {
        if media_type::layer_compression(&layer.media_type).is_none() {
            let got = layer.media_type.clone();
            problems.push(at(&layer.digest, Mismatch::LayerType { index, got }));
        }
    }
    problems
}

/// Returns the fields in which a configuration's platform differs from the one asked for, after normalisation.
/// The OS version counts only if one was asked for.
pub fn platform_mismatches(asked: &Platform, found: &Platform) -> Vec<Mismatch> {
    let (asked, found) = (asked.normalize(), found.normalize());
    let text = |text: Option<String>| text.unwrap_or_default();
    let version_matters = asked.os_version.is_some();
    let fields = [
        ("os", asked.os, found.os, true),
        ("architecture", asked.architecture, found.architecture, true),
        ("variant", text(asked.variant), text(found.variant), true),
        ("os.version", text(asked.os_version), text(found.os_version), version_matters),
    ];
    let wrong = fields.into_iter().filter(|(_, want, got, matters)| *matters && want != got);
    wrong.map(|(field, want, got, _)| Mismatch::Platform { field, want, got }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Descriptor, Format, config::RootFs, media_type::LayerCompression};

    fn config(os: &str, architecture: &str, variant: Option<&str>, layers: usize) -> ImageConfig {
        ImageConfig {
            architecture: architecture.into(),
            os: os.into(),
            variant: variant.map(Into::into),
            os_version: None,
            os_features: Vec::new(),
            created: None,
            rootfs: RootFs { kind: "layers".into(), diff_ids: vec![Digest::sha256("d"); layers] },
            history: Vec::new(),
        }
    }

    fn manifest(layers: usize) -> ImageManifest {
        let layer = Descriptor::new(Format::Oci.layer(LayerCompression::Gzip), Digest::sha256("l"), 1);
        ImageManifest {
            config: Descriptor::new(media_type::OCI_CONFIG, Digest::sha256("c"), 1),
            layers: vec![layer; layers],
            subject: None,
            artifact_type: None,
            annotations: Default::default(),
        }
    }

    #[test]
    fn names_every_problem() {
        let mut odd = manifest(2);
        odd.config.media_type = "text/plain".into();
        odd.layers[1].media_type = "text/html".into();
        let asked = Platform::new("linux", "arm64", None);
        let problems = validate_image(&asked, &config("windows", "arm", Some("v6"), 3), &odd);
        let (c, l) = (Digest::sha256("c"), Digest::sha256("l"));
        let want = [
            format!("linux/arm64: {c}: configuration has media type \"text/plain\", want an image configuration"),
            format!("linux/arm64: {c}: configuration has os \"windows\", want \"linux\""),
            format!("linux/arm64: {c}: configuration has architecture \"arm\", want \"arm64\""),
            format!("linux/arm64: {c}: configuration has variant \"v6\", want \"\""),
            format!("linux/arm64: {c}: manifest has 2 layers, its configuration 3 diff_ids"),
            format!("linux/arm64: {l}: layer 1 has media type \"text/html\", want an image layer"),
        ];
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
    }

    #[test]
    fn aliases_are_equal() {
        for (asked, architecture, variant) in [
            ("linux/arm64", "arm64", Some("v8")),
            ("linux/arm64/v8", "aarch64", None),
            ("linux/arm/v7", "arm", None),
            ("linux/arm", "arm", Some("v7")),
            ("linux/amd64", "x86_64", Some("v1")),
            ("linux/amd64/v2", "amd64", Some("v2")),
            ("linux/386", "386", None),
        ] {
            let asked: Platform = asked.parse().unwrap();
            assert_eq!(validate_image(&asked, &config("linux", architecture, variant, 1), &manifest(1)), []);
        }
    }

    #[test]
    fn os_version_counts_when_asked_for() {
        let with =
            |version: &str| Platform { os_version: Some(version.into()), ..Platform::new("windows", "amd64", None) };
        let none = Platform::new("windows", "amd64", None);
        assert_eq!(platform_mismatches(&none, &with("10.0")), []);
        assert_eq!(platform_mismatches(&with("10.0"), &with("10.0")), []);
        let wrong = Mismatch::Platform { field: "os.version", want: "10.0".into(), got: "11.0".into() };
        assert_eq!(platform_mismatches(&with("10.0"), &with("11.0")), [wrong]);
    }
}
