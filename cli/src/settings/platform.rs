//! `--platform`: repeatable, comma lists, normalised, without duplicates. Pure.

use polyarch_registry::oci::{Platform, PlatformError};

use super::{ValueError, near};

/// What people mean most often, for "did you mean".
const COMMON: [&str; 14] = [
    "linux/amd64",
    "linux/amd64/v2",
    "linux/amd64/v3",
    "linux/arm64",
    "linux/arm/v5",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/386",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
    "linux/loong64",
    "linux/mips64le",
    "windows/amd64",
];

/// Reads all values into one list, in the order written.
///
/// # Errors
/// The first text that is not a platform, with its place and what is near.
pub fn parse_list(values: &[String]) -> Result<Vec<Platform>, ValueError> {
    let mut platforms: Vec<Platform> = Vec::new();
    for value in values {
        let mut at = 0;
        for item in value.split(',') {
            let indent = item.len() - item.trim_start().len();
            let platform = parse(value, item.trim(), at + indent)?;
            if !platforms.iter().any(|known| known.same_as(&platform)) {
                platforms.push(platform);
            }
            at += item.len() + 1;
        }
    }
    Ok(platforms)
}

fn parse(whole: &str, item: &str, at: usize) -> Result<Platform, ValueError> {
    let fail = |reason: String| ValueError::new(whole, reason).at(at);
    if item == "local" {
        let error = fail("`local` does not name a platform".to_owned());
        return Err(error.hint("leave --platform out to build for the node's own platform"));
    }
    let platform = item.parse::<Platform>().map_err(|error| {
        // The library's texts name the whole item; its place in the list is shown below.
        let fault = fail(error.to_string());
        match (suggestion(item), &error) {
            (Some(name), _) => fault.hint(format!("did you mean `{name}`?")),
            (None, PlatformError::Incomplete(_)) => fault.hint("write both, such as linux/arm64"),
            (None, _) => fault.hint(format!("such as {}", COMMON[..5].join(", "))),
        }
    })?;
    known(whole, item, at, &platform).map(|()| platform)
}

/// A well-formed platform that no Go toolchain knows is a slip, not a machine.
fn known(whole: &str, item: &str, at: usize, platform: &Platform) -> Result<(), ValueError> {
    use polyarch_registry::oci::platform::{KNOWN_ARCH, KNOWN_OS};
    let os_known = KNOWN_OS.contains(&platform.os.as_str());
    if os_known && KNOWN_ARCH.contains(&platform.architecture.as_str()) {
        return Ok(());
    }
    let (what, word) =
        if os_known { ("architecture", &platform.architecture) } else { ("operating system", &platform.os) };
    let fault = ValueError::new(whole, format!("platform {item:?} has an unknown {what}, `{word}`")).at(at);
    Err(match suggestion(item) {
        Some(name) => fault.hint(format!("did you mean `{name}`?")),
        None => fault.hint(format!("such as {}", COMMON[..5].join(", "))),
    })
}

fn suggestion(item: &str) -> Option<String> {
    // `arm64` alone is the commonest slip.
    if let Ok(platform) = format!("linux/{item}").parse::<Platform>()
        && !item.contains('/')
        && COMMON.contains(&platform.to_string().as_str())
    {
        return Some(platform.to_string());
    }
    near::nearest(item, COMMON).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: &[&str]) -> Result<Vec<String>, ValueError> {
        let owned: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        parse_list(&owned).map(|platforms| platforms.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lists_are_flat_normalised_and_unique() {
        let got = list(&["linux/amd64, linux/aarch64", "linux/arm", "linux/x86_64", "linux/arm/v7"]).unwrap();
        assert_eq!(got, ["linux/amd64", "linux/arm64", "linux/arm/v7"]);
        assert!(list(&[]).unwrap().is_empty());
    }

    #[test]
    fn slips_get_a_suggestion() {
        for (value, at, hint) in [
            ("linux/amd64,linux/amr64", 12, "did you mean `linux/arm64`?"),
            ("arm64", 0, "did you mean `linux/arm64`?"),
            ("armv7", 0, "such as linux/amd64, linux/amd64/v2, linux/amd64/v3, linux/arm64, linux/arm/v5"),
            ("linux", 0, "write both, such as linux/arm64"),
            ("linus/amd64", 0, "did you mean `linux/amd64`?"),
            ("local", 0, "leave --platform out to build for the node's own platform"),
        ] {
            let error = list(&[value]).unwrap_err();
            assert_eq!((error.at, error.hint.as_deref()), (Some(at), Some(hint)), "{value}");
        }
        assert!(list(&["linux/amd64,"]).is_err());
    }
}
