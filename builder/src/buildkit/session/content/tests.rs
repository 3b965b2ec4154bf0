use std::time::Duration;

use polyarch_registry::oci::Digest;
use polyarch_registry::store::{Expect, MemoryStore};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};

use super::*;
use crate::buildkit::generated::content as proto;
use crate::buildkit::session::testing::connect;
use crate::event::{EventKind, TransferHow};
use crate::event_sink::EventSink;
use proto::WriteAction::{Commit, Stat, Write};
use proto::content_client::ContentClient;
use proto::content_server::ContentServer;

/// A client, as the daemon has one, of a service over a memory store.
struct Bed {
    client: ContentClient<Channel>,
    store: Arc<MemoryStore>,
    fault: StoreFault,
    events: mpsc::UnboundedReceiver<crate::event::Event>,
    _server: JoinSet<()>,
}

impl Bed {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let (sink, events) = EventSink::channel();
        let fault = StoreFault::default();
        let stores = ContentStores::default().export(store.clone()).layout("key", store.clone());
        let service = ContentService::new(stores, fault.clone(), sink);
        let routes = Routes::new(ContentServer::new(service));
        let (channel, server) = connect(routes).await;
        Self { client: ContentClient::new(channel), store, fault, events, _server: server }
    }

    async fn put(&self, bytes: &'static [u8]) -> Digest {
        let mut writer = self.store.writer(Expect::default()).await.unwrap();
        writer.write(bytes.into()).await.unwrap();
        writer.commit().await.unwrap().digest
    }

    async fn read(&mut self, digest: &Digest, offset: i64, size: i64) -> Result<Vec<u8>, Status> {
        let request = proto::ReadContentRequest { digest: digest.to_string(), offset, size };
        let mut stream = self.client.read(named("oci:key", request)).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(message) = stream.message().await? {
            bytes.extend_from_slice(&message.data);
        }
        Ok(bytes)
    }

    /// Starts a write of a blob with its first STAT.
    async fn begin(&mut self, bytes: &[u8]) -> Result<Upload, Status> {
        let digest = Digest::sha256(bytes);
        let stat = request(Stat, &digest, bytes.len());
        let (sender, receiver) = mpsc::channel(1);
        sender.send(stat).await.unwrap();
        let answers = self.client.write(named("export", ReceiverStream::new(receiver))).await?.into_inner();
        let mut upload = Upload { sender, answers };
        upload.answer().await.map(|_| upload)
    }

    fn transfers(&mut self) -> Vec<(Digest, TransferHow)> {
        let mut done = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            if let EventKind::TransferDone { digest, how, .. } = event.kind {
                done.push((digest, how));
            }
        }
        done
    }
}

struct Upload {
    sender: mpsc::Sender<proto::WriteContentRequest>,
    answers: Streaming<proto::WriteContentResponse>,
}

impl Upload {
    async fn answer(&mut self) -> Result<proto::WriteContentResponse, Status> {
        self.answers.message().await.map(|answer| answer.expect("an answer to each message"))
    }

    async fn say(&mut self, message: proto::WriteContentRequest) -> Result<proto::WriteContentResponse, Status> {
        self.sender.send(message).await.unwrap();
        self.answer().await
    }

    async fn write(&mut self, offset: i64, data: &'static [u8]) -> Result<proto::WriteContentResponse, Status> {
        let data = data.into();
        self.say(proto::WriteContentRequest { action: Write as i32, offset, data, ..Default::default() }).await
    }

