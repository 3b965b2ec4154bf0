//! Uploads that go on after they broke: for how long, and from where.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use polyarch_registry::client::{BlobSource, BytesSource, Registry};
use tokio::io::AsyncRead;

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
