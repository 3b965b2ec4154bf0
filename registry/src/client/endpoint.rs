//! Where a registry is, and where it may send us.
//!
//! Owns: host names to URLs, resolving `Location` and `Link` (RFC 3986), the same-origin rule.
//! Never: connects or resolves a name.

use url::{Host, Url};

use super::error::Fault;
use super::text::{SafeUrl, untrusted};

/// How requests reach a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// TLS.
    Https,
    /// Plain text.
    Http,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }
}

/// Returns the host that serves the API: Docker Hub's references name another one.
pub fn api_host(host: &str) -> &str {
    match host {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        other => other,
    }
}

/// Returns the root URL of a host's API.
///
/// # Errors
/// [`Fault::Setup`] for a host with user information, a path, or one that is no host.
pub fn base_url(host: &str, scheme: Scheme) -> Result<Url, Fault> {
    let setup = |reason: &str| Fault::Setup { reason: reason.to_owned(), source: None };
    if host.contains(['@', '/', '\\', '?', '#']) {
        return Err(setup("the host must be a name or address with an optional port"));
    }
    let text = format!("{}://{}/", scheme.as_str(), api_host(host));
    let url = Url::parse(&text).map_err(|source| Fault::Setup {
        reason: "the host is not a valid name or address".to_owned(),
        source: Some(Box::new(source)),
    })?;
    if url.host().is_none() { Err(setup("the host is empty")) } else { Ok(url) }
}

/// Returns whether a host names this machine: `localhost`, 127.0.0.0/8 or `::1`.
pub fn is_loopback(host: &str) -> bool {
    match Url::parse(&format!("http://{host}/")).as_ref().map(Url::host) {
        Ok(Some(Host::Domain(name))) => name == "localhost" || name.ends_with(".localhost"),
        Ok(Some(Host::Ipv4(address))) => address.is_loopback(),
        Ok(Some(Host::Ipv6(address))) => address.is_loopback(),
        _ => false,
    }
}

/// Returns `host[:port]` of a URL, as a reference would name it.
pub fn authority(url: &Url) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    }
}

/// Resolves a `Location` or `Link` against the URL it came from, keeping its query and dropping a fragment.
///
/// # Errors
/// [`Fault::Protocol`] if it is not a URL, [`Fault::Refused`] for user information or a scheme other than HTTP.
pub fn resolve(from: &Url, target: &str) -> Result<Url, Fault> {
    let invalid = || Fault::Protocol(format!("location {:?} is not a URL", untrusted(target, 128)));
    let mut url = from.join(target.trim()).map_err(|_| invalid())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused(&url, "only http and https are followed"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(&url, "it has user information"));
    }
    if from.scheme() == "https" && url.scheme() == "http" {
        return Err(refused(&url, "it leaves https"));
    }
    url.set_fragment(None);
    Ok(url)
}

/// Returns a refusal to follow `url`.
pub fn refused(url: &Url, reason: &'static str) -> Fault {
    Fault::Refused { target: SafeUrl::new(url).to_string(), reason }
}

/// Returns the URL with one more query parameter, leaving the present query byte for byte.
pub fn with_query(url: &Url, name: &str, value: &str) -> Url {
    let mut url = url.clone();
    let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let query = match url.query() {
        None | Some("") => format!("{name}={encoded}"),
        Some(query) => format!("{query}&{name}={encoded}"),
    };
    url.set_query(Some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_become_urls() {
        for (host, want) in [
            ("docker.io", "https://registry-1.docker.io/"),
            ("ghcr.io", "https://ghcr.io/"),
            ("r.example.com:5000", "https://r.example.com:5000/"),
            ("[::1]:5000", "https://[::1]:5000/"),
        ] {
            assert_eq!(base_url(host, Scheme::Https).unwrap().as_str(), want);
        }
        assert_eq!(base_url("localhost:5000", Scheme::Http).unwrap().as_str(), "http://localhost:5000/");
        for bad in ["", "user:pass@host", "host/..//x", "a b", "h?x", "h\\x"] {
            assert!(base_url(bad, Scheme::Https).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn loopback_is_decided_by_address_not_by_look() {
        for yes in
            ["localhost", "localhost:5000", "127.0.0.1:80", "127.9.9.9", "[::1]:5000", "2130706433", "r.localhost"]
        {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "[::2]", "registry", "", "0.0.0.0"] {
            assert!(!is_loopback(no), "{no}");
        }
    }

    #[test]
    fn locations_resolve_as_rfc_3986_says() {
        let from = Url::parse("https://r.example.com/v2/x/blobs/uploads/").unwrap();
        for (location, want) in [
            ("/v2/x/blobs/uploads/1?_state=a%2Bb", "https://r.example.com/v2/x/blobs/uploads/1?_state=a%2Bb"),
            ("uuid?x=y", "https://r.example.com/v2/x/blobs/uploads/uuid?x=y"),
            ("?state=1", "https://r.example.com/v2/x/blobs/uploads/?state=1"),
            ("//other.example.com/u", "https://other.example.com/u"),
            ("https://r.example.com:443/u#frag", "https://r.example.com/u"),
        ] {
            assert_eq!(resolve(&from, location).unwrap().as_str(), want, "{location}");
        }
        for bad in ["http://r.example.com/u", "file:///etc/passwd", "javascript:alert(1)", "https://u:p@r.example.com/"]
        {
            assert!(matches!(resolve(&from, bad), Err(Fault::Refused { .. })), "{bad}");
        }
        assert!(matches!(resolve(&from, "https://"), Err(Fault::Protocol(_))));
    }

    #[test]
    fn adds_to_a_query_without_changing_it() {
        let url = Url::parse("https://r/u?_state=a%2Bb==").unwrap();
        assert_eq!(with_query(&url, "digest", "sha256:0").as_str(), "https://r/u?_state=a%2Bb==&digest=sha256%3A0");
        let bare = Url::parse("https://r/u").unwrap();
        assert_eq!(with_query(&bare, "n", "1").as_str(), "https://r/u?n=1");
    }
}
