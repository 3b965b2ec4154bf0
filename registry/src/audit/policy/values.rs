//! What values of a policy mean: sizes, times, platforms. Pure.

use std::time::Duration;

use crate::oci::Platform;

/// Reads a size: powers of 1000 as `kB`, `MB`, `GB`, `TB`, which is how sizes are shown; powers of 1024 as `KiB`, `MiB`, `GiB`, `TiB`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().map_err(|_| "a size is a number and a unit, such as 500MB".to_owned())?;
    let (base, power) = match text[end..].trim_start().to_ascii_lowercase().as_str() {
        "b" => (1000.0_f64, 0),
        "kb" => (1000.0, 1),
        "mb" => (1000.0, 2),
        "gb" => (1000.0, 3),
        "tb" => (1000.0, 4),
        "kib" => (1024.0, 1),
        "mib" => (1024.0, 2),
        "gib" => (1024.0, 3),
        "tib" => (1024.0, 4),
        _ => return Err("the unit is none of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB".to_owned()),
    };
    let bytes = number * base.powi(power);
    // Fractions of a byte are dropped.
    if (1.0..9e18).contains(&bytes) { Ok(bytes as u64) } else { Err("the size is out of range".to_owned()) }
}

/// Reads a time: whole numbers with the units `s`, `m`, `h`, `d`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is whole numbers with units, such as 90m, 24h or 7d".to_owned();
    let (mut rest, mut seconds) = (text, 0_u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..end].parse().map_err(|_| wrong())?;
        let unit = match rest.as_bytes()[end] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return Err(wrong()),
        };
        let sum = number.checked_mul(unit).and_then(|more| seconds.checked_add(more));
        // A hundred years.
        seconds = sum.filter(|sum| *sum <= 36_500 * 86_400).ok_or_else(|| "the time is too long".to_owned())?;
        rest = &rest[end + 1..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

/// Reads a platform that has both parts.
///
/// # Errors
/// What is wrong with it.
pub(super) fn platform(text: &str) -> Result<Platform, String> {
    match text.contains('/') {
        true => text.parse::<Platform>().map_err(|error| error.to_string()),
        false => Err("a platform is os/architecture[/variant], such as linux/arm64".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_they_are_shown() {
        for (text, want) in [("500MB", 500_000_000), ("1.5 GiB", 3 << 29), ("10kB", 10_000), ("1B", 1)] {
            assert_eq!(size(text), Ok(want), "{text}");
        }
        for bad in ["", "MB", "5", "5XB", "0MB", "-1MB", "99999999999999TB", "1.2.3MB", "5ä"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, want) in [("24h", 86_400), ("1h30m", 5400), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(time(text), Ok(Duration::from_secs(want)), "{text}");
        }
        for bad in ["", "5", "h", "1x", "1h30", "99999999999d", "1ä", "-1h"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn platforms_are_whole() {
        assert_eq!(platform("linux/aarch64").unwrap().to_string(), "linux/arm64");
        for bad in ["", "linux", "amd64", "linux/", "linux/a/b/c/d"] {
            assert!(platform(bad).is_err(), "{bad}");
        }
    }
}
