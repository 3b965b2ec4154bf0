//! The receiving end of DiffCopy (fsutil `receive.go`), for exports of type `local`.
//!
//! All file work happens on one blocking thread, which takes packets in order; at most [`OUTSTANDING`] files are open.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tonic::Status;

use super::driven::PacketStream;
use super::error::ReceiveError;
use super::mode;
use super::receive_disk::{Disk, Incoming};
use super::receive_path::PathOrder;

/// Files asked for at a time.
const OUTSTANDING: usize = 16;

/// Entries accepted in one export.
const MOST_ENTRIES: u32 = 4_000_000;

/// Bytes of paths and link targets accepted in one export; most are remembered until its end.
const MOST_NAME_BYTES: usize = 256 << 20;

/// Packets buffered between the connection and the writing thread.
const BUFFERED: usize = 16;

/// Receives a directory tree into `dest`, which is created if it is missing; what else is there stays.
///
/// Owners are not kept (the files belong to the user), device files are left out, modes and times are kept.
///
/// # Errors
/// Returns a [`ReceiveError`]; the daemon is told before the call ends.
pub async fn receive<S>(dest: PathBuf, mut incoming: S, outgoing: mpsc::Sender<Packet>) -> Result<(), ReceiveError>
where
    S: Stream<Item = Result<Packet, Status>> + Send + Unpin,
{
    let (feed, packets) = mpsc::channel(BUFFERED);
    let mut writer = tokio::task::spawn_blocking(move || run(&dest, packets, &outgoing));
    loop {
        tokio::select! {
            ended = &mut writer => return ended.map_err(ReceiveError::Interrupted)?,
            packet = incoming.next() => match packet {
                // The writer has ended if it takes no more; its result says why.
                Some(Ok(packet)) => drop(feed.send(packet).await),
                Some(Err(status)) => return Err(ReceiveError::Transport(Box::new(status))),
                None => break,
            },
        }
    }
    drop(feed);
    writer.await.map_err(ReceiveError::Interrupted)?
}

/// [`receive`] as the response of a tonic service.
pub fn receive_stream<S>(dest: PathBuf, incoming: S) -> PacketStream
where
    S: Stream<Item = Result<Packet, Status>> + Send + Unpin + 'static,
{
    PacketStream::start(|outgoing| async move { receive(dest, incoming, outgoing).await.map_err(|e| e.to_status()) })
}

