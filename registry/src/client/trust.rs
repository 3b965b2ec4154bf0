//! What a connection trusts, and the HTTP client that does.
//!
//! Owns: building reqwest clients with ring's TLS provider, CA files, client certificates and the
//! vetting resolver. Clients never follow redirects or try again by themselves.
//! Never: keeps a client.

use std::path::{Path, PathBuf};
use std::sync::Once;

use reqwest::{Client, ClientBuilder, Identity};

use super::address::{AddressClass, VettedResolver};
use super::error::Fault;
use super::pinned;
use super::settings::{ClientCert, Config, HostSettings, ProxyMode, Security};

/// What a client trusts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    /// No authority: plain text, or finding out whether a host speaks TLS. Spares loading the system's.
    Nothing,
    /// The system's authorities.
    System,
    /// A host's own settings, and its directories.
    Host(String, Option<Box<HostSettings>>),
}

/// Returns a fault of this side's settings.
pub(super) fn setup(reason: &str, source: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::Setup { reason: reason.to_owned(), source: Some(Box::new(source)) }
}

/// Builds a client; reads files, so it may block.
pub(super) fn build(
    config: &Config,
    trust: &Trust,
    class: Option<AddressClass>,
    dirs: &[PathBuf],
) -> Result<Client, Fault> {
    install_provider();
    let mut builder = Client::builder()
        .user_agent(concat!("polyarch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(config.limits.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .pool_max_idle_per_host(config.limits.per_host)
        // This client's own policy counts attempts; a hidden one below it would multiply them.
        .retry(reqwest::retry::never());
    if config.proxy == ProxyMode::Direct {
        builder = builder.no_proxy();
    }
    builder = builder.dns_resolver(VettedResolver(class));
    builder = match trust {
        Trust::Nothing => builder.tls_certs_only([]),
        Trust::System => builder,
        Trust::Host(_, settings) => host_trust(builder, settings.as_deref(), dirs)?,
    };
    builder.build().map_err(|source| setup("cannot build an HTTP client", source))
}

/// Makes ring the process's TLS provider unless the process has chosen one.
fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("the process has its own TLS provider");
        }
    });
}

fn host_trust(
    mut builder: ClientBuilder,
    settings: Option<&HostSettings>,
    dirs: &[PathBuf],
) -> Result<ClientBuilder, Fault> {
    let mut found = FromDirs::default();
    for dir in dirs {
        found.scan(dir)?;
    }
    let named = settings.map(|settings| settings.ca_files.as_slice()).unwrap_or_default();
    let authorities: Vec<PathBuf> = named.iter().chain(&found.authorities).cloned().collect();
    let client_cert = settings.and_then(|settings| settings.client_cert.as_ref()).or(found.client_cert.as_ref());
    if settings.is_some_and(|settings| settings.security == Security::SkipVerify) {
        builder = builder.tls_danger_accept_invalid_certs(true);
    } else if !authorities.is_empty() {
        return Ok(builder.tls_backend_preconfigured(pinned::config(&authorities, client_cert)?));
    }
    if let Some(pair) = client_cert {
        builder = builder.identity(identity(pair)?);
    }
    Ok(builder)
}

fn identity(pair: &ClientCert) -> Result<Identity, Fault> {
    let mut pem = read(&pair.key)?;
    pem.push(b'\n');
    pem.extend(read(&pair.cert)?);
    Identity::from_pem(&pem).map_err(|source| setup(&unusable(&pair.cert), source))
}

fn unusable(path: &Path) -> String {
    format!("{} is not a usable PEM file", path.display())
}

/// Largest certificate file, in bytes.
const MAX_PEM: u64 = 4 << 20;

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    use std::io::Read as _;
    let fail = |source| setup(&format!("cannot read {}", path.display()), source);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(MAX_PEM).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// What a `certs.d` directory holds (docker docs, "Understand the configuration"): `*.crt` are
/// authorities, `NAME.cert` with `NAME.key` is the client's certificate; the first in order is used.
#[derive(Default)]
struct FromDirs {
    authorities: Vec<PathBuf>,
    client_cert: Option<ClientCert>,
}

impl FromDirs {
    fn scan(&mut self, dir: &Path) -> Result<(), Fault> {
        let fail = |source| setup(&format!("cannot list {}", dir.display()), source);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(fail)? {
            paths.push(entry.map_err(fail)?.path());
        }
        paths.sort();
        for path in paths {
            match path.extension().and_then(|ext| ext.to_str()) {
                Some("crt") => self.authorities.push(path),
                Some("cert") if self.client_cert.is_none() => {
                    self.client_cert = Some(ClientCert { key: path.with_extension("key"), cert: path });
                }
                _ => {}
            }
        }
        Ok(())
    }
}
