//! Shell-style expansion of `$name` and `${name…}` (BuildKit `shell/lex.go`).

use super::shell_pattern::ShellPattern;

/// Longest result of a word, in bytes: `ENV A=$A$A` doubles with every line.
const LONGEST: usize = 64 << 10;

/// Longest result of a heredoc, in bytes: a whole file may be written there. A plan expands no more than this in all.
pub const LONGEST_HEREDOC: usize = 64 << 20;

/// Deepest nesting of `${a:-${b:-…}}`.
const DEEPEST: usize = 32;

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A quote or brace has no end.
    #[error("{0:?} is not closed")]
    Unclosed(char),
    /// `${}`, `${:x}` and the like.
    #[error("bad substitution")]
    BadSubstitution,
    /// A modifier that does not exist.
    #[error("unsupported modifier {0:?} in substitution")]
    Modifier(String),
    /// `${name:?message}` of a name that is unset or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message written there.
        message: String,
    },
    /// The pattern after `#`, `%` or `/` is malformed.
    #[error("invalid pattern {0:?} in substitution")]
    Pattern(String),
    /// The result is too long, or the nesting too deep, to be followed here; BuildKit has no such bound.
    #[error("the expansion grows too large")]
    TooLarge,
}

/// Expands variables and removes quotes and escapes. `lookup` returns a variable's value, if it is set.
///
/// # Errors
/// Returns an [`ExpandError`] where BuildKit fails too, and [`ExpandError::TooLarge`] for results over 64 KiB.
pub fn expand(word: &str, escape: char, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    run(word, escape, lookup, true, LONGEST)
}

/// Expands the text of a heredoc: quotes are ordinary characters there.
///
/// # Errors
/// As [`expand`], with the bound [`LONGEST_HEREDOC`].
pub fn expand_heredoc(
    text: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ExpandError> {
    run(text, escape, lookup, false, LONGEST_HEREDOC)
}

fn run(
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
    quotes: bool,
    longest: usize,
) -> Result<String, ExpandError> {
    // Most words have nothing to expand.
    if !word.contains(['$', '\'', '"', escape]) {
        return if word.len() > longest { Err(ExpandError::TooLarge) } else { Ok(word.to_owned()) };
    }
    Expander { chars: word.chars().collect(), at: 0, escape, lookup, depth: 0, quotes, longest }.until(None, false)
}

struct Expander<'a> {
    chars: Vec<char>,
    at: usize,
    escape: char,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    depth: usize,
    quotes: bool,
    /// Bound of the whole result; what stands in braces has that of a word.
    longest: usize,
}

