//! A read-only view of an image configuration (image-spec, config.md).
//!
//! Owns: the fields polyarch decides by. Never: writes a configuration; its bytes stay what they were,
//! because any parser drops fields (oci-spec 0.10 drops Healthcheck, Shell and OnBuild).

use std::collections::BTreeMap;

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

/// How an image runs: the `config` of its configuration (image-spec, config.md, and Docker's Healthcheck, Shell, OnBuild).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RunConfig {
    /// User, and group after a colon.
    pub user: Option<String>,
    /// `NAME=VALUE`.
    #[serde(deserialize_with = "super::null_as_default")]
    pub env: Vec<String>,
    /// Entrypoint.
    #[serde(deserialize_with = "super::null_as_default")]
    pub entrypoint: Vec<String>,
    /// Command.
    #[serde(deserialize_with = "super::null_as_default")]
    pub cmd: Vec<String>,
    /// `port/protocol`.
    #[serde(deserialize_with = "super::null_as_default")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// Paths.
    #[serde(deserialize_with = "super::null_as_default")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Labels.
    #[serde(deserialize_with = "super::null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// Signal that stops it.
    pub stop_signal: Option<String>,
    /// Docker's health check, as written.
    pub healthcheck: Option<serde_json::Value>,
    /// Docker's shell.
    #[serde(deserialize_with = "super::null_as_default")]
    pub shell: Vec<String>,
    /// Docker's triggers.
    #[serde(deserialize_with = "super::null_as_default")]
    pub on_build: Vec<String>,
}

impl RunConfig {
    /// Reads it out of an image configuration; what is not there is empty.
    ///
    /// # Errors
    /// [`ConfigError::Json`] when a field is of the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        struct Outer {
            #[serde(default)]
            config: Option<RunConfig>,
        }
        let outer: Outer = serde_json::from_slice(bytes).map_err(ConfigError::Json)?;
        Ok(outer.config.unwrap_or_default())
    }
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
    fn reads_how_it_runs() {
        let bytes = br#"{"config":{"User":"1000","Env":["A=b"],"Entrypoint":null,"Labels":{"k":"v"},"ExposedPorts":{"80/tcp":{}},
            "OnBuild":null,"Healthcheck":{"Test":["NONE"]}}}"#;
        let run = RunConfig::parse(bytes).unwrap();
        assert_eq!((run.user.as_deref(), run.env, run.entrypoint), (Some("1000"), vec!["A=b".to_owned()], Vec::new()));
        assert_eq!(run.labels.get("k").map(String::as_str), Some("v"));
        assert_eq!(run.healthcheck, Some(serde_json::json!({"Test": ["NONE"]})));
        assert_eq!(RunConfig::parse(b"{}").unwrap(), RunConfig::default());
        assert!(RunConfig::parse(br#"{"config":{"Env":7}}"#).is_err());
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
