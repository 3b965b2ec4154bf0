//! A Docker daemon on another machine, through the user's own ssh and the `docker` command over there.
//!
//! Owns: one ssh process a connection, its error output and its end. Never: reads ssh's configuration or asks for a
//! password; ssh does both as the user set it up.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::node::dial::{Dialer, Io};
use crate::node::endpoint::SshTarget;

/// Error output kept for messages, in bytes.
const STDERR_KEPT: usize = 4 << 10;

/// `ssh … docker system dial-stdio`.
#[derive(Debug, Clone)]
pub struct SshDialer {
    target: SshTarget,
    connect: Duration,
}

impl SshDialer {
    /// Prepares connections; `connect` becomes ssh's own ConnectTimeout.
    pub fn new(target: SshTarget, connect: Duration) -> Self {
        Self { target, connect }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(arguments(&self.target, self.connect));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

impl Dialer for SshDialer {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Io>>> {
        async move {
            let child = self.command().spawn().map_err(|error| {
                io::Error::new(error.kind(), format!("ssh could not be started (is it installed?): {error}"))
            })?;
            Ok(Box::new(ProcessIo::new(child, self.target.to_string())?) as Box<dyn Io>)
        }
        .boxed()
    }
}

/// The arguments Docker's client uses (docker/cli, cli/connhelper/ssh), plus `-F`.
fn arguments(target: &SshTarget, connect: Duration) -> Vec<String> {
    let mut args = Vec::new();
    if let Some(config) = &target.config {
        args.extend(["-F".to_owned(), config.display().to_string()]);
    }
    args.extend(["-o".to_owned(), format!("ConnectTimeout={}", connect.as_secs().max(1)), "-T".to_owned()]);
    if let Some(user) = &target.user {
        args.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(port) = target.port {
        args.extend(["-p".to_owned(), port.to_string()]);
    }
    args.extend(["--".to_owned(), target.host.clone(), "docker".to_owned()]);
    if let Some(socket) = &target.socket {
        args.extend(["--host".to_owned(), shell_quoted(&format!("unix://{socket}"))]);
    }
    args.extend(["system", "dial-stdio"].map(str::to_owned));
    args
}

/// The far shell splits the command again.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The standard streams of a process as one connection.
///
/// When the process ends badly, the end of its output becomes an error that carries what it wrote to stderr.
struct ProcessIo {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    complaint: Vec<u8>,
    what: String,
}

impl ProcessIo {
    fn new(mut child: Child, what: String) -> io::Result<Self> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let stdout = stdout.ok_or_else(|| io::Error::other("the process has no standard output"))?;
        Ok(Self { child, stdin, stdout, stderr, complaint: Vec::new(), what })
    }

    /// Takes what is on stderr, so that the process never blocks on it; ready at its end.
    fn poll_stderr(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut chunk = [0; 1024];
        while let Some(stderr) = &mut self.stderr {
            let mut buffer = ReadBuf::new(&mut chunk);
            let read = ready!(Pin::new(stderr).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                self.stderr = None;
            }
            self.complaint.extend_from_slice(buffer.filled());
            let excess = self.complaint.len().saturating_sub(STDERR_KEPT);
            self.complaint.drain(..excess);
        }
        Poll::Ready(())
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_stderr(cx));
        // `wait` may be polled afresh: it has no state of its own beyond the child's.
        let status = ready!(std::pin::pin!(self.child.wait()).poll(cx))?;
        match status.success() {
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(self.failure(status))),
        }
    }

    fn failure(&self, status: std::process::ExitStatus) -> io::Error {
        let said = String::from_utf8_lossy(&self.complaint);
        let said = said.trim();
        let text = match said.is_empty() {
            true => format!("{}: ended with {status}", self.what),
            false => format!("{}: {said}", self.what),
        };
        io::Error::new(io::ErrorKind::ConnectionAborted, text)
    }
}

impl AsyncRead for ProcessIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let _ = this.poll_stderr(cx);
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stdout).poll_read(cx, buf))?;
        if buf.filled().len() > before || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        this.poll_end(cx)
    }
}

impl AsyncWrite for ProcessIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(stdin) = &mut this.stdin else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(stdin).poll_write(cx, buf)) {
            // The process has gone: its own words say more than `broken pipe`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => match ready!(this.poll_end(cx)) {
                Ok(()) => Poll::Ready(Err(error)),
                Err(said) => Poll::Ready(Err(said)),
            },
            other => Poll::Ready(other),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Closing the pipe is the half-close that dial-stdio passes on.
        self.get_mut().stdin = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn shell(script: &str) -> ProcessIo {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ProcessIo::new(command.kill_on_drop(true).spawn().unwrap(), "ssh://box".to_owned()).unwrap()
    }

    #[test]
    fn builds_the_command_line_of_dockers_client() {
        let target = SshTarget {
            user: Some("ann".into()),
            host: "box".into(),
            port: Some(2222),
            socket: Some("/run/a'b.sock".into()),
            config: Some("/c".into()),
        };
        let got = arguments(&target, Duration::from_secs(20)).join(" ");
        let want = "-F /c -o ConnectTimeout=20 -T -l ann -p 2222 -- box docker --host 'unix:///run/a'\\''b.sock' system dial-stdio";
        assert_eq!(got, want);
    }

    #[tokio::test]
    async fn passes_bytes_and_the_half_close() {
        let mut io = shell("cat; echo end");
        io.write_all(b"hello ").await.unwrap();
        io.shutdown().await.unwrap();
        let mut got = String::new();
        io.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "hello end\n");
    }

    #[tokio::test]
    async fn ends_in_what_the_process_said() {
        let mut io = shell("echo 'host key verification failed' >&2; exit 255");
        let error = io.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "ssh://box: host key verification failed");
    }

    #[tokio::test]
    async fn tells_the_status_when_the_process_said_nothing() {
        let error = shell("exit 3").read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "ssh://box: ended with exit status: 3");
    }
}
