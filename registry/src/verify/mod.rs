//! Whether an image or index is what it says: everything it needs is there and hashes to its digest.
//!
//! Owns: the shallow check (manifests, configurations, presence, sizes, platforms) and the deep one (every blob
//! read, every layer decompressed and compared with its diff_id), both over any [`ContentSource`].
//! Never: stops at the first finding, writes anything, extracts a layer, trusts a size before counting.
//!
//! A deep check reads each blob once, however many platforms share it. Memory is bounded by
//! [`VerifyOptions::jobs`] times a few chunks and one decompression window.

mod deep;
mod files;
mod layer;
mod pipeline;
pub(crate) mod pump;
mod report;
mod shallow;
mod source;
pub(crate) mod tar_walk;
#[cfg(test)]
mod tests;
mod unpack;

pub use deep::check_layer;
pub use files::{File, FileKind, FileLimits, Files, FilesError, LayerFiles, layer_files};
pub(crate) use layer::zstd_decoder;
pub use report::{Finding, FindingKind, PlatformReport, Report, chain};
pub use source::{ContentSource, MANIFEST_LIMIT, SourceError, StoreSource};
pub use unpack::{sniff_file, sniff_layer, unpack_file, unpack_growing};

use crate::oci::{Platform, RawManifest};

/// How far a verification goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Manifests and configurations are read, layers are only looked up.
    Shallow,
    /// Every byte is read.
    Deep,
}

/// What to verify and at what cost.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// How far to go.
    pub depth: Depth,
    /// Platforms that must be there; empty accepts whatever the index has.
    pub platforms: Vec<Platform>,
    /// Blobs worked on at once.
    pub jobs: usize,
    /// The most bytes all layers together may decompress to: a bound on decompression bombs.
    pub unpacked_limit: u64,
}

impl VerifyOptions {
    /// 256 GiB: several platforms of the largest images in use fit, an endless stream does not.
    pub const UNPACKED_LIMIT: u64 = 256 << 30;

    /// Returns the options with their defaults: one job per core, at most eight.
    pub fn new(depth: Depth) -> Self {
        let jobs = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(8));
        Self { depth, platforms: Vec::new(), jobs, unpacked_limit: Self::UNPACKED_LIMIT }
    }
}

/// Verifies what a manifest reaches. Whatever goes wrong is a finding of the report.
pub async fn verify(source: &dyn ContentSource, root: &RawManifest, options: &VerifyOptions) -> Report {
    let survey = shallow::survey(source, root, options).await;
    match options.depth {
        Depth::Shallow => survey.report,
        Depth::Deep => deep::examine(source, survey, options).await,
    }
}

/// Walks an archive in memory as a layer's is walked. Returns how many headers it has, or where it is unsound and why.
///
/// # Errors
/// Offset in bytes and reason.
pub fn walk_tar(mut archive: &[u8]) -> Result<u64, (u64, &'static str)> {
    tar_walk::walk(&mut archive).map_err(|fault| match fault {
        tar_walk::TarFault::Malformed { offset, reason } => (offset, reason),
        tar_walk::TarFault::Reader => (0, "cannot be read"),
    })
}
