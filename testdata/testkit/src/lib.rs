//! Test support: images made from nothing, an embedded registry to talk to, plain HTTP, and the test
//! bed's addresses. Unpublished; used only by tests.
//!
//! Everything here panics where a test would: there is no error to handle.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

pub mod bed;
pub mod bridge;
pub mod hostile;
pub mod http;
pub mod images;
pub mod layer;
pub mod program;
pub mod proxy;
pub mod registry;
pub mod script;
pub mod served;
pub mod specimen;

pub use bed::Bed;
pub use bridge::GrpcBridge;
pub use http::Http;
pub use images::{Image, Index};
pub use layer::Layer;
pub use proxy::Proxy;
pub use registry::TestRegistry;
pub use served::Served;
pub use specimen::Specimen;
