//! Exit codes and hints for the registry crate's errors.

use polyarch_registry::client::{ClientError, ErrorKind, Fault};
use polyarch_registry::server::ServerError;
use polyarch_registry::store::StoreError;
use polyarch_registry::transfer::{CopierError, PublishError};
use polyarch_registry::verify::SourceError;

use super::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::serve::ServeError;

/// What a user can do about a registry's failure.
fn advice(error: &ClientError) -> Option<String> {
    let told = error.status().and_then(|status| advice_on_status(status.as_u16()));
    told.map(str::to_owned).or_else(|| advice_on_kind(error))
}

/// Statuses by which registries say what a class of failure does not.
fn advice_on_status(status: u16) -> Option<&'static str> {
    Some(match status {
        405 => "the registry does not allow this here: it may be read-only, a mirror, or have deleting switched off",
        409 | 412 => "the tag may be immutable, or somebody else has moved it; another tag can be pushed",
        413 => "the registry, or a proxy in front of it, takes nothing of this size",
        402 | 507 => "the registry's storage or quota is full",
        _ => return None,
    })
}

/// What a user can do about a class of a registry's failure.
fn advice_on_kind(error: &ClientError) -> Option<String> {
    let (kind, host) = (error.kind(), error.host());
    Some(match kind {
        ErrorKind::Unauthorized => format!("log in: polyarch login {host}"),
        ErrorKind::Denied => "the account is known but may not do this; check its rights on the repository".to_owned(),
        ErrorKind::NotFound => "check the name; some registries also answer so for what you may not see".to_owned(),
        ErrorKind::RateLimited => format!("wait, or log in for a higher limit: polyarch login {host}"),
        ErrorKind::Tls if matches!(error.fault(), Fault::ClientCertificate(_)) => {
            format!("show it one: --registry-cert {host}=CERT,KEY")
        }
        ErrorKind::Tls => {
            format!("a private authority is named with --registry-ca {host}=FILE; no TLS, with --plain-http {host}")
        }
        ErrorKind::UnknownHost => format!("is {host} spelt right?"),
        ErrorKind::Connect => format!("is {host} right and running?"),
        ErrorKind::NotARegistry => format!("something else than a registry answers at {host}"),
        ErrorKind::Unavailable | ErrorKind::Interrupted | ErrorKind::Timeout => {
            "run the same command again: only what is missing is sent".to_owned()
        }
        ErrorKind::TooLarge
        | ErrorKind::Mismatch
        | ErrorKind::Protocol
        | ErrorKind::Rejected
        | ErrorKind::Unsafe
        | ErrorKind::Local => return None,
    })
}

impl From<ClientError> for Diagnostic {
    fn from(error: ClientError) -> Self {
        Self::of_client(&error)
    }
}

impl Diagnostic {
    /// Returns a registry's error with what helps against it.
    pub(crate) fn of_client(error: &ClientError) -> Self {
        let code = match error.kind() {
            ErrorKind::Mismatch => ExitCode::Verification,
            ErrorKind::Local => ExitCode::Usage,
            // Reading: nothing is known about what is behind the reference.
            _ => ExitCode::CouldNotCheck,
        };
        let diagnostic = Self::new(code, error);
        match advice(error) {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        }
    }
}

impl From<&PublishError> for Diagnostic {
    fn from(error: &PublishError) -> Self {
        let code = match (error, error.kind()) {
            (PublishError::Graph(_), _) | (_, ErrorKind::Mismatch) => ExitCode::Verification,
            _ => ExitCode::Publish,
        };
        let diagnostic = Self::new(code, error);
        match error.client().and_then(advice) {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        }
    }
}

impl From<&CopierError> for Diagnostic {
    fn from(error: &CopierError) -> Self {
        let code = match (error, error.kind()) {
            (CopierError::Publish(error), _) => return Self::from(&**error),
            (CopierError::Platform { .. }, _) => ExitCode::Usage,
            (_, ErrorKind::Mismatch) => ExitCode::Verification,
            (CopierError::Source { .. } | CopierError::SourceBlob { .. }, _) => ExitCode::CouldNotCheck,
            _ => ExitCode::Publish,
        };
        let diagnostic = Self::new(code, error);
        match (error, error.client().and_then(advice)) {
            (CopierError::Platform { have, .. }, _) => diagnostic.hint(format!("there is {}", have.join(", "))),
            (_, Some(hint)) => diagnostic.hint(hint),
            _ => diagnostic,
        }
    }
}

impl From<StoreError> for Diagnostic {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NotFound(_)
            | StoreError::DigestMismatch { .. }
            | StoreError::TooShort { .. }
            | StoreError::TooLong { .. }
            | StoreError::OverLimit { .. } => ExitCode::Verification,
            StoreError::Layout { .. } | StoreError::ReadOnly { .. } | StoreError::InUse { .. } => ExitCode::Usage,
            StoreError::Digest(_) => ExitCode::CouldNotCheck,
            StoreError::Full { .. } | StoreError::Io { .. } => ExitCode::Publish,
        };
        let diagnostic = Self::new(code, &error);
        match store_advice(&error) {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        }
    }
}

/// What a user can do about a failure of the store.
pub fn store_advice(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Full { .. } => {
            Some("free some space: `polyarch store rm`, `polyarch store gc`; or name another --store")
        }
        StoreError::InUse { .. } => Some("wait for the other polyarch to end"),
        StoreError::Layout { .. } => Some("name a directory with an `oci-layout` file in it"),
        _ => None,
    }
}

impl From<SourceError> for Diagnostic {
    fn from(error: SourceError) -> Self {
        let code = match &error {
            SourceError::Missing(_) | SourceError::TooLarge { .. } => ExitCode::Verification,
            SourceError::Unreadable { .. } => ExitCode::CouldNotCheck,
        };
        Self::new(code, &error)
    }
}

impl From<ServeError> for Diagnostic {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Settings(error) => error.into(),
            ServeError::Users(_) => Self::new(ExitCode::Usage, &error).hint("add a user: htpasswd -B FILE USER"),
        }
    }
}

impl From<ServerError> for Diagnostic {
    fn from(error: ServerError) -> Self {
        let code = match &error {
            ServerError::Gc(_) | ServerError::Control(_) => ExitCode::Bug,
            _ => ExitCode::Usage,
        };
        let diagnostic = Self::new(code, &error);
        match &error {
            ServerError::Bind { .. } => diagnostic.hint("name another address with --addr; port 0 takes a free one"),
            ServerError::InUse { .. } => diagnostic.hint("name another directory with --root"),
            ServerError::Root { .. }
            | ServerError::Tls(_)
            | ServerError::Store(_)
            | ServerError::Meta(_)
            | ServerError::Gc(_)
            | ServerError::Control(_) => diagnostic,
        }
    }
}
