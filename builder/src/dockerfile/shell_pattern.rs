//! Patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`: `*` and `?`, no brackets.

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    Any,
    Star,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct ShellPattern(Vec<Token>);

impl ShellPattern {
    /// Compiles; `None` for an escape of anything but `*`, `?`, `\`, `}` and `/` (BuildKit `convertShellPatternToRegex`).
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let mut chars = pattern.chars();
        let mut tokens = Vec::new();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => match chars.next()? {
                    c @ ('*' | '?' | '\\' | '}' | '/') => Token::Literal(c),
                    _ => return None,
                },
                other => Token::Literal(other),
            });
        }
        Some(Self(tokens))
    }

    /// Returns the value without the shortest or longest prefix that matches.
    pub(super) fn trim_prefix(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        chars[self.prefix_len(&chars, longest)..].iter().collect()
    }

    /// Returns the value without the shortest or longest suffix that matches.
    pub(super) fn trim_suffix(&self, value: &str, longest: bool) -> String {
        let reversed = Self(self.0.iter().rev().copied().collect());
        let chars: Vec<char> = value.chars().rev().collect();
        let cut = reversed.prefix_len(&chars, longest);
        chars[cut..].iter().rev().collect()
    }

    /// Returns the value with the first or every match replaced; at each place the longest match counts.
    pub(super) fn replace(&self, value: &str, with: impl Fn(&str) -> String, all: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let mut out = String::new();
        let mut from = 0;
        while let Some((start, end)) = self.find(&chars, from) {
            out.extend(&chars[from..start]);
            out.push_str(&with(&chars[start..end].iter().collect::<String>()));
            from = end;
            if end == start {
                out.extend(chars.get(end));
                from = end + 1;
            }
            if !all || from > chars.len() {
                break;
            }
        }
        out.extend(chars.get(from..).unwrap_or_default());
        out
    }

    fn prefix_len(&self, chars: &[char], longest: bool) -> usize {
        let mut states = vec![false; self.0.len() + 1];
        self.enter(&mut states, 0);
        let mut best = 0;
        for (at, c) in chars.iter().map(Some).chain([None]).enumerate() {
            if states[self.0.len()] {
                best = at;
                if !longest {
                    break;
                }
            }
            let Some(&c) = c else { break };
            let mut next = vec![false; states.len()];
            for at in (0..self.0.len()).filter(|at| states[*at]) {
                match self.0[at] {
                    Token::Literal(want) if want == c => self.enter(&mut next, at + 1),
                    Token::Any if c != '\n' => self.enter(&mut next, at + 1),
                    Token::Star if c != '\n' => self.enter(&mut next, at),
                    _ => {}
                }
            }
            states = next;
        }
        best
    }

    fn enter(&self, states: &mut [bool], mut at: usize) {
        while !std::mem::replace(&mut states[at], true) && self.0.get(at) == Some(&Token::Star) {
            at += 1;
        }
    }

    /// Leftmost, then longest match at or after `from`: every state remembers the earliest start that led to it.
    fn find(&self, chars: &[char], from: usize) -> Option<(usize, usize)> {
        let end = self.0.len();
        let mut states: Vec<Option<usize>> = vec![None; end + 1];
        let mut best: Option<(usize, usize)> = None;
        for at in from..=chars.len() {
            if best.is_none() {
                self.enter_from(&mut states, 0, at);
            }
            if let Some(start) = states[end].filter(|start| best.is_none_or(|(first, _)| *start <= first)) {
                best = Some((start, at));
            }
            let alive = |state: &Option<usize>| state.is_some_and(|s| best.is_none_or(|(first, _)| s <= first));
            let Some(&c) = chars.get(at) else { break };
            if best.is_some() && !states[..end].iter().any(alive) {
                break;
            }
            let mut next = vec![None; end + 1];
            for (state, start) in states[..end].iter().enumerate().filter_map(|(i, start)| Some((i, (*start)?))) {
                match self.0[state] {
                    Token::Literal(want) if want == c => self.enter_from(&mut next, state + 1, start),
                    Token::Any if c != '\n' => self.enter_from(&mut next, state + 1, start),
                    Token::Star if c != '\n' => self.enter_from(&mut next, state, start),
                    _ => {}
                }
            }
            states = next;
        }
        best
    }

    fn enter_from(&self, states: &mut [Option<usize>], mut at: usize, start: usize) {
        loop {
            if states[at].is_some_and(|earlier| earlier <= start) {
                return;
            }
            states[at] = Some(start);
            if self.0.get(at) != Some(&Token::Star) {
                return;
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_and_replaces() {
        let p = |text: &str| ShellPattern::new(text).unwrap();
        assert_eq!(p("*/").trim_prefix("a/b/c", false), "b/c");
        assert_eq!(p("*/").trim_prefix("a/b/c", true), "c");
        assert_eq!(p("/*").trim_suffix("a/b/c", false), "a/b");
        assert_eq!(p("/*").trim_suffix("a/b/c", true), "a");
        assert_eq!(p("x*").trim_prefix("abc", true), "abc");
        assert_eq!(p("a?c").trim_prefix("abcd", false), "d");
        assert_eq!(p("\\*").trim_prefix("*a", false), "a");
        assert_eq!(p("b").replace("abcb", |_| "X".into(), false), "aXcb");
        assert_eq!(p("b").replace("abcb", |_| "X".into(), true), "aXcX");
        assert_eq!(p("b*d").replace("abcdbdd!", |_| "X".into(), true), "aX!");
        assert_eq!(p("z").replace("abc", |_| "X".into(), true), "abc");
        assert!(ShellPattern::new("\\a").is_none());
    }
}
