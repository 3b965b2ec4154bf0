//! Ways to a daemon: sockets, TLS, ssh, an exec inside a container.
//!
//! Owns: the [`Dialer`](super::dial::Dialer) implementations. Never: speaks to what is at the other end, except the
//! outer Docker API of [`ExecDialer`].

mod demux;
mod exec;
mod hijack;
mod socket;
mod ssh;
mod tls;

pub use exec::ExecDialer;
pub use socket::{TcpDialer, UnixDialer};
pub use ssh::SshDialer;
pub use tls::{Alpn, TlsDialer, TlsError};
