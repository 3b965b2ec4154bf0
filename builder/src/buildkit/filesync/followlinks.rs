//! Symbolic links on the way to a requested path: fsutil's `FollowLinks`.
//!
//! A link is read as if the root were `/`, so no target lies outside it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::filter::dedupe;
use crate::ignore::{Glob, clean};

/// Returns the paths and every link on the way to them and every link's target, sorted; empty if one of them is the root.
pub(super) fn follow_links(root: &Path, paths: &[String]) -> io::Result<Vec<String>> {
    let mut resolved = BTreeSet::new();
    let mut work: Vec<String> = paths.iter().rev().cloned().collect();
    while let Some(path) = work.pop() {
        resolve(root, &path, &mut resolved, &mut work)?;
    }
    Ok(dedupe(resolved.into_iter()))
}

/// Walks one path until its end or its first link; the link's targets, each with the rest of the path, become new work.
fn resolve(root: &Path, path: &str, resolved: &mut BTreeSet<String>, work: &mut Vec<String>) -> io::Result<()> {
    let mut current = ".".to_owned();
    let mut rest = Some(path);
    while let Some(remaining) = rest {
        let (part, after) = remaining.split_once('/').unwrap_or((remaining, ""));
        current = clean(&format!("{current}/{part}"));
        rest = Some(after).filter(|after| !after.is_empty());
        let targets = link_targets(root, &current)?;
        if !targets.is_empty() {
            if resolved.insert(current) {
                work.extend(targets.iter().rev().map(|target| clean(&format!("{target}/{after}"))));
            }
            return Ok(());
        }
    }
    resolved.insert(current);
    Ok(())
}

/// Returns the link targets a path stands for, from the root; empty if it is no link. A wildcard stands for every match.
fn link_targets(root: &Path, path: &str) -> io::Result<Vec<String>> {
    let (dir, base) = path.rsplit_once('/').unwrap_or((".", path));
    if !has_wildcard(base) {
        return Ok(link_target(root, dir, base)?.into_iter().collect());
    }
    let Ok(glob) = Glob::new(base) else { return Ok(Vec::new()) };
    let entries = match fs::read_dir(root.join(dir)) {
        Err(e) if is_absent(&e) => return Ok(Vec::new()),
        other => other?,
    };
    let mut targets = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| glob.matches(name)) {
            targets.extend(link_target(root, dir, name)?);
        }
    }
    targets.sort();
    Ok(targets)
}

fn link_target(root: &Path, dir: &str, base: &str) -> io::Result<Option<String>> {
    let full = root.join(dir).join(base);
    let target = match fs::symlink_metadata(&full) {
        Err(e) if is_absent(&e) => return Ok(None),
        Ok(meta) if !meta.is_symlink() => return Ok(None),
        other => other.and_then(|_| fs::read_link(&full))?,
    };
    let text = String::from_utf8_lossy(target.as_os_str().as_bytes()).into_owned();
    Ok(Some(if text.starts_with('/') { clean(&text) } else { clean(&format!("/{dir}/{text}")) }))
}

fn has_wildcard(name: &str) -> bool {
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

fn is_absent(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
