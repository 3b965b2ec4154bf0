//! A connection through a process inside a container: `docker exec -i` without the command line.

use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::demux::Demux;
use super::hijack;
use crate::node::dial::{Dialer, Io};
use crate::node::docker::DockerApi;

/// What an HTTP/2 server says first: a SETTINGS frame, whose length takes less than three bytes (RFC 9113, 3.4).
const HTTP2: u8 = 0;
/// What an HTTP/1.1 server says first: `HTTP/1.1 …`.
const HTTP1: u8 = b'H';

/// Runs a command in a container for each connection and speaks through its standard streams.
#[derive(Debug, Clone)]
pub struct ExecDialer {
    outer: DockerApi,
    container: String,
    command: Vec<String>,
    first: u8,
}

impl ExecDialer {
    /// `buildctl dial-stdio`: BuildKit's API of a buildkitd in the container.
    pub fn buildctl(outer: DockerApi, container: impl Into<String>) -> Self {
        Self::new(outer, container.into(), &["buildctl", "dial-stdio"], HTTP2)
    }

    /// `docker system dial-stdio`: the Docker API of a dockerd in the container.
    pub fn docker(outer: DockerApi, container: impl Into<String>) -> Self {
        // The socket is named because images set DOCKER_HOST for other containers' clients.
        let command = ["docker", "-H", "unix:///var/run/docker.sock", "system", "dial-stdio"];
        Self::new(outer, container.into(), &command, HTTP1)
    }

    fn new(outer: DockerApi, container: String, command: &[&str], first: u8) -> Self {
        let command = command.iter().map(|part| (*part).to_owned()).collect();
        Self { outer, container, command, first }
    }
}

impl Dialer for ExecDialer {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Io>>> {
        async move {
            let what = format!("{} in container {}", self.command[0], self.container);
            let exec = self.outer.create_exec(&self.container, self.command.clone()).await.map_err(io::Error::other)?;
            let stream = self.outer.dialer().dial().await?;
            let start = r#"{"Detach":false,"Tty":false}"#.to_owned();
            let upgraded = hijack::upgrade(stream, &format!("/exec/{exec}/start"), start).await?;
            Ok(Box::new(Demux::new(upgraded, self.first, what)) as Box<dyn Io>)
        }
        .boxed()
    }
}
