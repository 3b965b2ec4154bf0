//! Parser directives: `# syntax=`, `# escape=`, `# check=` in the first lines (BuildKit `parser/directives.go`).

use super::error::ParseErrorKind;

/// Directives of a Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// `syntax`: the frontend image, without its arguments.
    pub syntax: Option<String>,
    /// Where that is: the line and the column of the image's name, from 1.
    pub syntax_at: Option<(u32, u32)>,
    /// `check`: configuration of BuildKit's checks, as written.
    pub check: Option<String>,
    /// `escape`: a backtick instead of the backslash.
    pub backtick: bool,
}

impl Directives {
    /// Returns the escape character.
    pub fn escape(&self) -> char {
        if self.backtick { '`' } else { '\\' }
    }

    /// Reads directives from the first lines; also returns errors with the index of their line.
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> (Self, Vec<(usize, ParseErrorKind)>) {
        let mut found = Self::default();
        let mut errors = Vec::new();
        let mut seen: Vec<&'static str> = Vec::new();
        for (at, line) in lines.enumerate() {
            let Some((name, value)) = directive(line, "#") else { break };
            if seen.contains(&name) {
                errors.push((at, ParseErrorKind::RepeatedDirective(name.to_owned())));
                continue;
            }
            seen.push(name);
            match (name, value) {
                ("syntax", value) => {
                    let column = line.find(value).map_or(0, |byte| line[..byte].chars().count());
                    let number = |at: usize| u32::try_from(at + 1).unwrap_or(u32::MAX);
                    found.syntax = value.split(' ').next().map(str::to_owned);
                    found.syntax_at = Some((number(at), number(column)));
                }
                ("check", value) => found.check = Some(value.to_owned()),
                (_, "`") => found.backtick = true,
                (_, "\\") => {}
                (_, other) => errors.push((at, ParseErrorKind::BadEscape(other.to_owned()))),
            }
        }
        (found, errors)
    }
}

/// Returns the frontend image that the text asks for by `# syntax=`, `// syntax=` or a JSON object's `syntax`.
///
/// Ask this first: the text may be no Dockerfile at all.
pub fn detect_syntax(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes));
    let body = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#!") => rest,
        _ => &text,
    };
    for comment in ["#", "//"] {
        let directives = body.lines().map_while(|line| directive(line, comment));
        if let Some((_, value)) = directives.into_iter().find(|(name, _)| *name == "syntax") {
            return value.split(' ').next().map(str::to_owned);
        }
    }
    let json: serde_json::Value = serde_json::from_str(body.trim_start().starts_with('{').then_some(body)?).ok()?;
    json.get("syntax")?.as_str().map(str::to_owned)
}

/// Returns name and value of a directive line.
fn directive<'a>(line: &'a str, comment: &str) -> Option<(&'static str, &'a str)> {
    let (name, value) = line.strip_prefix(comment)?.trim_start().split_once('=')?;
    let known = ["syntax", "escape", "check"].into_iter().find(|known| name.trim_end().eq_ignore_ascii_case(known))?;
    let value = value.trim();
    (!value.is_empty()).then_some((known, value))
}
