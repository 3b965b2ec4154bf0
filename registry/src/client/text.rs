//! Text from a registry, made safe for a terminal and a CI log.
//!
//! Owns: escaping, truncation, URLs without their secrets. Never: decides anything by the text.

use std::fmt;

use url::Url;

/// Returns `text` in one line with control, formatting and bidirectional characters escaped, cut to `max` characters.
///
/// A leading `::` or `##` would be a command to GitHub or Azure runners, so callers always print
/// something before this text; newlines, which would start a new line, are escaped here.
pub fn untrusted(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for (count, c) in text.chars().enumerate() {
        if count == max {
            out.push('…');
            break;
        }
        if is_unsafe(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// C0 and C1 controls (ANSI, OSC), line separators, bidirectional overrides (CVE-2021-42574), zero-width and BOM.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A URL as it may be shown: no user information, and no query values, which hold signatures after a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeUrl(String);

impl SafeUrl {
    /// Returns the showable form of `url`.
    pub fn new(url: &Url) -> Self {
        let mut shown = url.clone();
        // Both fail only for URLs that cannot have user information.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_fragment(None);
        let has_query = shown.query().is_some();
        shown.set_query(None);
        let dots = if has_query { "?…" } else { "" };
        Self(untrusted(&format!("{shown}{dots}"), 512))
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_terminal_or_runner_would_obey() {
        assert_eq!(untrusted("a\x1b[31mb", 99), "a\\u{1b}[31mb");
        assert_eq!(untrusted("x\n::error::y", 99), "x\\u{a}::error::y");
        assert_eq!(untrusted("a\u{202e}b\u{9b}c", 99), "a\\u{202e}b\\u{9b}c");
        assert_eq!(untrusted("grün", 99), "grün");
        assert_eq!(untrusted("abcdef", 3), "abc…");
    }

    #[test]
    fn urls_lose_user_and_query() {
        let url = Url::parse("https://me:pw@cdn.example.com/b/1?X-Sig=abc#f").unwrap();
        assert_eq!(SafeUrl::new(&url).to_string(), "https://cdn.example.com/b/1?…");
    }
}
