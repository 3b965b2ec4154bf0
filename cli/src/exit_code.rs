//! Exit codes, one per class of outcome. They are part of the command's interface.
//!
//! Owns: the numbers. Never: decides which one applies; [`crate::diagnostics`] does.

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything asked for was done.
    Done = 0,
    /// polyarch itself is at fault, or something no other code describes.
    Bug = 1,
    /// The command line, the environment or a named file cannot be used.
    Usage = 2,
    /// No build can be made from the request: a stage, a node or a feature is missing.
    Plan = 3,
    /// A build failed on at least one platform.
    Build = 4,
    /// Content is not what its digest, size, platform or diff_id says.
    Verification = 5,
    /// The result could not be published, loaded or written where asked.
    Publish = 6,
    /// The content is sound, and a check the user asked for has findings.
    Audit = 7,
    /// A check could not be made, so nothing is known either way.
    CouldNotCheck = 8,
    /// Cancelled by the user (128 + SIGINT).
    Cancelled = 130,
}

impl ExitCode {
    /// Every code, in order, with what it tells a script.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Done, "done"),
        (Self::Bug, "a bug in polyarch, or an error with no code of its own"),
        (Self::Usage, "the command line or an input named on it cannot be used"),
        (Self::Plan, "no build can be planned: stage, node or feature missing"),
        (Self::Build, "the build failed on at least one platform"),
        (Self::Verification, "content differs from its digest, size or platform"),
        (Self::Publish, "the result could not be published, loaded or written"),
        (Self::Audit, "a check has findings"),
        (Self::CouldNotCheck, "a check could not be made"),
        (Self::Cancelled, "cancelled"),
    ];

    /// Returns the number the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_documented_ones() {
        let numbers: Vec<u8> = ExitCode::ALL.iter().map(|(code, _)| code.code()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }
}
