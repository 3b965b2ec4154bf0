//! The format of Docker's `config.json` and of `containers-auth.json(5)`; pure.
//!
//! Owns: parsing and matching keys to a registry. A key matches by exact host (and port), and where
//! it has a path, as Podman allows, by whole path components of the repository; the longest wins.
//! Never: matches a part of a host name.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Credential;
use crate::client::secret::Secret;

/// A parsed file.
#[derive(Debug, Default, Deserialize)]
pub struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

/// Why a file was not understood. The JSON error's text is left out: it may quote a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthFileError {
    /// Not the JSON it should be.
    #[error("not valid JSON of its kind at line {line}, column {column}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// An `auth` value is not base64 of `user:password`.
    #[error("`auth` of {key:?} is not base64 of user:password")]
    Auth {
        /// Key below `auths`.
        key: String,
    },
}

#[derive(Deserialize, Default)]
struct Entry {
    #[serde(default)]
    auth: Option<Secret>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    identitytoken: Option<Secret>,
    #[serde(default)]
    registrytoken: Option<Secret>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry(…)")
    }
}

impl AuthFile {
    /// Parses the bytes of a file; an empty file is an empty configuration.
    ///
    /// # Errors
    /// [`AuthFileError`], which never quotes the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuthFileError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let file: Self = serde_json::from_slice(bytes)
            .map_err(|error| AuthFileError::Json { line: error.line(), column: error.column() })?;
        match file.auths.iter().find(|(_, entry)| entry.credential().is_err()) {
            Some((key, _)) => Err(AuthFileError::Auth { key: key.clone() }),
            None => Ok(file),
        }
    }

    /// Returns the helper that keeps the credentials of `host`: its own, else the common store.
    pub fn helper_for(&self, host: &str) -> Option<&str> {
        let own = self.helpers.iter().find(|(key, _)| Key::parse(key).is_some_and(|key| key.is_host(host)));
        own.map(|(_, name)| name).or(self.store.as_ref()).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Returns the keys below `auths` that mean the whole of a host.
    pub(super) fn keys_of(&self, host: &str) -> Vec<String> {
        let is_host = |key: &&String| Key::parse(key).is_some_and(|key| key.is_host(host));
        self.auths.keys().filter(is_host).cloned().collect()
    }

    /// Returns the credential in `auths` for `host/repository`.
    pub fn auth_for(&self, host: &str, repository: &str) -> Option<Credential> {
        let mut best: Option<(usize, Credential)> = None;
        for (text, entry) in &self.auths {
            let Some(rank) = Key::parse(text).and_then(|key| key.rank(host, repository)) else { continue };
            let Ok(Some(found)) = entry.credential() else { continue };
            if best.as_ref().is_none_or(|(other, _)| rank > *other) {
                best = Some((rank, found));
            }
        }
        best.map(|(_, found)| found)
    }

    /// Returns whether `auths` has a credential for the host or for any repository of it.
    pub fn names(&self, host: &str) -> bool {
        let of_host = |text: &str| Key::parse(text).is_some_and(|key| key.host == canonical(host));
        self.auths.iter().any(|(text, entry)| of_host(text) && matches!(entry.credential(), Ok(Some(_))))
    }
}

impl Entry {
    /// The helper's marker entry `{}` has no credential; a broken `auth` is an error.
    fn credential(&self) -> Result<Option<Credential>, ()> {
        let filled = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.is_empty());
        if let Some(token) = filled(&self.registrytoken) {
            return Ok(Some(Credential::Registry(token)));
        }
        if let Some(token) = filled(&self.identitytoken) {
            return Ok(Some(Credential::Identity(token)));
        }
        if let Some(auth) = filled(&self.auth) {
            return decode(&auth).map(Some).ok_or(());
        }
        let pair = self.username.clone().zip(filled(&self.password));
        Ok(pair.map(|(username, password)| Credential::Password { username, password }))
    }
}

