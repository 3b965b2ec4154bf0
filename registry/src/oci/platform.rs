//! Platforms as containerd/platforms names, normalises and formats them.
//!
//! Owns: `os[(version)]/architecture[/variant]`, aliases, equality after normalisation, and the
//! one-way question "does an image for X run where Y is asked for".
//! Never: a default. A platform is named by the user, the target or a node.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system and CPU architecture, normalised when parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
        let (architecture, variant) = normalize_arch(architecture, variant.unwrap_or(""));
        Self {
            architecture,
            os: normalize_os(os),
            os_version: None,
            os_features: Vec::new(),
            variant: (!variant.is_empty()).then_some(variant),
        }
    }

    /// Returns the same platform with aliases replaced (`x86_64` → `amd64`, `arm64/v8` → `arm64`, `arm` → `arm/v7`).
    #[must_use]
    pub fn normalize(&self) -> Self {
        let base = Self::new(&self.os, &self.architecture, self.variant.as_deref());
        Self { os_version: self.os_version.clone(), os_features: self.os_features.clone(), ..base }
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

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if let Some(version) = &self.os_version {
            write!(f, "({version})")?;
        }
        write!(f, "/{}", self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os_text, os_version) = split_os_version(parts[0]);
        let components = std::iter::once(os_text).chain(parts[1..].iter().copied());
        if let Some(bad) = components.clone().find(|part| !is_component(part)) {
            return Err(PlatformError::BadComponent { text: text.to_owned(), component: bad.to_owned() });
        }
        let mut platform = match parts.len() {
            1 => return Err(single_component(text, os_text)),
            2 => Self::new(os_text, parts[1], None),
            3 => Self::new(os_text, parts[1], Some(parts[2])),
            _ => return Err(PlatformError::TooManyComponents(text.to_owned())),
        };
        platform.os_version = os_version.map(str::to_owned);
        Ok(platform)
    }
}

/// containerd fills the missing half from the host; polyarch has no default, so it asks.
fn single_component(text: &str, part: &str) -> PlatformError {
    let os = normalize_os(part);
    let (arch, _) = normalize_arch(part, "");
    if KNOWN_OS.contains(&os.as_str()) || KNOWN_ARCH.contains(&arch.as_str()) {
        PlatformError::Incomplete(text.to_owned())
    } else {
        PlatformError::Unknown(text.to_owned())
    }
}

fn split_os_version(part: &str) -> (&str, Option<&str>) {
    match part.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        Some((os, version)) => (os, Some(version)),
        None => (part, None),
    }
}

fn is_component(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn normalize_os(os: &str) -> String {
    match os.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        lower => lower.to_owned(),
    }
}

/// containerd/platforms `database.go`, `normalizeArch`.
fn normalize_arch(arch: &str, variant: &str) -> (String, String) {
    let (arch, variant) = (arch.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let (arch, variant) = match (arch.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", v) => ("arm64", v),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        (a, v) => (a, v),
    };
    (arch.to_owned(), variant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_aliases() {
        for (text, want) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v2", "linux/amd64/v2"),
            ("Linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ] {
            assert_eq!(text.parse::<Platform>().map(|p| p.to_string()).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        assert!(matches!("linux".parse::<Platform>(), Err(PlatformError::Incomplete(_))));
        assert!(matches!("arm64".parse::<Platform>(), Err(PlatformError::Incomplete(_))));
        assert!(matches!("beos".parse::<Platform>(), Err(PlatformError::Unknown(_))));
        assert!(matches!("linux/".parse::<Platform>(), Err(PlatformError::BadComponent { .. })));
        assert!(matches!("a/b/c/d".parse::<Platform>(), Err(PlatformError::TooManyComponents(_))));
    }
}
