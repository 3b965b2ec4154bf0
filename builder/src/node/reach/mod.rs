//! From a builder's address to a daemon that answers.
//!
//! Owns: the order in which places are tried, and the account of what was found at each. Never: lists workers or
//! decides what is built where.

mod error;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use polyarch_registry::client::CredentialSources;

use super::context;
use super::dial::{Dialer, Transport};
use super::dialers::{Alpn, ExecDialer, SshDialer, TcpDialer, TlsDialer, UnixDialer};
use super::dind::{Dind, DindStore};
use super::docker::{DaemonInfo, DaemonVersion, DockerApi};
use super::endpoint::{Endpoint, EndpointError, HostEnv, SshTarget, TcpTarget};
use crate::buildkit::{ConnectError, Greeting, Worker};
use crate::event::EventKind;
use crate::event_sink::EventSink;
use crate::limits::Limits;

pub use error::{ReachError, Tried};

/// What a Docker-in-Docker image lacks that keeps images in the classic store all the same.
const CONTAINERD_HINT: &str = "layers are compressed here; an image with Docker 23 or newer sends content by digest, and store=classic is how to ask for this";

/// A daemon that answered.
#[derive(Debug)]
pub struct Reached {
    /// Short name for tables and messages.
    pub name: String,
    /// The builder as the user wrote it.
    pub builder: String,
    /// The way to BuildKit.
    pub transport: Transport,
    /// The Docker API in front of BuildKit; a standalone buildkitd has none.
    pub docker: Option<Docker>,
    /// The container this daemon lives in, if it is ours: shut it down at the end.
    pub dind: Option<Dind>,
}

/// A Docker daemon that answered.
#[derive(Debug)]
pub struct Docker {
    /// Its API.
    pub api: DockerApi,
    /// Its version.
    pub version: DaemonVersion,
    /// Its configuration.
    pub info: DaemonInfo,
    /// What its BuildKit answered, until someone takes it.
    pub greeted: Option<Result<Greeting, ConnectError>>,
}

/// What all attempts share.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'a> {
    /// The environment.
    pub env: &'a HostEnv,
    /// Time-outs.
    pub limits: &'a Limits,
    /// For notices while a container starts.
    pub events: &'a EventSink,
    /// The user's credentials, for pulling a Docker-in-Docker image.
    pub credentials: &'a CredentialSources,
}

