//! Content digests (image-spec, descriptor.md "Digests").
//!
//! Owns: the grammar, the algorithms polyarch can compute, incremental hashing.
//! Never: reads files or trusts a digest it did not compute.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A hash algorithm that a digest may name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, 64 lower-case hexadecimal digits.
    Sha256,
    /// SHA-512, 128 lower-case hexadecimal digits.
    Sha512,
    /// A well-formed name that polyarch cannot compute, so never claims to have verified.
    Other(String),
}

impl Algorithm {
    /// Returns the name as written before the colon.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Other(name) => name,
        }
    }

    fn hex_len(&self) -> Option<usize> {
        match self {
            Self::Sha256 => Some(64),
            Self::Sha512 => Some(128),
            Self::Other(_) => None,
        }
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no colon between algorithm and encoded part.
    #[error("digest {0:?} has no `algorithm:` prefix")]
    NoAlgorithm(String),
    /// The algorithm is empty or has a character outside the grammar.
    #[error("digest algorithm {0:?} is malformed")]
    BadAlgorithm(String),
    /// The encoded part has the wrong length or a character outside the grammar.
    #[error("digest {text:?} is not {want}")]
    BadEncoding {
        /// The whole text.
        text: String,
        /// What the algorithm asks for.
        want: &'static str,
    },
    /// The algorithm is well-formed but polyarch cannot compute it.
    #[error("digest algorithm {0:?} cannot be computed here")]
    Unsupported(String),
}

/// A parsed `algorithm:encoded` digest.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    encoded: String,
}

impl Digest {
    /// Returns the SHA-256 digest of `bytes`.
    pub fn sha256(bytes: impl AsRef<[u8]>) -> Self {
        let mut hasher = Hasher::sha256();
        hasher.update(bytes.as_ref());
        hasher.finish()
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// Returns the part after the colon.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// Returns the first twelve digits, for tables; never for comparing.
    pub fn short(&self) -> &str {
        self.encoded.get(..12).unwrap_or(&self.encoded)
    }

    /// Returns a hasher that computes this digest's algorithm.
    ///
    /// # Errors
    /// [`DigestError::Unsupported`] for an algorithm polyarch cannot compute.
    pub fn hasher(&self) -> Result<Hasher, DigestError> {
        match &self.algorithm {
            Algorithm::Sha256 => Ok(Hasher::sha256()),
            Algorithm::Sha512 => Ok(Hasher::sha512()),
            Algorithm::Other(name) => Err(DigestError::Unsupported(name.clone())),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.encoded)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, encoded) = text.split_once(':').ok_or_else(|| DigestError::NoAlgorithm(text.to_owned()))?;
        let algorithm = parse_algorithm(name)?;
        let (good, want) = match algorithm.hex_len() {
            Some(len) => (
                encoded.len() == len && encoded.bytes().all(is_lower_hex),
                "lower-case hexadecimal of its algorithm's length",
            ),
            None => (
                !encoded.is_empty() && encoded.bytes().all(is_encoded_char),
                "an encoded value of letters, digits, `=`, `_` or `-`",
            ),
        };
        if !good {
            let text = text.to_owned();
            return Err(DigestError::BadEncoding { text, want });
        }
        Ok(Self { algorithm, encoded: encoded.to_owned() })
    }
}

/// `algorithm-component [+._-] algorithm-component …`, each `[a-z0-9]+`.
fn parse_algorithm(name: &str) -> Result<Algorithm, DigestError> {
    let component = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    match name {
        "sha256" => Ok(Algorithm::Sha256),
        "sha512" => Ok(Algorithm::Sha512),
        _ if name.split(['+', '.', '_', '-']).all(component) => Ok(Algorithm::Other(name.to_owned())),
        _ => Err(DigestError::BadAlgorithm(name.to_owned())),
    }
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

fn is_encoded_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'_' | b'-')
}

/// An incremental hash that ends in a [`Digest`].
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(sha2::Sha256),
    /// SHA-512.
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Returns an empty SHA-256 hasher.
    pub fn sha256() -> Self {
        Self::Sha256(sha2::Sha256::new())
    }

    /// Returns an empty SHA-512 hasher.
    pub fn sha512() -> Self {
        Self::Sha512(sha2::Sha512::new())
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the digest of everything added.
    pub fn finish(self) -> Digest {
        let (algorithm, encoded) = match self {
            Self::Sha256(hasher) => (Algorithm::Sha256, hex::encode(hasher.finalize())),
            Self::Sha512(hasher) => (Algorithm::Sha512, hex::encode(hasher.finalize())),
        };
        Digest { algorithm, encoded }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256(_) => "Hasher(sha256)",
            Self::Sha512(_) => "Hasher(sha512)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_the_empty_input() {
        assert_eq!(
            Digest::sha256(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn rejects_what_the_grammar_rejects() {
        let upper = format!("sha256:{}", "A".repeat(64));
        for bad in ["", "sha256", "sha256:", "sha256:abc", upper.as_str(), "SHA256:00", "a..b:00", "x:%"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?} parsed");
        }
    }

    #[test]
    fn keeps_but_does_not_compute_unknown_algorithms() {
        let digest: Digest = "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8".parse().unwrap();
        assert_eq!(digest.algorithm(), &Algorithm::Other("multihash+base58".into()));
        assert!(matches!(digest.hasher(), Err(DigestError::Unsupported(_))));
    }
}
