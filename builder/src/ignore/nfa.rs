//! A tiny non-deterministic automaton: all patterns run on it, in time proportional to pattern times text.

/// Characters an instruction accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CharSet {
    /// Exactly this one.
    One(char),
    /// Anything but a slash.
    NotSlash,
    /// Anything but a line feed (a regular expression's `.`).
    NotNewline,
    /// A bracket expression.
    Class {
        /// Accept what is *not* listed.
        negated: bool,
        /// Inclusive ranges.
        ranges: Vec<(char, char)>,
    },
}

impl CharSet {
    fn contains(&self, c: char) -> bool {
        match self {
            Self::One(one) => *one == c,
            Self::NotSlash => c != '/',
            Self::NotNewline => c != '\n',
            Self::Class { negated, ranges } => ranges.iter().any(|&(low, high)| low <= c && c <= high) != *negated,
        }
    }
}

/// One instruction of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inst {
    /// Consume one character of the set.
    One(CharSet),
    /// Consume any number of characters of the set.
    Star(CharSet),
    /// Fork: into the `DirsBody` that follows, or past it. Together they are `(.*/)?`.
    DirsEntry,
    /// Consume anything; leave only after a slash.
    DirsBody,
    /// Succeed only at the beginning of the text.
    Begin,
}

/// A compiled pattern, matching whole texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program(pub(super) Vec<Inst>);

impl Program {
    /// Returns whether the whole text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        let len = self.0.len();
        let mut now = vec![false; len + 1];
        self.enter(&mut now, 0, true);
        for c in text.chars() {
            let mut next = vec![false; len + 1];
            for (at, inst) in self.0.iter().enumerate().filter(|(at, _)| now[*at]) {
                match inst {
                    Inst::One(set) if set.contains(c) => self.enter(&mut next, at + 1, false),
                    Inst::Star(set) if set.contains(c) => self.enter(&mut next, at, false),
                    Inst::DirsBody => {
                        if c == '/' {
                            self.enter(&mut next, at + 1, false);
                        }
                        if c != '\n' {
                            next[at] = true;
                        }
                    }
                    _ => {}
                }
            }
            now = next;
        }
        now[len]
    }

    /// Adds `at` and all that is reachable from it without consuming; a state already present ends the walk.
    fn enter(&self, states: &mut [bool], mut at: usize, begin: bool) {
        while !std::mem::replace(&mut states[at], true) {
            match self.0.get(at) {
                Some(Inst::Star(_)) => at += 1,
                Some(Inst::DirsEntry) => {
                    states[at + 1] = true;
                    at += 2;
                }
                Some(Inst::Begin) if begin => at += 1,
                _ => return,
            }
        }
    }
}