impl Expander<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Reads until `stop` (or the end, if there is none). `raw` keeps escape characters.
    fn until(&mut self, stop: Option<char>, raw: bool) -> Result<String, ExpandError> {
        let longest = if stop.is_none() { self.longest } else { LONGEST };
        let mut out = String::new();
        while let Some(c) = self.peek() {
            if out.len() > longest {
                return Err(ExpandError::TooLarge);
            }
            if Some(c) == stop {
                self.at += 1;
                return Ok(out);
            }
            match c {
                '$' => out.push_str(&self.dollar()?),
                '\'' if self.quotes => self.single_quoted(&mut out)?,
                '"' if self.quotes => self.double_quoted(&mut out, raw)?,
                c if c == self.escape => {
                    self.at += 1;
                    if raw {
                        out.push(c);
                    }
                    out.extend(self.next());
                }
                other => {
                    self.at += 1;
                    out.push(other);
                }
            }
        }
        match stop {
            Some(stop) => Err(ExpandError::Unclosed(stop)),
            None if out.len() > longest => Err(ExpandError::TooLarge),
            None => Ok(out),
        }
    }

    fn single_quoted(&mut self, out: &mut String) -> Result<(), ExpandError> {
        self.at += 1;
        while let Some(c) = self.next() {
            if c == '\'' {
                return Ok(());
            }
            out.push(c);
        }
        Err(ExpandError::Unclosed('\''))
    }

    fn double_quoted(&mut self, out: &mut String, raw: bool) -> Result<(), ExpandError> {
        self.at += 1;
        while let Some(c) = self.peek() {
            if out.len() > LONGEST {
                return Err(ExpandError::TooLarge);
            }
            if c == '$' {
                out.push_str(&self.dollar()?);
                continue;
            }
            self.at += 1;
            match c {
                '"' => return Ok(()),
                c if c == self.escape => {
                    if raw {
                        out.push(c);
                    }
                    match self.peek() {
                        None => {}
                        Some(next) if matches!(next, '"' | '$') || next == self.escape => {
                            self.at += 1;
                            out.push(next);
                        }
                        Some(_) => out.push(c),
                    }
                }
                other => out.push(other),
            }
        }
        Err(ExpandError::Unclosed('"'))
    }

    fn dollar(&mut self) -> Result<String, ExpandError> {
        self.at += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { (self.lookup)(&name).unwrap_or_default() });
        }
        self.at += 1;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(ExpandError::TooLarge);
        }
        let result = self.braced();
        self.depth -= 1;
        result
    }

    /// After `${`.
    fn braced(&mut self) -> Result<String, ExpandError> {
        match self.peek() {
            None => return Err(ExpandError::Unclosed('{')),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        let value = (self.lookup)(&name);
        match self.next() {
            None => Err(ExpandError::Unclosed('{')),
            Some('}') => Ok(value.unwrap_or_default()),
            Some(':') => match self.next() {
                Some(c @ ('-' | '+' | '?')) => self.conditional(&name, value.filter(|v| !v.is_empty()), c),
                other => Err(ExpandError::Modifier(format!(":{}", other.map(String::from).unwrap_or_default()))),
            },
            Some(c @ ('-' | '+' | '?')) => self.conditional(&name, value, c),
            Some(c @ ('#' | '%')) => self.trimmed(&value.unwrap_or_default(), c),
            Some('/') => self.replaced(&value.unwrap_or_default()),
            Some(other) => Err(ExpandError::Modifier(other.to_string())),
        }
    }

    fn conditional(&mut self, name: &str, value: Option<String>, modifier: char) -> Result<String, ExpandError> {
        let word = self.until(Some('}'), false)?;
        match (modifier, value) {
            ('+', Some(_)) | ('-', None) => Ok(word),
            ('+', None) => Ok(String::new()),
            ('?', None) => {
                let unset = (self.lookup)(name).is_none();
                let default = if unset { "is not allowed to be unset" } else { "is not allowed to be empty" };
                let message = if word.is_empty() { default.to_owned() } else { word };
                Err(ExpandError::Required { name: name.to_owned(), message })
            }
            (_, Some(value)) => Ok(value),
            (_, None) => Ok(word),
        }
    }

    fn trimmed(&mut self, value: &str, modifier: char) -> Result<String, ExpandError> {
        let word = self.until(Some('}'), true)?;
        let (longest, word) = match word.strip_prefix(modifier) {
            Some(rest) => (true, rest),
            None => (false, word.as_str()),
        };
        let pattern = ShellPattern::new(word).ok_or_else(|| ExpandError::Pattern(word.to_owned()))?;
        Ok(if modifier == '#' { pattern.trim_prefix(value, longest) } else { pattern.trim_suffix(value, longest) })
    }

    fn replaced(&mut self, value: &str) -> Result<String, ExpandError> {
        let all = self.peek() == Some('/');
        if all {
            self.at += 1;
        }
        let word = self.until(Some('/'), true)?;
        let with = self.until(Some('}'), true)?;
        let pattern = ShellPattern::new(&word).ok_or(ExpandError::Pattern(word))?;
        let most = value.chars().count().saturating_add(1).saturating_mul(with.len().max(1));
        if all && most > LONGEST * 16 {
            return Err(ExpandError::TooLarge);
        }
        // Go's `ReplaceAllString` reads `$` in the replacement; replacing once does not.
        Ok(pattern.replace(value, |matched| if all { template(&with, matched) } else { with.clone() }, all))
    }

    /// Reads a name: digits, one special parameter, or letters, digits and underscores.
    fn name(&mut self) -> String {
        let start = self.at;
        let digits = self.peek().is_some_and(char::is_numeric);
        if !digits && self.peek().is_some_and(|c| "@*#?-$!".contains(c)) {
            self.at += 1;
        } else {
            let part = |c: char| if digits { c.is_numeric() } else { c.is_alphanumeric() || c == '_' };
            while self.peek().is_some_and(part) {
                self.at += 1;
            }
        }
        self.chars[start..self.at].iter().collect()
    }
}

/// Fills in a replacement as Go's `Regexp.Expand` does for a pattern without groups: `$0` and `${0}` are the match, another
/// name is empty, `$$` is a dollar.
fn template(with: &str, matched: &str) -> String {
    let mut out = String::new();
    let mut rest = with;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(next) = after.strip_prefix('$') {
            out.push('$');
            rest = next;
            continue;
        }
        let part = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let (name, next) = match after.strip_prefix('{') {
            Some(inner) if inner[part(inner)..].starts_with('}') => (&inner[..part(inner)], &inner[part(inner) + 1..]),
            Some(_) => ("", after),
            None => after.split_at(part(after)),
        };
        match name {
            "" => out.push('$'),
            "0" => out.push_str(matched),
            _ => {}
        }
        rest = if name.is_empty() { after } else { next };
    }
    out.push_str(rest);
    out
}
