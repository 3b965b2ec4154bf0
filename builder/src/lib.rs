//! Plans a Dockerfile's multistage build for every platform and runs one BuildKit solve per platform.
//!
//! Never prints, exits or reads the environment: that is the command line's part.

pub mod assemble;
pub mod buildkit;
pub mod cache;
pub mod classic;
pub mod dockerfile;
pub mod event;
pub mod event_sink;
pub mod ignore;
pub mod image;
pub mod limits;
pub mod lint;
pub mod lock;
pub mod node;
pub mod plan;
pub mod preflight;
pub mod request;
pub mod run;
pub mod secret;
pub mod steps;
