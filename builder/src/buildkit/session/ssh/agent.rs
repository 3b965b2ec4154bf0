//! An ssh-agent of our own for key files.
//!
//! Owns: one OpenSSH `ssh-agent` process, which ends with this value. An agent inside this process would need
//! a signature crate for every kind of key (RSA, ECDSA, Ed25519, hardware keys); OpenSSH has them all, and keys
//! never enter our memory. Never: asks for a passphrase; a protected key is an error.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    /// OpenSSH's tools are not there or do not run.
    #[error("{tool} could not be run: {error}")]
    Run { tool: &'static str, error: io::Error },
    /// The agent ended at once.
    #[error("ssh-agent did not start")]
    NotStarted,
    /// The key is not one, or is protected by a passphrase.
    #[error("ssh-add refused {}: {message}", .key.display())]
    Refused { key: PathBuf, message: String },
}

/// A running agent.
#[derive(Debug)]
pub(super) struct KeyAgent {
    socket: PathBuf,
    // Killed before its directory is removed: fields drop in this order.
    _process: Child,
    _directory: tempfile::TempDir,
}

impl KeyAgent {
    /// Starts an agent and adds the keys.
    pub(super) async fn start(keys: &[PathBuf]) -> Result<Self, AgentError> {
        let failed = |tool| move |error| AgentError::Run { tool, error };
        // The directory is readable by this user alone.
        let directory = tempfile::Builder::new().prefix("polyarch-ssh").tempdir().map_err(failed("ssh-agent"))?;
        let socket = directory.path().join("agent");
        let mut process = command("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed("ssh-agent"))?;
        // It prints its address once it listens.
        let output = process.stdout.take().ok_or(AgentError::NotStarted)?;
        let printed = BufReader::new(output).read_until(b'\n', &mut Vec::new()).await;
        if printed.map_err(failed("ssh-agent"))? == 0 {
            return Err(AgentError::NotStarted);
        }
        for key in keys {
            add(&socket, key).await?;
        }
        Ok(Self { socket, _process: process, _directory: directory })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }
}

async fn add(socket: &Path, key: &Path) -> Result<(), AgentError> {
    let output = command("ssh-add")
        .arg(key)
        .env("SSH_AUTH_SOCK", socket)
        // A passphrase is asked of a program that fails, and not on our terminal.
        .env("SSH_ASKPASS", "false")
        .env("SSH_ASKPASS_REQUIRE", "force")
        .output()
        .await
        .map_err(|error| AgentError::Run { tool: "ssh-add", error })?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(AgentError::Refused { key: key.to_owned(), message })
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}
