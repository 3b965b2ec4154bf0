//! What `inspect`, `verify`, `push` and `store rm` are asked about: a registry, an OCI layout, the store.
//!
//! Owns: the one grammar of all four, and which of them takes a bare name for what.

use std::path::{Path, PathBuf};

use polyarch_registry::oci::Reference;

use super::{SettingsError, ValueError};

/// An image somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// In a registry; `latest` filled in.
    Registry(Reference),
    /// In a layout directory; the only image if no entry is named.
    Layout {
        /// Directory.
        path: PathBuf,
        /// `NAME`, `NAME@DIGEST`, `@DIGEST` or `DIGEST`; a name is a tag or a full reference.
        entry: Option<String>,
    },
    /// In the store: `NAME`, `NAME@DIGEST`, `@DIGEST` or `DIGEST`.
    Store(String),
}

/// Reads `REF`, `oci:DIR[:NAME][@DIGEST]` or `store:NAME[@DIGEST]`: what is bare is in a registry.
///
/// # Errors
/// A reference that is none, nothing after the prefix, or a bare name that only the store gives.
pub fn parse(text: &str, cwd: &Path) -> Result<Target, SettingsError> {
    if let Some(target) = prefixed(text, cwd)? {
        return Ok(target);
    }
    if is_store_name(text) {
        let error = ValueError::new(text, "it is a name or digest in the store, not in a registry");
        return Err(error.hint(format!("`store:{text}`")).of("REF"));
    }
    let reference: Reference = text.parse().map_err(|error| ValueError::from(error).of("REF"))?;
    Ok(Target::Registry(reference.or_latest()))
}

/// Reads the same where nothing can be in a registry yet: what is bare is in the store.
///
/// # Errors
/// Nothing after a prefix.
pub fn parse_local(text: &str, cwd: &Path) -> Result<Target, SettingsError> {
    Ok(prefixed(text, cwd)?.unwrap_or_else(|| Target::Store(text.to_owned())))
}

fn prefixed(text: &str, cwd: &Path) -> Result<Option<Target>, SettingsError> {
    let empty = || ValueError::new(text, "there is nothing after the colon").at(text.len()).of("REF");
    if let Some(rest) = text.strip_prefix("oci:") {
        let (path, entry) = split_layout(rest, cwd);
        return match path.is_empty() {
            true => Err(empty()),
            false => Ok(Some(Target::Layout { path: cwd.join(path), entry: entry.map(str::to_owned) })),
        };
    }
    match text.strip_prefix("store:") {
        Some("") => Err(empty()),
        name => Ok(name.map(|name| Target::Store(name.to_owned()))),
    }
}

/// What a build without a tag is called, and digests: read as a reference they would be repositories on docker.io.
fn is_store_name(text: &str) -> bool {
    let is_hex = |text: &str| text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let rest = ["build-", "partial-", "sha256:", "sha512:"].iter().find_map(|prefix| text.strip_prefix(prefix));
    rest.is_some_and(is_hex)
}

/// `DIR:NAME`, where both may have colons, and `DIR@DIGEST`: the longest directory that is there is meant, else what is
/// before the first colon.
fn split_layout<'a>(rest: &'a str, cwd: &Path) -> (&'a str, Option<&'a str>) {
    let ends: Vec<usize> = rest.match_indices([':', '@']).map(|(at, _)| at).chain([rest.len()]).collect();
    let is_dir = |end: &&usize| **end > 0 && cwd.join(&rest[..**end]).is_dir();
    let end = ends.iter().rev().find(is_dir).or(ends.first()).copied().unwrap_or(rest.len());
    match rest[end..].chars().next() {
        Some('@') => (&rest[..end], Some(&rest[end..])),
        Some(_) => (&rest[..end], Some(&rest[end + 1..]).filter(|entry| !entry.is_empty())),
        None => (rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let dir = tempfile::tempdir().unwrap();
        for there in ["a:b", "out", "deep/out"] {
            std::fs::create_dir_all(dir.path().join(there)).unwrap();
        }
        let layout = |path: &str, entry: Option<&str>| Target::Layout {
            path: dir.path().join(path),
            entry: entry.map(str::to_owned),
        };
        let store = |name: &str| Target::Store(name.into());
        for (text, want) in [
            ("localhost:5000/a", Target::Registry("localhost:5000/a:latest".parse().unwrap())),
            ("build-essential", Target::Registry("docker.io/library/build-essential:latest".parse().unwrap())),
            ("oci:out", layout("out", None)),
            ("oci:out:1.0", layout("out", Some("1.0"))),
            ("oci:out:localhost:5000/app:1", layout("out", Some("localhost:5000/app:1"))),
            ("oci:deep/out:localhost:5000/app:1@sha256:00", layout("deep/out", Some("localhost:5000/app:1@sha256:00"))),
            ("oci:a:b", layout("a:b", None)),
            ("oci:a:b:1", layout("a:b", Some("1"))),
            ("oci:no/where:c/d", layout("no/where", Some("c/d"))),
            ("oci:out@sha256:00", layout("out", Some("@sha256:00"))),
            ("oci:out:1@sha256:00", layout("out", Some("1@sha256:00"))),
            ("store:hello", store("hello")),
            ("store:localhost:5000/app:1@sha256:00", store("localhost:5000/app:1@sha256:00")),
        ] {
            assert_eq!(parse(text, dir.path()).unwrap(), want, "{text}");
            if !matches!(want, Target::Registry(_)) {
                assert_eq!(parse_local(text, dir.path()).unwrap(), want, "{text}");
            }
        }
        assert_eq!(parse_local("localhost:5000/a:1", dir.path()).unwrap(), store("localhost:5000/a:1"));
        for bad in ["oci:", "store:", "Bad"] {
            assert!(parse(bad, dir.path()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_only_the_store_calls_so_is_not_looked_for_on_docker_io() {
        for text in ["build-0123456789ab", "partial-0123456789ab", "sha256:0123456789ab"] {
            let SettingsError::Value { source, .. } = parse(text, Path::new("/")).unwrap_err() else {
                panic!("{text}")
            };
            assert_eq!(source.hint, Some(format!("`store:{text}`")));
            assert_eq!(parse_local(text, Path::new("/")).unwrap(), Target::Store(text.into()));
        }
    }
}
