//! Times as people write them: `90s`, `15m`, `1h30m`, `7d`. Pure.

use std::time::Duration;

use super::ValueError;

/// Reads a time.
///
/// # Errors
/// Anything that is not whole numbers, each with a unit.
pub fn parse(value: &str) -> Result<Duration, ValueError> {
    let fail =
        |reason: &str, at: usize| ValueError::new(value, reason).at(at).hint("write a time such as 90s, 15m or 1h");
    let (mut rest, mut seconds) = (value, 0_u64);
    loop {
        let at = value.len() - rest.len();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..end].parse().map_err(|_| fail("there is no number", at))?;
        let unit = match rest[end..].chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(fail("the unit is none of s, m, h, d", at + end)),
        };
        let sum = number.checked_mul(unit).and_then(|more| seconds.checked_add(more));
        // A hundred years; a clock can be asked about it.
        seconds = sum.filter(|sum| *sum <= 36_500 * 86_400).ok_or_else(|| fail("the time is too long", at))?;
        rest = &rest[end + 1..];
        if rest.is_empty() {
            return Ok(Duration::from_secs(seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times() {
        for (text, want) in [("0s", 0), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("7d", 604_800)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(want)), "{text}");
        }
    }

    #[test]
    fn points_at_faults() {
        for (bad, at) in [
            ("", 0),
            ("5", 1),
            ("h", 0),
            ("1h30", 4),
            ("1.5h", 1),
            ("-1h", 0),
            ("1x", 1),
            ("99999999999d", 0),
            ("1ä", 1),
        ] {
            assert_eq!(parse(bad).unwrap_err().at, Some(at), "{bad}");
        }
    }
}
