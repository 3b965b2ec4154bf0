//! Names in a registry's URLs: repositories, tags, references, upload ids.
//!
//! Owns: the grammars of the distribution-spec ("Pulling manifests"), parsed into types that are
//! safe as file names. Never: looks anything up.

use std::fmt;

use crate::oci::Digest;

/// Longest repository name in bytes; what common clients accept for host and name together.
const NAME_LIMIT: usize = 255;
/// Longest tag in bytes (distribution-spec, `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).
const TAG_LIMIT: usize = 128;
/// Longest digest in bytes that is looked at: sha512 needs 135.
const DIGEST_LIMIT: usize = 255;
/// Length of an upload id in hexadecimal digits.
const UPLOAD_ID_LEN: usize = 32;

/// A repository name such as `library/hello`. No component starts with `_` or `.`, so it is safe as a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoName(String);

impl RepoName {
    /// Parses a name; `None` if it is outside the grammar or longer than 255 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() <= NAME_LIMIT && text.split('/').all(is_component);
        good.then(|| Self(text.to_owned()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, checked as alternating runs of letters and separators.
fn is_component(part: &str) -> bool {
    let mut runs = part.as_bytes().chunk_by(|a, b| is_alnum(*a) == is_alnum(*b));
    let ends = [part.as_bytes().first(), part.as_bytes().last()];
    ends.iter().all(|end| end.is_some_and(|byte| is_alnum(*byte)))
        && runs
            .all(|run| is_alnum(run[0]) || matches!(run, b"." | b"_" | b"__") || run.iter().all(|byte| *byte == b'-'))
}

fn is_alnum(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// A tag. It never starts with `.` and has no `/`, so it is safe as a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Parses a tag; `None` if it is outside the grammar.
    pub fn parse(text: &str) -> Option<Self> {
        let first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let rest = |byte: u8| first(byte) || matches!(byte, b'.' | b'-');
        let (head, tail) = text.as_bytes().split_first()?;
        let good = text.len() <= TAG_LIMIT && first(*head) && tail.iter().all(|byte| rest(*byte));
        good.then(|| Self(text.to_owned()))
    }

    /// Returns the tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestRef {
    /// By tag.
    Tag(Tag),
    /// By digest.
    Digest(Digest),
}

impl fmt::Display for ManifestRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// Parses a digest from a URL; `None` if it is malformed or absurdly long.
pub fn parse_digest(text: &str) -> Option<Digest> {
    (text.len() <= DIGEST_LIMIT).then(|| text.parse().ok()).flatten()
}

/// The id of an upload session: 128 random bits, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// Returns a new random id.
    pub fn random() -> Self {
        Self(hex::encode(rand::random::<[u8; UPLOAD_ID_LEN / 2]>()))
    }

    /// Parses an id this server could have handed out.
    pub fn parse(text: &str) -> Option<Self> {
        let good =
            text.len() == UPLOAD_ID_LEN && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        good.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_exactly_the_name_grammar() {
        for good in ["a", "library/hello", "a.b", "a_b", "a__b", "a---b", "0/1/2", "blobs/uploads", "a-b_c.d/e"] {
            assert!(RepoName::parse(good).is_some(), "{good}");
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a..b",
            "a___b",
            "a._b",
            "_a",
            "a_",
            ".a",
            "..",
            "../a",
            "a/..",
            "-a",
            "a-",
            "a b",
            "a\0",
            "a%2e",
            "ä",
            long.as_str(),
        ] {
            assert!(RepoName::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn accepts_exactly_the_tag_grammar() {
        let longest = "t".repeat(128);
        for good in ["latest", "_x", "V1.0-rc_1", "1", longest.as_str()] {
            assert!(Tag::parse(good).is_some(), "{good}");
        }
        let long = "t".repeat(129);
        for bad in ["", ".", "..", ".hidden", "-x", "a/b", "a:b", "a b", long.as_str()] {
            assert!(Tag::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn upload_ids_round_trip_and_reject_paths() {
        let id = UploadId::random();
        assert_eq!(UploadId::parse(&id.to_string()), Some(id));
        for bad in ["", "..", "../../../../../../etc/passwd", "ABCDEF00ABCDEF00ABCDEF00ABCDEF00"] {
            assert!(UploadId::parse(bad).is_none(), "{bad:?}");
        }
    }
}
