//! TLS in front of the registry.
//!
//! Owns: reading certificate and key. Never: speaks TLS below 1.2, or reads a key again while running.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Largest PEM file, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// PEM files of a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those that vouch for it.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no {what} in PEM form")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// Certificate and key do not work together.
    #[error("certificate {cert} and its key cannot be used")]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// Cause.
        #[source]
        source: rustls::Error,
    },
}

/// Reads the files; blocks.
///
/// # Errors
/// [`TlsError`].
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let pem = read(&files.cert)?;
    let bad_cert = || TlsError::Pem { path: files.cert.clone(), what: "certificate" };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(bad_cert)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_| TlsError::Pem { path: files.key.clone(), what: "private key" })?;
    let pair = |source| TlsError::Pair { cert: files.cert.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(pair)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let fail = |source| TlsError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(FILE_LIMIT).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_which_file_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let made = || rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let (one, two) = (made(), made());
        let cert = write("cert", &one.cert.pem());
        let key = write("key", &one.signing_key.serialize_pem());
        let other = write("other", &two.signing_key.serialize_pem());
        let empty = write("empty", "");
        let with = |cert: &PathBuf, key: &PathBuf| {
            acceptor(&TlsFiles { cert: cert.clone(), key: key.clone() }).err().map(|error| error.to_string())
        };
        assert_eq!(with(&cert, &key), None);
        assert!(with(&empty, &key).unwrap().ends_with("empty holds no certificate in PEM form"));
        assert!(with(&cert, &empty).unwrap().ends_with("empty holds no private key in PEM form"));
        assert!(with(&cert, &other).unwrap().ends_with("and its key cannot be used"));
        assert!(with(&dir.path().join("none"), &key).unwrap().starts_with("cannot read"));
    }
}
