//! What registries say on the side: warnings, and how many requests are left.

use polyarch_registry::client::Registry;

use crate::text::escape;

/// Returns a line for each warning of a host and one for its rate limit, if it told any.
pub fn of(registry: &Registry, host: &str) -> String {
    let own = |(from, text): (String, String)| (from == host).then(|| format!("{host} warns: {}\n", escape(&text)));
    let mut lines: String = registry.warnings().into_iter().filter_map(own).collect();
    if let Some(rate) = registry.rate_limit(host) {
        let of = rate.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
        lines += &format!("{host} allows {}{of} more requests for now\n", rate.remaining);
    }
    lines
}

/// Writes them to stderr: they are not the result.
pub fn tell(registry: &Registry, host: &str) {
    use std::io::Write as _;
    // If nobody can read it, nobody can be told either.
    let _ = std::io::stderr().lock().write_all(of(registry, host).as_bytes());
}
