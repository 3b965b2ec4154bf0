//! The instructions, their flags and how many arguments they need (BuildKit `instructions/parse.go`).

use super::error::{ParseErrorKind, near};
use super::flags::FlagKind::{self, Bool, List, Text};

/// The instructions BuildKit's built-in frontend knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

/// A flag's name and what it takes.
type Flags = &'static [(&'static str, FlagKind)];

const ADD: Flags = &[
    ("chown", Text),
    ("chmod", Text),
    ("link", Bool),
    ("keep-git-dir", Bool),
    ("checksum", Text),
    ("exclude", List),
    ("unpack", Bool),
];
const COPY: Flags =
    &[("from", Text), ("chown", Text), ("chmod", Text), ("link", Bool), ("parents", Bool), ("exclude", List)];
const HEALTHCHECK: Flags =
    &[("interval", Text), ("timeout", Text), ("start-period", Text), ("start-interval", Text), ("retries", Text)];
const RUN: Flags = &[("mount", List), ("network", Text), ("security", Text), ("device", List)];

/// Keyword, name, flags it takes, least number of arguments.
const TABLE: [(Keyword, &str, Flags, usize); 18] = [
    (Keyword::Add, "ADD", ADD, 2),
    (Keyword::Arg, "ARG", &[], 1),
    (Keyword::Cmd, "CMD", &[], 0),
    (Keyword::Copy, "COPY", COPY, 2),
    (Keyword::Entrypoint, "ENTRYPOINT", &[], 0),
    (Keyword::Env, "ENV", &[], 1),
    (Keyword::Expose, "EXPOSE", &[], 1),
    (Keyword::From, "FROM", &[("platform", Text)], 1),
    (Keyword::Healthcheck, "HEALTHCHECK", HEALTHCHECK, 1),
    (Keyword::Label, "LABEL", &[], 1),
    (Keyword::Maintainer, "MAINTAINER", &[], 1),
    (Keyword::Onbuild, "ONBUILD", &[], 1),
    (Keyword::Run, "RUN", RUN, 0),
    (Keyword::Shell, "SHELL", &[], 1),
    (Keyword::Stopsignal, "STOPSIGNAL", &[], 1),
    (Keyword::User, "USER", &[], 1),
    (Keyword::Volume, "VOLUME", &[], 1),
    (Keyword::Workdir, "WORKDIR", &[], 1),
];

impl Keyword {
    /// Returns the upper-case spelling.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    pub(super) fn parse(word: &str) -> Result<Self, ParseErrorKind> {
        TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(word)).map(|row| row.0).ok_or_else(|| {
            let name: String = word.chars().take(64).collect();
            let near = near(&name, TABLE.iter().map(|row| row.1));
            ParseErrorKind::UnknownInstruction { name, near }
        })
    }

    pub(super) fn flags(self) -> Flags {
        TABLE.iter().find(|row| row.0 == self).map_or(&[], |row| row.2)
    }

    pub(super) fn least_arguments(self) -> usize {
        TABLE.iter().find(|row| row.0 == self).map_or(0, |row| row.3)
    }
}
