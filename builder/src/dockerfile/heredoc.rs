//! Heredocs: `RUN <<EOF`, `COPY <<"EOF" /path` (BuildKit `parser.go`, `heredocsFromLine`).

use super::words::split_quoted;

/// One heredoc of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// Terminator, and the file's name in COPY and ADD.
    pub name: String,
    /// Variables are expanded (the name was not quoted).
    pub expand: bool,
    /// `<<-`: leading tabs are removed.
    pub chomp: bool,
    /// Lines, each with its line feed.
    pub content: String,
}

impl Heredoc {
    /// Reads a word such as `<<EOF`, `3<<-'EOF'`; `None` if it is not one.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
        let (chomp, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let rest = rest.trim_start();
        if rest.is_empty() || rest.contains('<') {
            return None;
        }
        let name: String = rest.chars().filter(|c| !matches!(c, '"' | '\'' | '\\')).collect();
        let plain = !name.is_empty() && !name.contains(char::is_whitespace);
        plain.then(|| Self { expand: name == rest, name, chomp, content: String::new() })
    }

    /// Returns the heredocs a logical line announces, still empty.
    pub(super) fn announced(line: &str) -> Vec<Self> {
        if !line.contains("<<") {
            return Vec::new();
        }
        split_quoted(line).unwrap_or_default().iter().filter_map(|word| Self::parse(word)).collect()
    }

    /// Returns whether a line of the file ends this heredoc.
    pub(super) fn ends_at(&self, line: &str) -> bool {
        let line = if self.chomp { line.trim_start_matches('\t') } else { line };
        line == self.name
    }
}
