//! Arguments and environment become settings: everything a command needs, resolved and checked.
//!
//! Owns: buildx's value grammars, defaults, reading what the command line names (standard input,
//! the context's kind, the Dockerfile's place). Never: clap types beyond this boundary, the network,
//! or the process environment, which is read once into [`Env`].
//! The parsing modules are pure; only [`context`], [`dockerfile`], [`stdin`], [`secret`], [`ssh`], [`target`],
//! [`report_file`], [`lock`] and [`output`] look at the file system.

pub mod annotation;
pub mod attest;
pub mod build;
pub mod cache;
pub mod call;
pub mod context;
pub mod csv;
pub mod docker_format;
pub mod dockerfile;
pub mod dockerfile_choice;
pub mod duration;
pub mod env;
pub mod env_vars;
pub mod error;
pub mod export;
pub mod global;
pub mod host;
pub mod host_env;
pub mod image;
pub mod lock;
pub mod login;
pub mod near;
pub mod network;
pub mod output;
pub mod pair;
pub mod plan;
pub mod platform;
pub mod progress;
pub mod registries;
pub mod report_file;
pub mod secret;
pub mod serve;
pub mod size;
pub mod spool;
pub mod ssh;
pub mod stdin;
pub mod tag;
pub mod target;
#[cfg(test)]
mod tests;
pub mod transfer;
pub mod ulimit;
pub mod url_kind;

pub use build::BuildSettings;
pub use env::Env;
pub use error::{SettingsError, ValueError};
pub use global::{ColorChoice, GlobalSettings};
pub use host_env::host_env;
pub use spool::Spool;

use std::io::Read;
use std::path::{Path, PathBuf};

/// What surrounds the process, given to the resolvers so that tests need no process.
pub struct Surroundings {
    /// Environment variables.
    pub env: Env,
    /// Current directory; relative paths start here.
    pub cwd: PathBuf,
    /// Standard input.
    pub stdin: Box<dyn Read + Send>,
    /// Which streams are terminals.
    pub terminals: Terminals,
    /// Where standard input is kept while it is needed.
    pub spool: Spool,
}

/// Which of the standard streams are terminals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminals {
    /// Standard input: nothing is piped in.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

impl Surroundings {
    /// Returns `path` as an absolute path.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.cwd.join(path)
    }
}
