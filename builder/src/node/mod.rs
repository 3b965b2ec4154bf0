//! Machines we can build on: endpoints, dialling, probing, Docker-in-Docker.

pub(crate) mod cleanup;
pub mod context;
pub mod dial;
pub mod dialers;
pub mod dind;
pub mod docker;
pub mod endpoint;
pub mod facts;
pub(crate) mod owner;
pub mod probe;
pub mod reach;
pub mod trial;
