//! HTTP clients by what they trust, and whether a host speaks TLS.
//!
//! Owns: building reqwest clients with ring's TLS provider, CA files, client certificates, the
//! vetting resolver; the scheme of loopback hosts. Clients never follow redirects by themselves.
//! Never: sends credentials.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use http::Method;
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use url::Url;

use super::address::{AddressClass, TOO_PRIVATE, VettedResolver, literal};
use super::endpoint::{Scheme, authority, base_url, is_loopback, refused};
use super::error::{ClientError, Fault, find, transport_fault};
use super::once::OnceMap;
use super::settings::{ClientCert, Config, HostSettings, ProxyMode, Security};

/// What a client trusts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Trust {
    /// No authority: plain text, or finding out whether a host speaks TLS. Spares loading the system's.
    Nothing,
    /// The system's authorities.
    System,
    /// A host's own settings.
    Host(String),
}

type PoolKey = (Trust, Option<AddressClass>);

pub(crate) struct Pool {
    config: Arc<Config>,
    clients: OnceMap<PoolKey, Client>,
    schemes: OnceMap<String, Scheme>,
    classes: OnceMap<String, AddressClass>,
}

impl Pool {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, clients: OnceMap::default(), schemes: OnceMap::default(), classes: OnceMap::default() }
    }

    /// Returns the root URL of a registry, finding out its scheme if it may be either.
    pub(crate) async fn base(&self, host: &str) -> Result<Url, ClientError> {
        let scheme = match self.fixed_scheme(host) {
            Some(scheme) => scheme,
            None => self.schemes.get_or_try_init(&host.to_owned(), self.probe(host)).await?,
        };
        base_url(host, scheme).map_err(|fault| ClientError::at(host, fault))
    }

    fn fixed_scheme(&self, host: &str) -> Option<Scheme> {
        match self.config.host(host).map(|settings| settings.security) {
            Some(Security::PlainHttp) => Some(Scheme::Http),
            Some(Security::SkipVerify) => Some(Scheme::Https),
            Some(Security::Verify) | None => (!is_loopback(host)).then_some(Scheme::Https),
        }
    }

    /// Asks a loopback host whether it speaks TLS. A server with a certificate no one vouches for
    /// does speak it, and is then used with TLS only.
    async fn probe(&self, host: &str) -> Result<Scheme, ClientError> {
        let fail = |url: &Url, fault| ClientError::on(host, &Method::GET, url, fault);
        let client = self.client(Trust::Nothing, None).await.map_err(|fault| ClientError::at(host, fault))?;
        let request = async |scheme| -> Result<(Url, Result<_, _>), ClientError> {
            let url = base_url(host, scheme).map_err(|fault| ClientError::at(host, fault))?;
            let url = url.join("v2/").unwrap_or(url);
            let sent = client.get(url.clone()).timeout(self.config.limits.response_timeout).send().await;
            Ok((url, sent))
        };
        let (url, secure) = request(Scheme::Https).await?;
        match secure {
            Ok(_) => return Ok(Scheme::Https),
            Err(error) if speaks_tls(&error) => return Ok(Scheme::Https),
            Err(error) if is_refused(&error) => return Err(fail(&url, transport_fault(error))),
            Err(error) => tracing::debug!(host, %error, "loopback registry does not speak TLS"),
        }
        let (url, plain) = request(Scheme::Http).await?;
        plain.map(|_| Scheme::Http).map_err(|error| fail(&url, transport_fault(error)))
    }

    /// Returns the client for a registry's own URLs.
    pub(crate) async fn own(&self, host: &str, url: &Url) -> Result<Client, Fault> {
        self.client(self.trust(host, url), None).await
    }

    /// Returns the client for another place that `registry` named, refusing one that is too private.
    pub(crate) async fn foreign(&self, registry: &Url, url: &Url) -> Result<Client, Fault> {
        let class = self.class(registry).await;
        if literal(url).is_some_and(|address| !class.may_name(AddressClass::of(address))) {
            return Err(refused(url, TOO_PRIVATE));
        }
        self.client(self.trust(&authority(url), url), Some(class)).await
    }

    fn trust(&self, host: &str, url: &Url) -> Trust {
        if url.scheme() == "http" {
            Trust::Nothing
        } else if self.config.host(host).is_some() || !self.cert_dirs(host).is_empty() {
            Trust::Host(host.to_owned())
        } else {
            Trust::System
        }
    }

    /// The most private address of the registry counts. One that does not resolve here is reached
    /// through a proxy, and is taken for public.
    async fn class(&self, registry: &Url) -> AddressClass {
        let place = authority(registry);
        let found = self.classes.get_or_try_init(&place, async {
            if let Some(address) = literal(registry) {
                return Ok(AddressClass::of(address));
            }
            let name = registry.host_str().unwrap_or_default();
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok::<_, std::io::Error>(addresses.map(|a| AddressClass::of(a.ip())).max().unwrap_or(AddressClass::Public))
        });
        found.await.unwrap_or(AddressClass::Public)
    }

    async fn client(&self, trust: Trust, class: Option<AddressClass>) -> Result<Client, Fault> {
        let key = (trust, class);
        self.clients
            .get_or_try_init(&key, async {
                let config = Arc::clone(&self.config);
                let (trust, class) = key.clone();
                let dirs = match &trust {
                    Trust::Host(host) => self.cert_dirs(host),
                    _ => Vec::new(),
                };
                // Reads certificate files, and parses the system's.
                let built = tokio::task::spawn_blocking(move || build(&config, &trust, class, &dirs)).await;
                built.map_err(|source| setup("cannot build an HTTP client", source))?
            })
            .await
    }

    fn cert_dirs(&self, host: &str) -> Vec<PathBuf> {
        let dirs = self.config.cert_dirs.iter().map(|dir| dir.join(host));
        dirs.filter(|dir| dir.is_dir()).collect()
    }
}

