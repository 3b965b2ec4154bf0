//! Machines we can build on: endpoints, dialling, probing, Docker-in-Docker.

pub mod dial;
