//! A temporary directory for standard input.
//!
//! Owns: its life: made when first needed, removed by whoever holds any clone and says so. The reader of a pipe
//! may hang for ever in a thread that nothing can end, so its own destructors cannot be relied on.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

/// A temporary directory, made when first asked for. Clones share it; the last one removes it.
#[derive(Debug, Clone, Default)]
pub struct Spool {
    dir: Arc<Mutex<Option<TempDir>>>,
}

impl Spool {
    /// Returns the directory's path.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn path(&self) -> io::Result<PathBuf> {
        let mut dir = self.dir.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = &*dir {
            return Ok(dir.path().to_owned());
        }
        let made = tempfile::Builder::new().prefix("polyarch-").tempdir()?;
        let path = made.path().to_owned();
        *dir = Some(made);
        Ok(path)
    }

    /// Removes the directory and all that is in it, whoever still uses it.
    pub fn clear(&self) {
        drop(self.dir.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_clone_can_remove_it() {
        let spool = Spool::default();
        let path = spool.clone().path().unwrap();
        assert_eq!(spool.path().unwrap(), path);
        std::fs::write(path.join("f"), "x").unwrap();
        spool.clear();
        assert!(!path.exists());
    }
}
