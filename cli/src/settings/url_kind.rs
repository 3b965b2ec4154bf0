//! Which texts are URLs the daemon fetches (BuildKit `dfgitutil.ParseGitRef`, buildx `IsRemoteURL`). Pure.

/// A context the daemon fetches itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlKind {
    /// A Git repository.
    Git,
    /// A tar or a Dockerfile.
    Http,
}

/// Returns the kind of URL, or `None` for a local path.
pub fn kind(text: &str) -> Option<UrlKind> {
    if text.starts_with("./") || text.starts_with("../") || text.starts_with('/') {
        return None;
    }
    if let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) {
        let path = rest.split(['#', '?']).next().unwrap_or_default();
        return Some(if path.ends_with(".git") { UrlKind::Git } else { UrlKind::Http });
    }
    let git =
        text.starts_with("git://") || text.starts_with("ssh://") || text.starts_with("github.com/") || is_scp(text);
    git.then_some(UrlKind::Git)
}

/// Git's short form, `user@host:path`.
fn is_scp(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else { return false };
    let Some((host, _)) = rest.split_once(':') else { return false };
    let word = |part: &str, extra: char| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == extra)
    };
    word(user, '_') && word(host, '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_git_from_http_from_paths() {
        for (text, want) in [
            ("https://example.org/a.git", Some(UrlKind::Git)),
            ("https://example.org/a.git#main:sub", Some(UrlKind::Git)),
            ("https://example.org/a.git?ref=main", Some(UrlKind::Git)),
            ("http://example.org/ctx.tar.gz", Some(UrlKind::Http)),
            ("https://example.org/a#x.git", Some(UrlKind::Http)),
            ("git://example.org/a", Some(UrlKind::Git)),
            ("ssh://git@example.org/a", Some(UrlKind::Git)),
            ("git@github.com:a/b", Some(UrlKind::Git)),
            ("github.com/a/b", Some(UrlKind::Git)),
            ("./github.com/a", None),
            ("dir", None),
            ("a@b", None),
            ("/x@y:z", None),
        ] {
            assert_eq!(kind(text), want, "{text}");
        }
    }
}
