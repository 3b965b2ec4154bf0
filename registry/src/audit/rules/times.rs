//! When images were created.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::audit::facts::PlatformImage;

/// The first year whose times are meant: builds that are to be reproducible write the epoch, or the first time a zip archive
/// can hold.
const FIRST_YEAR: i32 = 1981;

/// Returns when an image was created, if its configuration says so and means it.
pub(super) fn created(image: &PlatformImage<'_>) -> Option<OffsetDateTime> {
    parse(image.config?.view.created.as_deref()?)
}

/// Reads a time that is meant.
pub(super) fn parse(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().filter(|time| time.year() >= FIRST_YEAR)
}

/// Returns a length of time in the largest unit that fits: `3 days`, `1 hour`.
pub(super) fn span(time: Duration) -> String {
    let (count, unit) = match time.whole_minutes() {
        minutes if minutes >= 48 * 60 => (minutes / (24 * 60), "day"),
        minutes if minutes >= 60 => (minutes / 60, "hour"),
        minutes => (minutes, "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_are_meant() {
        for (text, want) in [
            ("2026-01-02T03:04:05Z", true),
            ("2026-01-02T03:04:05.123456789+02:00", true),
            ("1970-01-01T00:00:00Z", false),
            ("1980-01-01T00:00:01Z", false),
            ("0001-01-01T00:00:00Z", false),
            ("yesterday", false),
        ] {
            assert_eq!(parse(text).is_some(), want, "{text}");
        }
        assert_eq!(
            [30, 60, 150, 47 * 60, 50 * 60].map(|minutes| span(Duration::minutes(minutes))),
            ["30 minutes", "1 hour", "2 hours", "47 hours", "2 days"]
        );
    }
}
