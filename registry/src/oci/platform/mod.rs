//! Platforms as containerd/platforms names, normalises and formats them.
//!
//! Owns: `os[(version)]/architecture[/variant]`, aliases, equality after normalisation, and the
//! one-way question "does an image for X run where Y is asked for".
//! Never: a default. A platform is named by the user, the target or a node.

mod matching;
mod normalize;
mod parse;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

/// An operating system and CPU architecture, normalised when parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// CPU architecture, `GOARCH` spelling.
    pub architecture: String,
    /// Operating system, `GOOS` spelling.
    pub os: String,
    /// Operating system version, Windows only in practice.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Operating system features, such as `win32k`.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "super::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// CPU variant, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// A component is empty or has a character outside `[A-Za-z0-9_.-]`.
    #[error("platform {text:?} has a malformed component {component:?}")]
    BadComponent {
        /// The whole text.
        text: String,
        /// The part at fault.
        component: String,
    },
    /// There are more than three components.
    #[error("platform {0:?} has more than three components")]
    TooManyComponents(String),
    /// The single component is neither a known operating system nor a known architecture.
    #[error("platform {0:?} is neither a known operating system nor a known architecture")]
    Unknown(String),
    /// An architecture without an operating system: polyarch has no default platform.
    #[error("platform {0:?} does not name an operating system and an architecture")]
    Incomplete(String),
}

/// Operating systems Go knows; containerd accepts exactly these when an OS stands alone.
pub const KNOWN_OS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

/// Architectures Go knows.
pub const KNOWN_ARCH: [&str; 27] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
    "x86_64",
    "x86-64",
    "aarch64",
];

impl Platform {
    /// Returns a normalised platform.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (architecture, variant) = normalize::normalize_arch(architecture, variant.unwrap_or(""));
        Self {
            architecture,
            os: normalize::normalize_os(os),
            os_version: None,
            os_features: Vec::new(),
            variant: (!variant.is_empty()).then_some(variant),
        }
    }

    /// Returns whether both name the same platform after normalisation; OS version and features count only if both have them.
    pub fn same_as(&self, other: &Self) -> bool {
        let (a, b) = (self.normalize(), other.normalize());
        a.os == b.os
            && a.architecture == b.architecture
            && a.variant == b.variant
            && (a.os_version.is_none() || b.os_version.is_none() || a.os_version == b.os_version)
    }

    /// Returns whether the platform is BuildKit's marker for attestation manifests.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    /// Returns a name usable as a folder, as buildx writes it: `linux_arm_v7`.
    pub fn folder_name(&self) -> String {
        self.to_string().replace(['/', '(', ')'], "_")
    }
}
