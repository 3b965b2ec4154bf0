//! TLS with authorities of a host's own.
//!
//! Owns: the configuration with the system's authorities, the host's, and its client certificate. A server may show
//! one of the host's own certificates itself, as `openssl req -x509` makes them: marked as an authority, which webpki
//! refuses for a server. Go, so Docker and skopeo, accept that; here such a certificate counts by being the very one
//! that was named, within its time and for its name. Never: accepts a certificate that nobody named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::error::Fault;
use super::settings::ClientCert;
use super::trust::{read, setup};

/// Returns the configuration.
pub(super) fn config(authorities: &[PathBuf], client_cert: Option<&ClientCert>) -> Result<ClientConfig, Fault> {
    let mut roots = Vec::new();
    for path in authorities {
        roots.extend(certificates(path)?);
    }
    let unusable = |source| setup("the host's certificates cannot be used", source);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = rustls_platform_verifier::Verifier::new_with_extra_roots(roots.clone(), Arc::clone(&provider));
    let verifier = Arc::new(Pinned { inner: inner.map_err(unusable)?, named: roots });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(unusable)?.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match client_cert {
        None => builder.with_no_client_auth(),
        Some(ClientCert { cert, key }) => {
            let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| bad(key, error))?;
            builder.with_client_auth_cert(certificates(cert)?, secret).map_err(unusable)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(Fault::Setup { reason: format!("{} has no certificate", path.display()), source: None })
        }
        found => found.map_err(|error| bad(path, error)),
    }
}

fn bad(path: &Path, error: rustls_pki_types::pem::Error) -> Fault {
    setup(&format!("{} is not a usable PEM file", path.display()), error)
}

#[derive(Debug)]
struct Pinned {
    inner: rustls_platform_verifier::Verifier,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // What webpki has no word of its own for; that it is in its time was seen before.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if self.named.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Verifies a self-signed certificate of `made_for`, marked as an authority, by naming it or another one.
    fn verdict(made_for: &str, asked_for: &str, is_named: bool, now: UnixTime) -> Result<(), Error> {
        let make = || {
            let mut params = rcgen::CertificateParams::new(vec![made_for.to_owned()]).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap()
        };
        let (shown, other) = (make(), make());
        let named = if is_named { shown.der().clone() } else { other.der().clone() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let inner = rustls_platform_verifier::Verifier::new_with_extra_roots([named.clone()], provider).unwrap();
        let pinned = Pinned { inner, named: vec![named] };
        let name = ServerName::try_from(asked_for.to_owned()).unwrap();
        pinned.verify_server_cert(shown.der(), &[], &name, &[], now).map(drop)
    }

    #[test]
    fn a_certificate_that_was_named_itself_is_good_in_its_time_and_for_its_name() {
        let now = UnixTime::now();
        assert_eq!(verdict("r.example.com", "r.example.com", true, now), Ok(()));
        let invalid = |error: Result<(), Error>| matches!(error, Err(Error::InvalidCertificate(_)));
        assert!(invalid(verdict("r.example.com", "s.example.com", true, now)), "another name");
        assert!(invalid(verdict("r.example.com", "r.example.com", false, now)), "another certificate");
        // Certificates made here begin in 1975.
        let early = UnixTime::since_unix_epoch(Duration::from_secs(60));
        assert!(invalid(verdict("r.example.com", "r.example.com", true, early)), "not yet valid");
    }
}
