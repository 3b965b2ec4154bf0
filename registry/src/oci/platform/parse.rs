//! Texts to platforms and back (containerd/platforms `Parse`, `Format`, `FormatAll`).

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::normalize::{normalize_arch, normalize_os};
use super::{KNOWN_ARCH, KNOWN_OS, Platform, PlatformError};

/// Characters of an OS version or feature that mean something in a platform's text.
const OPTION: &AsciiSet = &CONTROLS.add(b'%').add(b'+').add(b'(').add(b')').add(b'/');

impl Platform {
    /// Reads a text as containerd's `Parse` does: aliases are replaced, but `linux/arm` keeps no variant and `linux/arm64/v8`
    /// keeps its own, unlike [`Platform::normalize`]. `host` fills in the missing half of a single word.
    ///
    /// # Errors
    /// What is wrong with the text; a single word without a `host` is [`PlatformError::Incomplete`].
    pub fn parse(text: &str, host: Option<&Self>) -> Result<Self, PlatformError> {
        let mut parts = text.splitn(4, '/');
        let mut platform = os_part(text, parts.next().unwrap_or_default())?;
        let rest: Vec<&str> = parts.collect();
        if let Some(bad) = rest.iter().find(|part| !is_component(part)) {
            return Err(PlatformError::BadComponent { text: text.to_owned(), component: (*bad).to_owned() });
        }
        let (architecture, variant) = match *rest.as_slice() {
            [] => return single(text, platform, host),
            [arch] => without_default(normalize_arch(arch, "")),
            [arch, variant] => match normalize_arch(arch, variant) {
                (arch, variant) if arch == "arm64" && variant.is_empty() => (arch, "v8".to_owned()),
                other => other,
            },
            _ => return Err(PlatformError::TooManyComponents(text.to_owned())),
        };
        platform.architecture = architecture;
        platform.variant = (!variant.is_empty()).then_some(variant);
        Ok(platform)
    }

    /// Returns `os/architecture[/variant]`, without the OS version (containerd's `Format`).
    pub fn format(&self) -> String {
        Self { os_version: None, os_features: Vec::new(), ..self.clone() }.to_string()
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Reads and normalises; see [`Platform::parse`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, None).map(|platform| platform.normalize())
    }
}

impl fmt::Display for Platform {
    /// `os[(version+feature)]/architecture[/variant]` (containerd's `FormatAll`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.os.is_empty() { "unknown" } else { &self.os })?;
        let mut features = self.os_features.clone();
        features.sort_unstable();
        if self.os_version.is_some() || !features.is_empty() {
            write!(f, "({}", utf8_percent_encode(self.os_version.as_deref().unwrap_or(""), OPTION))?;
            for feature in &features {
                write!(f, "+{}", utf8_percent_encode(feature, OPTION))?;
            }
            f.write_str(")")?;
        }
        if !self.architecture.is_empty() {
            write!(f, "/{}", self.architecture)?;
        }
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// `os`, `os(version)`, `os(version+feature+feature)`.
fn os_part(text: &str, part: &str) -> Result<Platform, PlatformError> {
    let bad = || PlatformError::BadComponent { text: text.to_owned(), component: part.to_owned() };
    let (os, options) = match part.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        Some((os, options)) => (os, options),
        None => (part, ""),
    };
    if os.is_empty() || !os.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Err(bad());
    }
    let decode =
        |option: &str| percent_decode_str(option).decode_utf8().map(|text| text.into_owned()).map_err(|_| bad());
    let option_ok = |option: &str| option.bytes().all(|b| is_component_byte(b) || b == b'%');
    let mut options = options.split('+');
    let version = options.next().unwrap_or_default();
    let features: Vec<&str> = options.collect();
    if !option_ok(version) || features.iter().any(|feature| feature.is_empty() || !option_ok(feature)) {
        return Err(bad());
    }
    Ok(Platform {
        architecture: String::new(),
        os: normalize_os(os),
        os_version: if version.is_empty() { None } else { Some(decode(version)?) },
        os_features: features.into_iter().map(decode).collect::<Result<_, _>>()?,
        variant: None,
    })
}

/// One word: a known operating system, else a known architecture.
fn single(text: &str, platform: Platform, host: Option<&Platform>) -> Result<Platform, PlatformError> {
    let is_os = KNOWN_OS.contains(&platform.os.as_str());
    let (architecture, variant) = without_default(normalize_arch(text, ""));
    if !is_os && !KNOWN_ARCH.contains(&architecture.as_str()) {
        return Err(PlatformError::Unknown(text.to_owned()));
    }
    let Some(host) = host else { return Err(PlatformError::Incomplete(text.to_owned())) };
    if is_os {
        let variant = host.variant.clone().filter(|variant| host.architecture == "arm" && variant != "v7");
        return Ok(Platform { architecture: host.architecture.clone(), variant, ..platform });
    }
    let variant = (!variant.is_empty()).then_some(variant);
    Ok(Platform { architecture, os: host.os.clone(), os_version: None, os_features: Vec::new(), variant })
}

/// `Parse` leaves arm's usual variant out.
fn without_default((arch, variant): (String, String)) -> (String, String) {
    if arch == "arm" && variant == "v7" { (arch, String::new()) } else { (arch, variant) }
}

fn is_component(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(is_component_byte)
}

fn is_component_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}
