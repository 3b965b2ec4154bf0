//! A socket in the registry's directory, by which another process of the same user asks the running server to
//! collect garbage: the directory itself is the server's alone.
//!
//! Owns: one JSON line each way. Never: listens on a network, or reads more than a line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::Registry;
use super::gc::{Collected, GcOptions};
use crate::store::LayoutStore;

/// Longest line, in bytes.
const LINE_LIMIT: u64 = 4096;
/// How long a request may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Collected(Collected),
    Failed(String),
}

/// Why a running server did not collect.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The server does not answer, or not in our language.
    #[error("cannot talk to the registry that runs on {root}")]
    Talk {
        /// The registry's directory.
        root: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The server tried and failed.
    #[error("the running registry could not collect: {0}")]
    Failed(String),
}

fn path(root: &Path) -> PathBuf {
    root.join("control.sock")
}

/// Opens the socket; only the owner of the directory may use it. `None` where that is not possible.
pub(super) fn listen(root: &Path) -> Option<UnixListener> {
    let path = path(root);
    // The directory's lock is held, so what is there was left by a server that was killed.
    let _ = std::fs::remove_file(&path);
    let opened = UnixListener::bind(&path).and_then(|socket| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map(|()| socket)
    });
    // A path longer than a socket's address, or a file system without sockets: only `registry gc` beside us is lost.
    opened.inspect_err(|error| tracing::warn!(%error, "no control socket; gc works only while stopped")).ok()
}

/// Answers requests, one at a time, until dropped.
pub(super) async fn serve(socket: &UnixListener, registry: &Registry, content: &LayoutStore) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = answer(stream, registry, content).await {
                    tracing::debug!(%error, "control request broke off");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "control socket failed");
                tokio::time::sleep(REQUEST_TIME).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, registry: &Registry, content: &LayoutStore) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(LINE_LIMIT));
    tokio::time::timeout(REQUEST_TIME, read.read_line(&mut line)).await??;
    let answer = match serde_json::from_str::<GcOptions>(&line) {
        Err(error) => Answer::Failed(format!("bad request: {error}")),
        Ok(options) => match registry.collect(content, options).await {
            Ok(collected) => Answer::Collected(collected),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "gc failed");
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                Answer::Failed(format!("{error}{cause}"))
            }
        },
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await
}

/// Asks the server that runs on `root` to collect.
///
/// # Errors
/// [`ControlError`].
pub(super) async fn ask(root: &Path, options: GcOptions) -> Result<Collected, ControlError> {
    let talk = async {
        let mut stream = UnixStream::connect(path(root)).await?;
        let mut text = serde_json::to_string(&options)?;
        text.push('\n');
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(LINE_LIMIT).read_to_string(&mut answer).await?;
        Ok(serde_json::from_str::<Answer>(&answer)?)
    };
    match talk.await {
        Ok(Answer::Collected(collected)) => Ok(collected),
        Ok(Answer::Failed(reason)) => Err(ControlError::Failed(reason)),
        Err(source) => Err(ControlError::Talk { root: root.to_owned(), source }),
    }
}
