//! This machine as a node, where no daemon is asked: its CPU, and the emulators its kernel knows (binfmt_misc).

use std::path::Path;

use polyarch_builder::plan::NodeFacts;
use polyarch_registry::oci::Platform;

/// QEMU's names of architectures, as its packages and tonistiigi/binfmt register them.
const EMULATORS: [(&str, &[&str]); 10] = [
    ("x86_64", &["linux/amd64"]),
    ("i386", &["linux/386"]),
    ("aarch64", &["linux/arm64"]),
    ("arm", &["linux/arm/v7", "linux/arm/v6"]),
    ("riscv64", &["linux/riscv64"]),
    ("ppc64le", &["linux/ppc64le"]),
    ("s390x", &["linux/s390x"]),
    ("mips64el", &["linux/mips64le"]),
    ("mips64", &["linux/mips64"]),
    ("loongarch64", &["linux/loong64"]),
];

/// Returns this machine's facts. Containers are Linux's, also on other systems.
pub fn facts() -> NodeFacts {
    of(std::env::consts::ARCH, Path::new("/proc/sys/fs/binfmt_misc"))
}

fn of(arch: &str, binfmt: &Path) -> NodeFacts {
    let arch = match arch {
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        "x86" => "386",
        other => other,
    };
    let own = Platform::new("linux", arch, None);
    let mut native = vec![own.clone()];
    if own.architecture == "amd64" {
        native.push(Platform::new("linux", "386", None));
    }
    let registered = EMULATORS.iter().filter(|(name, _)| is_enabled(&binfmt.join(format!("qemu-{name}"))));
    let listed = registered.flat_map(|(_, platforms)| platforms.iter()).filter_map(|text| text.parse().ok());
    let emulated = listed.filter(|platform| !native.iter().any(|native| native.runs(platform))).collect();
    NodeFacts { name: "this machine".to_owned(), native, emulated, build_platform: own, tried: Vec::new() }
}

fn is_enabled(entry: &Path) -> bool {
    std::fs::read_to_string(entry).is_ok_and(|text| text.starts_with("enabled"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_cpu_and_the_kernels_emulators() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("qemu-arm", "enabled\n"), ("qemu-s390x", "disabled\n"), ("qemu-i386", "enabled\n")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let facts = of("x86_64", dir.path());
        let list = |platforms: &[Platform]| platforms.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(list(&facts.native), ["linux/amd64", "linux/386"]);
        assert_eq!(list(&facts.emulated), ["linux/arm/v7", "linux/arm/v6"]);
        assert_eq!(of("aarch64", Path::new("/none")).build_platform.to_string(), "linux/arm64");
    }
}
