//! Docker daemons without the containerd image store.

/// Placeholder until the classic path lands.
#[derive(Debug, thiserror::Error)]
#[error("classic")]
pub struct ClassicError;
