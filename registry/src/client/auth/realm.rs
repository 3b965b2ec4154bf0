//! Which token endpoints are accepted; pure.
//!
//! Owns: the rules on a realm's URL. Never: looks at the address it resolves to, which the
//! connecting resolver vets.

use url::Url;

use crate::client::endpoint::{authority, is_loopback, refused};
use crate::client::error::Fault;
use crate::client::settings::{Config, RealmPolicy, Security};
use crate::client::text::untrusted;

/// Returns the realm as a URL that credentials may be sent to.
///
/// A realm is https, unless the registry itself is plain text and the realm is on the same host, on
/// this machine, or named as plain text by the user.
pub(super) fn check(config: &Config, registry: &Url, realm: &str) -> Result<Url, Fault> {
    let unreadable = || Fault::Protocol(format!("realm {:?} is not a URL", untrusted(realm, 128)));
    let mut url = Url::parse(realm).map_err(|_| unreadable())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(&url, "it has user information"));
    }
    match url.scheme() {
        "https" => {}
        "http" if may_be_plain(config, registry, &url) => {}
        "http" => return Err(refused(&url, "it is a token endpoint without https")),
        _ => return Err(refused(&url, "only http and https are followed")),
    }
    if config.realms == RealmPolicy::SameHost && url.host() != registry.host() {
        return Err(refused(&url, "it is a token endpoint on another host"));
    }
    url.set_fragment(None);
    Ok(url)
}

fn may_be_plain(config: &Config, registry: &Url, realm: &Url) -> bool {
    let named = || config.host(&authority(realm)).is_some_and(|host| host.security == Security::PlainHttp);
    let here = || is_loopback(realm.host_str().unwrap_or_default());
    registry.scheme() == "http" && (registry.host() == realm.host() || here() || named())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::settings::HostSettings;

    fn accepts(config: &Config, registry: &str, realm: &str) -> bool {
        check(config, &Url::parse(registry).unwrap(), realm).is_ok()
    }

    #[test]
    fn realms_are_https_or_as_plain_as_their_registry() {
        let config = Config::default();
        for (registry, realm, want) in [
            ("https://r.example.com/", "https://auth.example.com/token", true),
            ("https://r.example.com/", "http://r.example.com/token", false),
            ("https://r.example.com/", "http://127.0.0.1/token", false),
            ("https://r.example.com/", "https://u:p@r.example.com/token", false),
            ("https://r.example.com/", "file:///etc/passwd", false),
            ("https://r.example.com/", "/token", false),
            ("https://r.example.com/", "", false),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token", true),
            ("http://127.0.0.1:5000/", "http://localhost:5001/token", true),
            ("http://127.0.0.1:5000/", "http://auth.example.com/token", false),
            ("http://r.lan:5000/", "http://r.lan:5001/token", true),
            ("http://r.lan:5000/", "http://auth.lan/token", false),
        ] {
            assert_eq!(accepts(&config, registry, realm), want, "{registry} → {realm}");
        }
    }

    #[test]
    fn the_user_may_name_a_plain_realm_or_forbid_other_hosts() {
        let plain = HostSettings { security: Security::PlainHttp, ..HostSettings::default() };
        let named = Config { hosts: [("auth.lan".to_owned(), plain)].into(), ..Config::default() };
        assert!(accepts(&named, "http://r.lan:5000/", "http://auth.lan/token"));
        assert!(!accepts(&named, "https://r.lan:5000/", "http://auth.lan/token"));

        let strict = Config { realms: RealmPolicy::SameHost, ..Config::default() };
        assert!(accepts(&strict, "https://r.example.com/", "https://r.example.com:8443/token"));
        assert!(!accepts(&strict, "https://r.example.com/", "https://auth.example.com/token"));
    }
}
