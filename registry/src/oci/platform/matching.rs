//! Which platforms a machine runs besides its own (containerd/platforms `compare.go`: `Only`, `OnlyStrict`).
//!
//! Owns: the order of preference among variants and Windows' rules for versions. Never: emulation, which is a node's.

use super::Platform;

/// Variants above this are nobody's; the lists below must stay short.
const HIGHEST: u32 = 64;

impl Platform {
    /// Returns whether an image of platform `other` is exactly this one's, aliases aside (`OnlyStrict`).
    pub fn matches_strictly(&self, other: &Self) -> bool {
        let (own, other) = (self.normalize(), other.normalize());
        let same = own.os == other.os && own.architecture == other.architecture && own.variant == other.variant;
        same && version_matches(&own, &other) && features_match(&own, &other)
    }

    /// Returns how well a machine of this platform is served by an image of platform `other` (`Only`): 0 is its own
    /// platform, higher is an older variant or the 32-bit sibling, `None` does not run.
    pub fn preference(&self, other: &Self) -> Option<usize> {
        vector(&self.normalize()).iter().position(|one| one.matches_strictly(other))
    }

    /// Returns whether a machine of this platform runs an image of platform `other` without an emulator (`Only`).
    pub fn runs(&self, other: &Self) -> bool {
        self.preference(other).is_some()
    }
}

/// The platforms a machine runs, best first (`platformVector`).
fn vector(platform: &Platform) -> Vec<Platform> {
    let with = |architecture: &str, variant: &str| Platform {
        architecture: architecture.to_owned(),
        variant: (!variant.is_empty()).then(|| variant.to_owned()),
        ..platform.clone()
    };
    let variant = platform.variant.as_deref().unwrap_or("");
    let mut list = vec![platform.clone()];
    match platform.architecture.as_str() {
        "amd64" => {
            list.extend(below(variant, 1).map(|level| with("amd64", &format!("v{level}"))));
            list.push(with("386", ""));
        }
        "arm" => list.extend(below(variant, 5).map(|level| with("arm", &format!("v{level}")))),
        "arm64" => {
            list.extend(arm64(variant).iter().map(|variant| with("arm64", variant)));
            // The 32-bit mode of a v8 or v9 core.
            let variant = match variant {
                "" => "v8",
                v if v.starts_with("v8.") || v.starts_with("v9.") => "v8",
                v => v,
            };
            list.push(with("arm", variant));
            list.extend(below(variant, 5).map(|level| with("arm", &format!("v{level}"))));
        }
        _ => {}
    }
    list
}

/// The levels under `vN`, down to the lowest one.
fn below(variant: &str, lowest: u32) -> impl Iterator<Item = u32> {
    let level = variant.trim_start_matches('v').parse::<u32>().unwrap_or(0).min(HIGHEST);
    (lowest..level).rev()
}

/// The 64-bit variants under one: v9.x runs v9 up to x - 1 and v8 up to x + 5.
fn arm64(variant: &str) -> Vec<String> {
    let variant = if variant.is_empty() { "v8" } else { variant };
    let (major, minor) = variant.split_once('.').unwrap_or((variant, ""));
    let Ok(major @ 8..) = major.trim_start_matches('v').parse::<u32>() else { return Vec::new() };
    // Two digits after the point are not read (`len(variant) == 4`).
    let minor = minor.parse::<u32>().ok().filter(|_| variant.len() == 4).unwrap_or(0);
    let name = |major: u32, minor: u32| if minor == 0 { format!("v{major}") } else { format!("v{major}.{minor}") };
    let mut list = Vec::new();
    let (major, minor) = if major == 9 {
        list.extend((0..minor).rev().map(|minor| name(9, minor)));
        list.push(name(8, minor + 5));
        (8, minor + 5)
    } else {
        (major, minor)
    };
    list.extend((0..minor).rev().map(|minor| name(major, minor)));
    list
}

/// Outside Windows the version does not count; on it, an unknown one matches all.
fn version_matches(host: &Platform, image: &Platform) -> bool {
    if host.os != "windows" {
        return true;
    }
    let version = |platform: &Platform| platform.os_version.as_deref().and_then(Windows::parse);
    match (version(host), image.os_version.as_deref().filter(|version| !version.is_empty())) {
        (None, _) | (_, None) => true,
        (Some(host), Some(_)) => version(image).is_some_and(|image| host.runs(image)),
    }
}

/// Every feature the image needs must be asked for; `win32k` is not one that decides.
fn features_match(asked: &Platform, image: &Platform) -> bool {
    image.os_features.iter().all(|feature| feature == "win32k" || asked.os_features.contains(feature))
}

/// The three numbers of a Windows version that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Windows {
    major: u8,
    minor: u8,
    build: u16,
}

/// Releases from which on older containers run too, ascending: Windows Server 2022 and 2025.
const STABLE: [u16; 2] = [20348, 26100];

impl Windows {
    fn parse(version: &str) -> Option<Self> {
        let mut parts = version.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some(Self { major, minor, build: parts.next()?.parse().ok()? })
    }

    /// Before Server 2022 the build must be the same; since then every host runs the long-term release before its own and
    /// all builds up to its own.
    fn runs(self, image: Self) -> bool {
        if (self.major, self.minor) != (image.major, image.minor) {
            return false;
        }
        if self.build < STABLE[0] {
            return self.build == image.build;
        }
        let oldest = STABLE.iter().rev().find(|release| self.build > **release).copied().unwrap_or(STABLE[0]);
        (oldest..=self.build).contains(&image.build)
    }
}
