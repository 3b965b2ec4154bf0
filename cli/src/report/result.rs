//! What a build came to, as reports need it. The run fills it in; nothing here knows how.

use std::time::Duration;

use polyarch_registry::oci::{Descriptor, Digest, Platform};

use crate::exit_code::ExitCode;

/// The result of one `polyarch build` (or `push`).
#[derive(Debug, Clone, Default)]
pub struct BuildReport {
    /// The index, or the single manifest. `None` if not every platform was built.
    pub root: Option<Descriptor>,
    /// A row per platform, in the order asked for.
    pub platforms: Vec<PlatformRow>,
    /// Name under which the result is in the store, for `polyarch push`.
    pub stored_as: Option<String>,
    /// Tags asked for, and where they point now.
    pub tags: Vec<TagOutcome>,
    /// Other outputs.
    pub outputs: Vec<OutputOutcome>,
    /// Things the user should know that failed nothing.
    pub warnings: Vec<String>,
    /// Wall time.
    pub elapsed: Duration,
}

/// One platform.
#[derive(Debug, Clone)]
pub struct PlatformRow {
    /// The platform asked for.
    pub platform: Platform,
    /// How it ended.
    pub result: RowResult,
    /// Wall time.
    pub elapsed: Duration,
    /// Steps the daemon had cached.
    pub cached: usize,
    /// Steps the daemon ran.
    pub executed: usize,
    /// Machine it was built on.
    pub node: Option<String>,
    /// Builder as the user wrote it.
    pub builder: Option<String>,
}

/// How a platform ended.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one per platform")]
pub enum RowResult {
    /// There is an image.
    Built(BuiltImage),
    /// There is none, as nothing but its files was asked for.
    Files,
    /// The build failed.
    Failed(Box<Failure>),
    /// Nobody wanted it any more.
    Cancelled,
}

/// One platform's image.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its configuration.
    pub config: Digest,
    /// Manifest, configuration and layers together, in bytes as transferred.
    pub size: u64,
    /// Number of layers.
    pub layers: usize,
    /// What was recomputed here.
    pub verified: Verified,
}

/// What was recomputed on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// Every byte.
    Everything,
    /// Manifest and configuration; the daemon pushed the layers (`--transfer daemon`).
    Manifests,
}

/// Why a platform has no image.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// One sentence, unescaped.
    pub message: String,
    /// BuildKit's name of the step.
    pub vertex: Option<String>,
    /// Exit code of the step's process.
    pub exit_code: Option<i32>,
    /// The lines of the Dockerfile at fault.
    pub source: Option<SourceSnippet>,
    /// The last lines the step printed, unescaped.
    pub log_tail: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The class it belongs to; [`ExitCode::Build`] unless verification or planning failed.
    pub code: Option<ExitCode>,
}

/// Lines of a Dockerfile.
#[derive(Debug, Clone, Default)]
pub struct SourceSnippet {
    /// Its name, as the user knows it.
    pub file: String,
    /// Its whole text.
    pub text: String,
    /// First and last line of each fault, counted from 1.
    pub ranges: Vec<(u32, u32)>,
}

/// One tag asked for.
#[derive(Debug, Clone)]
pub struct TagOutcome {
    /// Full reference.
    pub reference: String,
    /// Where it points now, or why it did not move.
    pub result: Result<Digest, String>,
}

/// One output that is not a tag.
#[derive(Debug, Clone)]
pub struct OutputOutcome {
    /// What was done where, such as `layout in out/`.
    pub what: String,
    /// More to know, such as the platforms a daemon cannot hold.
    pub notes: Vec<String>,
    /// Why it failed.
    pub failure: Option<String>,
}

impl BuildReport {
    /// Returns how the process ends: the first failing stage of build, verification, publishing.
    pub fn exit_code(&self) -> ExitCode {
        let failures = self.platforms.iter().filter_map(|row| match &row.result {
            RowResult::Failed(failure) => Some(failure.code.unwrap_or(ExitCode::Build)),
            RowResult::Built(_) | RowResult::Files | RowResult::Cancelled => None,
        });
        if let Some(code) = failures.min() {
            return code;
        }
        if self.platforms.iter().any(|row| matches!(row.result, RowResult::Cancelled)) {
            return ExitCode::Cancelled;
        }
        let is_published = self.tags.iter().all(|tag| tag.result.is_ok())
            && self.outputs.iter().all(|output| output.failure.is_none());
        if is_published { ExitCode::Done } else { ExitCode::Publish }
    }

    /// Returns the rows that have an image, with it.
    pub fn built(&self) -> impl Iterator<Item = (&PlatformRow, &BuiltImage)> {
        self.platforms.iter().filter_map(|row| match &row.result {
            RowResult::Built(image) => Some((row, image)),
            RowResult::Files | RowResult::Failed(_) | RowResult::Cancelled => None,
        })
    }
}
