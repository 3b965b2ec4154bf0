//! HTTP clients by what they trust, and whether a host speaks TLS.
//!
//! Owns: one reqwest client per trust and class of addresses; the scheme of loopback hosts.
//! Never: sends credentials.

use std::path::PathBuf;
use std::sync::Arc;

use http::Method;
use reqwest::Client;
use url::Url;

use super::address::{AddressClass, TOO_PRIVATE, literal};
use super::endpoint::{Scheme, authority, base_url, is_loopback, refused};
use super::error::{ClientError, Fault, find, transport_fault};
use super::once::OnceMap;
use super::settings::{Config, HostSettings, Security};
use super::trust::{Trust, build, setup};

type PoolKey = (Trust, Option<AddressClass>);

pub(crate) struct Pool {
    config: Arc<Config>,
    clients: OnceMap<PoolKey, Client>,
    schemes: OnceMap<String, Scheme>,
    classes: OnceMap<String, AddressClass>,
}

impl Pool {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        let (clients, schemes, classes) = (OnceMap::default(), OnceMap::default(), OnceMap::default());
        Self { config, clients, schemes, classes }
    }

    /// Returns the settings of a host: those of the configuration, else what a file has for this use of it.
    pub(crate) fn settings<'s>(&'s self, host: &str, given: Option<&'s HostSettings>) -> Option<&'s HostSettings> {
        self.config.host(host).or(given)
    }

    /// Returns the root URL of a registry, finding out its scheme if it may be either.
    pub(crate) async fn base(&self, host: &str, given: Option<&HostSettings>) -> Result<Url, ClientError> {
        let scheme = match self.fixed_scheme(host, given) {
            Some(scheme) => scheme,
            None => self.schemes.get_or_try_init(&host.to_owned(), self.probe(host)).await?,
        };
        base_url(host, scheme).map_err(|fault| ClientError::at(host, fault))
    }

    fn fixed_scheme(&self, host: &str, given: Option<&HostSettings>) -> Option<Scheme> {
        match self.settings(host, given).map(|settings| settings.security) {
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
    pub(crate) async fn own(&self, host: &str, url: &Url, given: Option<&HostSettings>) -> Result<Client, Fault> {
        self.client(self.trust(host, url, given), None).await
    }

    /// Returns the client for another place that `registry` named, refusing one that is too private.
    pub(crate) async fn foreign(&self, registry: &Url, url: &Url) -> Result<Client, Fault> {
        let class = self.class(registry).await;
        if literal(url).is_some_and(|address| !class.may_name(AddressClass::of(address))) {
            return Err(refused(url, TOO_PRIVATE));
        }
        self.client(self.trust(&authority(url), url, None), Some(class)).await
    }

    fn trust(&self, host: &str, url: &Url, given: Option<&HostSettings>) -> Trust {
        if url.scheme() == "http" {
            return Trust::Nothing;
        }
        let settings = self.settings(host, given);
        if settings.is_some() || !self.cert_dirs(host).is_empty() {
            Trust::Host(host.to_owned(), settings.cloned().map(Box::new))
        } else {
            Trust::System
        }
    }

    /// The registry's class by this look-up, which need not be the address that is connected to; so the most public
    /// address counts. One that does not resolve here is reached through a proxy, and is taken for public.
    async fn class(&self, registry: &Url) -> AddressClass {
        let place = authority(registry);
        let found = self.classes.get_or_try_init(&place, async {
            if let Some(address) = literal(registry) {
                return Ok(AddressClass::of(address));
            }
            let name = registry.host_str().unwrap_or_default();
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok::<_, std::io::Error>(AddressClass::of_all(addresses.map(|address| address.ip())))
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
                    Trust::Host(host, _) => self.cert_dirs(host),
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

/// Returns whether two URLs have the same scheme, host and port.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_public_registry_names_no_private_place() {
        let pool = Pool::new(Arc::default());
        let public = Url::parse("https://8.8.8.8/").unwrap();
        for target in [
            "https://127.0.0.1/token",
            "https://10.0.0.1/token",
            "https://169.254.169.254/token",
            "https://0.0.0.0/token",
            "https://[::]/token",
            "https://[::ffff:127.0.0.1]/token",
            "https://2130706433/token",
            "https://0x7f.1/token",
        ] {
            let refused = pool.foreign(&public, &Url::parse(target).unwrap()).await;
            assert!(matches!(refused, Err(Fault::Refused { .. })), "{target}: {refused:?}");
        }
        assert!(pool.foreign(&public, &Url::parse("https://8.8.4.4/token").unwrap()).await.is_ok());
    }
}
