//! Words and places that several rules use.

use crate::audit::facts::{Entry, IndexFacts, PlatformImage};
use crate::audit::finding::{Place, Severity};
use crate::oci::Platform;

/// Returns where findings about an entry of an index are: its platform, or only its digest.
pub(super) fn place(entry: &Entry) -> Place {
    let digest = &entry.descriptor.digest;
    match entry.platform_image() {
        Some(image) => image.place(),
        None if entry.is_attestation() => Place::digest(digest),
        None => match &entry.descriptor.platform {
            Some(platform) => Place::platform(platform, digest),
            None => Place::digest(digest),
        },
    }
}

/// Returns the platforms that clients choose from in an index, normalised, in its order.
pub(super) fn listed(index: &IndexFacts) -> Vec<Platform> {
    let named = |entry: &&Entry| !entry.is_attestation() && entry.descriptor.artifact_type.is_none();
    let platforms = index.children.iter().filter(named).filter_map(|entry| entry.descriptor.platform.as_ref());
    platforms.filter(|platform| !platform.architecture.is_empty()).map(Platform::normalize).collect()
}

/// What breaks an attestation breaks no platform.
pub(super) fn milder(entry: &Entry, severity: Severity) -> Severity {
    if entry.is_attestation() { severity.min(Severity::Warning) } else { severity }
}

/// Platforms that are named in one message.
const MOST_NAMES: usize = 8;

/// Returns the platforms as `a and b`, `a, b and c`; of very many only the first.
pub(super) fn names(images: &[&PlatformImage<'_>]) -> String {
    let mut names: Vec<String> = images.iter().take(MOST_NAMES).map(|image| image.platform().to_string()).collect();
    if images.len() > MOST_NAMES {
        names.push(format!("{} more", images.len() - MOST_NAMES));
    }
    match (names.pop(), names.is_empty()) {
        (Some(last), false) => format!("{} and {last}", names.join(", ")),
        (last, _) => last.unwrap_or_default(),
    }
}

/// Returns `1 layer`, `2 layers`.
pub(super) fn plural(count: usize, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// Returns how many of so many there are, as a subject with its verb: `1 of 2 layers is`, `2 of 3 layers are`.
pub(super) fn some_are(count: usize, all: usize) -> String {
    format!("{count} of {} {}", plural(all, "layer"), if count == 1 { "is" } else { "are" })
}

/// Returns what is said of the first of several, and how many more there are.
pub(super) fn and_more(message: String, more: usize) -> String {
    match more {
        0 => message,
        more => format!("{message}; so {} {more} more", if more == 1 { "is" } else { "are" }),
    }
}

/// Returns bytes as `999 B`, `12.3 kB`, `4.5 GB` (powers of 1000).
pub(super) fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count as f64, "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 999.95 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(some_are(1, 2), "1 of 2 layers is");
        assert_eq!(some_are(1, 1), "1 of 1 layer is");
        assert_eq!(some_are(2, 3), "2 of 3 layers are");
        assert_eq!(
            ["x", "x; so is 1 more", "x; so are 2 more"].map(str::to_owned),
            [0, 1, 2].map(|more| and_more("x".into(), more))
        );
    }

    #[test]
    fn counts_are_written_as_people_read_them() {
        assert_eq!([0, 999, 1000, 27_400_000].map(bytes), ["0 B", "999 B", "1.0 kB", "27.4 MB"]);
    }
}
