//! Tables from containerd/platforms' documented behaviour.

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Platform {
    Platform::parse(text, None).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn parsing_and_normalising_differ() {
    // text, Parse, Normalize(Parse).
    for (text, parse, normal) in [
        ("linux/amd64", "linux/amd64", "linux/amd64"),
        ("Linux/x86_64", "linux/amd64", "linux/amd64"),
        ("linux/x86-64/v2", "linux/amd64/v2", "linux/amd64/v2"),
        ("linux/amd64/v1", "linux/amd64", "linux/amd64"),
        ("linux/arm", "linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6", "linux/arm/v6"),
        ("linux/arm/7", "linux/arm/v7", "linux/arm/v7"),
        ("linux/arm/v7", "linux/arm/v7", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6", "linux/arm/v6"),
        ("linux/arm/5", "linux/arm/v5", "linux/arm/v5"),
        ("linux/arm/8", "linux/arm/v8", "linux/arm/v8"),
        ("linux/arm64", "linux/arm64", "linux/arm64"),
        ("linux/aarch64", "linux/arm64", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v8.0", "linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/9", "linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm64/9.0", "linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm64/v9.2", "linux/arm64/v9.2", "linux/arm64/v9.2"),
        ("linux/i386", "linux/386", "linux/386"),
        ("macos/ARM64", "darwin/arm64", "darwin/arm64"),
        ("beos/z80", "beos/z80", "beos/z80"),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ("windows(10.0.17763+win32k)/amd64", "windows(10.0.17763+win32k)/amd64", "windows(10.0.17763+win32k)/amd64"),
        ("linux(+b+a+b)/amd64", "linux(+a+b+b)/amd64", "linux(+a+b)/amd64"),
        ("linux(a%2Bb)/amd64", "linux(a%2Bb)/amd64", "linux(a%2Bb)/amd64"),
    ] {
        assert_eq!(parsed(text).to_string(), parse, "{text}");
        assert_eq!(parsed(text).normalize().to_string(), normal, "{text}");
        assert_eq!(text.parse::<Platform>().map(|p| p.to_string()).as_deref(), Ok(normal), "{text}");
    }
    assert_eq!(parsed("windows(10.0.17763)/amd64").format(), "windows/amd64");
    assert_eq!(parsed("linux(a%2Bb)/amd64").os_version.as_deref(), Some("a+b"));
}

#[test]
fn one_word_takes_the_other_half_from_the_host() {
    let of = |text: &str, host: &str| Platform::parse(text, Some(&parsed(host))).map(|p| p.to_string());
    for (text, host, want) in [
        ("linux", "linux/amd64", "linux/amd64"),
        ("linux", "linux/arm/v6", "linux/arm/v6"),
        ("linux", "linux/arm/v7", "linux/arm"),
        ("windows(10.0.17763)", "linux/amd64", "windows(10.0.17763)/amd64"),
        ("arm64", "linux/amd64", "linux/arm64"),
        ("aarch64", "darwin/amd64", "darwin/arm64"),
        ("arm", "linux/amd64", "linux/arm"),
        ("armel", "linux/amd64", "linux/arm/v6"),
    ] {
        assert_eq!(of(text, host).as_deref(), Ok(want), "{text} on {host}");
    }
    assert!(matches!("linux".parse::<Platform>(), Err(PlatformError::Incomplete(_))));
    assert!(matches!("arm64".parse::<Platform>(), Err(PlatformError::Incomplete(_))));
    assert!(matches!(of("beos", "linux/amd64"), Err(PlatformError::Unknown(_))));
}

#[test]
fn names_what_is_wrong() {
    for bad in
        ["", "/", "linux/", "/amd64", "linux/*", "*", "linux//v7", "li nux/amd64", "linux(/amd64", "linux(1+)/amd64"]
    {
        assert!(matches!(Platform::parse(bad, None), Err(PlatformError::BadComponent { .. })), "{bad}");
    }
    assert!(matches!("a/b/c/d".parse::<Platform>(), Err(PlatformError::TooManyComponents(_))));
    assert!(matches!("beos".parse::<Platform>(), Err(PlatformError::Unknown(_))));
}

#[test]
fn knows_what_a_machine_runs() {
    // Machine, image, OnlyStrict, rank in Only.
    for (machine, image, strict, rank) in [
        ("linux/amd64", "linux/amd64", true, Some(0)),
        ("linux/amd64", "linux/x86_64", true, Some(0)),
        ("linux/amd64", "linux/amd64/v1", true, Some(0)),
        ("linux/amd64", "linux/amd64/v2", false, None),
        ("linux/amd64/v3", "linux/amd64/v2", false, Some(1)),
        ("linux/amd64/v3", "linux/amd64", false, Some(2)),
        ("linux/amd64", "linux/386", false, Some(1)),
        ("linux/386", "linux/amd64", false, None),
        ("linux/arm64", "linux/arm64/v8", true, Some(0)),
        ("linux/arm64", "linux/arm/v8", false, Some(1)),
        ("linux/arm64", "linux/arm/v7", false, Some(2)),
        ("linux/arm64", "linux/arm/v5", false, Some(4)),
        ("linux/arm64", "linux/arm64/v9", false, None),
        ("linux/arm64/v8.2", "linux/arm64", false, Some(2)),
        ("linux/arm64/v9", "linux/arm64/v8.5", false, Some(1)),
        ("linux/arm64/v9", "linux/arm64/v8.6", false, None),
        ("linux/arm64/v9", "linux/arm64", false, Some(6)),
        ("linux/arm64/v9.2", "linux/arm64/v9.1", false, Some(1)),
        ("linux/arm64/v9.2", "linux/arm64/v8.7", false, Some(3)),
        ("linux/arm64/v9.2", "linux/arm64/v8.8", false, None),
        ("linux/arm/v7", "linux/arm", true, Some(0)),
        ("linux/arm/v7", "linux/arm/v6", false, Some(1)),
        ("linux/arm/v6", "linux/arm/v7", false, None),
        ("linux/arm/v8", "linux/arm/v7", false, Some(1)),
        ("linux/arm/v6", "linux/arm64", false, None),
        ("linux/riscv64", "linux/riscv64", true, Some(0)),
        ("linux/amd64", "windows/amd64", false, None),
        ("linux(1)/amd64", "linux(2)/amd64", true, Some(0)),
    ] {
        let (machine, image) = (parsed(machine), parsed(image));
        assert_eq!(machine.matches_strictly(&image), strict, "{image} on {machine}");
        assert_eq!(machine.preference(&image), rank, "{image} on {machine}");
    }
}

#[test]
fn knows_windows_versions() {
    for (host, image, runs) in [
        ("windows(10.0.17763)/amd64", "windows(10.0.17763.1)/amd64", true),
        ("windows(10.0.17763)/amd64", "windows(10.0.20348)/amd64", false),
        ("windows(10.0.20348)/amd64", "windows(10.0.17763)/amd64", false),
        ("windows(10.0.20348)/amd64", "windows(10.0.20348.2)/amd64", true),
        ("windows(10.0.22621)/amd64", "windows(10.0.20348)/amd64", true),
        ("windows(10.0.26100)/amd64", "windows(10.0.20348)/amd64", true),
        ("windows(10.0.26100)/amd64", "windows(10.0.26200)/amd64", false),
        ("windows(10.0.20348)/amd64", "windows(11.0.20348)/amd64", false),
        ("windows/amd64", "windows(10.0.17763)/amd64", true),
        ("windows(10.0.17763)/amd64", "windows/amd64", true),
        ("windows(10.0.17763)/amd64", "windows(odd)/amd64", false),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763+win32k)/amd64", true),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763+other)/amd64", false),
        ("windows(10.0.17763+other)/amd64", "windows(10.0.17763+other)/amd64", true),
    ] {
        assert_eq!(parsed(host).runs(&parsed(image)), runs, "{image} on {host}");
    }
}

proptest! {
    #[test]
    fn texts_are_read_back(text in "[a-z]{1,6}(\\([0-9.]{0,6}(\\+[a-z%]{1,3})?\\))?/[a-z0-9]{1,6}(/v[0-9.]{1,4})?") {
        if let Ok(platform) = Platform::parse(&text, None) {
            let normal = platform.normalize();
            prop_assert_eq!(normal.to_string().parse::<Platform>().unwrap(), normal.clone());
            prop_assert_eq!(normal.normalize(), normal.clone());
            prop_assert!(normal.matches_strictly(&platform));
        }
    }

    #[test]
    fn never_panics(text in "\\PC{0,24}", other in "(linux|windows)(\\([0-9.+a]{0,9}\\))?/(arm|arm64|amd64)/v?[0-9.]{0,12}") {
        if let (Ok(a), Ok(b)) = (Platform::parse(&text, None), Platform::parse(&other, None)) {
            let _ = (a.runs(&b), b.runs(&a));
        }
        if let Ok(b) = Platform::parse(&other, None) {
            prop_assert!(b.runs(&b));
        }
    }
}
