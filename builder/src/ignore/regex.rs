//! The way of a pattern through moby's code: translated into a regular expression, then read as one.
//!
//! The detour is kept because it is visible: `[a*]` and `\d` mean what the regular expression means, not what a
//! glob would. Only the constructs the translation can produce are read; anything else is an error, never a guess.

use super::nfa::{CharSet, Inst, Program};

/// How a pattern is matched, as patternmatcher classifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Matcher {
    /// The text equals the pattern.
    Exact,
    /// The text begins with this.
    Prefix(String),
    /// The text ends with this, or equals it without its leading slash.
    Suffix(String),
    /// The regular expression matches.
    Regex(Program),
}

/// Classifies a cleaned pattern; `None` if its regular expression is malformed.
pub(super) fn compile(pattern: &str) -> Option<Matcher> {
    let (kind, regex) = translate(pattern);
    Some(match kind {
        Kind::Exact => Matcher::Exact,
        Kind::Prefix => Matcher::Prefix(pattern[..pattern.len() - 2].to_owned()),
        Kind::Suffix => Matcher::Suffix(pattern[2..].to_owned()),
        Kind::Regex => Matcher::Regex(parse(&regex)?),
    })
}

/// What [`translate`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No special character.
    Exact,
    /// Only a `**` at the end.
    Prefix,
    /// Only a `**` at the beginning.
    Suffix,
    /// Anything else.
    Regex,
}

/// patternmatcher's `compile`: the kind, and the expression between `^` and `$`.
pub(super) fn translate(pattern: &str) -> (Kind, String) {
    let mut out = String::new();
    let mut kind = Kind::Exact;
    let mut chars = pattern.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                kind = match (chars.peek(), kind) {
                    (None, Kind::Exact) => Kind::Prefix,
                    (None, _) => {
                        out.push_str(".*");
                        Kind::Regex
                    }
                    (Some(_), _) => {
                        out.push_str("(.*/)?");
                        Kind::Regex
                    }
                };
                if first {
                    kind = Kind::Suffix;
                }
            }
            '*' | '?' => {
                out.push_str(if c == '*' { "[^/]*" } else { "[^/]" });
                kind = Kind::Regex;
            }
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => out.extend(['\\', c]),
            '\\' => {
                out.push('\\');
                if let Some(next) = chars.next() {
                    out.push(next);
                    kind = Kind::Regex;
                }
            }
            '[' | ']' => {
                out.push(c);
                kind = Kind::Regex;
            }
            other => out.push(other),
        }
        first = false;
    }
    (kind, out)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Reads an expression made by [`translate`], with Go's rules.
fn parse(regex: &str) -> Option<Program> {
    let mut insts = Vec::new();
    let mut rest = regex;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("(.*/)?") {
            insts.extend([Inst::DirsEntry, Inst::DirsBody]);
            rest = after;
            continue;
        }
        let mut chars = rest.chars().peekable();
        let set = match chars.next()? {
            '^' => {
                insts.push(Inst::Begin);
                rest = &rest[1..];
                continue;
            }
            '.' => CharSet::NotNewline,
            '[' => class(&mut chars)?,
            '\\' => escape_set(chars.next()?)?,
            '*' => return None,
            other => CharSet::One(other),
        };
        let star = chars.next_if_eq(&'*').is_some();
        insts.push(if star { Inst::Star(set) } else { Inst::One(set) });
        rest = &rest[rest.len() - chars.map(char::len_utf8).sum::<usize>()..];
    }
    Some(Program(insts))
}

/// Reads a class after its `[`: Go's Perl-flavoured syntax without named classes.
fn class(chars: &mut Chars<'_>) -> Option<CharSet> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    let mut first = true;
    while first || chars.next_if_eq(&']').is_none() {
        first = false;
        let low = match chars.next()? {
            '\\' => match escape_ranges(chars.next()?)? {
                single if single.len() == 1 && single[0].0 == single[0].1 => single[0].0,
                several => {
                    ranges.extend(several);
                    continue;
                }
            },
            '[' if chars.peek() == Some(&':') => return None,
            other => other,
        };
        ranges.push((low, range_end(chars, low)?));
    }
    Some(CharSet::Class { negated, ranges })
}

/// The upper end of a range that begins with `low`; `low` itself where no range is written.
fn range_end(chars: &mut Chars<'_>, low: char) -> Option<char> {
    let mut ahead = chars.clone();
    if ahead.next() != Some('-') || matches!(ahead.peek(), None | Some(']')) {
        return Some(low);
    }
    *chars = ahead;
    let high = match chars.next()? {
        '\\' => match escape_ranges(chars.next()?)?.as_slice() {
            &[(low, high)] if low == high => low,
            _ => return None,
        },
        other => other,
    };
    (low <= high).then_some(high)
}

fn escape_set(c: char) -> Option<CharSet> {
    let ranges = escape_ranges(c)?;
    Some(match ranges.as_slice() {
        &[(low, high)] if low == high => CharSet::One(low),
        _ => CharSet::Class { negated: false, ranges },
    })
}

/// What `\c` stands for in Go's syntax; `None` for escapes the syntax or this reader does not know.
fn escape_ranges(c: char) -> Option<Vec<(char, char)>> {
    let digit = [('0', '9')];
    let space = [('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];
    let word = [('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
    let one = |c| vec![(c, c)];
    Some(match c {
        'd' => digit.to_vec(),
        's' => space.to_vec(),
        'w' => word.to_vec(),
        'D' => complement(&digit),
        'S' => complement(&space),
        'W' => complement(&word),
        'a' => one('\x07'),
        'f' => one('\x0c'),
        't' => one('\t'),
        'n' => one('\n'),
        'r' => one('\r'),
        'v' => one('\x0b'),
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => one(other),
        _ => return None,
    })
}

/// The complement of sorted, disjoint ASCII ranges.
fn complement(ranges: &[(char, char)]) -> Vec<(char, char)> {
    let mut out = Vec::new();
    let mut from = '\0';
    for &(low, high) in ranges {
        if let Some(before) = char::from_u32(u32::from(low).wrapping_sub(1)).filter(|before| *before >= from) {
            out.push((from, before));
        }
        from = char::from_u32(u32::from(high) + 1).unwrap_or(char::MAX);
    }
    out.push((from, char::MAX));
    out
}
