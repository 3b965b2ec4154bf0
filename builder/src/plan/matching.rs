//! Which platforms a CPU runs besides its own (containerd/platforms `compare.go`, `platformVector`).

use polyarch_registry::oci::Platform;

/// Returns whether both are the same platform after normalisation.
pub fn same_platform(a: &Platform, b: &Platform) -> bool {
    a.same_as(b)
}

/// Returns whether a machine of platform `machine` runs programs of platform `wanted` without an emulator.
pub fn runs_on(machine: &Platform, wanted: &Platform) -> bool {
    let (machine, wanted) = (machine.normalize(), wanted.normalize());
    if machine.os != wanted.os {
        return false;
    }
    let versions = (&machine.os_version, &wanted.os_version);
    if let (Some(a), Some(b)) = versions
        && a != b
    {
        return false;
    }
    let (m, w) = (machine.variant.as_deref().unwrap_or(""), wanted.variant.as_deref().unwrap_or(""));
    match (machine.architecture.as_str(), wanted.architecture.as_str()) {
        ("amd64", "amd64") => level(m).zip(level(w)).map_or(m == w, |(m, w)| w <= m),
        ("amd64", "386") => true,
        ("arm64", "arm64") => arm64_level(m).zip(arm64_level(w)).map_or(m == w, |(m, w)| arm64_covers(m, w)),
        ("arm64", "arm") => level(w).is_some_and(|w| (5..=8).contains(&w)),
        ("arm", "arm") => level(m).zip(level(w)).map_or(m == w, |(m, w)| (5..=m).contains(&w)),
        (a, b) => a == b && m == w,
    }
}

/// `v3` → 3; no variant counts as 1.
fn level(variant: &str) -> Option<u32> {
    match variant.strip_prefix('v') {
        Some(digits) => digits.parse().ok(),
        None => variant.is_empty().then_some(1),
    }
}

/// `v9.2` → (9, 2); no variant counts as v8.
fn arm64_level(variant: &str) -> Option<(u32, u32)> {
    if variant.is_empty() {
        return Some((8, 0));
    }
    let (major, minor) = variant.strip_prefix('v').map(|v| v.split_once('.').unwrap_or((v, "0")))?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// v9.x runs v9 up to x, and v8 up to x + 5.
fn arm64_covers(machine: (u32, u32), wanted: (u32, u32)) -> bool {
    match (machine, wanted) {
        ((9, m), (8, w)) => w <= m.saturating_add(5),
        ((major, m), (other, w)) => major == other && w <= m,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_a_cpu_runs() {
        for (machine, wanted, runs) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux/amd64/v2", false),
            ("linux/amd64/v3", "linux/amd64/v2", true),
            ("linux/amd64", "linux/386", true),
            ("linux/386", "linux/amd64", false),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64", "linux/arm/v7", true),
            ("linux/arm64", "linux/arm64/v9", false),
            ("linux/arm64/v9.2", "linux/arm64/v8.7", true),
            ("linux/arm64/v9.2", "linux/arm64/v8.8", false),
            ("linux/arm64/v9.2", "linux/arm64/v9.1", true),
            ("linux/arm/v7", "linux/arm/v6", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/arm/v6", "linux/arm64", false),
            ("linux/riscv64", "linux/riscv64", true),
            ("linux/amd64", "windows/amd64", false),
            ("windows(10.0.1)/amd64", "windows(10.0.2)/amd64", false),
        ] {
            let parse = |text: &str| text.parse::<Platform>().unwrap();
            assert_eq!(runs_on(&parse(machine), &parse(wanted)), runs, "{wanted} on {machine}");
        }
    }
}
