//! Machines we can build on: endpoints, dialling, probing, Docker-in-Docker.

mod cleanup;
pub mod context;
pub mod dial;
pub mod dialers;
pub mod dind;
pub mod docker;
pub mod endpoint;
pub mod facts;
pub mod probe;
pub mod reach;
