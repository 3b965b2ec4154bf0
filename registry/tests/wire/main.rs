//! The client and the transfers over real connections: against Debian's docker-registry, and
//! against a scripted server that fails on purpose.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "clippy.toml allows it in test functions; these are their helpers"
)]

mod auth;
mod blob_faults;
mod copier;
mod embedded;
mod faults;
mod growing;
mod images;
mod lend;
mod mirrors;
mod mirrors_push;
mod model;
mod publish;
mod real;
mod real_tests;
mod referrers;
mod repair;
mod resume;

use polyarch_testkit::script;
