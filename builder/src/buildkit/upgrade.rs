//! From a Docker Engine API connection to BuildKit's gRPC: `POST /grpc` with `Upgrade: h2c`.
//!
//! Owns: the HTTP/1.1 head, written and read byte-exactly, because the server may speak HTTP/2 right
//! after it. Never: keeps a buffer, so the stream can be handed on as it is.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const REQUEST: &[u8] =
    b"POST /grpc HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n";
/// Larger heads are not Docker's.
const MAX_HEAD: usize = 16 << 10;
/// As much of an error body as is worth quoting.
const MAX_BODY: usize = 4 << 10;

/// Why the upgrade failed.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The server answered, but not with 101.
    #[error("the API answered {status} to the upgrade to BuildKit{}", quoted(.message))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Docker's message, or the start of the body; untrusted text.
        message: String,
    },
    /// The answer is not an HTTP/1.1 head.
    #[error("the answer is not HTTP/1.1")]
    NotHttp,
    /// The connection broke.
    #[error("the connection ended during the upgrade to BuildKit")]
    Io(#[from] io::Error),
}

fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message:?}") }
}

/// Upgrades the stream; afterwards it carries HTTP/2.
///
/// # Errors
/// [`UpgradeError`]; the stream must then be dropped.
pub async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), UpgradeError> {
    stream.write_all(REQUEST).await?;
    stream.flush().await?;
    let head = read_head(stream).await?;
    let status = status_of(&head)?;
    if status == 101 {
        return Ok(());
    }
    let mut body = vec![0; content_length(&head).unwrap_or(0).min(MAX_BODY)];
    // A server that hangs up early still told its status.
    let read = read_up_to(stream, &mut body).await;
    body.truncate(read);
    Err(UpgradeError::Refused { status, message: message_of(&body) })
}

/// Reads up to and including the empty line, one byte at a time, so that nothing after it is consumed.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, UpgradeError> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
        if !b"HTTP/1.".starts_with(&head[..head.len().min(7)]) || head.len() > MAX_HEAD {
            return Err(UpgradeError::NotHttp);
        }
    }
    Ok(head)
}

async fn read_up_to<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]).await {
            Ok(0) | Err(_) => break,
            Ok(n) => filled += n,
        }
    }
    filled
}

fn status_of(head: &[u8]) -> Result<u16, UpgradeError> {
    let text = String::from_utf8_lossy(head);
    text.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok()).ok_or(UpgradeError::NotHttp)
}

fn content_length(head: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(head);
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

/// Docker's errors are `{"message": …}`; anything else is quoted as it is.
fn message_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        message: String,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.message,
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers `answer` to the request and returns what `upgrade` made of it, and what was left in the stream.
    async fn run(answer: &'static [u8]) -> (Result<(), UpgradeError>, Vec<u8>) {
        let (mut client, mut server) = tokio::io::duplex(64 << 10);
        server.write_all(answer).await.unwrap();
        server.shutdown().await.unwrap();
        let result = upgrade(&mut client).await;
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        (result, rest)
    }

    #[tokio::test]
    async fn bytes_after_the_head_stay_in_the_stream() {
        let (result, rest) = run(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0").await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(rest, b"PRI * HTTP/2.0");
    }

    #[tokio::test]
    async fn a_refusal_carries_status_and_docker_s_message() {
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 28\r\n\r\n{\"message\":\"page not found\"}";
        let (result, _) = run(answer).await;
        let Err(UpgradeError::Refused { status, message }) = result else { panic!("{result:?}") };
        assert_eq!((status, message.as_str()), (404, "page not found"));
    }

    #[tokio::test]
    async fn a_body_shorter_than_promised_is_quoted_as_far_as_it_came() {
        let (result, _) = run(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 999999\r\n\r\nnot json").await;
        assert_eq!(result.unwrap_err().to_string(), "the API answered 400 to the upgrade to BuildKit: \"not json\"");
    }

    #[tokio::test]
    async fn other_protocols_are_told_apart_from_a_lost_connection() {
        let (result, _) = run(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        assert!(matches!(result, Err(UpgradeError::NotHttp)), "{result:?}");
        let (result, _) = run(b"HTTP/1.1 101 UPG").await;
        assert!(matches!(result, Err(UpgradeError::Io(_))), "{result:?}");
    }
}
