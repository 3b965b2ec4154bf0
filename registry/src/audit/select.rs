//! Which repositories and tags are audited, where they are not named one by one.
//!
//! Owns: patterns of repositories and what they find in a registry's list; patterns of tags. Never: calls a registry empty that
//! does not tell what it has.

use std::collections::BTreeMap;

use super::collect::in_full;
use super::finding::Unchecked;
use super::glob::Glob;
use super::report::RepositoryReport;
use crate::client::{ErrorKind, Registry, TagList};
use crate::oci::Reference;
use crate::transfer::copier::is_about_digest;

/// Repositories of one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryPattern {
    host: String,
    glob: Glob,
    text: String,
}

impl RepositoryPattern {
    /// Reads `HOST/GLOB`, or `HOST` for everything there. The host is no pattern: there is no list of registries.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let (host, glob) = text.split_once('/').unwrap_or((text, "**"));
        let probe: Result<Reference, _> = format!("{host}/x/x").parse();
        if probe.is_ok_and(|probe| probe.host() == host && probe.repository() == "x/x") {
            return Ok(Self { host: host.to_owned(), glob: Glob::new(glob)?, text: text.to_owned() });
        }
        Err(format!("{host:?} is not HOST or HOST:PORT"))
    }
}

/// Which tags are audited where a whole repository is.
#[derive(Debug, Clone, Default)]
pub struct TagFilter {
    /// Only these; empty: all.
    pub only: Vec<Glob>,
    /// Not these.
    pub except: Vec<Glob>,
}

impl TagFilter {
    /// Returns whether a tag is audited.
    pub fn takes(&self, tag: &str) -> bool {
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(tag));
        (self.only.is_empty() || any(&self.only)) && !any(&self.except)
    }

    /// Returns the tags of a list that are audited, and how many are no images: signatures and lists of referrers, which are read
    /// with the image they are about.
    pub(super) fn of(&self, list: &TagList) -> (Vec<String>, u64) {
        let (about, own): (Vec<&String>, Vec<&String>) = list.tags.iter().partition(|tag| is_about_digest(tag));
        let taken = own.into_iter().filter(|tag| self.takes(tag)).cloned();
        (taken.collect(), about.len() as u64)
    }
}

/// What patterns of repositories found.
#[derive(Debug, Default)]
pub struct Selection {
    /// Repositories, sorted, each once.
    pub repositories: Vec<Reference>,
    /// Patterns of which something could not be asked, or that nothing fits.
    pub unchecked: Vec<RepositoryReport>,
}

/// Looks for the repositories of patterns. Each registry is asked once.
pub async fn repositories(registry: &Registry, patterns: &[RepositoryPattern]) -> Selection {
    let mut hosts: BTreeMap<&str, Vec<&RepositoryPattern>> = BTreeMap::new();
    for pattern in patterns {
        hosts.entry(&pattern.host).or_default().push(pattern);
    }
    let mut selection = Selection::default();
    for (host, patterns) in hosts {
        let list = match registry.repositories(host).await {
            Ok(list) => list,
            Err(error) => {
                let untold = matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::Rejected | ErrorKind::Denied | ErrorKind::Unauthorized
                );
                let hint =
                    if untold { "; not every registry tells its repositories: name them one by one" } else { "" };
                let reason = in_full(&error) + hint;
                selection.unchecked.extend(patterns.iter().map(|pattern| unchecked(pattern, reason.clone())));
                continue;
            }
        };
        for pattern in &patterns {
            let mut found = list.repositories.iter().filter(|name| pattern.glob.matches(name)).peekable();
            if found.peek().is_none() {
                let reason = format!("none of the {} repositories that it has fits", list.repositories.len());
                selection.unchecked.push(unchecked(pattern, reason));
            }
            // A name that the list takes is one of a reference, too.
            selection.repositories.extend(found.filter_map(|name| format!("{host}/{name}").parse::<Reference>().ok()));
            if list.truncated {
                let reason = format!("{host} has more than the {} that were listed", list.repositories.len());
                selection.unchecked.push(unchecked(pattern, reason));
            }
        }
    }
    selection.repositories.sort();
    selection.repositories.dedup();
    selection
}

fn unchecked(pattern: &RepositoryPattern, reason: String) -> RepositoryReport {
    let one = Unchecked { what: "repositories".to_owned(), digest: None, reason };
    RepositoryReport { repository: pattern.text.clone(), findings: Vec::new(), unchecked: vec![one] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_a_host() {
        for good in ["registry.example.com/team/*", "localhost:5000", "127.0.0.1:5000/**", "docker.io/library/*"] {
            assert_eq!(RepositoryPattern::new(good).unwrap().text, good);
        }
        for bad in ["", "*/team", "team/*", "registry.example.com/", "registry.example.com/[", "a b/c"] {
            assert!(RepositoryPattern::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_about_digests_are_counted_and_not_taken() {
        let hex = "0".repeat(64);
        let tags = ["1.0", "1.1-rc", "latest", &format!("sha256-{hex}"), &format!("sha256-{hex}.sig")];
        let list = TagList { tags: tags.map(str::to_owned).into(), truncated: false };
        let glob = |text: &str| Glob::new(text).unwrap();
        let taken = |only: &[&str], except: &[&str]| {
            let globs = |list: &[&str]| list.iter().map(|text| glob(text)).collect();
            TagFilter { only: globs(only), except: globs(except) }.of(&list)
        };
        let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(taken(&[], &[]), (named(&["1.0", "1.1-rc", "latest"]), 2));
        assert_eq!(taken(&["1.*"], &["*-rc"]).0, named(&["1.0"]));
        assert_eq!(taken(&["1.0", "latest"], &[]).0, named(&["1.0", "latest"]));
        assert_eq!(taken(&["*"], &["*"]).0, named(&[]));
    }
}
