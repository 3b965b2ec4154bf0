//! Credentials as Docker and Podman keep them.
//!
//! Owns: the order of places, reading the files, asking helpers, and keeping what a login has proved. Files are named
//! by the caller. Never: reads the environment, sends anything.

mod config_file;
mod helper;
mod keep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use config_file::{AuthFile, AuthFileError};
pub use keep::{Keeper, Kept};

use super::secret::Secret;

/// Where to look for credentials, in this order: Docker's `config.json` (its `credHelpers`, its
/// `credsStore`, its `auths`), then each auth file.
#[derive(Debug, Clone, Default)]
pub struct CredentialSources {
    /// Credentials that go before all others, by host: those that a login is about to try.
    pub fixed: BTreeMap<String, Credential>,
    /// Directory of Docker's `config.json`.
    pub docker_config_dir: Option<PathBuf>,
    /// Files in the format of `containers-auth.json(5)`.
    pub auth_files: Vec<PathBuf>,
    /// Directories searched for `docker-credential-*` before the process's own search path.
    pub helper_dirs: Vec<PathBuf>,
}

/// What a registry accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user name and password, for Basic or to get a token with.
    Password {
        /// User name.
        username: String,
        /// Password or personal access token.
        password: Secret,
    },
    /// An OAuth2 refresh token, which is only ever sent to the token endpoint.
    Identity(Secret),
    /// A ready bearer token for the registry itself.
    Registry(Secret),
}

/// Why credentials could not be read. Nothing secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file exists but cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A file is not in its format.
    #[error("parse {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: AuthFileError,
    },
    /// The configuration names a helper with characters a program's name cannot have here.
    #[error("credential helper name {name:?} is not a plain program name")]
    HelperName {
        /// The name, escaped.
        name: String,
    },
    /// The helper could not be started.
    #[error("start credential helper {helper}")]
    HelperStart {
        /// Program.
        helper: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The helper failed; what it wrote is not shown, for it may hold a secret.
    #[error("credential helper {helper} failed ({reason})")]
    HelperFailed {
        /// Program.
        helper: String,
        /// What was seen of it.
        reason: String,
    },
    /// The helper did not end in time.
    #[error("credential helper {helper} did not answer within {} s", .after.as_secs())]
    HelperTimeout {
        /// Program.
        helper: String,
        /// The limit.
        after: Duration,
    },
}

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

impl CredentialSources {
    /// Returns the credential for `host/repository`, or `None` where no place has one.
    ///
    /// # Errors
    /// [`CredentialError`] for a file or helper that is there but does not work: silently going on
    /// anonymously would end in a misleading refusal by the registry.
    pub async fn find(
        &self,
        host: &str,
        repository: &str,
        timeout: Duration,
    ) -> Result<Option<Credential>, CredentialError> {
        if let Some(fixed) = self.fixed.get(host) {
            return Ok(Some(fixed.clone()));
        }
        if let Some(dir) = &self.docker_config_dir
            && let Some(file) = read(&dir.join("config.json")).await?
            && let Some(found) = self.in_file(&file, host, repository, timeout).await?
        {
            return Ok(Some(found));
        }
        for path in &self.auth_files {
            if let Some(file) = read(path).await?
                && let Some(found) = self.in_file(&file, host, repository, timeout).await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns whether there is a credential for the host or for any repository of it.
    ///
    /// # Errors
    /// As [`CredentialSources::find`].
    pub async fn knows(&self, host: &str, timeout: Duration) -> Result<bool, CredentialError> {
        let docker = self.docker_config_dir.iter().map(|dir| dir.join("config.json"));
        for path in docker.chain(self.auth_files.iter().cloned()) {
            let Some(file) = read(&path).await? else { continue };
            if file.names(host) || self.in_file(&file, host, "", timeout).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn in_file(
        &self,
        file: &AuthFile,
        host: &str,
        repository: &str,
        timeout: Duration,
    ) -> Result<Option<Credential>, CredentialError> {
        if let Some(name) = file.helper_for(host) {
            let helper = helper::Helper::new(name, &self.helper_dirs, timeout)?;
            if let Some(found) = helper.get(config_file::server_address(host)).await? {
                return Ok(Some(found));
            }
        }
        Ok(file.auth_for(host, repository))
    }
}

async fn read(path: &Path) -> Result<Option<AuthFile>, CredentialError> {
    use tokio::io::AsyncReadExt as _;
    let fail = |source| CredentialError::Read { path: path.to_owned(), source };
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).await.map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(fail(std::io::ErrorKind::FileTooLarge.into()));
    }
    let parsed = AuthFile::parse(&bytes);
    parsed.map(Some).map_err(|source| CredentialError::Parse { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