impl Reach<'_> {
    /// Finds, dials and asks the daemon a `--builder` value names.
    ///
    /// # Errors
    /// [`ReachError`].
    pub async fn builder(&self, text: &str) -> Result<Reached, ReachError> {
        match Endpoint::parse(text, self.env)? {
            Endpoint::BuildkitUnix(path) => Ok(buildkitd(text, Arc::new(UnixDialer::new(path)))),
            Endpoint::BuildkitTcp(target) => Ok(buildkitd(text, tcp(text, &target, Alpn::Http2)?)),
            Endpoint::Container { name, host } => {
                let outer = self.docker(text, &host).await?;
                Ok(buildkitd(&name, Arc::new(ExecDialer::buildctl(outer.api, &name))).written(text))
            }
            Endpoint::Dind { options, host } => self.dind(text, &options, &host).await,
            endpoint => Ok(docker_node(text, self.docker(text, &endpoint).await?)),
        }
    }

    async fn dind(
        &self,
        text: &str,
        options: &super::dind::DindOptions,
        host: &Endpoint,
    ) -> Result<Reached, ReachError> {
        let outer = self.docker(text, host).await?;
        let dind = Dind::start(&outer.api, options, self).await;
        let dind = dind.map_err(|error| ReachError::Dind(Box::new(error)))?;
        let inner = self.ask(text, Arc::clone(dind.dialer())).await?;
        if !inner.info.containerd_store && options.store == DindStore::Containerd {
            let message =
                format!("the daemon in {} keeps images in the classic store; {CONTAINERD_HINT}", options.image);
            self.events.send(EventKind::Notice { message });
        }
        Ok(Reached { dind: Some(dind), ..docker_node(text, inner) })
    }

    /// Connects to the Docker API of an endpoint that has one.
    async fn docker(&self, text: &str, endpoint: &Endpoint) -> Result<Docker, ReachError> {
        match endpoint {
            Endpoint::Docker => self.usual(text).await,
            Endpoint::Context(name) if name == context::DEFAULT => self.host_or_sockets(text).await,
            Endpoint::Context(name) => self.context(text, name).await,
            Endpoint::Unix(path) => self.ask(text, Arc::new(UnixDialer::new(path))).await,
            Endpoint::Tcp(target) => self.ask(text, tcp(text, target, Alpn::Http1)?).await,
            Endpoint::Ssh(target) => self.ask(text, self.ssh(target)).await,
            Endpoint::BuildkitUnix(_)
            | Endpoint::BuildkitTcp(_)
            | Endpoint::Container { .. }
            | Endpoint::Dind { .. } => {
                Err(EndpointError::BadAddress { text: text.to_owned(), want: "a Docker host" }.into())
            }
        }
    }

    /// `docker`: DOCKER_HOST wins over contexts, as in Docker's client.
    async fn usual(&self, text: &str) -> Result<Docker, ReachError> {
        let host_named = self.env.docker_host.as_ref().is_some_and(|host| !host.is_empty());
        match if host_named { None } else { context::current(self.env)? } {
            Some(name) => self.context(&format!("{text} (context {name})"), &name).await,
            None => self.host_or_sockets(text).await,
        }
    }

    async fn host_or_sockets(&self, text: &str) -> Result<Docker, ReachError> {
        match self.env.docker_host.as_ref().filter(|host| !host.is_empty()) {
            Some(host) => self.host(&format!("{text} (DOCKER_HOST={host})"), host).await,
            None => self.sockets(text).await,
        }
    }

    async fn context(&self, text: &str, name: &str) -> Result<Docker, ReachError> {
        let context = context::load(name, self.env)?;
        match (Endpoint::parse(&context.host, &HostEnv::default())?, context.tls) {
            (Endpoint::Tcp(target), tls @ Some(_)) => {
                if tls.as_ref().is_some_and(|tls| tls.skip_verify) {
                    let message = format!(
                        "the certificate of {} is not checked, as the Docker context {name} says (SkipTLSVerify): \
                         anybody on the way there can read and change the build",
                        target.address
                    );
                    self.events.send(EventKind::Notice { message });
                }
                self.ask(text, tcp(text, &TcpTarget { tls, ..target }, Alpn::Http1)?).await
            }
            _ => self.host(text, &context.host).await,
        }
    }

    async fn host(&self, text: &str, address: &str) -> Result<Docker, ReachError> {
        match Endpoint::parse(address, self.env)? {
            Endpoint::Unix(path) => self.ask(text, Arc::new(UnixDialer::new(path))).await,
            Endpoint::Tcp(target) => self.ask(text, tcp(text, &target, Alpn::Http1)?).await,
            Endpoint::Ssh(target) => self.ask(text, self.ssh(&target)).await,
            _ => Err(EndpointError::BadAddress { text: address.to_owned(), want: "a Docker host" }.into()),
        }
    }

    fn ssh(&self, target: &SshTarget) -> Arc<dyn Dialer> {
        Arc::new(SshDialer::new(target.clone(), self.limits.connect))
    }

    /// Tries the usual sockets in turn.
    async fn sockets(&self, text: &str) -> Result<Docker, ReachError> {
        let mut tried = Vec::new();
        for path in usual_sockets(self.env) {
            let dialer = UnixDialer::new(&path);
            match dialer.dial().await {
                Ok(_) => return self.ask(text, Arc::new(dialer)).await,
                Err(error) => tried.push(Tried {
                    place: format!("unix://{}", path.display()),
                    found: found(&error),
                    kind: error.kind(),
                }),
            }
        }
        Err(ReachError::NotFound(tried))
    }

    /// Asks the daemon behind a dialler who it is.
    async fn ask(&self, text: &str, dialer: Arc<dyn Dialer>) -> Result<Docker, ReachError> {
        let wrap = |source| ReachError::Docker { builder: text.to_owned(), source };
        let api = DockerApi::new(dialer, self.limits).map_err(wrap)?;
        // Side by side: a daemon takes milliseconds for each. BuildKit's refusal counts only where BuildKit is wanted.
        let buildkit = Worker::greet(Transport::DockerApi(Arc::clone(api.dialer())), self.limits);
        let version = async {
            let version = api.version().await.map_err(wrap)?;
            match version.podman {
                true => Err(ReachError::Podman { builder: text.to_owned(), version: version.version }),
                false => Ok(version),
            }
        };
        let (version, info, greeted) =
            tokio::try_join!(version, async { Ok(api.info().await) }, async { Ok(buildkit.await) })?;
        let info = info.map_err(wrap)?;
        Ok(Docker { api, version, info, greeted: Some(greeted) })
    }
}

/// Where Docker's daemon usually listens: system-wide, rootless, Docker Desktop.
fn usual_sockets(env: &HostEnv) -> Vec<PathBuf> {
    let system = Some(PathBuf::from("/var/run/docker.sock"));
    let rootless = env.xdg_runtime_dir.as_ref().map(|dir| dir.join("docker.sock"));
    let desktop = env.home.as_ref().map(|home| home.join(".docker/run/docker.sock"));
    let old_desktop = env.home.as_ref().map(|home| home.join(".docker/desktop/docker.sock"));
    [system, rootless, desktop, old_desktop].into_iter().flatten().collect()
}

/// The error without the place, which the list names already.
fn found(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(": ").map_or(text.clone(), |(_, reason)| reason.to_owned())
}

fn tcp(text: &str, target: &TcpTarget, alpn: Alpn) -> Result<Arc<dyn Dialer>, ReachError> {
    match &target.tls {
        None => Ok(Arc::new(TcpDialer::new(&target.address))),
        Some(files) => match TlsDialer::new(&target.address, files, alpn) {
            Ok(dialer) => Ok(Arc::new(dialer)),
            Err(source) => Err(ReachError::Tls { builder: text.to_owned(), source }),
        },
    }
}

fn buildkitd(name: &str, dialer: Arc<dyn Dialer>) -> Reached {
    Reached {
        name: short_name(name),
        builder: name.to_owned(),
        transport: Transport::BuildKit(dialer),
        docker: None,
        dind: None,
    }
}

fn docker_node(text: &str, docker: Docker) -> Reached {
    Reached {
        name: short_name(text),
        builder: text.to_owned(),
        transport: Transport::DockerApi(Arc::clone(docker.api.dialer())),
        docker: Some(docker),
        dind: None,
    }
}

impl Reached {
    fn written(self, text: &str) -> Self {
        Self { builder: text.to_owned(), ..self }
    }
}

/// The builder without its query: enough to tell nodes apart in a table.
fn short_name(text: &str) -> String {
    text.split('?').next().unwrap_or(text).trim_end_matches("://").to_owned()
}
