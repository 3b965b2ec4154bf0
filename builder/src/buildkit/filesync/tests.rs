//! Sender against receiver, over channels, on real trees.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use futures::StreamExt;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::*;

/// Makes files (`name`), directories (`name/`) and links (`name -> target`).
fn tree(entries: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in entries {
        let path = |name: &str| dir.path().join(name);
        if let Some((name, target)) = entry.split_once(" -> ") {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            symlink(target, path(name)).unwrap();
        } else if entry.ends_with('/') {
            fs::create_dir_all(path(entry)).unwrap();
        } else {
            fs::create_dir_all(path(entry).parent().unwrap()).unwrap();
            fs::write(path(entry), entry.as_bytes()).unwrap();
        }
    }
    dir
}

fn stats(dir: &LocalDir, spec: &FilterSpec) -> Result<Vec<Stat>, SendError> {
    let mut all = Vec::new();
    dir.walk(spec, &mut |stat| {
        all.push(stat);
        true
    })?;
    Ok(all)
}

fn paths(dir: &TempDir, spec: &FilterSpec) -> Vec<String> {
    let stats = stats(&LocalDir::Disk(dir.path().to_owned()), spec).unwrap();
    stats.into_iter().map(|stat| stat.path).collect()
}

fn spec(include: &[&str], exclude: &[&str], follow: &[&str]) -> FilterSpec {
    let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    FilterSpec { include: own(include), exclude: own(exclude), follow: (!follow.is_empty()).then(|| own(follow)) }
}

#[test]
fn walks_component_by_component() {
    let dir = tree(&["a/b", "a/z/y", "a-b", "a.txt", "B", "empty/", "ü/ß", "a b"]);
    let want = ["B", "a", "a/b", "a/z", "a/z/y", "a b", "a-b", "a.txt", "empty", "ü", "ü/ß"];
    assert_eq!(paths(&dir, &FilterSpec::default()), want);
}

#[test]
fn filters_as_fsutil_does() {
    let dir = tree(&["bar/foo/x", "bar/y", "foo", "foo2", "node_modules/a/b", "src/a.rs", "src/deep/b.rs"]);
    for (spec, want) in [
        (spec(&["foo"], &[], &[]), &["foo"][..]),
        (spec(&["bar/foo"], &[], &[]), &["bar", "bar/foo", "bar/foo/x"]),
        (spec(&["bar/*"], &[], &[]), &["bar", "bar/foo", "bar/foo/x", "bar/y"]),
        (spec(&["**/*.rs"], &[], &[]), &["src", "src/a.rs", "src/deep", "src/deep/b.rs"]),
        (spec(&["bar", "src"], &["src/deep", "**/x"], &[]), &["bar", "bar/foo", "bar/y", "src", "src/a.rs"]),
        (spec(&[], &["*", "!src/deep"], &[]), &["src", "src/deep", "src/deep/b.rs"]),
        (spec(&[], &["*", "!**/b.rs"], &[]), &["src", "src/deep", "src/deep/b.rs"]),
        (spec(&[], &["**", "!foo*"], &[]), &["foo", "foo2"]),
        (spec(&["src"], &["src/**"], &[]), &["src"]),
        (spec(&["missing"], &[], &[]), &[]),
    ] {
        assert_eq!(paths(&dir, &spec), want, "{spec:?}");
    }
}

#[test]
fn follows_links_inside_the_root() {
    let dir = tree(&[
        "dir/real",
        "dir/abs -> /dir/real",
        "link -> dir",
        "out -> ../../../../dir/real",
        "loop -> loop",
        "other",
        "chain -> link/abs",
    ]);
    for (follow, want) in [
        ("link/real", &["dir", "dir/real", "link"][..]),
        ("link", &["dir", "dir/abs", "dir/real", "link"]),
        ("out", &["dir", "dir/real", "out"]),
        ("loop", &["loop"]),
        ("chain", &["chain", "dir", "dir/abs", "dir/real", "link"]),
        ("o*", &["dir", "dir/real", "other", "out"]),
        ("absent/x", &[]),
    ] {
        assert_eq!(paths(&dir, &spec(&[], &[], &[follow])), want, "{follow}");
    }
    assert_eq!(paths(&dir, &spec(&[], &[], &["."])).len(), 8);
}

#[test]
fn hard_links_name_the_first_sent_path() {
    let dir = tree(&["a/first", "b/"]);
    fs::hard_link(dir.path().join("a/first"), dir.path().join("b/second")).unwrap();
    let disk = LocalDir::Disk(dir.path().to_owned());
    let all = stats(&disk, &FilterSpec::default()).unwrap();
    let second = all.iter().find(|stat| stat.path == "b/second").unwrap();
    assert_eq!((second.linkname.as_str(), second.size), ("a/first", 0));
    let alone = stats(&disk, &spec(&["b"], &[], &[])).unwrap();
    assert_eq!((alone[1].linkname.as_str(), alone[1].size), ("", 7));
    assert!(all.iter().all(|stat| stat.uid == 0 && stat.gid == 0));
}

