//! Uploads that go on after they broke: for how long, and from where.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use polyarch_registry::client::{
    BlobSource, BytesSource, Config, HostSettings, Limits, Registry, RetryPolicy, Security,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::blob_faults::{keeper, methods};
use super::images::{blob, noise};
use super::script::quick;

/// A source that makes time pass when it is first opened, as if its blob had been sent for so long.
struct Slow {
    bytes: BytesSource,
    takes: Duration,
    opened: AtomicBool,
}

impl BlobSource for Slow {
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<Box<dyn AsyncRead + Send + Unpin>>> {
        async move {
            if !self.opened.swap(true, Ordering::SeqCst) {
                tokio::time::pause();
                tokio::time::advance(self.takes).await;
                tokio::time::resume();
            }
            self.bytes.open(offset).await
        }
        .boxed()
    }
}

/// The time for new attempts begins when something fails, not with an upload that went well for an hour.
#[tokio::test]
async fn a_long_upload_that_breaks_goes_on() {
    let bytes = noise(41, 3000);
    let server = keeper(1000, 1, false).await;
    let config = quick();
    let takes = config.retry.total * 10;
    let source = Slow { bytes: BytesSource(bytes.clone()), takes, opened: AtomicBool::new(false) };
    Registry::new(config).put_blob(&server.reference("x"), &blob(&bytes), &source, None).await.unwrap();
    assert_eq!(methods(&server), ["POST", "PUT", "GET", "PATCH", "PUT"]);
}

/// A blob that goes in chunks anyway is sent anew as well, once.
#[tokio::test]
async fn a_registry_that_went_on_wrongly_with_chunks_is_sent_them_again() {
    let bytes = noise(42, 3000);
    let server = keeper(1000, 1, true).await;
    let limits = Limits { chunk_bytes: 1500, chunk_above: 2000, ..Limits::default() };
    let client = Registry::new(Config { limits, ..quick() });
    client.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    let sent = ["POST", "PATCH", "GET", "PATCH", "PATCH", "PUT", "HEAD", "POST", "PATCH", "PATCH", "PUT"];
    assert_eq!(methods(&server), sent);
}

/// Opens an upload, and takes none of its bytes.
async fn deaf(mut stream: TcpStream) {
    let mut request = vec![0; 64 << 10];
    while let Ok(length @ 1..) = stream.read(&mut request).await {
        let answer: &[u8] = match &request[..length] {
            [b'P', b'U', b'T', ..] => std::future::pending().await,
            [b'P', b'O', b'S', b'T', ..] => b"HTTP/1.1 202 Accepted\r\nlocation: /u\r\ncontent-length: 0\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        };
        stream.write_all(answer).await.unwrap();
    }
}

#[tokio::test]
async fn a_registry_that_takes_no_bytes_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(deaf(stream));
        }
    });
    // More than the sockets hold.
    let bytes = noise(43, 32 << 20);
    let settings = HostSettings { security: Security::PlainHttp, ..HostSettings::default() };
    let limits = Limits { idle_timeout: Duration::from_millis(50), ..Limits::default() };
    let config = Config { hosts: [(host.clone(), settings)].into(), limits, retry: RetryPolicy::never(), ..quick() };
    let at = format!("{host}/x:1").parse().unwrap();
    let error = Registry::new(config).put_blob(&at, &blob(&bytes), &BytesSource(bytes.clone()), None).await;
    assert_eq!(error.unwrap_err().fault().to_string(), "no progress in sending for 0 s");
}
