//! Patterns of names: repositories and tags.
//!
//! Owns: what `*` means: anything within one component, as in a shell; `**` crosses slashes. Pure.

use globset::{GlobBuilder, GlobMatcher};

/// A pattern of names.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    matcher: GlobMatcher,
}

impl Glob {
    /// Reads a pattern: `*` and `?` stay within a component, `**` does not; `[ab]`, `{a,b}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        // `**` between slashes may be no component at all; at an end it is at least one.
        let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
        let glob = glob.map_err(|error| error.kind().to_string())?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }

    /// Returns whether it is the pattern of a name.
    pub fn matches(&self, name: &str) -> bool {
        self.matcher.is_match(name)
    }

    /// Returns it as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns whether a repository, `host/name`, is among those that patterns name. A pattern without a wildcard at its end also names
/// what is below it: `docker.io/library` every official image, `registry.example.com` everything of that registry. What is no
/// pattern matches nothing.
pub fn names_repository(patterns: &[String], repository: &str) -> bool {
    patterns.iter().any(|pattern| {
        let both = [pattern.clone(), format!("{}/**", pattern.trim_end_matches('/'))];
        both.iter().any(|pattern| Glob::new(pattern).is_ok_and(|glob| glob.matches(repository)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_component() {
        for (pattern, name, want) in [
            ("registry.example.com/team/*", "registry.example.com/team/app", true),
            ("registry.example.com/team/*", "registry.example.com/team/sub/app", false),
            ("registry.example.com/team/**", "registry.example.com/team/sub/app", true),
            ("registry.example.com/**/app", "registry.example.com/app", true),
            ("registry.example.com/**/app", "registry.example.com/a/b/app", true),
            ("**", "registry.example.com/a", true),
            ("localhost:5000/{a,b}", "localhost:5000/b", true),
            ("1.*", "1.2.3", true),
            ("v[0-9]*", "v1", true),
            ("v[0-9]*", "vx", false),
            ("*", ".hidden", true),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(name), want, "{pattern} {name}");
        }
        for bad in ["", "[a", "{a,b", "a\\"] {
            assert!(Glob::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_stands_for_what_is_below_it() {
        let list = |text: &str| vec![text.to_owned()];
        for (pattern, repository, want) in [
            ("docker.io/library", "docker.io/library/alpine", true),
            ("docker.io", "docker.io/library/alpine", true),
            ("docker.io/", "docker.io/library/alpine", true),
            ("docker.io/lib", "docker.io/library/alpine", false),
            ("docker.io/library/alpine", "docker.io/library/alpine", true),
            ("docker.io/library/*", "docker.io/library/alpine", true),
            ("[", "docker.io/library/alpine", false),
        ] {
            assert_eq!(names_repository(&list(pattern), repository), want, "{pattern}");
        }
        assert!(!names_repository(&[], "docker.io/library/alpine"));
    }
}