#[test]
fn sends_extended_attributes_where_there_are_any() {
    let dir = tree(&["plain", "marked"]);
    let set =
        rustix::fs::lsetxattr(dir.path().join("marked"), "user.polyarch", b"v\0x", rustix::fs::XattrFlags::empty());
    let all = stats(&LocalDir::Disk(dir.path().to_owned()), &FilterSpec::default()).unwrap();
    assert!(all[1].xattrs.is_empty(), "{all:?}");
    if set.is_ok() {
        assert_eq!(all[0].xattrs["user.polyarch"], b"v\0x");
    }
}

#[test]
fn refuses_names_that_are_not_utf8_unless_excluded() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tree(&["ok"]);
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "").unwrap();
    let disk = LocalDir::Disk(dir.path().to_owned());
    assert!(matches!(stats(&disk, &FilterSpec::default()), Err(SendError::NotUtf8(name)) if name == "bad\u{fffd}"));
    assert_eq!(paths(&dir, &spec(&[], &["bad*"], &[])), ["ok"]);
}

#[test]
fn memory_files_change_their_time_with_their_content() {
    let of = |text: &str| {
        let dir = LocalDir::single_file("Dockerfile", text.as_bytes().to_vec());
        stats(&dir, &spec(&[], &[], &["Dockerfile", "Dockerfile.dockerignore"])).unwrap()
    };
    assert_eq!(of("FROM a").len(), 1);
    assert_eq!(of("FROM a"), of("FROM a"));
    assert_ne!(of("FROM a")[0].mod_time, of("FROM b")[0].mod_time);
}

/// Runs sender and receiver against each other.
async fn transfer(from: LocalDir, to: &Path, spec: FilterSpec) -> (Result<(), SendError>, Result<(), ReceiveError>) {
    let (to_receiver, from_sender) = mpsc::channel(4);
    let (to_sender, from_receiver) = mpsc::channel(4);
    let stats = Arc::new(SyncStats::default());
    tokio::join!(
        serve_diffcopy(Arc::new(from), spec, ReceiverStream::new(from_receiver).map(Ok), to_receiver, stats),
        receive(to.to_owned(), ReceiverStream::new(from_sender).map(Ok), to_sender),
    )
}

/// Everything that must survive a transfer.
fn snapshot(root: &Path) -> Vec<(String, u32, i64, String, Vec<u8>)> {
    let dir = LocalDir::Disk(root.to_owned());
    let all = stats(&dir, &FilterSpec::default()).unwrap();
    let row = |stat: Stat| {
        let content = if mode::has_data(stat.mode) { fs::read(root.join(&stat.path)).unwrap() } else { Vec::new() };
        let time = if mode::is_symlink(stat.mode) { 0 } else { stat.mod_time };
        (stat.path, stat.mode, time, stat.linkname, content)
    };
    all.into_iter().map(row).collect()
}

