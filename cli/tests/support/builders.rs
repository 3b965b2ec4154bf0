//! The builders of the test bed, as `--builder` names them.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use polyarch_testkit::{Bed, GrpcBridge, TestRegistry, bed};

use super::Docker;

/// One builder of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Docker 20.10, classic store, named by `DOCKER_HOST`.
    Docker20,
    /// Docker 28, containerd store.
    Docker28,
    /// Docker 28, classic store.
    Docker28Classic,
    /// Docker 28 in a container of its own, classic store.
    Dind,
    /// The same with the containerd store.
    DindContainerd,
    /// Docker 28 over mutual TLS, by Docker's own variables.
    Tls,
    /// Docker 28 over ssh.
    Ssh,
    /// A buildkitd on a unix socket.
    Buildkit,
    /// The same through `docker exec` in its container.
    BuildkitContainer,
    /// A Docker daemon's BuildKit, bridged to a socket.
    Bridge,
}

/// A builder, ready to be used.
pub struct Builder {
    /// For `--builder`.
    pub address: String,
    /// Environment it needs.
    pub env: Vec<(&'static str, String)>,
    /// An image of amd64, arm64, arm/v7 and riscv64 that the builder can pull.
    pub base: String,
    /// Whether it has named contexts.
    pub has_contexts: bool,
    /// Whether every run has a daemon of its own, with an empty cache.
    pub is_fresh: bool,
    /// The daemon in which nothing may be left.
    pub docker: Option<Docker>,
    bridge: Option<GrpcBridge>,
    registry: Option<TestRegistry>,
}

impl Builder {
    /// Returns the builder of a cell, or says that the test is skipped.
    pub fn of(cell: Cell) -> Option<Self> {
        let image = Bed::require("BED_BASE_IMAGE")?;
        let docker = |key: &str| Bed::require(key).map(|host| Docker { host });
        let plain = |address: String, docker: Option<Docker>| Self {
            address,
            env: Vec::new(),
            base: image.clone(),
            has_contexts: true,
            is_fresh: false,
            docker,
            bridge: None,
            registry: None,
        };
        Some(match cell {
            Cell::Docker20 => {
                let host = docker("BED_DOCKER20")?;
                let env = vec![("DOCKER_HOST", host.host.clone())];
                Self { env, has_contexts: false, ..plain("docker".to_owned(), Some(host)) }
            }
            Cell::Docker28 => plain(Bed::require("BED_DOCKER28")?, docker("BED_DOCKER28")),
            Cell::Docker28Classic => plain(Bed::require("BED_DOCKER28_CLASSIC")?, docker("BED_DOCKER28_CLASSIC")),
            Cell::Dind => Self::dind("&store=classic")?,
            Cell::DindContainerd => Self::dind("")?,
            Cell::Tls => {
                let env =
                    vec![("DOCKER_TLS_VERIFY", "1".to_owned()), ("DOCKER_CERT_PATH", Bed::require("BED_TLS_DIR")?)];
                Self { env, ..plain(Bed::require("BED_DOCKER28_TLS")?, docker("BED_DOCKER28")) }
            }
            Cell::Ssh => {
                let path = format!("{}:{}", Bed::require("BED_SSH_PATH")?, std::env::var("PATH").unwrap());
                Self { env: vec![("PATH", path)], ..plain(Bed::require("BED_SSH")?, docker("BED_DOCKER28")) }
            }
            Cell::Buildkit => plain(Bed::require("BED_BUILDKIT")?, None),
            Cell::BuildkitContainer => {
                let name = Bed::require("BED_BUILDKIT_CONTAINER")?;
                let env = vec![("DOCKER_HOST", Bed::require("BED_DOCKER20")?)];
                Self { env, ..plain(format!("docker-container://{name}"), docker("BED_DOCKER20")) }
            }
            Cell::Bridge => {
                let host = docker("BED_DOCKER28")?;
                let bridge = GrpcBridge::start(Path::new(host.host.strip_prefix("unix://").unwrap()));
                let address = format!("buildkit+unix://{}", bridge.socket().display());
                Self { bridge: Some(bridge), ..plain(address, Some(host)) }
            }
        })
    }

    /// Docker-in-Docker with more options. It sees no registry on loopback, so the base is served to it on the bridge.
    pub fn dind(more: &str) -> Option<Self> {
        let host = Docker { host: Bed::require("BED_DOCKER20")? };
        let options = Bed::get("BED_DIND_OPTS").unwrap_or_default();
        let gateway = host.run(&["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"]);
        let addr = (gateway.trim().parse::<IpAddr>().unwrap(), 0).into();
        let registry = TestRegistry::start_with(|config| config.addr = addr);
        let base = registry.reference("base:1");
        copy_image(&Bed::require("BED_BASE_IMAGE")?, &base);
        let insecure = format!("arg=--insecure-registry={}", registry.addr());
        Some(Self {
            address: format!("dind://?image={}&{options}&{insecure}{more}", Bed::require("BED_DIND_IMAGE")?),
            env: vec![("DOCKER_HOST", host.host.clone())],
            base,
            has_contexts: true,
            is_fresh: true,
            docker: Some(host),
            bridge: None,
            registry: Some(registry),
        })
    }

    /// Returns the stages `native` (the build platform's) and `base`.
    pub fn stages(&self) -> String {
        let base = &self.base;
        format!("FROM --platform=$BUILDPLATFORM {base} AS native\nFROM {base} AS base\n")
    }
}

/// Copies an image of all platforms between registries without TLS.
fn copy_image(from: &str, to: &str) {
    let mut command = Command::new("skopeo");
    command.args(["copy", "--quiet", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    bed::run(command.args([format!("docker://{from}"), format!("docker://{to}")]));
}
