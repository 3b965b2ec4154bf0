//! TLS with certificates from files, as Docker's and BuildKit's daemons use it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use polyarch_registry::client::AnyCertificate;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;

use super::TcpDialer;
use crate::node::dial::{Dialer, Io};
use crate::node::endpoint::TlsFiles;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable or not PEM.
    #[error("could not read {what} from {path}")]
    File {
        /// What it should have been.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The certificates and the key do not make a client.
    #[error("the certificates in {path} cannot be used")]
    Unusable {
        /// The file at fault.
        path: PathBuf,
        /// Cause.
        #[source]
        source: rustls::Error,
    },
    /// The host is no name a certificate can have.
    #[error("{0:?} is not a name a certificate can have")]
    ServerName(String),
}

/// A TLS connection.
#[derive(Clone)]
pub struct TlsDialer {
    tcp: TcpDialer,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl fmt::Debug for TlsDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsDialer").field("tcp", &self.tcp).field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is spoken inside TLS; Go's gRPC servers insist on ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/1.1: the Docker API.
    Http1,
    /// HTTP/2: BuildKit.
    Http2,
}

impl TlsDialer {
    /// Reads the certificates and prepares connections to `address`, `host:port`.
    ///
    /// # Errors
    /// [`TlsError`] for unusable files.
    pub fn new(address: &str, files: &TlsFiles, alpn: Alpn) -> Result<Self, TlsError> {
        let mut config = client_config(files)?;
        config.alpn_protocols = vec![match alpn {
            Alpn::Http1 => b"http/1.1".to_vec(),
            Alpn::Http2 => b"h2".to_vec(),
        }];
        let host = files.server_name.as_deref().unwrap_or_else(|| host_of(address));
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::ServerName(host.to_owned()))?;
        Ok(Self { tcp: TcpDialer::new(address), name, config: Arc::new(config) })
    }
}

impl Dialer for TlsDialer {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Io>>> {
        async move {
            let stream = self.tcp.connect().await?;
            let connector = TlsConnector::from(Arc::clone(&self.config));
            let stream = connector.connect(self.name.clone(), stream).await?;
            Ok(Box::new(stream) as Box<dyn Io>)
        }
        .boxed()
    }
}

fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

fn client_config(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Unusable { path, source }
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable(&files.ca))?;
    let builder = if files.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.ca, "certificate authorities")? {
            roots.add(certificate).map_err(unusable(&files.ca))?;
        }
        builder.with_root_certificates(roots)
    };
    match &files.client {
        None => Ok(builder.with_no_client_auth()),
        Some((cert, key)) => {
            let chain = certificates(cert, "the client certificate")?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(in_file("the client key", key))?;
            builder.with_client_auth_cert(chain, private).map_err(unusable(cert))
        }
    }
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(in_file(what, path)(rustls_pki_types::pem::Error::NoItemsFound)),
        other => other.map_err(in_file(what, path)),
    }
}

fn in_file(what: &'static str, path: &Path) -> impl FnOnce(rustls_pki_types::pem::Error) -> TlsError {
    move |source| TlsError::File { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_file_that_is_missing_or_empty() {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles::in_directory(dir.path());
        let error = TlsDialer::new("h:1", &files, Alpn::Http1).unwrap_err();
        assert!(matches!(&error, TlsError::File { path, .. } if path.ends_with("ca.pem")), "{error:?}");
        std::fs::write(&files.ca, "no certificate").unwrap();
        let error = TlsDialer::new("h:1", &files, Alpn::Http1).unwrap_err();
        assert!(matches!(&error, TlsError::File { source: rustls_pki_types::pem::Error::NoItemsFound, .. }));
    }

    #[test]
    fn takes_the_host_out_of_an_address() {
        assert_eq!(["h:1", "[::1]:2", "10.0.0.1:3"].map(host_of), ["h", "::1", "10.0.0.1"]);
    }
}