#[tokio::test]
async fn round_trip_keeps_everything() {
    let from = tree(&["a/b/c", "empty/", "ünï/文件", "link -> a/b", "dangling -> /nowhere", "z"]);
    fs::write(from.path().join("big"), vec![7u8; 3 << 20]).unwrap();
    fs::write(from.path().join("zero"), b"").unwrap();
    fs::hard_link(from.path().join("a/b/c"), from.path().join("hard")).unwrap();
    fs::set_permissions(from.path().join("z"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(from.path().join("a"), fs::Permissions::from_mode(0o555)).unwrap();
    for at in 0..200 {
        fs::write(from.path().join(format!("many-{at}")), format!("{at}")).unwrap();
    }
    let to = tree(&["kept", "z/was/a/directory", "a -> /tmp"]);
    let (sent, received) = transfer(LocalDir::Disk(from.path().to_owned()), to.path(), FilterSpec::default()).await;
    sent.unwrap();
    received.unwrap();
    assert_eq!(fs::read(to.path().join("kept")).unwrap(), b"kept");
    fs::remove_file(to.path().join("kept")).unwrap();
    assert_eq!(snapshot(to.path()), snapshot(from.path()));
    let inode = |path: &str| to.path().join(path).metadata().unwrap().ino();
    assert_eq!(inode("hard"), inode("a/b/c"));
    fs::set_permissions(to.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(from.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn counts_what_is_sent() {
    let (to_receiver, from_sender) = mpsc::channel(4);
    let (to_sender, from_receiver) = mpsc::channel(4);
    let (from, to) = (tree(&["a", "d/bb"]), tempfile::tempdir().unwrap());
    let counted = Arc::new(SyncStats::default());
    let dir = Arc::new(LocalDir::Disk(from.path().to_owned()));
    let incoming = ReceiverStream::new(from_receiver).map(Ok);
    let (sent, _) = tokio::join!(
        serve_diffcopy(dir, FilterSpec::default(), incoming, to_receiver, Arc::clone(&counted)),
        receive(to.path().to_owned(), ReceiverStream::new(from_sender).map(Ok), to_sender),
    );
    sent.unwrap();
    let got = [&counted.entries, &counted.files, &counted.bytes].map(|counter| counter.load(Ordering::Relaxed));
    assert_eq!(got, [3, 2, 5]);
}

/// A sender whose requests are scripted; returns its answers and its result.
async fn scripted(
    dir: &Path,
    after_stats: impl FnOnce(&Path),
    requests: Vec<Packet>,
) -> (Vec<Packet>, Result<(), SendError>) {
    let (to_us, mut from_sender) = mpsc::channel::<Packet>(64);
    let (to_sender, requests_in) = mpsc::channel::<Result<Packet, Status>>(4);
    let source = Arc::new(LocalDir::Disk(dir.to_owned()));
    let script = async {
        let mut got = Vec::new();
        while let Some(packet) = from_sender.recv().await {
            let last = packet.r#type() == PacketType::PacketStat && packet.stat.is_none();
            got.push(packet);
            if last {
                break;
            }
        }
        after_stats(dir);
        for request in requests {
            to_sender.send(Ok(request)).await.ok();
        }
        while let Some(packet) = from_sender.recv().await {
            got.push(packet);
        }
        got
    };
    let send = serve_diffcopy(source, FilterSpec::default(), ReceiverStream::new(requests_in), to_us, Arc::default());
    tokio::join!(script, send)
}

fn request(id: u32) -> Packet {
    Packet { r#type: PacketType::PacketReq.into(), id, ..Packet::default() }
}

#[tokio::test]
async fn tells_of_files_that_vanish_or_change() {
    let vanished = scripted(tree(&["a"]).path(), |dir| fs::remove_file(dir.join("a")).unwrap(), vec![request(0)]).await;
    assert!(matches!(vanished.1, Err(SendError::Read { path, .. }) if path == "a"));
    assert_eq!(vanished.0.last().unwrap().r#type(), PacketType::PacketErr);
    let grown =
        scripted(tree(&["a"]).path(), |dir| fs::write(dir.join("a"), "longer").unwrap(), vec![request(0)]).await;
    assert!(matches!(grown.1, Err(SendError::Changed(path)) if path == "a"));
}

#[tokio::test]
async fn refuses_requests_for_what_was_not_offered() {
    let dir = tree(&["a", "d/"]);
    for bad in [vec![request(7)], vec![request(1)], vec![request(0), request(0)]] {
        let (_, result) = scripted(dir.path(), |_| {}, bad.clone()).await;
        assert!(matches!(result, Err(SendError::UnknownFile(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn a_hostile_sender_writes_nothing_outside() {
    let file = |path: &str, linkname: &str, mode| Stat {
        path: path.into(),
        linkname: linkname.into(),
        mode,
        ..Stat::default()
    };
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap().to_owned();
    for stats in [
        vec![file("../x", "", 0o644)],
        vec![file("d", &target, mode::SYMLINK | 0o777), file("d/x", "", 0o644)],
        vec![file("h", "/etc/passwd", 0o644)],
        vec![file("h", "../../etc/passwd", 0o644)],
    ] {
        let to = tempfile::tempdir().unwrap();
        let (out, _answers) = mpsc::channel(64);
        let as_packet = |stat: &Stat| {
            Ok(Packet { r#type: PacketType::PacketStat.into(), stat: Some(stat.clone()), ..Packet::default() })
        };
        let packets: Vec<_> = stats.iter().map(as_packet).collect();
        let result = receive(to.path().to_owned(), futures::stream::iter(packets), out).await;
        assert!(matches!(result, Err(ReceiveError::BadPath { .. })), "{stats:?}: {result:?}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_dropped_connection_leaves_no_temporary_file() {
    let to = tempfile::tempdir().unwrap();
    let (out, _answers) = mpsc::channel(64);
    let stat = Stat { path: "x".into(), mode: 0o644, size: 10, ..Stat::default() };
    let packets = [
        Packet { r#type: PacketType::PacketStat.into(), stat: Some(stat), ..Packet::default() },
        Packet { r#type: PacketType::PacketData.into(), data: vec![1; 5], ..Packet::default() },
    ];
    let result = receive(to.path().to_owned(), futures::stream::iter(packets.map(Ok)), out).await;
    assert!(matches!(result, Err(ReceiveError::Disconnected)));
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_tree_is_announced_in_the_receivers_order(
        names in prop::collection::btree_set("[a-c.-]{1,2}(/[a-c.é-]{1,2}){0,3}", 1..12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        for name in &names {
            let path = dir.path().join(name);
            let clean = name.split('/').all(|part| part != "." && part != "..");
            if clean && fs::create_dir_all(path.parent().unwrap()).is_ok() {
                let _ = fs::write(&path, "");
            }
        }
        let mut order = super::receive_path::PathOrder::default();
        for stat in stats(&LocalDir::Disk(dir.path().to_owned()), &FilterSpec::default()).unwrap() {
            order.accept(&stat.path, mode::is_dir(stat.mode)).unwrap();
        }
    }
}
