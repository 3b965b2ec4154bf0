//! How one process talks to registries.
//!
//! Owns: the settings types; the caller fills them. Never: finds them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::credentials::CredentialSources;
use super::endpoint::api_host;
use super::limits::Limits;
use super::quirks::UploadStyle;
use super::retry::RetryPolicy;

/// Settings of a [`super::Registry`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Bounds on time, bytes and counts.
    pub limits: Limits,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Settings by host (`host[:port]` as in a reference).
    pub hosts: BTreeMap<String, HostSettings>,
    /// Directories in the manner of `/etc/docker/certs.d`: `<dir>/<host[:port]>/{*.crt,*.cert,*.key}`.
    pub cert_dirs: Vec<PathBuf>,
    /// Where credentials are.
    pub credentials: CredentialSources,
    /// Whether a proxy is used.
    pub proxy: ProxyMode,
    /// Which token endpoints are accepted.
    pub realms: RealmPolicy,
    /// Source of jitter: numbers in `0.0..1.0`.
    pub jitter: fn() -> f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            hosts: BTreeMap::new(),
            cert_dirs: Vec::new(),
            credentials: CredentialSources::default(),
            proxy: ProxyMode::default(),
            realms: RealmPolicy::default(),
            jitter: rand::random::<f64>,
        }
    }
}

impl Config {
    /// Returns the settings of a host, if it has any of its own.
    pub fn host(&self, host: &str) -> Option<&HostSettings> {
        let hub = (host == api_host("docker.io")).then_some("docker.io");
        self.hosts.get(host).or_else(|| self.hosts.get(hub?))
    }
}

/// Settings of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct HostSettings {
    /// How the connection is secured.
    pub security: Security,
    /// PEM files with additional certificate authorities.
    pub ca_files: Vec<PathBuf>,
    /// The certificate this client shows.
    pub client_cert: Option<ClientCert>,
    /// Other hosts (`host[:port]`) that an upload's `Location` may name. Credentials are never sent there.
    pub upload_hosts: Vec<String>,
    /// How blobs are uploaded, where the table of known registries is wrong.
    pub upload: Option<UploadStyle>,
    /// Requests a minute, where the table of known registries is wrong.
    pub per_minute: Option<u32>,
}

/// How a connection is secured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Security {
    /// TLS with a verified certificate; a loopback host that does not speak TLS is used in plain text.
    #[default]
    Verify,
    /// TLS, whatever the certificate.
    SkipVerify,
    /// Plain text.
    PlainHttp,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCert {
    /// PEM file with the certificate chain.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// Whether a proxy is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyMode {
    /// Direct connections only.
    #[default]
    Direct,
    /// The system's proxy settings, as reqwest finds them. Names are then resolved by the proxy, so
    /// that only literal addresses can be vetted.
    System,
}

/// Which token endpoints (realms) are accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RealmPolicy {
    /// Any https host whose address is not more private than the registry's. Docker Hub needs another host.
    #[default]
    Vetted,
    /// The registry's own host only.
    SameHost,
}
