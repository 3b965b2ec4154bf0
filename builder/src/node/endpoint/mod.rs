//! What `--builder` may say, as data.
//!
//! Owns: the grammar of a builder's address. Never: opens a file or a connection; the environment
//! comes in as [`HostEnv`], filled by the command line.

mod address;
mod query;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

pub use address::{SshTarget, TlsFiles};
pub use query::QueryError;

use self::address::{host_and_port, split_scheme};
use self::query::Query;
use super::dind::options::DindOptions;

/// What a Docker client reads from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostEnv {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_TLS_VERIFY`; any value but the empty one turns TLS on, as in Docker's client.
    pub docker_tls_verify: Option<String>,
    /// `DOCKER_CERT_PATH`, a directory with `ca.pem`, `cert.pem` and `key.pem`.
    pub docker_cert_path: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `DOCKER_CONFIG`, the directory of `config.json`.
    pub docker_config: Option<PathBuf>,
}

impl HostEnv {
    /// Returns the directory of Docker's client configuration.
    pub fn config_dir(&self) -> Option<PathBuf> {
        self.docker_config.clone().or_else(|| self.home.as_ref().map(|home| home.join(".docker")))
    }

    /// Returns the TLS files `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` ask for, if they do.
    fn tls(&self) -> Option<TlsFiles> {
        self.docker_tls_verify.as_ref().filter(|value| !value.is_empty())?;
        let dir = self.docker_cert_path.clone().or_else(|| self.config_dir())?;
        Some(TlsFiles::in_directory(&dir))
    }
}

/// Where to build, as the user named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `docker`: DOCKER_HOST, else the current Docker context, else the usual sockets.
    Docker,
    /// A Docker context by name.
    Context(String),
    /// A Docker API on a Unix socket.
    Unix(PathBuf),
    /// A Docker API on TCP.
    Tcp(TcpTarget),
    /// A Docker API behind `ssh … docker system dial-stdio`.
    Ssh(SshTarget),
    /// BuildKit's own API on a Unix socket.
    BuildkitUnix(PathBuf),
    /// BuildKit's own API on TCP.
    BuildkitTcp(TcpTarget),
    /// A running container with buildkitd in it, reached through `buildctl dial-stdio`.
    Container {
        /// Name or id of the container.
        name: String,
        /// The Docker host it runs on.
        host: Box<Endpoint>,
    },
    /// A Docker-in-Docker container of our own.
    Dind {
        /// What to start.
        options: Box<DindOptions>,
        /// The Docker host to start it on.
        host: Box<Endpoint>,
    },
}

/// A TCP address, with TLS or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpTarget {
    /// `host:port`.
    pub address: String,
    /// Certificates; `None` is plain TCP.
    pub tls: Option<TlsFiles>,
}

impl fmt::Display for TcpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)?;
        f.write_str(if self.tls.is_some() { " (TLS)" } else { "" })
    }
}

/// Why a text is not a builder's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing was written.
    #[error("builder is empty")]
    Empty,
    /// The scheme is not one of ours.
    #[error("builder {text:?} has the unknown scheme {scheme:?}")]
    UnknownScheme {
        /// The whole text.
        text: String,
        /// The part before `://`.
        scheme: String,
    },
    /// A path without a scheme.
    #[error(
        "builder {0:?} is a path; write unix://{0} for a Docker socket or buildkit+unix://{0} for a buildkitd socket"
    )]
    BarePath(String),
    /// The part after the scheme is not an address of its kind.
    #[error("builder {text:?} does not name {want}")]
    BadAddress {
        /// The whole text.
        text: String,
        /// What was expected.
        want: &'static str,
    },
    /// The part after `?` is malformed or has an unknown key.
    #[error("builder {text:?} has a bad query")]
    Query {
        /// The whole text.
        text: String,
        /// Cause.
        #[source]
        source: QueryError,
    },
}

/// Every form of address, for help texts and errors.
pub const FORMS: &str = "docker, unix://PATH, tcp://HOST:PORT, ssh://[USER@]HOST[:PORT], buildkit+unix://PATH, \
     buildkit+tcp://HOST:PORT, docker-container://NAME, dind[://?image=IMAGE], context://NAME";

