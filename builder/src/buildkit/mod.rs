//! BuildKit's API: connection, session services, solve, status, typed errors.
//!
//! Owns: everything that touches BuildKit's wire types. Never: decides what to build, where or when;
//! never lets a wire type out of this module.

pub mod attrs;
pub mod call;
pub mod connect;
pub mod error;
pub mod export;
pub mod filesync;
mod generated;
pub mod session;
pub mod solve;
pub mod status;
mod upgrade;

pub use call::{CallAnswer, CallSpec};
pub use connect::{ConnectError, Greeting, Worker, WorkerInfo};
pub use error::SolveError;
pub use export::Export;
pub use session::{Session, SessionServices};
pub use solve::{SolveOutcome, SolveSpec};
