//! Files to and from a daemon: fsutil's DiffCopy protocol, both ends.
//!
//! Owns: the walk of a local directory as fsutil walks it, the FileSync service that offers directories to a daemon, and
//! the receiver of a `local` export. Never: follows a symbolic link out of a root, or trusts a path a daemon sends.

mod driven;
mod error;
mod filter;
mod followlinks;
mod mode;
mod read;
mod receive;
mod receive_disk;
mod receive_path;
mod request;
mod send;
mod service;
mod source;
#[cfg(test)]
mod tests;
mod walk;
mod xattr;

pub use driven::PacketStream;
pub use error::{ReceiveError, SendError};
pub use filter::{Filter, FilterSpec};
pub use receive::{receive, receive_stream};
pub use send::{SyncStats, serve_diffcopy};
pub use service::FileSyncService;
pub use source::{LocalDir, LocalDirs};