impl Endpoint {
    /// Parses `--builder` (or DOCKER_HOST, or the address of a context).
    ///
    /// # Errors
    /// [`EndpointError`] for what is no builder's address.
    pub fn parse(text: &str, env: &HostEnv) -> Result<Self, EndpointError> {
        let (scheme, rest) = split_scheme(text);
        match (scheme, rest) {
            (None, "") => Err(EndpointError::Empty),
            (None, "docker") => Ok(Self::Docker),
            (None, "dind") => Self::dind(text, "", env),
            (None, path) if path.starts_with(['/', '.', '~']) => Err(EndpointError::BarePath(path.to_owned())),
            (None, name) => context(text, name),
            (Some("context"), name) => context(text, name),
            (Some("unix"), rest) => Ok(Self::Unix(socket(text, rest)?)),
            (Some("tcp"), rest) => Ok(Self::Tcp(docker_tcp(text, rest, env)?)),
            (Some("ssh"), rest) => Ok(Self::Ssh(ssh(text, rest)?)),
            (Some("buildkit+unix"), rest) => Ok(Self::BuildkitUnix(socket(text, rest)?)),
            (Some("buildkit+tcp"), rest) => Ok(Self::BuildkitTcp(buildkit_tcp(text, rest)?)),
            (Some("docker-container"), rest) => Self::container(text, rest, env),
            (Some("dind"), rest) => Self::dind(text, rest, env),
            (Some(scheme), _) => Err(EndpointError::UnknownScheme { text: text.to_owned(), scheme: scheme.to_owned() }),
        }
    }

    fn container(text: &str, rest: &str, env: &HostEnv) -> Result<Self, EndpointError> {
        let (name, mut query) = Query::split(rest).map_err(|source| in_query(text, source))?;
        if !is_name(name) {
            return Err(bad(text, "a container: docker-container://NAME"));
        }
        let host = take_host(&mut query, env)?;
        query.finish("host").map_err(|source| in_query(text, source))?;
        Ok(Self::Container { name: name.to_owned(), host: Box::new(host) })
    }

    fn dind(text: &str, rest: &str, env: &HostEnv) -> Result<Self, EndpointError> {
        let (before, mut query) = Query::split(rest).map_err(|source| in_query(text, source))?;
        if !before.is_empty() {
            return Err(bad(text, "its options after a question mark: dind://?image=IMAGE"));
        }
        let host = take_host(&mut query, env)?;
        let options = DindOptions::from_query(query.into_pairs()).map_err(|source| in_query(text, source))?;
        Ok(Self::Dind { options: Box::new(options), host: Box::new(host) })
    }
}

/// `host=` names the Docker host of a container by any address that is one; percent-encode its own `&`.
fn take_host(query: &mut Query, env: &HostEnv) -> Result<Endpoint, EndpointError> {
    let Some(host) = query.take("host") else { return Ok(Endpoint::Docker) };
    match Endpoint::parse(&host, env)? {
        endpoint @ (Endpoint::Docker
        | Endpoint::Context(_)
        | Endpoint::Unix(_)
        | Endpoint::Tcp(_)
        | Endpoint::Ssh(_)) => Ok(endpoint),
        _ => Err(bad(&host, "a Docker host")),
    }
}

fn context(text: &str, name: &str) -> Result<Endpoint, EndpointError> {
    match is_name(name) {
        true => Ok(Endpoint::Context(name.to_owned())),
        false => Err(bad(text, "a builder or a Docker context")),
    }
}

/// Names of containers and of contexts: `[a-zA-Z0-9][a-zA-Z0-9_.+-]*` (docker/cli, context/store).
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.+-".contains(c))
}

fn socket(text: &str, path: &str) -> Result<PathBuf, EndpointError> {
    match path {
        "" => Err(bad(text, "a socket: unix:///run/docker.sock")),
        path => Ok(PathBuf::from(path)),
    }
}

fn docker_tcp(text: &str, rest: &str, env: &HostEnv) -> Result<TcpTarget, EndpointError> {
    let tls = env.tls();
    let default_port = if tls.is_some() { 2376 } else { 2375 };
    let address = host_and_port(rest, default_port).ok_or_else(|| bad(text, "a host and a port: tcp://HOST:PORT"))?;
    Ok(TcpTarget { address, tls })
}

fn buildkit_tcp(text: &str, rest: &str) -> Result<TcpTarget, EndpointError> {
    let (address, mut query) = Query::split(rest).map_err(|source| in_query(text, source))?;
    let address =
        host_and_port(address, 1234).ok_or_else(|| bad(text, "a host and a port: buildkit+tcp://HOST:PORT"))?;
    let tls = TlsFiles::from_query(&mut query).map_err(|source| in_query(text, source))?;
    query.finish("ca, cert, key, servername").map_err(|source| in_query(text, source))?;
    Ok(TcpTarget { address, tls })
}

fn ssh(text: &str, rest: &str) -> Result<SshTarget, EndpointError> {
    let (address, mut query) = Query::split(rest).map_err(|source| in_query(text, source))?;
    let mut target = SshTarget::parse(address).ok_or_else(|| bad(text, "a machine: ssh://[USER@]HOST[:PORT]"))?;
    target.config = query.take("config").map(PathBuf::from);
    query.finish("config").map_err(|source| in_query(text, source))?;
    Ok(target)
}

fn bad(text: &str, want: &'static str) -> EndpointError {
    EndpointError::BadAddress { text: text.to_owned(), want }
}

fn in_query(text: &str, source: QueryError) -> EndpointError {
    EndpointError::Query { text: text.to_owned(), source }
}
