//! A list of patterns and the three questions asked of it.

use super::regex::{Matcher, compile};
use super::{Glob, PatternError, clean};

/// One compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    exception: bool,
    matcher: Matcher,
}

impl Pattern {
    fn new(raw: &str) -> Result<Option<Self>, PatternError> {
        let trimmed = raw.trim();
        if trimmed.is_empty() {
            return Ok(None);
        }
        let cleaned = clean(trimmed);
        let (text, exception) = match cleaned.strip_prefix('!') {
            Some("") => return Err(PatternError::LoneExclamation),
            Some(rest) => (rest.to_owned(), true),
            None => (cleaned, false),
        };
        Glob::new(&text)?;
        let matcher = compile(&text).ok_or_else(|| PatternError::Malformed(text.clone()))?;
        Ok(Some(Self { text, exception, matcher }))
    }

    /// Returns the cleaned pattern without its `!`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether it began with `!`.
    pub fn is_exception(&self) -> bool {
        self.exception
    }

    fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Exact => path == self.text,
            Matcher::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Matcher::Suffix(suffix) => path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path),
            Matcher::Regex(program) => program.matches(path),
        }
    }

    fn matches_any_parent(&self, path: &str) -> bool {
        path.match_indices('/').any(|(at, _)| self.matches(if at == 0 { "" } else { &path[..at] }))
    }
}

/// Which patterns matched a directory; handed down to its children by a walk.
#[derive(Debug, Clone, Default)]
pub struct ParentMatch(Vec<bool>);

/// Patterns in order: a later one overrides an earlier one, and `!` takes back.
#[derive(Debug, Clone, Default)]
pub struct PatternSet {
    patterns: Vec<Pattern>,
}

impl PatternSet {
    /// Compiles patterns; blank ones are dropped.
    ///
    /// # Errors
    /// Returns a [`PatternError`] for the first malformed pattern.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, PatternError> {
        let compiled: Result<Vec<_>, _> = patterns.iter().map(|raw| Pattern::new(raw.as_ref())).collect();
        Ok(Self { patterns: compiled?.into_iter().flatten().collect() })
    }

    /// Returns the compiled patterns in order.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Returns whether any pattern is a `!` exception.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(Pattern::is_exception)
    }

    /// Returns whether the path itself is matched; parents do not count.
    pub fn matches_exact(&self, path: &str) -> bool {
        self.fold(|pattern| pattern.matches(path))
    }

    /// Returns whether the path or one of its parent directories is matched.
    pub fn matches_or_parent(&self, path: &str) -> bool {
        self.fold(|pattern| pattern.matches(path) || pattern.matches_any_parent(path))
    }

    /// [`Self::matches_or_parent`] for a walk: `parent` is what this returned for the directory above
    /// (the default value if there is none), so that no parent is matched twice.
    pub fn matches_below(&self, path: &str, parent: &ParentMatch) -> (bool, ParentMatch) {
        let mut matched = false;
        let mut own = vec![false; self.patterns.len()];
        for (at, pattern) in self.patterns.iter().enumerate() {
            let inherited = parent.0.get(at).copied().unwrap_or(false);
            if !inherited && pattern.exception != matched {
                continue;
            }
            let orphan = parent.0.is_empty();
            own[at] = inherited || pattern.matches(path) || (orphan && pattern.matches_any_parent(path));
            if own[at] {
                matched = !pattern.exception;
            }
        }
        (matched, ParentMatch(own))
    }

    /// Applies patterns in order; one that could not change the outcome is not evaluated.
    fn fold(&self, matches: impl Fn(&Pattern) -> bool) -> bool {
        self.patterns.iter().fold(false, |matched, pattern| {
            if pattern.exception == matched && matches(pattern) { !pattern.exception } else { matched }
        })
    }
}
