//! `--transfer`: which way the result takes to the registry, checked against what becomes of it. Pure.

use polyarch_registry::client::{Config, Security, is_loopback};
use polyarch_registry::oci::Reference;

use super::SettingsError;
use super::output::Output;
use crate::args::values::Transfer;

/// Which way the result takes to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Through the local store.
    Store,
    /// From the daemon; manifests and configs come here.
    Daemon {
        /// The daemon may use plain HTTP or unverified TLS (BuildKit `registry.insecure`).
        insecure: bool,
    },
}

/// What [`resolve`] looks at.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// `--transfer`.
    pub transfer: Transfer,
    /// What becomes of the result.
    pub outputs: &'a [Output],
    /// Its names.
    pub tags: &'a [Reference],
    /// How registries are reached.
    pub registries: &'a Config,
}

/// Resolves `--transfer`.
///
/// # Errors
/// With `daemon`: nothing is pushed, an output needs the layers here, or the registries differ in security.
pub fn resolve(wanted: Wanted<'_>) -> Result<Way, SettingsError> {
    if wanted.transfer == Transfer::Store {
        return Ok(Way::Store);
    }
    let is_push = |output: &&Output| matches!(output, Output::Registry { .. });
    let conflict = |what: &str, hint| Err(SettingsError::Conflict { what: what.to_owned(), hint: Some(hint) });
    if !wanted.outputs.iter().any(|output| is_push(&output)) {
        return conflict("--transfer daemon pushes the result, and nothing says where to", "add --push and --tag");
    }
    if !wanted.outputs.iter().all(|output| is_push(&output)) {
        return conflict(
            "--transfer daemon leaves the layers at the daemon and the registry, and another output needs them here",
            "leave --transfer out, or the other output",
        );
    }
    let kinds: Vec<bool> = wanted.tags.iter().filter_map(|tag| is_insecure(wanted.registries, tag.host())).collect();
    match (kinds.contains(&true), kinds.contains(&false)) {
        (true, true) => conflict(
            "--transfer daemon pushes to all registries in the same manner, and not all may be reached insecurely",
            "push to one of them, and use `polyarch build` without --transfer for the other",
        ),
        (_, secure) => Ok(Way::Daemon { insecure: !secure }),
    }
}

/// `None` for this machine: BuildKit takes either there.
fn is_insecure(registries: &Config, host: &str) -> Option<bool> {
    match registries.host(host).map(|settings| settings.security) {
        Some(Security::SkipVerify | Security::PlainHttp) => Some(true),
        _ => (!is_loopback(host)).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use polyarch_registry::client::HostSettings;

    use super::*;

    fn way(outputs: &[Output], tags: &[&str]) -> Result<Way, String> {
        let plain = HostSettings { security: Security::PlainHttp, ..HostSettings::default() };
        let registries = Config { hosts: [("reg.lan:5000".to_owned(), plain)].into(), ..Config::default() };
        let tags: Vec<Reference> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        let wanted = Wanted { transfer: Transfer::Daemon, outputs, tags: &tags, registries: &registries };
        resolve(wanted).map_err(|error| error.to_string())
    }

    #[test]
    fn the_daemon_pushes_and_does_nothing_else() {
        let push = Output::Registry { by_digest: false };
        assert!(way(&[], &["a:1"]).unwrap_err().contains("where to"));
        assert!(way(&[Output::Load], &["a:1"]).unwrap_err().contains("where to"));
        assert!(way(&[push, Output::OciDir("d".into())], &["a:1"]).unwrap_err().contains("another output"));
    }

    #[test]
    fn no_registry_becomes_less_secure_for_another() {
        let push = [Output::Registry { by_digest: false }];
        for (tags, want) in [
            (&["ghcr.io/a/b:1"][..], Some(false)),
            (&["localhost:5000/a:1", "127.0.0.1:5000/a:1"], Some(true)),
            (&["localhost:5000/a:1", "ghcr.io/a/b:1"], Some(false)),
            (&["reg.lan:5000/a:1"], Some(true)),
            (&["reg.lan:5000/a:1", "localhost:5000/a:1"], Some(true)),
            (&["reg.lan:5000/a:1", "ghcr.io/a/b:1"], None),
        ] {
            let want = want.map(|insecure| Way::Daemon { insecure });
            assert_eq!(way(&push, tags).ok(), want, "{tags:?}");
        }
    }
}