fn decode(auth: &Secret) -> Option<Credential> {
    let bytes = STANDARD.decode(auth.expose().trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    // Docker trims NULs, which old versions padded with.
    let password = Secret::new(password.trim_matches('\0'));
    (!username.is_empty()).then(|| Credential::Password { username: username.to_owned(), password })
}

/// What Docker Hub is called in files and by helpers.
const HUB_ADDRESS: &str = "https://index.docker.io/v1/";

/// Returns the name a helper knows the host by.
pub(crate) fn server_address(host: &str) -> &str {
    if canonical(host) == "docker.io" { HUB_ADDRESS } else { host }
}

fn canonical(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Key<'a> {
    host: &'a str,
    path: &'a str,
}

impl<'a> Key<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = match path.trim_end_matches('/') {
            // The API versions that old clients wrote into keys.
            "v1" | "v2" => "",
            path => path,
        };
        (!host.is_empty() && !host.contains('@')).then(|| Self { host: canonical(host), path })
    }

    fn is_host(&self, host: &str) -> bool {
        self.path.is_empty() && self.host == canonical(host)
    }

    /// Length of the matching key, or `None` if it does not match.
    fn rank(&self, host: &str, repository: &str) -> Option<usize> {
        let rest = (self.host == canonical(host)).then(|| repository.strip_prefix(self.path)).flatten()?;
        (self.path.is_empty() || rest.is_empty() || rest.starts_with('/')).then_some(self.path.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(file: &AuthFile, host: &str, repository: &str) -> Option<String> {
        match file.auth_for(host, repository)? {
            Credential::Password { username, password } => Some(format!("{username}:{}", password.expose())),
            Credential::Identity(token) => Some(format!("identity {}", token.expose())),
            Credential::Registry(token) => Some(format!("registry {}", token.expose())),
        }
    }

    fn file() -> AuthFile {
        let b64 = |text: &str| STANDARD.encode(text);
        let text = serde_json::json!({
            "auths": {
                HUB_ADDRESS: {"auth": b64("hub:a:b")},
                "ghcr.io": {"auth": b64("gh:pw")},
                "quay.io": {"auth": b64("q:all")},
                "quay.io/team": {"auth": b64("q:team")},
                "https://r.example.com/v2/": {"username": "u", "password": "p"},
                "id.example.com:444": {"auth": b64("u:"), "identitytoken": "idt"},
                "rt.example.com": {"registrytoken": "rtt"},
                "marked.example.com": {}
            },
            "credHelpers": {"ecr.example.com": "ecr-login", "docker.io": "hub"},
            "HttpHeaders": {"x": "y"}
        });
        AuthFile::parse(text.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn matches_exact_hosts_and_whole_path_components() {
        let file = file();
        for (host, repository, want) in [
            ("docker.io", "library/x", Some("hub:a:b")),
            ("ghcr.io", "x", Some("gh:pw")),
            ("ghcr.io.evil.com", "x", None),
            ("evil-ghcr.io", "x", None),
            ("ghcr.io:444", "x", None),
            ("quay.io", "team/x", Some("q:team")),
            ("quay.io", "team", Some("q:team")),
            ("quay.io", "team2/x", Some("q:all")),
            ("r.example.com", "x", Some("u:p")),
            ("id.example.com:444", "x", Some("identity idt")),
            ("rt.example.com", "x", Some("registry rtt")),
            ("marked.example.com", "x", None),
            ("other.example.com", "x", None),
        ] {
            assert_eq!(user(&file, host, repository).as_deref(), want, "{host}/{repository}");
            assert_eq!(file.names(host), want.is_some(), "{host}");
        }
    }

    #[test]
    fn a_host_helper_wins_over_the_store() {
        assert_eq!(file().helper_for("ecr.example.com"), Some("ecr-login"));
        assert_eq!(file().helper_for("docker.io"), Some("hub"));
        assert_eq!(file().helper_for("ghcr.io"), None);
        let with_store = AuthFile::parse(br#"{"credsStore":"pass","credHelpers":{"a":"b"}}"#).unwrap();
        assert_eq!(with_store.helper_for("ghcr.io"), Some("pass"));
        assert_eq!(server_address("docker.io"), HUB_ADDRESS);
        assert_eq!(server_address("ghcr.io"), "ghcr.io");
    }

    #[test]
    fn errors_and_debug_never_quote_the_file() {
        let json = AuthFile::parse(br#"{"auths":{"h":{"auth": hunter2}}}"#).unwrap_err();
        assert!(!json.to_string().contains("hunter2"));
        let auth = AuthFile::parse(br#"{"auths":{"h":{"auth":"aHVudGVyMg=="}}}"#).unwrap_err();
        assert_eq!(auth, AuthFileError::Auth { key: "h".into() });
        assert!(!format!("{:?}", file()).contains("idt"));
        assert!(AuthFile::parse(b" \n").is_ok());
    }
}
