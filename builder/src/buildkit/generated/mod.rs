//! Code generated from protos that no crate offers server stubs for.
//!
//! `content.proto` is the copy in the crate containerd-client 0.9.0 (containerd/rust-extensions at commit
//! 389e970cc4da29da3487b44559d2ce1f94f31bd5), sha256
//! `b91daba4649a0e8916d046660905c8a0c70c06d5ef27d23786d8d2b5e4a218a1`; it is kept in
//! `testdata/codegen/proto`. Regenerate with `cargo run --manifest-path testdata/codegen/Cargo.toml`.

/// containerd's content service.
#[allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications, dead_code)]
#[rustfmt::skip]
#[path = "containerd.services.content.v1.rs"]
pub mod content;