    async fn commit(&mut self, bytes: &[u8]) -> Result<proto::WriteContentResponse, Status> {
        let offset = i64::try_from(bytes.len()).unwrap();
        let commit = request(Commit, &Digest::sha256(bytes), bytes.len());
        self.say(proto::WriteContentRequest { offset, r#ref: String::new(), ..commit }).await
    }
}

fn request(action: proto::WriteAction, digest: &Digest, total: usize) -> proto::WriteContentRequest {
    proto::WriteContentRequest {
        action: action as i32,
        r#ref: format!("layer-{digest}"),
        total: i64::try_from(total).unwrap(),
        expected: digest.to_string(),
        ..Default::default()
    }
}

fn named<T>(store: &'static str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("buildkit-attachable-store-id", store.parse().unwrap());
    request
}

#[tokio::test]
async fn a_blob_arrives_in_lock_step() {
    let mut bed = Bed::new().await;
    let digest = Digest::sha256(b"hello world");
    let mut upload = bed.begin(b"hello world").await.unwrap();
    let stat = upload.say(proto::WriteContentRequest::default()).await.unwrap();
    assert_eq!((stat.action, stat.offset, stat.total), (Stat as i32, 0, 11));
    assert_eq!(upload.write(0, b"hello ").await.unwrap().offset, 6);
    assert_eq!(bed.store.stat(&digest).await.unwrap(), None, "nothing is visible before the commit");
    assert_eq!(upload.write(6, b"world").await.unwrap().offset, 11);
    let committed = upload.commit(b"hello world").await.unwrap();
    assert_eq!((committed.offset, committed.digest), (11, digest.to_string()));
    assert!(upload.answers.message().await.unwrap().is_none(), "a commit ends the call");
    assert_eq!(bed.store.stat(&digest).await.unwrap(), Some(11));
    assert_eq!(bed.transfers(), [(digest, TransferHow::Sent)]);
}

#[tokio::test]
async fn an_empty_blob_is_a_commit_alone() {
    let mut bed = Bed::new().await;
    let mut upload = bed.begin(b"").await.unwrap();
    upload.commit(b"").await.unwrap();
    assert_eq!(bed.store.stat(&Digest::sha256(b"")).await.unwrap(), Some(0));
}

#[tokio::test]
async fn what_is_present_is_skipped_at_the_first_message() {
    let mut bed = Bed::new().await;
    let digest = bed.put(b"base layer").await;
    let status = bed.begin(b"base layer").await.err().unwrap();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(bed.transfers(), [(digest, TransferHow::Present)]);
}

#[tokio::test]
async fn wrong_bytes_become_nothing_but_a_typed_fault() {
    let mut bed = Bed::new().await;
    let mut upload = bed.begin(b"promised").await.unwrap();
    upload.write(0, b"deliverd").await.unwrap();
    let status = upload.commit(b"promised").await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(bed.store.digests(), []);
    assert!(bed.fault.cause_of("process \"/bin/sh -c make\" did not complete").is_none(), "another failure");
    let fault = bed.fault.cause_of(&format!("failed to copy: {}", status.message())).unwrap();
    assert!(matches!(&*fault, StoreError::DigestMismatch { want, .. } if *want == Digest::sha256(b"promised")));
}

#[tokio::test]
async fn a_wrong_length_is_refused_both_ways() {
    let mut bed = Bed::new().await;
    let mut short = bed.begin(b"twelve bytes").await.unwrap();
    short.write(0, b"twelve").await.unwrap();
    let digest = Digest::sha256(b"twelve bytes");
    let commit = proto::WriteContentRequest { offset: 6, ..request(Commit, &digest, 12) };
    assert_eq!(short.say(commit).await.unwrap_err().code(), Code::FailedPrecondition);
    let mut long = bed.begin(b"four").await.unwrap();
    assert_eq!(long.write(0, b"fours").await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(bed.store.digests(), []);
}

#[tokio::test]
async fn offsets_must_continue_or_start_over() {
    let mut bed = Bed::new().await;
    let mut upload = bed.begin(b"abcdef").await.unwrap();
    upload.write(0, b"xyz").await.unwrap();
    upload.write(0, b"abc").await.unwrap();
    upload.write(3, b"def").await.unwrap();
    upload.commit(b"abcdef").await.unwrap();
    let mut gap = bed.begin(b"gap").await.unwrap();
    assert_eq!(gap.write(1, b"ap").await.unwrap_err().code(), Code::OutOfRange);
    let mut back = bed.begin(b"back").await.unwrap();
    back.write(0, b"ba").await.unwrap();
    assert_eq!(back.write(-1, b"ck").await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn the_promise_may_not_change() {
    let mut bed = Bed::new().await;
    let mut upload = bed.begin(b"one").await.unwrap();
    let other = request(Stat, &Digest::sha256(b"two"), 3);
    assert_eq!(upload.say(other).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_second_writer_waits_and_then_learns_that_it_is_done() {
    let mut bed = Bed::new().await;
    let mut first = bed.begin(b"shared").await.unwrap();
    let second = bed.begin(b"shared");
    tokio::pin!(second);
    // The second must still wait when the first has made a whole round trip.
    tokio::select! {
        _ = &mut second => panic!("the second writer did not wait"),
        answer = first.write(0, b"shared") => assert_eq!(answer.unwrap().offset, 6),
    }
    first.commit(b"shared").await.unwrap();
    assert_eq!(second.await.err().unwrap().code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_writer_that_goes_away_lets_the_second_begin() {
    let mut bed = Bed::new().await;
    let first = bed.begin(b"shared").await.unwrap();
    drop(first);
    let mut second = tokio::time::timeout(Duration::from_secs(30), bed.begin(b"shared")).await.unwrap().unwrap();
    second.write(0, b"shared").await.unwrap();
    second.commit(b"shared").await.unwrap();
}

#[tokio::test]
async fn reads_start_anywhere_and_may_ask_past_the_end() {
    let mut bed = Bed::new().await;
    let digest = bed.put(b"0123456789").await;
    assert_eq!(bed.read(&digest, 0, 0).await.unwrap(), b"0123456789");
    assert_eq!(bed.read(&digest, 3, 4).await.unwrap(), b"3456");
    assert_eq!(bed.read(&digest, 8, 1 << 20).await.unwrap(), b"89");
    assert_eq!(bed.read(&digest, 10, 512).await.unwrap(), b"");
    assert_eq!(bed.read(&digest, 11, 1).await.unwrap_err().code(), Code::OutOfRange);
    let absent = Digest::sha256(b"absent");
    assert_eq!(bed.read(&absent, 0, 0).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn info_gives_the_size() {
    let mut bed = Bed::new().await;
    let digest = bed.put(b"0123456789").await.to_string();
    let info = |digest: &str| named("oci:key", proto::InfoRequest { digest: digest.to_owned() });
    let answer = bed.client.info(info(&digest)).await.unwrap().into_inner().info.unwrap();
    assert_eq!((answer.digest, answer.size), (digest, 10));
    let absent = Digest::sha256(b"absent").to_string();
    assert_eq!(bed.client.info(info(&absent)).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(bed.client.info(info("sha256:../../etc")).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn other_stores_are_not_found() {
    let mut bed = Bed::new().await;
    let request = proto::InfoRequest { digest: Digest::sha256(b"").to_string() };
    for store in ["", "local:/etc", "oci:other"] {
        let status = bed.client.info(named(store, request.clone())).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::NotFound, &*format!("no content store {store:?} in this session"))
        );
    }
}
