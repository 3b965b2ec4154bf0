//! The words of one instruction, expanded with what it sees; what is wrong with them is told.

use std::cell::Cell;
use std::sync::Arc;

use super::args::{Way, expand_by};
use super::copy_flags::{bad_checksum, bad_chmod};
use super::env::{Env, Var};
use super::problem::ProblemKind;
use super::values::{is_port, is_signal};
use super::walk::{MOST_PROBLEMS, Walker};
use crate::dockerfile::{ExpandError, Instruction, Keyword, Mount, MountError, expand, expand_heredoc};

/// The environment before an instruction.
pub(super) struct Before {
    pub(super) env: Env,
    /// The base image's own is known.
    pub(super) is_complete: bool,
}

/// The words of one instruction.
pub(super) struct Words<'a> {
    pub(super) walker: &'a Walker<'a>,
    pub(super) instruction: &'a Instruction,
    pub(super) state: &'a Before,
}

impl Words<'_> {
    /// Expands a word; what is wrong with it is told.
    pub(super) fn one(&self, word: &str) -> Var {
        self.by(word, expand)
    }

    /// Expands a mount's whole text for the hash; its values are told on by [`Words::mount`].
    pub(super) fn one_of(&self, text: &str) -> Var {
        let lookup = |name: &str| self.state.env.get(name).cloned();
        let escape = self.walker.graph.file.directives.escape();
        expand_by(text, escape, &lookup, expand).unwrap_or_else(|_| Var::plain(text))
    }

    fn by(&self, word: &str, way: Way) -> Var {
        let lookup = |name: &str| self.state.env.get(name).cloned();
        let result = expand_by(word, self.walker.graph.file.directives.escape(), &lookup, way);
        let mut told = self.walker.told.borrow_mut();
        told.expanded += result.as_ref().map_or(word.len(), |var| var.value.len());
        result.unwrap_or_else(|source| {
            // The base image's own ENV may have it.
            let is_certain = self.state.is_complete || !matches!(source, ExpandError::Required { .. });
            // Finding the place takes time, and nobody reads a hundred.
            if is_certain && told.problems.len() < MOST_PROBLEMS {
                let shown = word.chars().take(200).collect();
                told.problem(ProblemKind::Expand { word: shown, source }, self.instruction.point_at(word));
            }
            Var::plain(word)
        })
    }

    /// Ports and signals are read after expansion.
    pub(super) fn check(&self) {
        let is_port_list = self.instruction.keyword == Keyword::Expose;
        for value in self.parts().0.iter().skip(1) {
            let words: Vec<&str> = if is_port_list { value.split_whitespace().collect() } else { vec![value] };
            let is_known = if is_port_list { is_port } else { is_signal };
            if let Some(word) = words.into_iter().find(|word| !is_known(word)) {
                let value = word.chars().take(200).collect();
                let kind = ProblemKind::BadValue { keyword: self.instruction.keyword.name(), value };
                self.walker.told.borrow_mut().problem(kind, self.instruction.span);
            }
        }
    }

    /// `--chmod` and `--checksum` are read after expansion. What the ENV of an unknown base image may decide is not judged.
    pub(super) fn copy_flags(&self) {
        let is_known = |word: &str| self.state.is_complete || self.names_only_known(word);
        let value =
            |flag: &str| self.instruction.flag(flag).filter(|word| is_known(word)).map(|word| self.one(word).value);
        let keyword = self.instruction.keyword;
        let chmod = value("chmod").filter(|mode| !mode.is_empty());
        let chmod = chmod.and_then(|mode| Some(("chmod", bad_chmod(&mode)?, mode)));
        let checksum = value("checksum").filter(|sum| !sum.is_empty()).and_then(|sum| {
            let words = self.instruction.words();
            let (_, sources) = words.split_last()?;
            let sources: Vec<&str> = sources.iter().copied().filter(|source| !source.starts_with("<<")).collect();
            let is_judged = sources.iter().all(|source| is_known(source));
            let sources: Vec<_> = sources.into_iter().map(|source| self.one(source).value).collect();
            let sources: Vec<&str> = sources.iter().map(AsRef::as_ref).collect();
            let why = if is_judged { bad_checksum(keyword, &sum, &sources)? } else { return None };
            Some(("checksum", why, sum))
        });
        for (flag, why, value) in chmod.into_iter().chain(checksum) {
            let value = value.chars().take(200).collect();
            let kind = ProblemKind::BadCopyFlag { keyword: keyword.name(), flag, value, why };
            let span = self.instruction.point_at(&format!("--{flag}"));
            self.walker.told.borrow_mut().problem(kind, span);
        }
    }

    /// Whether every variable of a word has a value here.
    fn names_only_known(&self, word: &str) -> bool {
        let is_unknown = Cell::new(false);
        let lookup = |name: &str| {
            let var = self.state.env.get(name).cloned();
            is_unknown.set(is_unknown.get() || var.is_none());
            var
        };
        drop(expand_by(word, self.walker.graph.file.directives.escape(), &lookup, expand));
        !is_unknown.get()
    }

    pub(super) fn mount(&self, text: &str) {
        let result = Mount::parse(text, &|value: &str| Ok::<_, MountError>(self.one(value).value.as_ref().to_owned()));
        if let Err(source) = result {
            let kind = ProblemKind::BadMount { mount: text.chars().take(200).collect(), source };
            self.walker.told.borrow_mut().problem(kind, self.instruction.point_at("--mount"));
        }
    }

    /// Everything a file step depends on, expanded.
    pub(super) fn parts(&self) -> (Vec<String>, Option<Arc<str>>) {
        let mut taint = None;
        let mut keep = |var: Var| {
            taint = taint.take().or(var.taint);
            var.value.as_ref().to_owned()
        };
        let mut parts = vec![self.instruction.keyword.name().to_owned()];
        match self.instruction.keyword {
            Keyword::Workdir | Keyword::User | Keyword::Stopsignal => {
                parts.push(keep(self.one(&self.instruction.arguments)));
            }
            Keyword::Shell => parts.push(self.instruction.arguments.clone()),
            _ => {
                for word in self.instruction.words() {
                    parts.push(keep(self.one(word)));
                }
            }
        }
        for flag in self.instruction.flags.iter().filter(|flag| flag.name != "from") {
            parts.push(format!("--{}={}", flag.name, keep(self.one(&flag.value))));
        }
        for heredoc in &self.instruction.heredocs {
            let content = &heredoc.content;
            let var = if heredoc.expand { self.by(content, expand_heredoc) } else { Var::plain(content) };
            parts.push(keep(var));
        }
        (parts, taint)
    }
}
