//! Automatic and global arguments (BuildKit `dockerfile2llb/platform.go`, `buildMetaArgs`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use polyarch_registry::oci::Platform;

use super::env::Var;
use super::problem::{Problem, ProblemKind};
use crate::dockerfile::{Dockerfile, ExpandError, expand};

/// Global arguments by name.
pub(super) type Globals = BTreeMap<String, Var>;

/// Proxy settings that reach a stage without ARG.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Automatic arguments about the target platform.
pub const TARGET_ARGS: [&str; 5] = ["TARGETPLATFORM", "TARGETOS", "TARGETOSVERSION", "TARGETARCH", "TARGETVARIANT"];

/// Arguments that are not put into the environment of RUN (`nonEnvArgs`).
pub(super) const NOT_IN_ENV: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Returns the arguments BuildKit sets by itself.
fn automatic(build: &Platform, target: &Platform, stage: &str) -> Globals {
    let mut args = Globals::new();
    let normal = target.normalize();
    for (prefix, platform, text) in [("BUILD", build, build.format()), ("TARGET", &normal, normal.to_string())] {
        let optional = |value: &Option<String>| value.clone().unwrap_or_default();
        let values = [
            ("PLATFORM", text),
            ("OS", platform.os.clone()),
            ("OSVERSION", optional(&platform.os_version)),
            ("ARCH", platform.architecture.clone()),
            ("VARIANT", optional(&platform.variant)),
        ];
        for (suffix, value) in values {
            let name = format!("{prefix}{suffix}");
            let taint = (prefix == "TARGET").then(|| Arc::from(name.as_str()));
            args.insert(name, Var { value: value.into(), taint });
        }
    }
    args.insert("TARGETSTAGE".to_owned(), Var::plain(stage));
    args
}

/// What global arguments depend on.
pub(super) struct GlobalInput<'a> {
    pub(super) build: &'a Platform,
    pub(super) target: &'a Platform,
    pub(super) target_stage: &'a str,
    pub(super) build_args: &'a BTreeMap<String, String>,
}

/// Returns the arguments visible to FROM: automatic ones, overridden by build arguments and by ARGs before the first FROM.
pub(super) fn global(file: &Dockerfile, input: &GlobalInput<'_>) -> (Globals, Vec<Problem>) {
    let mut args = automatic(input.build, input.target, input.target_stage);
    let mut problems = Vec::new();
    for (name, var) in &mut args {
        if let Some(given) = input.build_args.get(name) {
            *var = Var::plain(given);
        }
    }
    for arg in &file.global_args {
        let given = input.build_args.get(&arg.name).map(|value| Var::plain(value));
        let default = arg.value.as_deref().map(|word| (word, expand_with(word, file, &|name| args.get(name).cloned())));
        match (given, default) {
            (Some(var), _) | (None, Some((_, Ok(var)))) => drop(args.insert(arg.name.clone(), var)),
            (None, Some((word, Err(source)))) => {
                let kind = ProblemKind::Expand { word: word.to_owned(), source };
                problems.push(Problem { kind, span: Some(arg.span) });
            }
            (None, None) => {}
        }
    }
    (args, problems)
}

/// Whether BuildKit takes a build argument of this name without an ARG (`dockerfile2llb`, `dockerui/config.go`).
pub(super) fn is_taken(name: &str) -> bool {
    let platform = Platform::new("linux", "unknown", None);
    let is_automatic = automatic(&platform, &platform, "").contains_key(name);
    is_automatic || is_proxy(name) || name == "SOURCE_DATE_EPOCH" || name.starts_with("BUILDKIT_")
}

fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// Returns the proxy settings among the build arguments.
pub(super) fn proxies(build_args: &BTreeMap<String, String>) -> Vec<(&str, Var)> {
    build_args
        .iter()
        .filter(|(name, _)| is_proxy(name))
        .map(|(name, value)| (name.as_str(), Var::plain(value)))
        .collect()
}

/// Expands a word of the file; what it comes from goes with it.
pub(super) fn expand_with(
    word: &str,
    file: &Dockerfile,
    lookup: &dyn Fn(&str) -> Option<Var>,
) -> Result<Var, ExpandError> {
    expand_by(word, file.directives.escape(), lookup, expand)
}

/// One of the ways to expand.
pub(super) type Way = fn(&str, char, &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError>;

pub(super) fn expand_by(
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<Var>,
    way: Way,
) -> Result<Var, ExpandError> {
    let taint = RefCell::new(None);
    let value = way(word, escape, &|name| {
        let var = lookup(name)?;
        if var.taint.is_some() {
            *taint.borrow_mut() = var.taint;
        }
        Some(var.value.as_ref().to_owned())
    })?;
    Ok(Var { value: value.into(), taint: taint.into_inner() })
}
