//! `--ulimit NAME=SOFT[:HARD]` (go-units `ParseUlimit`). Pure.

use super::ValueError;

const NAMES: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Checks a limit and returns it as `name=soft:hard`, the form BuildKit reads.
///
/// # Errors
/// An unknown name, a number that is none, or a soft limit above the hard one.
pub fn parse(value: &str) -> Result<String, ValueError> {
    let (name, limits) = value.split_once('=').ok_or_else(|| ValueError::new(value, "it is not NAME=SOFT[:HARD]"))?;
    if !NAMES.contains(&name) {
        return Err(ValueError::new(value, format!("`{name}` is not a limit's name")).at(0).near(name, &NAMES));
    }
    let start = name.len() + 1;
    let (soft, hard) = match limits.split_once(':') {
        Some((soft, hard)) => (number(value, soft, start)?, number(value, hard, start + soft.len() + 1)?),
        None => number(value, limits, start).map(|both| (both, both))?,
    };
    // -1 is "unlimited", above every number.
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(ValueError::new(value, "the soft limit is above the hard limit").at(start));
    }
    Ok(format!("{name}={soft}:{hard}"))
}

fn number(whole: &str, text: &str, at: usize) -> Result<i64, ValueError> {
    let number = text.parse().ok().filter(|number| *number >= -1);
    number.ok_or_else(|| ValueError::new(whole, format!("`{text}` is not a number, or -1 for unlimited")).at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_limits() {
        for (text, want) in [
            ("nofile=1024", "nofile=1024:1024"),
            ("nofile=1024:2048", "nofile=1024:2048"),
            ("memlock=-1", "memlock=-1:-1"),
            ("stack=8:-1", "stack=8:-1"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn points_at_faults() {
        for (bad, at) in [
            ("nofiles=1", Some(0)),
            ("nofile=x", Some(7)),
            ("nofile=1:y", Some(9)),
            ("nofile=2:1", Some(7)),
            ("nofile", None),
        ] {
            assert_eq!(parse(bad).unwrap_err().at, at, "{bad}");
        }
        assert_eq!(parse("nofiles=1").unwrap_err().hint.as_deref(), Some("did you mean `nofile`?"));
    }
}
