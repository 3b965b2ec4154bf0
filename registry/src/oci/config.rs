//! A read-only view of an image configuration (image-spec, config.md).
//!
//! Owns: the fields polyarch decides by. Never: writes a configuration; its bytes stay what they were,
//! because any parser drops fields (oci-spec 0.10 drops Healthcheck, Shell and OnBuild).

use serde::Deserialize;

use super::{Digest, Platform};

/// What polyarch reads of an image configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ImageConfig {
    /// CPU architecture, as written.
    pub architecture: String,
    /// Operating system, as written.
    pub os: String,
    /// CPU variant.
    #[serde(default)]
    pub variant: Option<String>,
    /// Operating system version.
    #[serde(rename = "os.version", default)]
    pub os_version: Option<String>,
    /// Operating system features.
    #[serde(rename = "os.features", default, deserialize_with = "super::null_as_default")]
    pub os_features: Vec<String>,
    /// Time of creation, RFC 3339, as written.
    #[serde(default)]
    pub created: Option<String>,
    /// The uncompressed layers.
    pub rootfs: RootFs,
    /// One entry per Dockerfile step.
    #[serde(default, deserialize_with = "super::null_as_default")]
    pub history: Vec<History>,
}

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed tars, base first.
    #[serde(default, deserialize_with = "super::null_as_default")]
    pub diff_ids: Vec<Digest>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct History {
    /// The command, as text.
    #[serde(default)]
    pub created_by: Option<String>,
    /// Whether the step made no layer.
    #[serde(default)]
    pub empty_layer: bool,
}

/// Why bytes are not an image configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or a required field is missing or of the wrong type.
    #[error("image configuration is not valid JSON of its type")]
    Json(#[source] serde_json::Error),
    /// `rootfs.type` must be `layers`.
    #[error("image configuration has a rootfs of type {0:?}, not \"layers\"")]
    RootFsType(String),
}

impl ImageConfig {
    /// Parses the view.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_slice(bytes).map_err(ConfigError::Json)?;
        match config.rootfs.kind.as_str() {
            "layers" => Ok(config),
            other => Err(ConfigError::RootFsType(other.to_owned())),
        }
    }

    /// Returns the platform exactly as written, not normalised; an empty variant or version counts as absent.
    pub fn platform(&self) -> Platform {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: filled(&self.os_version),
            os_features: self.os_features.clone(),
            variant: filled(&self.variant),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_decides() {
        let bytes = br#"{"architecture":"amd64","os":"windows","os.version":"10.0.1","os.features":["win32k"],"variant":"",
            "created":"2024-01-02T03:04:05Z","config":{"Healthcheck":{}},"history":[{"empty_layer":true},{"created_by":"RUN x"}],
            "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;
        let config = ImageConfig::parse(bytes).unwrap();
        assert_eq!(config.rootfs.diff_ids, [Digest::sha256("")]);
        assert_eq!(config.history.iter().map(|step| step.empty_layer).collect::<Vec<_>>(), [true, false]);
        assert_eq!(config.platform().to_string(), "windows(10.0.1+win32k)/amd64");
        assert_eq!(config.platform().os_features, ["win32k"]);
    }

    #[test]
    fn nulls_are_empty_and_other_rootfs_types_are_refused() {
        let with = |rootfs: &str| format!(r#"{{"architecture":"arm","os":"linux","history":null,"rootfs":{rootfs}}}"#);
        let config = ImageConfig::parse(with(r#"{"type":"layers","diff_ids":null}"#).as_bytes()).unwrap();
        assert_eq!((config.rootfs.diff_ids.len(), config.history.len()), (0, 0));
        for (rootfs, want) in [
            (r#"{"type":"vm"}"#, "\"vm\""),
            ("{}", "not valid JSON"),
            (r#"{"type":"layers","diff_ids":["x"]}"#, "not valid JSON"),
        ] {
            let error = ImageConfig::parse(with(rootfs).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(want), "{rootfs}: {error}");
        }
    }
}
