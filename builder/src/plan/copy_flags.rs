//! Values of `--chmod` and `--checksum` (BuildKit `dockerfile2llb/convert_copy.go`).

use crate::dockerfile::Keyword;

/// Why a mode cannot be one; none if it can. BuildKit takes what chmod(1) takes: older built-in frontends octal digits alone.
pub(super) fn bad_chmod(mode: &str) -> Option<&'static str> {
    if !mode.is_empty() && mode.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = u32::from_str_radix(mode, 8).ok().filter(|number| *number <= 0o7777);
        return number.is_none().then_some("it is no octal number from 0 to 07777");
    }
    match mode.split(',').all(is_clause) {
        true => None,
        false => Some("it is neither an octal number nor a list like u=rwX,go=rX"),
    }
}

/// `[ugoa…][+-=][perms…]…`, as in chmod(1).
fn is_clause(clause: &str) -> bool {
    let actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let is_first_operator = actions.starts_with(['+', '-', '=']);
    is_first_operator && actions.bytes().all(|byte| b"+-=rwxXstugo".contains(&byte))
}

/// Why a checksum cannot be taken; none if it can. `sources` are the paths and URLs of the instruction.
pub(super) fn bad_checksum(keyword: Keyword, checksum: &str, sources: &[&str]) -> Option<&'static str> {
    let [source] = sources else { return Some("there must be exactly one source") };
    if keyword != Keyword::Add || !is_remote(source) {
        return Some("only what ADD downloads has one");
    }
    let is_http = source.starts_with("http://") || source.starts_with("https://");
    // A commit may stand in the place of a digest for Git, whose URL may be an HTTP one.
    let may_be_git = !is_http || source.contains(".git");
    (!may_be_git && !is_digest(checksum)).then_some("it is no digest like sha256:…")
}

/// Whether a source may be something else than a path of the context. Which URLs are Git's is BuildKit's to say.
fn is_remote(source: &str) -> bool {
    let is_scp_like = source.split_once(':').is_some_and(|(host, _)| host.contains('@'));
    source.contains("://") || is_scp_like || source.starts_with("github.com/")
}

fn is_digest(text: &str) -> bool {
    let lengths = [("sha256", 64), ("sha384", 96), ("sha512", 128)];
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        let is_known = lengths.contains(&(algorithm, hex.len()));
        is_known && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_or_like_chmods() {
        for good in ["0", "755", "07777", "u=rwX,go=rX", "a+x", "+x", "u+r-w", "go=", "o=u", "u=rwxs,+t"] {
            assert_eq!(bad_chmod(good), None, "{good}");
        }
        for bad in ["8", "10000", "99999999999999999999", "64a", "0x1ff", "u", "u=q", "u=r,", "rwx", "-755 ", "u =r"] {
            assert!(bad_chmod(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn checksums_are_of_one_download() {
        let sum = format!("sha256:{}", "a".repeat(64));
        let of = |checksum: &str, sources: &[&str]| bad_checksum(Keyword::Add, checksum, sources);
        for (checksum, sources) in [
            (sum.as_str(), "https://example.com/a.tar"),
            ("24a7a2d3", "https://github.com/a/b.git#main"),
            ("24a7a2d3", "git@github.com:a/b.git"),
            ("24a7a2d3", "github.com/a/b"),
        ] {
            assert_eq!(of(checksum, &[sources]), None, "{checksum} {sources}");
        }
        assert_eq!(of(&sum, &["a", "b"]), Some("there must be exactly one source"));
        assert_eq!(of(&sum, &["dir/a@1.tar"]), Some("only what ADD downloads has one"));
        for bad in ["24a7", "md5:aa", &sum.to_uppercase(), &sum[..70]] {
            assert_eq!(of(bad, &["https://example.com/a"]), Some("it is no digest like sha256:…"), "{bad}");
        }
    }
}
