//! The sending end of DiffCopy (fsutil `send.go`): announce everything, then serve the files asked for.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as queue};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

use super::error::SendError;
use super::filter::FilterSpec;
use super::mode;
use super::source::LocalDir;
use super::walk::Stamp;

/// Bytes in a DATA packet, as fsutil sends them.
const CHUNK: usize = 32 << 10;

/// Files sent at a time, as in fsutil.
const CONCURRENT: usize = 4;

/// What was sent, for progress and reports. Shared by all transfers of a session.
#[derive(Debug, Default)]
pub struct SyncStats {
    /// Entries announced.
    pub entries: AtomicU64,
    /// Files whose content was sent.
    pub files: AtomicU64,
    /// Bytes of content sent.
    pub bytes: AtomicU64,
}

/// Sends what `filter` selects of `dir` to a daemon and serves its requests until it says that it is done.
///
/// Cancel safe: dropping the future stops the walk and all file transfers.
///
/// # Errors
/// Returns a [`SendError`]; the daemon is told before the call ends.
pub async fn serve_diffcopy<S>(
    dir: Arc<LocalDir>,
    filter: FilterSpec,
    incoming: S,
    outgoing: mpsc::Sender<Packet>,
    stats: Arc<SyncStats>,
) -> Result<(), SendError>
where
    S: Stream<Item = Result<Packet, Status>> + Send + Unpin,
{
    let cancel = CancellationToken::new();
    let (queue, jobs) = queue::channel();
    let (offered, jobs) = (Mutex::new(HashMap::new()), Mutex::new(jobs));
    let shared = Arc::new(Shared { dir, outgoing, stats, cancel: cancel.clone(), offered, jobs });
    let mut transfer = Transfer { shared, tasks: JoinSet::new(), queue, workers: 0, _stop: cancel.drop_guard() };
    let walker = Arc::clone(&transfer.shared);
    transfer.tasks.spawn_blocking(move || walker.walk(&filter));
    let shared = Arc::clone(&transfer.shared);
    let result = match transfer.serve(incoming).await {
        Ok(()) => transfer.finish().await,
        Err(e) => Err(e),
    };
    if let Err(e) = &result {
        shared.cancel.cancel();
        let packet = packet(PacketType::PacketErr, 0, e.to_status().message().as_bytes().to_vec());
        drop(shared.outgoing.send(packet).await);
    }
    result
}

/// The asynchronous part: reads requests, starts file transfers.
struct Transfer {
    shared: Arc<Shared>,
    /// The walk and up to [`CONCURRENT`] workers.
    tasks: JoinSet<Result<(), SendError>>,
    /// Files asked for; never longer than the number of files offered. The workers end when it is dropped.
    queue: queue::Sender<Job>,
    workers: usize,
    /// Stops the blocking tasks, which `JoinSet` cannot, when this is dropped.
    _stop: DropGuard,
}

impl Transfer {
    async fn serve<S>(&mut self, mut incoming: S) -> Result<(), SendError>
    where
        S: Stream<Item = Result<Packet, Status>> + Send + Unpin,
    {
        loop {
            tokio::select! {
                packet = incoming.next() => {
                    let packet = packet.ok_or(SendError::Disconnected)?;
                    if self.handle(packet.map_err(|status| SendError::Transport(Box::new(status)))?)? {
                        return Ok(());
                    }
                }
                Some(ended) = self.tasks.join_next() => ended.map_err(SendError::Interrupted)??,
            }
        }
    }

    /// Lets the walk and the queued files come to their end, then says goodbye.
    async fn finish(self) -> Result<(), SendError> {
        let Self { shared, mut tasks, queue, _stop, .. } = self;
        drop(queue);
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(SendError::Interrupted)??;
        }
        shared.send(packet(PacketType::PacketFin, 0, Vec::new())).await
    }

    /// Returns whether the daemon is done.
    fn handle(&mut self, packet: Packet) -> Result<bool, SendError> {
        match packet.r#type() {
            PacketType::PacketReq => {
                let file = self.shared.take(packet.id).ok_or(SendError::UnknownFile(packet.id))?;
                self.enqueue((packet.id, file));
                Ok(false)
            }
            PacketType::PacketFin => Ok(true),
            PacketType::PacketErr => Err(SendError::Receiver(String::from_utf8_lossy(&packet.data).into_owned())),
            PacketType::PacketStat | PacketType::PacketData => Ok(false),
        }
    }

    /// Queues a file. Workers start with the first files and stay, so that small files cost no task each.
    fn enqueue(&mut self, job: Job) {
        // The receiving half lives in `shared`.
        drop(self.queue.send(job));
        if self.workers < CONCURRENT {
            self.workers += 1;
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn_blocking(move || shared.send_queued());
        }
    }
}

