//! BuildKit's version, told by itself or inferred from the Docker around it.

use std::fmt;

/// Major and minor version; patches add no features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildkitVersion {
    /// 0 until further notice.
    pub major: u32,
    /// The number that counts.
    pub minor: u32,
}

/// The BuildKit vendored by each Docker release (moby, `vendor.mod` of the release branches).
const IN_DOCKER: [((u32, u32), u32); 8] = [
    ((18, 9), 3),
    ((19, 3), 6),
    ((20, 10), 8),
    ((23, 0), 10),
    ((24, 0), 11),
    ((25, 0), 12),
    ((27, 0), 14),
    ((28, 0), 19),
];
/// What is assumed where nothing is known: a feature that is missing after all fails with the daemon's own words.
const NEWEST: BuildkitVersion = BuildkitVersion { major: 0, minor: 99 };

impl BuildkitVersion {
    /// Reads BuildKit's own version, else infers it from Docker's.
    pub(super) fn of(own: Option<&str>, docker: Option<&str>) -> Self {
        let own = own.and_then(leading).filter(|version| *version != (0, 0));
        let inferred = || {
            let docker = docker.and_then(leading)?;
            let row = IN_DOCKER.iter().rev().find(|(since, _)| docker >= *since)?;
            Some((0, row.1))
        };
        own.or_else(inferred).map_or(NEWEST, |(major, minor)| Self { major, minor })
    }
}

impl fmt::Display for BuildkitVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Reads `28.5` from `v28.5.2+dfsg4`.
fn leading(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim_start_matches('v').split('.');
    let mut next = || {
        let part = numbers.next()?;
        let digits = part.find(|c: char| !c.is_ascii_digit()).map_or(part, |end| &part[..end]);
        digits.parse().ok()
    };
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_or_infers() {
        for (own, docker, want) in [
            (Some("v0.25.1"), Some("28.5.2"), "0.25"),
            (Some("0.13.2+azure-1"), None, "0.13"),
            (Some("v0.0.0+unknown"), Some("28.5.2+dfsg4"), "0.19"),
            (None, Some("20.10.24+dfsg1"), "0.8"),
            (None, Some("19.03.15"), "0.6"),
            (None, Some("23.0.6"), "0.10"),
            (None, Some("26.1.5+dfsg1"), "0.12"),
            (None, Some("dev"), "0.99"),
            (Some("master"), None, "0.99"),
        ] {
            assert_eq!(BuildkitVersion::of(own, docker).to_string(), want, "{own:?} {docker:?}");
        }
    }
}
