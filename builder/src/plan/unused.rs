//! Build arguments that nothing takes: a slip in a name changes nothing, and nobody says so.
//!
//! Owns: which names a Dockerfile declares or BuildKit takes by itself. Never: an error; a base image's `ONBUILD ARG` is
//! not known here.

use std::collections::BTreeSet;

use super::args;
use crate::dockerfile::{Assignment, Dockerfile, Instruction, Keyword, near};

/// A build argument without an ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedArg {
    /// Its name.
    pub name: String,
    /// Names of ARGs it resembles, best first.
    pub near: Vec<String>,
}

/// Returns the given names that no ARG of the file declares and BuildKit does not take by itself, in the order given. An
/// ARG of a stage that is not reached counts: what one target does not use, another may.
pub fn unused_build_args<'a>(file: &Dockerfile, given: impl IntoIterator<Item = &'a str>) -> Vec<UnusedArg> {
    let declared = declared(file);
    let is_unused = |name: &&str| !declared.contains(*name) && !args::is_taken(name);
    let unused = given.into_iter().filter(is_unused).map(|name| UnusedArg {
        name: name.to_owned(),
        near: near(name, declared.iter().map(String::as_str)).into_iter().map(str::to_owned).collect(),
    });
    unused.collect()
}

fn declared(file: &Dockerfile) -> BTreeSet<String> {
    let escape = file.directives.escape();
    let of = |instruction: &Instruction| match instruction.keyword {
        Keyword::Arg => Assignment::of_arg(instruction, escape).unwrap_or_default(),
        _ => Vec::new(),
    };
    let in_stages = file.stages.iter().flat_map(|stage| &stage.instructions);
    // A stage built on one with triggers takes them.
    let in_stages = in_stages.flat_map(|instruction| [Some(instruction), instruction.trigger.as_deref()]);
    let in_stages = in_stages.flatten().flat_map(of).map(|arg| arg.name);
    file.global_args.iter().map(|arg| arg.name.clone()).chain(in_stages).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse;

    #[test]
    fn only_what_nothing_takes_is_named() {
        let text = "ARG BASE=a\nFROM $BASE AS one\nARG VERSION REVISION=1\nONBUILD ARG LATER\nFROM b\nARG GOARM\n";
        let file = parse(text.as_bytes()).unwrap();
        let given = "BASE VERSION REVISION LATER GOARM http_proxy NO_PROXY TARGETARCH BUILDPLATFORM SOURCE_DATE_EPOCH \
                     BUILDKIT_INLINE_CACHE VERSON Base ZZZ";
        let unused = unused_build_args(&file, given.split_whitespace());
        let unused: Vec<(&str, Vec<&str>)> =
            unused.iter().map(|arg| (arg.name.as_str(), arg.near.iter().map(String::as_str).collect())).collect();
        assert_eq!(unused, [("VERSON", vec!["VERSION"]), ("Base", vec!["BASE"]), ("ZZZ", vec![])]);
    }
}
