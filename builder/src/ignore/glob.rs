//! Go's `filepath.Match` syntax: `*`, `?`, `[…]` and `\` within one path component.

use super::PatternError;
use super::nfa::{CharSet, Inst, Program};

/// A compiled `filepath.Match` pattern.
#[derive(Debug, Clone)]
pub struct Glob(Program);

impl Glob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Returns [`PatternError::Malformed`] where Go returns `ErrBadPattern`.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        compile(pattern).map(|insts| Self(Program(insts))).ok_or_else(|| PatternError::Malformed(pattern.to_owned()))
    }

    /// Returns whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn compile(pattern: &str) -> Option<Vec<Inst>> {
    let mut chars = pattern.chars().peekable();
    let mut insts = Vec::new();
    while let Some(c) = chars.next() {
        insts.push(match c {
            '*' => Inst::Star(CharSet::NotSlash),
            '?' => Inst::One(CharSet::NotSlash),
            '[' => Inst::One(class(&mut chars)?),
            '\\' => Inst::One(CharSet::One(chars.next()?)),
            other => Inst::One(CharSet::One(other)),
        });
    }
    Some(insts)
}

/// Reads a bracket expression after its `[`; `None` if it is malformed.
fn class(chars: &mut Chars<'_>) -> Option<CharSet> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
        let low = class_char(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { class_char(chars)? } else { low };
        ranges.push((low, high));
    }
    Some(CharSet::Class { negated, ranges })
}

/// One possibly escaped character; a class must go on after it.
fn class_char(chars: &mut Chars<'_>) -> Option<char> {
    let c = match chars.next()? {
        '-' | ']' => return None,
        '\\' => chars.next()?,
        other => other,
    };
    chars.peek().map(|_| c)
}
