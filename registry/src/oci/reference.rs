//! Image references: `host/repository:tag@digest` (distribution's reference grammar).
//!
//! Owns: parsing with the position of the fault, Docker's short names, the parts.
//! Never: resolves anything.

mod grammar;

use std::fmt;
use std::str::FromStr;

use super::Digest;
use grammar::Fault;

/// Returns whether a text is a tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}` (distribution-spec, "Pulling manifests").
pub fn is_tag(text: &str) -> bool {
    grammar::check_tag(text, 0).is_ok()
}

/// Returns whether a text is a repository name without a host: lower-case path components, 255 bytes at most.
pub fn is_repository(text: &str) -> bool {
    grammar::check_repository(text).is_ok()
}

/// A parsed and fully qualified reference. Short names expand as Docker does: `hello` → `docker.io/library/hello`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a reference, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference {text:?}: {reason} at character {}", .at + 1)]
pub struct ReferenceError {
    /// The whole text.
    pub text: String,
    /// What is wrong.
    pub reason: String,
    /// Byte offset of the fault.
    pub at: usize,
}

impl Reference {
    /// Returns the host with its port, `docker.io` for Docker Hub.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the repository path without the host.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns `host/repository`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// Returns the tag, if one was named. `latest` is never assumed here.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if one was named.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the same repository with this tag and no digest. The tag must be valid.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// Returns the same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Returns the reference with `latest` where neither tag nor digest is named.
    #[must_use]
    pub fn or_latest(&self) -> Self {
        match (&self.tag, &self.digest) {
            (None, None) => self.with_tag("latest"),
            _ => self.clone(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Parses as Docker does (distribution/reference, `ParseNormalizedNamed`), with these differences:
    /// an upper-case first component without a dot is a fault, not a host; a port must fit 16 bits;
    /// the digest must be well-formed in lower case, of any algorithm.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        grammar::parse(text).map_err(|Fault { at, reason }| ReferenceError { text: text.to_owned(), reason, at })
    }
}

#[cfg(test)]
mod tests;
