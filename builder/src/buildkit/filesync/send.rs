//! The sending end of DiffCopy (fsutil `send.go`): announce everything, then serve the files asked for.

use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
    let shared = Arc::new(Shared { dir, outgoing, stats, cancel: cancel.clone(), offered: Mutex::new(HashMap::new()) });
    let mut transfer = Transfer { shared, tasks: JoinSet::new(), queue: VecDeque::new(), _stop: cancel.drop_guard() };
    let walker = Arc::clone(&transfer.shared);
    transfer.tasks.spawn_blocking(move || walker.walk(&filter));
    let result = transfer.serve(incoming).await;
    if let Err(e) = &result {
        transfer.shared.cancel.cancel();
        let packet = packet(PacketType::PacketErr, 0, e.to_status().message().as_bytes().to_vec());
        drop(transfer.shared.outgoing.send(packet).await);
    }
    result
}

/// The asynchronous part: reads requests, starts file transfers.
struct Transfer {
    shared: Arc<Shared>,
    /// The walk and up to [`CONCURRENT`] files.
    tasks: JoinSet<Result<(), SendError>>,
    /// Files asked for; no longer than the number of files offered.
    queue: VecDeque<(u32, Offered)>,
    /// Stops the blocking tasks, which `JoinSet` cannot, when this is dropped.
    _stop: DropGuard,
}

impl Transfer {
    async fn serve<S>(&mut self, mut incoming: S) -> Result<(), SendError>
    where
        S: Stream<Item = Result<Packet, Status>> + Send + Unpin,
    {
        loop {
            self.start_queued();
            tokio::select! {
                packet = incoming.next() => {
                    let packet = packet.ok_or(SendError::Disconnected)?;
                    if self.handle(packet.map_err(|status| SendError::Transport(Box::new(status)))?)? {
                        break;
                    }
                }
                Some(ended) = self.tasks.join_next() => ended.map_err(SendError::Interrupted)??,
            }
        }
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(SendError::Interrupted)??;
            self.start_queued();
        }
        self.shared.send(packet(PacketType::PacketFin, 0, Vec::new())).await
    }

    /// Returns whether the daemon is done.
    fn handle(&mut self, packet: Packet) -> Result<bool, SendError> {
        match packet.r#type() {
            PacketType::PacketReq => {
                let file = self.shared.take(packet.id).ok_or(SendError::UnknownFile(packet.id))?;
                self.queue.push_back((packet.id, file));
                Ok(false)
            }
            PacketType::PacketFin => Ok(true),
            PacketType::PacketErr => Err(SendError::Receiver(String::from_utf8_lossy(&packet.data).into_owned())),
            PacketType::PacketStat | PacketType::PacketData => Ok(false),
        }
    }

    fn start_queued(&mut self) {
        while self.tasks.len() < CONCURRENT {
            let Some((id, file)) = self.queue.pop_front() else { return };
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn_blocking(move || shared.send_file(id, &file));
        }
    }
}

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
