//! What `inspect` and `verify` look at: a registry, an OCI layout, the store.

use std::path::{Path, PathBuf};

use polyarch_registry::oci::Reference;

use super::{SettingsError, ValueError};

/// An image somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// In a registry; `latest` filled in.
    Registry(Reference),
    /// In a layout directory, by tag or digest; the only one if neither is named.
    Layout {
        /// Directory.
        path: PathBuf,
        /// Tag or digest.
        name: Option<String>,
    },
    /// In the store, by name or digest.
    Store(String),
}

/// Reads `REF`, `oci:DIR[:TAG][@DIGEST]` or `store:NAME`.
///
/// # Errors
/// A reference that is none, or nothing after the prefix.
pub fn parse(text: &str, cwd: &Path) -> Result<Target, SettingsError> {
    let empty = || ValueError::new(text, "there is nothing after the colon").at(text.len()).of("REF");
    if let Some(rest) = text.strip_prefix("oci:") {
        let (path, name) = split_layout(rest, cwd);
        return if path.is_empty() { Err(empty()) } else { Ok(Target::Layout { path: cwd.join(path), name }) };
    }
    if let Some(name) = text.strip_prefix("store:") {
        return if name.is_empty() { Err(empty()) } else { Ok(Target::Store(name.to_owned())) };
    }
    let reference: Reference = text.parse().map_err(|error| ValueError::from(error).of("REF"))?;
    Ok(Target::Registry(reference.or_latest()))
}

/// A directory may have colons in its name; one that is there as written is meant.
fn split_layout<'a>(rest: &'a str, cwd: &Path) -> (&'a str, Option<String>) {
    if cwd.join(rest).is_dir() {
        return (rest, None);
    }
    if let Some((path, digest)) = rest.split_once('@') {
        let path = path.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(path, |(path, _)| path);
        return (path, Some(digest.to_owned()));
    }
    match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
        _ => (rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a:b")).unwrap();
        let layout = |path: &str, name: Option<&str>| Target::Layout {
            path: dir.path().join(path),
            name: name.map(str::to_owned),
        };
        for (text, want) in [
            ("localhost:5000/a", Target::Registry("localhost:5000/a:latest".parse().unwrap())),
            ("oci:out", layout("out", None)),
            ("oci:out:1.0", layout("out", Some("1.0"))),
            ("oci:a:b", layout("a:b", None)),
            ("oci:a/b:c/d", layout("a/b:c/d", None)),
            ("oci:out@sha256:00", layout("out", Some("sha256:00"))),
            ("oci:out:1@sha256:00", layout("out", Some("sha256:00"))),
            ("store:hello", Target::Store("hello".into())),
        ] {
            assert_eq!(parse(text, dir.path()).unwrap(), want, "{text}");
        }
        for bad in ["oci:", "store:", "Bad"] {
            assert!(parse(bad, dir.path()).is_err(), "{bad}");
        }
    }
}
