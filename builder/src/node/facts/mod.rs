//! What is known about a node: versions, image store, platforms, features. Pure.
//!
//! Owns: the reading of versions and of a worker's platforms, and the table of what which daemon can do.
//! Never: asks a daemon.

mod features;
mod omit;
mod requirements;
mod version;

use polyarch_registry::oci::Platform;

pub use features::{Feature, Features};
pub use omit::without;
pub use requirements::{MissingFeature, missing_feature, missing_features};
pub use version::BuildkitVersion;

use super::docker::{DaemonInfo, DaemonVersion};

/// Where a daemon keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageStore {
    /// Docker with containerd's store: every exporter works.
    Containerd,
    /// Docker's own store: only `moby` and `tar` exports, no attestations.
    Classic,
    /// A standalone buildkitd, which keeps no images.
    Buildkitd,
}

/// What is known about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Version for tables, such as `Docker 28.5.2` or `BuildKit v0.25.0`.
    pub version: String,
    /// BuildKit's version, told or inferred from Docker's.
    pub buildkit: BuildkitVersion,
    /// Where images are kept.
    pub store: ImageStore,
    /// Platforms the machine runs itself, its own first.
    pub native: Vec<Platform>,
    /// Platforms it runs through an emulator.
    pub emulated: Vec<Platform>,
    /// What it can do.
    pub features: Features,
}

/// What a daemon told about itself.
#[derive(Debug, Clone, Default)]
pub struct Told<'a> {
    /// `GET /version` and `GET /info`, where there is a Docker API.
    pub docker: Option<(&'a DaemonVersion, &'a DaemonInfo)>,
    /// BuildKit's own version, where it tells (0.11 and later).
    pub buildkit: Option<&'a str>,
    /// Platforms of its workers, in BuildKit's order: native first.
    pub platforms: &'a [Platform],
}

/// Draws the conclusions.
pub fn facts_from(told: &Told<'_>) -> NodeFacts {
    let docker = told.docker.map(|(version, _)| version.version.as_str());
    let buildkit = BuildkitVersion::of(told.buildkit, docker);
    let store = match told.docker {
        None => ImageStore::Buildkitd,
        Some((_, info)) if info.containerd_store => ImageStore::Containerd,
        Some(_) => ImageStore::Classic,
    };
    let host = told.docker.and_then(|(_, info)| host_platform(info)).or_else(|| told.platforms.first().cloned());
    let (native, emulated) = by_host(host.as_ref(), told.platforms);
    let version = match docker {
        Some(docker) => format!("Docker {docker}"),
        None => format!("BuildKit {}", told.buildkit.unwrap_or("of unknown version")),
    };
    NodeFacts { version, buildkit, store, native, emulated, features: Features::of(store, buildkit) }
}

impl NodeFacts {
    /// Whether the node runs this platform, natively or emulated.
    pub fn runs(&self, platform: &Platform) -> bool {
        self.native.iter().chain(&self.emulated).any(|known| known.same_as(platform))
    }
}

/// The machine of `docker info`: what `uname -m` says, normalised.
fn host_platform(info: &DaemonInfo) -> Option<Platform> {
    let (architecture, variant) = match info.architecture.as_str() {
        "" => return None,
        "armv5tel" => ("arm", Some("v5")),
        "armv6l" => ("arm", Some("v6")),
        "armv7l" | "armv8l" => ("arm", Some("v7")),
        "i486" | "i586" | "i686" => ("386", None),
        "loongarch64" => ("loong64", None),
        "mips64el" => ("mips64le", None),
        other => (other, None),
    };
    Some(Platform::new(if info.os.is_empty() { "linux" } else { &info.os }, architecture, variant))
}

/// A CPU runs its own architecture in every variant BuildKit found, and an amd64 one runs 386. Whether an arm64 CPU still
/// has 32-bit mode cannot be told from here, so arm counts as emulated there.
fn by_host(host: Option<&Platform>, listed: &[Platform]) -> (Vec<Platform>, Vec<Platform>) {
    let Some(host) = host else { return (Vec::new(), listed.to_vec()) };
    let native = |platform: &Platform| {
        let own = platform.architecture == host.architecture;
        platform.os == host.os && (own || (host.architecture == "amd64" && platform.architecture == "386"))
    };
    let (mut own, mut others) = (vec![host.clone()], Vec::new());
    for platform in listed {
        let list = if native(platform) { &mut own } else { &mut others };
        if !list.iter().any(|known| known.same_as(platform)) {
            list.push(platform.clone());
        }
    }
    (own, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platforms(text: &str) -> Vec<Platform> {
        text.split_whitespace().map(|platform| platform.parse().unwrap()).collect()
    }

    fn docker(version: &str, architecture: &str, containerd_store: bool) -> (DaemonVersion, DaemonInfo) {
        let version = DaemonVersion { version: version.into(), api: "1.41".into(), podman: false };
        let info =
            DaemonInfo { containerd_store, os: "linux".into(), architecture: architecture.into(), name: "box".into() };
        (version, info)
    }

    #[test]
    fn reads_a_classic_docker_of_20_10() {
        let (version, info) = docker("20.10.24+dfsg1", "x86_64", false);
        let listed = platforms("linux/amd64 linux/386 linux/arm64 linux/riscv64");
        let facts = facts_from(&Told { docker: Some((&version, &info)), buildkit: None, platforms: &listed });
        assert_eq!(facts.version, "Docker 20.10.24+dfsg1");
        assert_eq!(facts.buildkit, BuildkitVersion { major: 0, minor: 8 });
        assert_eq!(facts.store, ImageStore::Classic);
        assert_eq!(facts.native, platforms("linux/amd64 linux/386"));
        assert_eq!(facts.emulated, platforms("linux/arm64 linux/riscv64"));
        assert!(facts.runs(&"linux/aarch64".parse().unwrap()));
        assert!(!facts.runs(&"linux/s390x".parse().unwrap()));
    }

    #[test]
    fn reads_a_standalone_buildkitd() {
        let listed = platforms("linux/arm64 linux/amd64 linux/amd64/v2 linux/arm/v7");
        let facts = facts_from(&Told { docker: None, buildkit: Some("v0.25.1"), platforms: &listed });
        assert_eq!(facts.store, ImageStore::Buildkitd);
        assert_eq!(facts.version, "BuildKit v0.25.1");
        assert_eq!(facts.native, platforms("linux/arm64"));
        assert_eq!(facts.emulated, platforms("linux/amd64 linux/amd64/v2 linux/arm/v7"));
    }

    #[test]
    fn trusts_the_host_over_the_order_of_the_list() {
        let (version, info) = docker("28.5.2", "aarch64", true);
        let listed = platforms("linux/amd64 linux/arm64");
        let facts =
            facts_from(&Told { docker: Some((&version, &info)), buildkit: Some("v0.25.0"), platforms: &listed });
        assert_eq!((facts.native, facts.emulated), (platforms("linux/arm64"), platforms("linux/amd64")));
        assert_eq!(facts.store, ImageStore::Containerd);
    }
}
