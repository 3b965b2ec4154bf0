//! The `docker-credential-*` protocol: the server's address on stdin, JSON on stdout.
//!
//! Owns: starting the helper, bounds on its time and output. Its stderr is discarded, since helpers
//! were seen to write secrets there. Never: takes a path from a configuration file.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::{Credential, CredentialError};
use crate::client::secret::Secret;
use crate::client::text::untrusted;

/// Largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 << 10;
/// What every helper prints, with a non-zero exit, when it does not know the server (docker-credential-helpers, `credentials/error.go`).
const NOT_FOUND: &str = "credentials not found in native keychain";
/// User name that marks an identity token (docker/cli, `native_store.go`).
const TOKEN_USER: &str = "<token>";

pub(super) struct Helper {
    program: PathBuf,
    name: String,
    timeout: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default = "empty")]
    secret: Secret,
}

fn empty() -> Secret {
    Secret::new("")
}

impl Helper {
    pub(super) fn new(name: &str, dirs: &[PathBuf], timeout: Duration) -> Result<Self, CredentialError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(CredentialError::HelperName { name: untrusted(name, 64) });
        }
        let name = format!("docker-credential-{name}");
        let own = dirs.iter().map(|dir| dir.join(&name)).find(|path| path.is_file());
        Ok(Self { program: own.unwrap_or_else(|| Path::new(&name).to_owned()), name, timeout })
    }

    /// Asks for the server's credential.
    pub(super) async fn get(&self, server: &str) -> Result<Option<Credential>, CredentialError> {
        let (success, stdout) = self.run("get", server.as_bytes()).await?;
        self.read(success, &stdout)
    }

    /// Gives a credential into the helper's keeping.
    pub(super) async fn store(&self, server: &str, username: &str, secret: &Secret) -> Result<(), CredentialError> {
        let input = serde_json::json!({ "ServerURL": server, "Username": username, "Secret": secret.expose() });
        let (success, _) = self.run("store", input.to_string().as_bytes()).await?;
        if success { Ok(()) } else { Err(self.failed("non-zero exit".to_owned())) }
    }

    /// Lets the helper forget. That it knew nothing is no error: helpers do not agree on what they say then.
    pub(super) async fn erase(&self, server: &str) -> Result<bool, CredentialError> {
        Ok(self.run("erase", server.as_bytes()).await?.0)
    }

    async fn run(&self, action: &str, input: &[u8]) -> Result<(bool, Vec<u8>), CredentialError> {
        let child = Command::new(&self.program)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| CredentialError::HelperStart { helper: self.name.clone(), source })?;
        match tokio::time::timeout(self.timeout, talk(child, input)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(error.kind().to_string())),
            Err(_) => Err(CredentialError::HelperTimeout { helper: self.name.clone(), after: self.timeout }),
        }
    }

    fn read(&self, success: bool, stdout: &[u8]) -> Result<Option<Credential>, CredentialError> {
        if !success {
            let unknown = String::from_utf8_lossy(stdout).trim() == NOT_FOUND;
            return if unknown { Ok(None) } else { Err(self.failed("non-zero exit".to_owned())) };
        }
        if stdout.len() as u64 > MAX_ANSWER {
            return Err(self.failed("answer too large".to_owned()));
        }
        let answer: Answer =
            serde_json::from_slice(stdout).map_err(|_| self.failed("answer is not its JSON".to_owned()))?;
        Ok(match answer {
            Answer { secret, .. } if secret.is_empty() => None,
            Answer { username, secret } if username == TOKEN_USER => Some(Credential::Identity(secret)),
            Answer { username, secret } => Some(Credential::Password { username, password: secret }),
        })
    }

    fn failed(&self, reason: String) -> CredentialError {
        CredentialError::HelperFailed { helper: self.name.clone(), reason }
    }
}

/// Returns whether it succeeded and at most one byte more than [`MAX_ANSWER`] of its answer.
async fn talk(mut child: Child, input: &[u8]) -> std::io::Result<(bool, Vec<u8>)> {
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input may still answer.
        let _ = stdin.write_all(input).await;
        let _ = stdin.shutdown().await;
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER + 1).read_to_end(&mut answer).await?;
    }
    if answer.len() as u64 > MAX_ANSWER {
        child.kill().await?;
        return Ok((true, answer));
    }
    Ok((child.wait().await?.success(), answer))
}
