//! The run: every platform on its node, each failure an outcome of its own.
//!
//! Owns: placement, the dispatcher, one executor per kind of daemon, and the check every result passes before it
//! counts as built. Never: publishes, prints, or lets one platform's failure end another's build.

pub mod arrivals;
pub mod check;
pub mod classic;
pub mod content;
pub mod dispatch;
pub mod files;
pub mod outcome;
pub mod push;
pub mod session;
pub mod tar_import;

pub use dispatch::{Executor, Job, OnFailure, dispatch};
pub use outcome::{Built, PlatformError, PlatformOutcome};

pub use crate::image::BuiltImage;
