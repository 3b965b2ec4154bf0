//! The error body of the distribution-spec ("Error Codes").
//!
//! Owns: reading it from bounded, hostile bytes; showing it. Never: decides by its text.

use std::fmt;

use oci_client::errors::{OciEnvelope, OciErrorCode};

use super::text::untrusted;

/// One entry of a registry's error body.
#[derive(Debug)]
pub struct RegistryMessage {
    /// The code of the distribution-spec, or the registry's own.
    pub code: OciErrorCode,
    /// The message, escaped and cut.
    pub message: String,
}

/// Shows messages after a status.
pub(super) struct Messages<'a>(pub(super) &'a [RegistryMessage]);

impl fmt::Display for Messages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let code = serde_json::to_value(&error.code).unwrap_or_default();
            let code = untrusted(code.as_str().unwrap_or("?"), 64);
            f.write_str(if i == 0 { ": " } else { "; " })?;
            match error.message.as_str() {
                "" => f.write_str(&code)?,
                message => write!(f, "{code} ({message})")?,
            }
        }
        Ok(())
    }
}

/// Longest message kept, in characters, and most messages kept.
const MESSAGE_CHARS: usize = 512;
const MESSAGES: usize = 8;

/// Reads a bounded error body; anything that is not the spec's envelope gives no messages.
pub(crate) fn parse_envelope(body: &[u8]) -> Vec<RegistryMessage> {
    let Ok(envelope) = serde_json::from_slice::<OciEnvelope>(body) else { return Vec::new() };
    let message = |error: oci_client::errors::OciError| RegistryMessage {
        code: error.code,
        message: untrusted(&error.message, MESSAGE_CHARS),
    };
    envelope.errors.into_iter().take(MESSAGES).map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_no_envelope_say_nothing() {
        for body in [&b""[..], b"<html>", b"{}", b"[]", b"{\"errors\":{}}", b"{\"errors\":[{}]}", b"\xff"] {
            assert!(parse_envelope(body).is_empty());
        }
        let many = format!("{{\"errors\":[{}]}}", vec!["{\"code\":\"X\"}"; 100].join(","));
        assert_eq!(parse_envelope(many.as_bytes()).len(), MESSAGES);
    }
}
