//! Sizes in bytes as Docker writes them: `64m`, `1.5GiB`, `1024` (go-units `RAMInBytes`: powers of 1024). Pure.

use super::ValueError;

/// Reads a size.
///
/// # Errors
/// Anything that is not a positive number with an optional unit.
pub fn parse(value: &str) -> Result<u64, ValueError> {
    let fail = |reason: &str, at: usize| ValueError::new(value, reason).at(at).hint("write a size such as 64m or 1g");
    let end = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let number: f64 = value[..end].parse().map_err(|_| fail("there is no number", 0))?;
    let power = unit(value[end..].trim_start()).ok_or_else(|| fail("the unit is none of b, k, m, g, t, p", end))?;
    let bytes = number * 1024f64.powi(power);
    if bytes < 1.0 || bytes > i64::MAX as f64 {
        return Err(fail("the size is out of range", 0));
    }
    // In range was checked just above; fractions of a byte are dropped.
    Ok(bytes as u64)
}

fn unit(text: &str) -> Option<i32> {
    let lower = text.to_ascii_lowercase();
    let letter = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    match letter {
        "" => Some(0),
        "k" => Some(1),
        "m" => Some(2),
        "g" => Some(3),
        "t" => Some(4),
        "p" => Some(5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_docker_sizes() {
        for (text, want) in
            [("1024", 1024), ("64m", 64 << 20), ("64MB", 64 << 20), ("1.5GiB", 3 << 29), ("2 k", 2048), ("7b", 7)]
        {
            assert_eq!(parse(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn rejects_the_rest() {
        for (bad, at) in [("", 0), ("m", 0), ("12x", 2), ("0", 0), ("-1", 0), ("1.2.3", 0), ("99999p", 0), ("1 mm", 1)]
        {
            assert_eq!(parse(bad).unwrap_err().at, Some(at), "{bad}");
        }
    }
}
