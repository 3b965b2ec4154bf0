//! The client and the transfers over real connections: against Debian's docker-registry, and
//! against a scripted server that fails on purpose.

mod auth;
mod faults;
mod images;
mod model;
mod publish;
mod real;
mod real_tests;
mod script;