/// A file asked for.
type Job = (u32, Offered);

/// A file the daemon may ask for.
struct Offered {
    path: String,
    stamp: Stamp,
}

/// What the blocking tasks need.
struct Shared {
    dir: Arc<LocalDir>,
    outgoing: mpsc::Sender<Packet>,
    stats: Arc<SyncStats>,
    cancel: CancellationToken,
    offered: Mutex<HashMap<u32, Offered>>,
    jobs: Mutex<queue::Receiver<Job>>,
}

impl Shared {
    async fn send(&self, packet: Packet) -> Result<(), SendError> {
        self.outgoing.send(packet).await.map_err(|_| SendError::Disconnected)
    }

    fn send_blocking(&self, packet: Packet) -> bool {
        !self.cancel.is_cancelled() && self.outgoing.blocking_send(packet).is_ok()
    }

    fn take(&self, id: u32) -> Option<Offered> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// Announces every entry, then the end. Ids count all entries, not only files.
    fn walk(&self, filter: &FilterSpec) -> Result<(), SendError> {
        let mut next_id = 0u32;
        self.dir.walk(filter, &mut |stat| {
            self.offer(next_id, &stat);
            next_id = next_id.wrapping_add(1);
            self.stats.entries.fetch_add(1, Ordering::Relaxed);
            self.send_blocking(Packet { r#type: PacketType::PacketStat.into(), stat: Some(stat), ..Packet::default() })
        })?;
        match self.send_blocking(packet(PacketType::PacketStat, 0, Vec::new())) {
            true => Ok(()),
            false => Err(SendError::Disconnected),
        }
    }

    fn offer(&self, id: u32, stat: &Stat) {
        if mode::has_data(stat.mode) {
            let stamp = Stamp { size: stat.size, mod_time: stat.mod_time };
            let file = Offered { path: stat.path.clone(), stamp };
            self.offered.lock().unwrap_or_else(PoisonError::into_inner).insert(id, file);
        }
    }

    /// Sends queued files until the queue is closed.
    fn send_queued(&self) -> Result<(), SendError> {
        loop {
            // Workers take turns in waiting; the lock is free while a file is sent.
            let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((id, file)) = job else { return Ok(()) };
            if self.cancel.is_cancelled() {
                return Err(SendError::Disconnected);
            }
            self.send_file(id, &file)?;
        }
    }

    fn send_file(&self, id: u32, file: &Offered) -> Result<(), SendError> {
        let fail = |source| SendError::Read { path: file.path.clone(), source };
        let mut opened = self.dir.open(&file.path).map_err(fail)?;
        let mut sent = 0i64;
        loop {
            let left = usize::try_from(file.stamp.size - sent).unwrap_or(0);
            let mut data = Vec::with_capacity(CHUNK.min(left));
            let read = opened.reader.by_ref().take(CHUNK as u64).read_to_end(&mut data).map_err(fail)?;
            sent += i64::try_from(read).unwrap_or(i64::MAX);
            if read == 0 {
                break;
            }
            if sent > file.stamp.size {
                return Err(SendError::Changed(file.path.clone()));
            }
            self.stats.bytes.fetch_add(read as u64, Ordering::Relaxed);
            if !self.send_blocking(packet(PacketType::PacketData, id, data)) {
                return Err(SendError::Disconnected);
            }
        }
        let now = opened.stamp.map(|stamp| stamp()).transpose().map_err(fail)?;
        if sent != file.stamp.size || now.is_some_and(|now| now != file.stamp) {
            return Err(SendError::Changed(file.path.clone()));
        }
        self.stats.files.fetch_add(1, Ordering::Relaxed);
        match self.send_blocking(packet(PacketType::PacketData, id, Vec::new())) {
            true => Ok(()),
            false => Err(SendError::Disconnected),
        }
    }
}

fn packet(kind: PacketType, id: u32, data: Vec<u8>) -> Packet {
    Packet { r#type: kind.into(), stat: None, id, data }
}