/// A certificate that is not trusted, or an alert, comes only from a TLS server.
fn speaks_tls(error: &reqwest::Error) -> bool {
    use rustls::Error;
    matches!(
        find::<Error>(error),
        Some(
            Error::InvalidCertificate(_)
                | Error::AlertReceived(_)
                | Error::PeerIncompatible(_)
                | Error::NoCertificatesPresented
                | Error::UnsupportedNameType
        )
    )
}

fn is_refused(error: &reqwest::Error) -> bool {
    find::<std::io::Error>(error).is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

fn setup(reason: &str, source: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::Setup { reason: reason.to_owned(), source: Some(Box::new(source)) }
}

fn build(config: &Config, trust: &Trust, class: Option<AddressClass>, dirs: &[PathBuf]) -> Result<Client, Fault> {
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
    if let Some(class) = class {
        builder = builder.dns_resolver(VettedResolver(class));
    }
    builder = match trust {
        Trust::Nothing => builder.tls_certs_only([]),
        Trust::System => builder,
        Trust::Host(host) => host_trust(builder, config.host(host), dirs)?,
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
    let mut roots = Vec::new();
    for path in named.iter().chain(&found.authorities) {
        let pem = read(path)?;
        let certs = Certificate::from_pem_bundle(&pem).map_err(|source| setup(&unusable(path), source))?;
        if certs.is_empty() {
            return Err(Fault::Setup { reason: format!("{} has no certificate", path.display()), source: None });
        }
        roots.extend(certs);
    }
    builder = builder.tls_certs_merge(roots);
    let client_cert = settings.and_then(|settings| settings.client_cert.as_ref()).or(found.client_cert.as_ref());
    if let Some(pair) = client_cert {
        builder = builder.identity(identity(pair)?);
    }
    if settings.is_some_and(|settings| settings.security == Security::SkipVerify) {
        builder = builder.tls_danger_accept_invalid_certs(true);
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

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
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

/// Returns whether two URLs have the same scheme, host and port.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}
