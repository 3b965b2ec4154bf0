//! Texts without what legitimately differs between architectures, so that the rest can be compared.
//!
//! Owns: the names architectures go by, and what of a text is a checksum. Pure. Never: decides whether a difference matters.

/// Names of architectures and their variants, as distributions, compilers and languages write them. Longer before shorter where
/// one begins with the other.
const ARCHITECTURES: [&str; 60] = [
    "x86_64",
    "x86-64",
    "x86",
    "x64",
    "amd64",
    "i386",
    "i486",
    "i586",
    "i686",
    "ia32",
    "386",
    "arm64v8",
    "arm64",
    "arm32v5",
    "arm32v6",
    "arm32v7",
    "armhf",
    "armel",
    "armv5te",
    "armv5tel",
    "armv5",
    "armv6hf",
    "armv6l",
    "armv6",
    "armv7hf",
    "armv7hl",
    "armv7a",
    "armv7l",
    "armv7",
    "armv8l",
    "armv8",
    "arm",
    "aarch64",
    "aarch_64",
    "sbsa",
    "ppc64le",
    "ppc64el",
    "ppc64",
    "ppcle_64",
    "powerpc64le",
    "powerpc64",
    "s390x",
    "s390",
    "s390_64",
    "riscv64gc",
    "riscv64",
    "riscv",
    "rv64gc",
    "loongarch64",
    "loong64",
    "loongson",
    "mips64el",
    "mips64le",
    "mips64",
    "mipsel",
    "mipsle",
    "mips",
    "sparc64",
    "wasm32",
    "wasm",
];

/// ABIs that a C library's name carries on 32-bit ARM alone.
const ABIS: [&str; 5] = ["eabihf", "eabi", "abi64", "abin32", "sf"];

/// Hexadecimal digits from which on a word is a checksum: a short commit has 7, MD5 32.
const CHECKSUM: usize = 32;

/// Returns the text with every name of an architecture as `*` and every checksum as `#`.
pub(super) fn neutral(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let starts_word = !out.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
        let (replacement, length) = match starts_word {
            true => word(rest),
            false => None,
        }
        .unwrap_or(("", 0));
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.push_str(replacement);
            rest = &rest[length..];
        }
    }
    out
}

/// What stands for the word a text begins with, and the word's length.
fn word(text: &str) -> Option<(&'static str, usize)> {
    let alphanumeric = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let whole = &text[..alphanumeric];
    if whole.len() >= CHECKSUM && whole.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(("#", whole.len()));
    }
    if let Some(libc) = ["gnu", "musl"].into_iter().find(|libc| whole.starts_with(libc))
        && (whole.len() == libc.len() || ABIS.contains(&&whole[libc.len()..]))
    {
        return Some((libc, whole.len()));
    }
    let name = ARCHITECTURES.iter().filter(|name| begins(text, name)).max_by_key(|name| name.len())?;
    Some(("*", name.len() + variant(&text[name.len()..])))
}

fn begins(text: &str, name: &str) -> bool {
    let is_name = text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    is_name && !text[name.len()..].bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

/// The length of `/v7`, `-v7`, `_v7`.
fn variant(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_variant = matches!(bytes, [b'/' | b'-' | b'_', b'v' | b'V', b'1'..=b'9', ..]);
    let ends = !bytes.get(3).is_some_and(u8::is_ascii_alphanumeric);
    if is_variant && ends { 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_and_checksums_are_taken_out() {
        for (one, other) in [
            ("/opt/app-linux-amd64", "/opt/app-linux-arm64"),
            ("/usr/lib/x86_64-linux-gnu", "/usr/lib/arm-linux-gnueabihf"),
            ("app_linux_x86_64.tar.gz", "app_linux_aarch64.tar.gz"),
            ("linux/arm/v7", "linux/amd64"),
            ("ADD alpine-minirootfs-3.20.3-x86_64.tar.gz /", "ADD alpine-minirootfs-3.20.3-armhf.tar.gz /"),
            ("# debian.sh --arch 'amd64' out/ 'bookworm'", "# debian.sh --arch 's390x' out/ 'bookworm'"),
            (
                "ADD file:0eae0dca665c7044bf242cb1fc92cb8ea744f5af2dd376a558c90bc47349aefe in /",
                "ADD file:9a3c2d5e9f1b0c7d8e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d in /",
            ),
            ("AMD64", "ARM64"),
        ] {
            assert_eq!(neutral(one), neutral(other));
        }
    }

    #[test]
    fn everything_else_stays() {
        for text in ["/usr/bin/alarm", "armada", "python3.12", "1.4.0", "386dx", "v7", "héllo wörld", "abcdef0", ""] {
            assert_eq!(neutral(text), text);
        }
        assert_ne!(neutral("alpine-3.20-x86_64"), neutral("alpine-3.19-aarch64"));
        assert_eq!(neutral("ümlaut-amd64-日本"), "ümlaut-*-日本");
        assert_eq!(neutral("arm/v7x"), "*/v7x");
    }
}
