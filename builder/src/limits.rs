//! Every limit and time-out of a run, in one place, each with its reason.

use std::time::Duration;

/// Limits of a run. `Default` is what the command line uses.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Time to open a connection to a daemon (ssh included).
    pub connect: Duration,
    /// Silence on a connection to BuildKit after which the other end is asked whether it is there (HTTP/2 PING). A session
    /// is checked by the daemon every 5 s, so that one that lives is never asked.
    pub peer_silence: Duration,
    /// Time the other end has to answer: what we still send comes first, on a slow line.
    pub peer_answer: Duration,
    /// Time a credential helper has to answer: it may ask a keychain, which may ask the user.
    pub credential_helper: Duration,
    /// Time a Docker API call has to answer; removing a container with a large layer takes most of it.
    pub docker_request: Duration,
    /// Time to the first byte of an answer that comes after a whole image was copied (save, load, pull).
    pub docker_image: Duration,
    /// Time a started Docker-in-Docker has to answer; slow disks need most of it.
    pub dind_ready: Duration,
    /// Time for clean-up after a cancellation before it is abandoned.
    pub grace: Duration,
    /// Largest manifest or config read from a daemon or a tar, in bytes.
    pub manifest_bytes: u64,
    /// Largest gRPC message accepted from a daemon, in bytes: content writes may be 8 MiB, and BuildKit's own limit is 16 MiB.
    pub grpc_message_bytes: usize,
    /// Log bytes kept per vertex for the failure report.
    pub log_tail_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            peer_silence: Duration::from_secs(20),
            peer_answer: Duration::from_secs(40),
            credential_helper: Duration::from_secs(30),
            docker_request: Duration::from_secs(120),
            docker_image: Duration::from_secs(3600),
            dind_ready: Duration::from_secs(90),
            grace: Duration::from_secs(10),
            manifest_bytes: 4 << 20,
            grpc_message_bytes: 17 << 20,
            log_tail_bytes: 64 << 10,
        }
    }
}