fn run(dest: &Path, mut packets: mpsc::Receiver<Packet>, out: &mpsc::Sender<Packet>) -> Result<(), ReceiveError> {
    let result = write_all(dest, &mut packets, out);
    if let Err(e) = &result {
        let data = e.to_status().message().as_bytes().to_vec();
        drop(out.blocking_send(Packet { r#type: PacketType::PacketErr.into(), data, ..Packet::default() }));
    }
    result
}

fn write_all(
    dest: &Path,
    packets: &mut mpsc::Receiver<Packet>,
    out: &mpsc::Sender<Packet>,
) -> Result<(), ReceiveError> {
    let mut tree = Some(Tree::new(dest)?);
    loop {
        let packet = packets.blocking_recv().ok_or(ReceiveError::Disconnected)?;
        match (packet.r#type(), &mut tree) {
            (PacketType::PacketStat, Some(tree)) => tree.announce(packet.stat)?,
            (PacketType::PacketData, Some(tree)) => tree.data(packet.id, &packet.data)?,
            (PacketType::PacketFin, None) => return Ok(()),
            (PacketType::PacketErr, _) => {
                return Err(ReceiveError::Sender(String::from_utf8_lossy(&packet.data).into_owned()));
            }
            _ => return Err(ReceiveError::Protocol("a packet came at the wrong time")),
        }
        while let Some(id) = tree.as_mut().map_or(Ok(None), Tree::next_request)? {
            send(out, PacketType::PacketReq, id)?;
        }
        if let Some(done) = tree.take_if(|tree| tree.is_done()) {
            done.disk.finish()?;
            send(out, PacketType::PacketFin, 0)?;
        }
    }
}

fn send(out: &mpsc::Sender<Packet>, kind: PacketType, id: u32) -> Result<(), ReceiveError> {
    let packet = Packet { r#type: kind.into(), id, ..Packet::default() };
    out.blocking_send(packet).map_err(|_| ReceiveError::Disconnected)
}

/// The state of a transfer.
struct Tree {
    disk: Disk,
    order: PathOrder,
    next_id: u32,
    all_announced: bool,
    /// What is left of [`MOST_NAME_BYTES`].
    names_left: usize,
    /// Regular files announced, as targets of hard links.
    files: HashSet<String>,
    wanted: VecDeque<(u32, Stat)>,
    open: HashMap<u32, Incoming>,
}

impl Tree {
    fn new(dest: &Path) -> Result<Self, ReceiveError> {
        Ok(Self {
            disk: Disk::new(dest)?,
            order: PathOrder::default(),
            next_id: 0,
            all_announced: false,
            names_left: MOST_NAME_BYTES,
            files: HashSet::new(),
            wanted: VecDeque::new(),
            open: HashMap::new(),
        })
    }

    fn announce(&mut self, stat: Option<Stat>) -> Result<(), ReceiveError> {
        if self.all_announced {
            return Err(ReceiveError::Protocol("an entry was announced after the last one"));
        }
        let Some(mut stat) = stat else {
            self.all_announced = true;
            return Ok(());
        };
        let id = self.next_id;
        self.next_id = id.checked_add(1).filter(|n| *n <= MOST_ENTRIES).ok_or(ReceiveError::TooMany(MOST_ENTRIES))?;
        let names = stat.path.len().saturating_add(stat.linkname.len());
        self.names_left = self.names_left.checked_sub(names).ok_or(ReceiveError::TooMuchMetadata(MOST_NAME_BYTES))?;
        // Nothing here sets them, and they may be large.
        stat.xattrs = HashMap::new();
        self.order.accept(&stat.path, mode::is_dir(stat.mode))?;
        if mode::is_dir(stat.mode) {
            self.disk.directory(stat)
        } else if mode::is_symlink(stat.mode) {
            self.disk.symlink(&stat)
        } else if !mode::has_data(stat.mode) {
            tracing::debug!(path = stat.path, "device file left out of the export");
            Ok(())
        } else if stat.linkname.is_empty() {
            self.files.insert(stat.path.clone());
            self.wanted.push_back((id, stat));
            Ok(())
        } else if self.files.contains(&stat.linkname) {
            self.disk.hard_link(&stat);
            Ok(())
        } else {
            Err(ReceiveError::BadPath { path: stat.linkname, reason: "a hard link to a file that was not announced" })
        }
    }

    fn data(&mut self, id: u32, data: &[u8]) -> Result<(), ReceiveError> {
        let unasked = ReceiveError::Protocol("data for a file that was not asked for");
        if !data.is_empty() {
            return self.open.get_mut(&id).ok_or(unasked)?.write(data);
        }
        let file = self.open.remove(&id).ok_or(unasked)?;
        self.disk.finish_file(file)
    }

    /// Opens the next wanted file, if another one may be open, and returns the id to ask for.
    fn next_request(&mut self) -> Result<Option<u32>, ReceiveError> {
        if self.open.len() >= OUTSTANDING {
            return Ok(None);
        }
        let Some((id, stat)) = self.wanted.pop_front() else { return Ok(None) };
        self.open.insert(id, self.disk.file(stat)?);
        Ok(Some(id))
    }

    fn is_done(&self) -> bool {
        self.all_announced && self.wanted.is_empty() && self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Option<Stat> {
        let xattrs = [("user.a".to_owned(), vec![0; 64])].into();
        Some(Stat { path: path.into(), mode: 0o644, xattrs, ..Stat::default() })
    }

    #[test]
    fn remembers_names_up_to_a_budget_and_no_attributes() {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = Tree::new(dir.path()).unwrap();
        tree.names_left = 9;
        tree.announce(file("abcd")).unwrap();
        assert!(tree.wanted[0].1.xattrs.is_empty());
        let link = Stat { linkname: "abcd".into(), ..file("b").unwrap() };
        tree.announce(Some(link)).unwrap();
        assert!(matches!(tree.announce(file("c")), Err(ReceiveError::TooMuchMetadata(MOST_NAME_BYTES))));
    }
}
