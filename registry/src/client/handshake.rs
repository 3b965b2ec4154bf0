//! Whether a TLS server wants a certificate of its client.
//!
//! Owns: one handshake that looks, after a connection was closed without an answer: with TLS 1.3 a server refuses a
//! client without a certificate only after the client's side of the handshake is over, and the alert that would say so
//! is lost when it closes at once. Never: sends a byte of a request, or believes anything else of that handshake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::any_certificate::AnyCertificate;

/// Returns whether the server asks for a certificate. That this cannot be found out is no.
pub(super) async fn wants_certificate(url: &Url) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let Ok(name) = ServerName::try_from(host.clone()) else { return false };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let asked = Arc::new(AtomicBool::new(false));
    let Ok(builder) = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()
    else {
        return false;
    };
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_client_cert_resolver(Arc::new(Noting(Arc::clone(&asked))));
    let Ok(stream) = TcpStream::connect((host.as_str(), port)).await else { return false };
    let _ = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    asked.load(Ordering::SeqCst)
}

/// Notes that it was asked, and has nothing.
#[derive(Debug)]
struct Noting(Arc<AtomicBool>);

impl ResolvesClientCert for Noting {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::SeqCst);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}
