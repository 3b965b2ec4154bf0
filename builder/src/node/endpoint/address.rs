//! The parts of an address: scheme, host and port, user, certificate files.

use std::fmt;
use std::path::{Path, PathBuf};

use super::query::{Query, QueryError};

/// Certificates of a TLS connection, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities the server's certificate must come from; not read with `skip_verify`.
    pub ca: PathBuf,
    /// Client certificate and key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Name the server's certificate must have, if not the host's.
    pub server_name: Option<String>,
    /// Any certificate of the server will do: only what the user has asked for by name sets this.
    pub skip_verify: bool,
}

impl TlsFiles {
    /// Returns Docker's three file names inside `dir`.
    pub fn in_directory(dir: &Path) -> Self {
        let client = Some((dir.join("cert.pem"), dir.join("key.pem")));
        Self { ca: dir.join("ca.pem"), client, server_name: None, skip_verify: false }
    }

    /// Reads `ca`, `cert`, `key` and `servername`; none of them means plain TCP.
    pub(super) fn from_query(query: &mut Query) -> Result<Option<Self>, QueryError> {
        let server_name = query.take("servername");
        let client = match (query.take("cert"), query.take("key")) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            (Some(_), None) => return Err(QueryError::Incomplete { key: "cert", needs: "key" }),
            (None, Some(_)) => return Err(QueryError::Incomplete { key: "key", needs: "cert" }),
        };
        match query.take("ca") {
            Some(ca) => Ok(Some(Self { ca: ca.into(), client, server_name, skip_verify: false })),
            None if client.is_some() => Err(QueryError::Incomplete { key: "cert", needs: "ca" }),
            None if server_name.is_some() => Err(QueryError::Incomplete { key: "servername", needs: "ca" }),
            None => Ok(None),
        }
    }
}

/// A machine reached by ssh, as Docker's client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    /// User; ssh's own choice if `None`.
    pub user: Option<String>,
    /// Host name, an alias of ssh's configuration, or an address.
    pub host: String,
    /// Port; ssh's own choice if `None`.
    pub port: Option<u16>,
    /// The daemon's socket over there, if not the usual one.
    pub socket: Option<String>,
    /// A configuration file for ssh (`-F`).
    pub config: Option<PathBuf>,
}

impl SshTarget {
    /// Parses `[user@]host[:port][/socket]`. A leading dash is refused: ssh would read it as an option.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (authority, socket) = match text.find('/') {
            Some(at) => (&text[..at], Some(&text[at..]).filter(|path| path.len() > 1)),
            None => (text, None),
        };
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let (host, port) = split_port(address)?;
        if user.is_some_and(|user| user.is_empty() || user.starts_with('-') || user.contains(':'))
            || host.starts_with('-')
        {
            return None;
        }
        let (user, socket) = (user.map(str::to_owned), socket.map(str::to_owned));
        Some(Self { user, host: host.to_owned(), port, socket, config: None })
    }
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.socket.as_deref().unwrap_or(""))
    }
}

/// Splits `scheme://rest`.
pub(super) fn split_scheme(text: &str) -> (Option<&str>, &str) {
    match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    }
}

/// Returns `host:port` for `host[:port][/]`, or `None` if it is something else.
pub(super) fn host_and_port(text: &str, default_port: u16) -> Option<String> {
    let (host, port) = split_port(text.strip_suffix('/').unwrap_or(text))?;
    let port = port.unwrap_or(default_port);
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let good = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "._-:%".contains(c));
    let port = port.map(|port| port.parse().ok().filter(|port| *port != 0)).map_or(Some(None), |p| p.map(Some))?;
    good.then_some((host, port))
}
