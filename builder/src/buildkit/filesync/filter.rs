//! Which entries of a directory are sent: fsutil's `FilterFS`.

use crate::ignore::{ParentMatch, Pattern, PatternError, PatternSet, clean};

/// The patterns of one request, as the daemon sent them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterSpec {
    /// Only what matches one of these; everything if empty.
    pub include: Vec<String>,
    /// Nothing that matches these.
    pub exclude: Vec<String>,
    /// Paths whose symbolic links are resolved and added to `include`; `None` if the request names none.
    pub follow: Option<Vec<String>>,
}

/// Compiled patterns of one request.
#[derive(Debug, Default)]
pub struct Filter {
    include: Option<PatternSet>,
    exclude: Option<PatternSet>,
    /// No include has a wildcard before its end: directories off every include's way need no visit.
    plain_includes: bool,
    /// The same for the exceptions among the excludes.
    plain_exceptions: bool,
}

/// What a directory hands down to its children.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited {
    include: ParentMatch,
    exclude: ParentMatch,
}

/// What becomes of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is sent, and its parents with it.
    Send,
    /// It is not sent itself; a directory's children may be.
    Hide,
    /// Neither it nor anything below it is sent.
    Prune,
}

impl Filter {
    /// Compiles patterns. `follow` must be resolved already and is ignored here.
    ///
    /// # Errors
    /// Returns the first malformed pattern.
    pub fn new(spec: &FilterSpec) -> Result<Self, PatternError> {
        let compile = |patterns: &[String]| match patterns {
            [] => Ok(None),
            some => PatternSet::new(some).map(Some),
        };
        let include = compile(&spec.include)?;
        let exclude = compile(&spec.exclude)?;
        let plain = |set: &Option<PatternSet>, exceptions| {
            set.iter().flat_map(PatternSet::patterns).filter(|p| p.is_exception() == exceptions).all(is_plain)
        };
        let (plain_includes, plain_exceptions) = (plain(&include, false), plain(&exclude, true));
        Ok(Self { include, exclude, plain_includes, plain_exceptions })
    }

    /// Judges one entry below a directory that handed down `parent`; returns what the entry hands down if it is a directory.
    pub(super) fn judge(&self, path: &str, is_dir: bool, parent: &Inherited) -> (Verdict, Inherited) {
        let mut verdict = Verdict::Send;
        let mut own = Inherited::default();
        if let Some(set) = &self.include {
            let (matched, info) = set.matches_below(path, &parent.include);
            own.include = info;
            if !matched {
                if is_dir && self.plain_includes && !leads_to(set, path, false) {
                    return (Verdict::Prune, own);
                }
                verdict = Verdict::Hide;
            }
        }
        if let Some(set) = &self.exclude {
            let (matched, info) = set.matches_below(path, &parent.exclude);
            own.exclude = info;
            if matched {
                if is_dir && self.plain_exceptions && !leads_to(set, path, true) {
                    return (Verdict::Prune, own);
                }
                verdict = Verdict::Hide;
            }
        }
        (verdict, own)
    }
}

/// Returns whether a pattern has no special character except one trailing `/*` or `/**`.
fn is_plain(pattern: &Pattern) -> bool {
    !without_trailing_glob(pattern).contains(['*', '[', ']', '?', '^', '\\'])
}

fn without_trailing_glob(pattern: &Pattern) -> &str {
    let text = pattern.text();
    let text = text.strip_suffix("/**").unwrap_or(text);
    text.strip_suffix("/*").unwrap_or(text)
}

/// Returns whether a pattern of the wanted kind could match something below `dir`.
fn leads_to(set: &PatternSet, dir: &str, exceptions: bool) -> bool {
    set.patterns().iter().filter(|pattern| pattern.is_exception() == exceptions).any(|pattern| {
        let text = without_trailing_glob(pattern);
        text.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Adds resolved follow paths to the includes, dropping what a shorter path already covers; `.` includes everything.
pub(super) fn merge_followed(include: &[String], followed: &[String]) -> Vec<String> {
    dedupe(include.iter().chain(followed).cloned())
}

/// fsutil `dedupePaths`: a path below its predecessor is dropped; a `.` drops all.
pub(super) fn dedupe(paths: impl Iterator<Item = String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for path in paths {
        if clean(&path) == "." {
            return Vec::new();
        }
        let covered = |last: &String| path.strip_prefix(last.as_str()).is_some_and(|rest| rest.starts_with('/'));
        if !out.last().is_some_and(covered) {
            out.push(path);
        }
    }
    out
}
