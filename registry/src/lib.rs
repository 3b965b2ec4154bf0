//! Everything OCI that polyarch needs: vocabulary, content stores, a distribution client and
//! server, copying, verification and audit.
//!
//! Knows nothing of builds, terminals, argv or the environment.

pub mod audit;
pub mod client;
mod durable;
pub mod gc_plan;
pub mod oci;
pub mod resolve;
pub mod server;
pub mod store;
pub mod transfer;
pub mod verify;
