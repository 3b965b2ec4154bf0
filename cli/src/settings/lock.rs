//! `--locked`: where the lock file is, and what is in it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use polyarch_builder::lock::{LIMIT, Lock};
use polyarch_builder::request::ContextSource;

use super::{SettingsError, Surroundings, ValueError};
use crate::args::lock::LockedArgs;

/// Its name where no option says otherwise.
const NAME: &str = "polyarch.lock";

/// Returns the lock file's path: beside the Dockerfile's context if that is a directory, else here.
pub fn path(named: Option<&Path>, context: &ContextSource, around: &Surroundings) -> PathBuf {
    match (named, context) {
        (Some(path), _) => around.resolve(path),
        (None, ContextSource::Dir(dir)) => dir.join(NAME),
        (None, _) => around.resolve(NAME),
    }
}

/// Reads the lock file, if it is to be obeyed.
///
/// # Errors
/// There is none, or it is none.
pub fn resolve(
    args: &LockedArgs,
    context: &ContextSource,
    around: &Surroundings,
) -> Result<Option<Lock>, SettingsError> {
    if !args.locked {
        return Ok(None);
    }
    let path = path(args.lock_file.as_deref(), context, around);
    let shown = path.display().to_string();
    let bad = |reason: String| ValueError::new(&shown, reason).of("--lock-file");
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(LIMIT as u64 + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let error = ValueError::new(&shown, error.to_string()).hint("write it: polyarch lock");
        return Err(error.of("--lock-file"));
    }
    let lock = Lock::parse(&bytes).map_err(|error| match std::error::Error::source(&error) {
        Some(cause) => bad(format!("it is no lock file: {error}: {cause}")),
        None => bad(format!("it is no lock file: {error}")),
    })?;
    Ok(Some(lock))
}
