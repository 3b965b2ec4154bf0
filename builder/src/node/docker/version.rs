//! What a daemon says about itself.

use bollard::models::{SystemInfo, SystemVersion};

use super::{DockerApi, DockerError};

/// The name of Podman among the components it reports.
const PODMAN: &str = "Podman Engine";
/// The driver type that says images are kept in containerd.
const CONTAINERD_DRIVER: &str = "io.containerd.snapshotter.v1";

/// `GET /version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonVersion {
    /// Version, such as `28.5.2`, as the daemon writes it.
    pub version: String,
    /// Newest API version.
    pub api: String,
    /// The daemon is Podman: a Docker API without BuildKit behind it.
    pub podman: bool,
}

/// `GET /info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonInfo {
    /// Images are kept in containerd and not in Docker's own store.
    pub containerd_store: bool,
    /// Operating system of containers, such as `linux`.
    pub os: String,
    /// The host's architecture as `uname -m` says it.
    pub architecture: String,
    /// Host name of the daemon.
    pub name: String,
}

impl DockerApi {
    /// Asks for the version.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn version(&self) -> Result<DaemonVersion, DockerError> {
        let answer = self.docker.version().await;
        Ok(daemon_version(answer.map_err(|error| DockerError::new("ask for the version", error))?))
    }

    /// Asks for the configuration.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn info(&self) -> Result<DaemonInfo, DockerError> {
        let answer = self.docker.info().await;
        Ok(daemon_info(answer.map_err(|error| DockerError::new("ask for the configuration", error))?))
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn ping(&self) -> Result<(), DockerError> {
        let answer = self.docker.ping().await;
        answer.map(drop).map_err(|error| DockerError::new("ping the daemon", error))
    }
}

fn daemon_version(answer: SystemVersion) -> DaemonVersion {
    let podman = answer.components.iter().flatten().any(|component| component.name == PODMAN);
    DaemonVersion { version: answer.version.unwrap_or_default(), api: answer.api_version.unwrap_or_default(), podman }
}

fn daemon_info(answer: SystemInfo) -> DaemonInfo {
    let containerd_store = answer
        .driver_status
        .iter()
        .flatten()
        .any(|row| matches!(row.as_slice(), [key, value] if key == "driver-type" && value == CONTAINERD_DRIVER));
    DaemonInfo {
        containerd_store,
        os: answer.os_type.unwrap_or_default(),
        architecture: answer.architecture.unwrap_or_default(),
        name: answer.name.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_podman_from_docker() {
        for (component, podman) in [("Engine", false), ("Podman Engine", true)] {
            let text = format!(
                r#"{{"Version":"4.3.1","ApiVersion":"1.41","Components":[{{"Name":"{component}","Version":"4.3.1"}}]}}"#
            );
            let got = daemon_version(serde_json::from_str(&text).unwrap());
            assert_eq!(got, DaemonVersion { version: "4.3.1".into(), api: "1.41".into(), podman });
        }
    }

    #[test]
    fn reads_the_image_store_from_the_driver() {
        for (status, containerd) in [
            (r#"[["driver-type","io.containerd.snapshotter.v1"]]"#, true),
            (r#"[["Backing Filesystem","extfs"],["Supports d_type","true"]]"#, false),
            (r#"[["driver-type"]]"#, false),
            ("null", false),
        ] {
            let text = format!(r#"{{"DriverStatus":{status},"OSType":"linux","Architecture":"x86_64"}}"#);
            assert_eq!(daemon_info(serde_json::from_str(&text).unwrap()).containerd_store, containerd, "{status}");
        }
    }
}
