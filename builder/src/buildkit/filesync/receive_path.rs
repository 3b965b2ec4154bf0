//! Which paths a sender may announce: clean, relative, in order, each below a directory announced before.

use super::error::ReceiveError;
use crate::ignore::clean;

/// Longest path accepted, in bytes.
const LONGEST: usize = 4096;

/// Checks a stream of paths (fsutil `Validator`).
#[derive(Debug, Default)]
pub(super) struct PathOrder {
    /// Directories from the root to the last announced entry, each with the last name seen in it.
    open: Vec<(String, String)>,
    started: bool,
}

impl PathOrder {
    /// Accepts the next path or says what is wrong with it.
    pub(super) fn accept(&mut self, path: &str, is_dir: bool) -> Result<(), ReceiveError> {
        let bad = |reason| ReceiveError::BadPath { path: path.chars().take(256).collect(), reason };
        check(path).map_err(bad)?;
        if !std::mem::replace(&mut self.started, true) {
            self.open.push((String::new(), String::new()));
        }
        let (dir, base) = path.rsplit_once('/').unwrap_or(("", path));
        while self.open.last().is_some_and(|(open, _)| open != dir) {
            self.open.pop();
        }
        let Some((_, last)) = self.open.last_mut() else {
            return Err(bad("its directory was not announced before it"));
        };
        if last.as_str() >= base {
            return Err(bad("it is out of order"));
        }
        base.clone_into(last);
        if is_dir {
            self.open.push((path.to_owned(), String::new()));
        }
        Ok(())
    }
}

fn check(path: &str) -> Result<(), &'static str> {
    if path.is_empty() || path.len() > LONGEST {
        return Err("it is empty or too long");
    }
    if path.contains('\0') {
        return Err("it contains a zero byte");
    }
    if path.starts_with('/') {
        return Err("it is absolute");
    }
    if path == "." || path != clean(path) {
        return Err("it is not clean");
    }
    match path == ".." || path.starts_with("../") {
        true => Err("it leads out of the directory"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(paths: &[(&str, bool)]) -> Result<(), ReceiveError> {
        let mut order = PathOrder::default();
        paths.iter().try_for_each(|(path, is_dir)| order.accept(path, *is_dir))
    }

    #[test]
    fn accepts_a_walk() {
        run(&[("a", true), ("a/b", true), ("a/b/c", false), ("a/d", false), ("a-b", false), ("b", false)]).unwrap();
    }

    #[test]
    fn refuses_hostile_paths() {
        for paths in [
            &[("..", true)][..],
            &[("../x", false)],
            &[("/etc/passwd", false)],
            &[("", false)],
            &[(".", true)],
            &[("a/./b", false)],
            &[("a", true), ("a/../../b", false)],
            &[("a\0b", false)],
            &[("a/b", false)],
            &[("a", false), ("a/b", false)],
            &[("b", false), ("a", false)],
            &[("a", false), ("a", false)],
            &[("a", true), ("b", false), ("a/c", false)],
        ] {
            assert!(matches!(run(paths), Err(ReceiveError::BadPath { .. })), "{paths:?}");
        }
    }
}
