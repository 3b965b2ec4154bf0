//! Who may use the registry: Basic authentication against an `htpasswd` file (RFC 7617).
//!
//! Owns: reading the file, checking a request's credentials. bcrypt is slow on purpose, so checks run on blocking
//! threads, only a few at once, and a credential that was right is remembered by its hash.
//! Never: keeps a password, says which part of a credential was wrong, or lets timing say it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::Semaphore;

use crate::oci::Digest;

/// Largest file, in bytes: some ten thousand users.
const FILE_LIMIT: u64 = 1 << 20;
/// Longest `Authorization` header that is looked at, in bytes.
const HEADER_LIMIT: usize = 4096;
/// Checks at once: a flood of guesses must not take every core.
const CHECKS_AT_ONCE: usize = 2;
/// Credentials remembered; one more clears them.
const REMEMBERED: usize = 1024;
/// Highest cost of a hash (`2^14` rounds, about a second): each login costs the server as much.
const COST_LIMIT: u32 = 14;

/// Why a file of users cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A line is not `user:hash` with a bcrypt hash.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong; the line itself is not shown.
        reason: &'static str,
    },
    /// There is nobody in the file.
    #[error("{path} has no user")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The users of a registry and what they were found to know. Clones share it.
#[derive(Clone)]
pub struct Users {
    hashes: Arc<BTreeMap<String, String>>,
    known: Arc<Mutex<HashSet<Digest>>>,
    checks: Arc<Semaphore>,
    /// Makes the remembered hashes useless elsewhere.
    salt: [u8; 32],
}

impl Users {
    /// Reads a file as `htpasswd -B` writes it.
    ///
    /// # Errors
    /// [`UsersError`].
    pub fn read(path: &Path) -> Result<Self, UsersError> {
        let fail = |source| UsersError::Read { path: path.to_owned(), source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(fail)?;
        file.take(FILE_LIMIT + 1).read_to_string(&mut text).map_err(fail)?;
        if text.len() as u64 > FILE_LIMIT {
            return Err(fail(std::io::ErrorKind::FileTooLarge.into()));
        }
        let hashes = parse(&text).map_err(|(line, reason)| UsersError::Line { path: path.to_owned(), line, reason })?;
        if hashes.is_empty() {
            return Err(UsersError::Empty { path: path.to_owned() });
        }
        let checks = Arc::new(Semaphore::new(CHECKS_AT_ONCE));
        Ok(Self { hashes: Arc::new(hashes), known: Arc::default(), checks, salt: rand::random() })
    }

    /// Returns whether the request's credentials are a user's. Without any, or with malformed ones, it is false at once.
    pub async fn admit(&self, headers: &HeaderMap) -> bool {
        let Some((user, password)) = credentials(headers) else { return false };
        let fingerprint = Digest::sha256([&self.salt, user.as_bytes(), b":", password.as_bytes()].concat());
        if self.known().contains(&fingerprint) {
            return true;
        }
        let own = self.hashes.get(&user);
        let is_user = own.is_some();
        // For an unknown user somebody's is checked, so that both take as long.
        let hash = own.or_else(|| self.hashes.values().next()).cloned().unwrap_or_default();
        // Never closed.
        let Ok(_slot) = self.checks.acquire().await else { return false };
        let check = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let right = check.await.unwrap_or(false) && is_user;
        if right {
            let mut known = self.known();
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(fingerprint);
        }
        right
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("count", &self.hashes.len()).finish_non_exhaustive()
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, (usize, &'static str)> {
    let mut users = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let fail = |reason| Err((index + 1, reason));
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((user, hash)) = line.split_once(':') else { return fail("it is not USER:HASH") };
        match cost(hash) {
            _ if user.is_empty() => return fail("the user's name is empty"),
            None => return fail("the hash is not bcrypt; make it with htpasswd -B"),
            Some(cost) if cost > COST_LIMIT => return fail("the hash's cost is more than 14"),
            Some(_) => {}
        }
        if users.insert(user.to_owned(), hash.to_owned()).is_some() {
            return fail("the user is in the file already");
        }
    }
    Ok(users)
}

/// Returns the cost of `$2y$CC$` and 53 characters (crypt(5), bcrypt).
fn cost(hash: &str) -> Option<u32> {
    let mut parts = hash.strip_prefix('$')?.split('$');
    let version = parts.next()?;
    let cost: u32 = parts.next()?.parse().ok()?;
    let rest = parts.next()?;
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/');
    let good = matches!(version, "2a" | "2b" | "2y")
        && parts.next().is_none()
        && rest.len() == 53
        && rest.bytes().all(alphabet)
        && (4..=31).contains(&cost);
    good.then_some(cost)
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok().filter(|header| header.len() <= HEADER_LIMIT)?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ada` with password `secret`.
    const ADA: &str = "ada:$2y$04$EGxkvoJY4LXHv/rQwT03ku/T3gSdR5kkZmlAOZlEMSHuzoZXbFFTy";

    fn users(text: &str) -> Result<Users, UsersError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("htpasswd");
        std::fs::write(&path, text).unwrap();
        Users::read(&path)
    }

    fn header(value: &str) -> HeaderMap {
        [(AUTHORIZATION, value.parse().unwrap())].into_iter().collect()
    }

    #[tokio::test]
    async fn admits_who_knows_the_password() {
        let users = users(&format!("# people\n\n{ADA}\n")).unwrap();
        let basic = |pair: &str| header(&format!("Basic {}", STANDARD.encode(pair)));
        for _ in 0..2 {
            assert!(users.admit(&basic("ada:secret")).await);
        }
        assert_eq!(users.known().len(), 1);
        for wrong in ["ada:Secret", "ada:", "bob:secret", ":", "ada", "ada:secret\0", ""] {
            assert!(!users.admit(&basic(wrong)).await, "{wrong}");
        }
        for wrong in ["Bearer x", "Basic", "Basic ???", &format!("Basic {}", "A".repeat(5000))] {
            assert!(!users.admit(&header(wrong)).await, "{wrong:.20}");
        }
        assert!(!users.admit(&HeaderMap::new()).await);
        assert_eq!(users.known().len(), 1, "only what was right is remembered");
        assert!(!format!("{users:?}").contains("ada"));
    }

    #[test]
    fn names_the_line_that_cannot_be_used() {
        let high = ADA.replace("$04$", "$15$");
        for (text, want) in [
            ("ada", "line 1: it is not USER:HASH"),
            ("\nada:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "line 2: the hash is not bcrypt"),
            ("ada:$apr1$x$y", "line 1: the hash is not bcrypt"),
            (&ADA.replace("ada", ""), "line 1: the user's name is empty"),
            (&high, "line 1: the hash's cost is more than 14"),
            (&format!("{ADA}\n{ADA}"), "line 2: the user is in the file already"),
            ("# nobody\n", "has no user"),
        ] {
            let error = users(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
        assert!(matches!(Users::read(Path::new("/nonexistent")), Err(UsersError::Read { .. })));
    }
}
