use std::io::Write as _;
use std::sync::Mutex;

use polyarch_testkit::program::{Machine, dynamic_elf, elf, elf_of};
use tar::Header;

use super::*;
use crate::oci::Digest;
use crate::store::{BlobStoreExt as _, MemoryStore};
use crate::verify::StoreSource;

/// Entries: kind, name, link or content.
fn tar(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        header.set_size(if is_link { 0 } else { content.len() as u64 });
        match is_link {
            true => builder.append_link(&mut header, name, std::str::from_utf8(content).unwrap()).unwrap(),
            false => builder.append_data(&mut header, name, *content).unwrap(),
        }
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn read_bytes(blob: Vec<u8>, reading: Reading, watch: Option<Watch>) -> LayerFacts {
    let store = MemoryStore::new();
    let descriptor =
        Descriptor::new("application/vnd.oci.image.layer.v1.tar", Digest::sha256(&blob), blob.len() as u64);
    store.put_bytes(blob).await.unwrap();
    read(&StoreSource(store), &descriptor, reading, watch).await.unwrap()
}

const FILE: EntryType = EntryType::Regular;

#[tokio::test]
async fn every_compression_gives_the_same_tree_and_digests() {
    let tar = tar(&[
        (EntryType::Directory, "./usr/bin", b""),
        (FILE, "./usr/bin/app", &dynamic_elf("arm64", "/lib/ld-linux-aarch64.so.1")),
        (EntryType::Symlink, "bin", b"usr/bin"),
        (EntryType::Link, "usr/bin/b", b"./usr/bin/app"),
        (FILE, "run.sh", b"#!/bin/sh -e\necho"),
        (FILE, "etc/.wh.old", b""),
        (FILE, "var/.wh..wh..opq", b""),
        (FILE, "data", b"hello"),
    ]);
    for blob in [tar.clone(), gzip(&tar), zstd::encode_all(&tar[..], 1).unwrap()] {
        let size = blob.len() as u64;
        let facts = read_bytes(blob.clone(), Reading { is_deep: true, ..Reading::default() }, None).await;
        assert_eq!((facts.ended.clone(), facts.size, facts.unpacked), (Ended::Whole, size, tar.len() as u64));
        assert_eq!(
            (facts.digest.clone(), facts.diff_id.clone()),
            (Some(Digest::sha256(&blob)), Some(Digest::sha256(&tar)))
        );
        let tree = &facts.tree;
        assert!(tree.is_whole && tree.hides(b"etc/old") && tree.hides(b"var/x") && !tree.hides(b"etc/new"));
        assert_eq!(tree.node(b"bin"), Some(&Node::Symlink(b"usr/bin"[..].into())));
        assert_eq!(tree.node(b"usr/bin/b"), Some(&Node::Hardlink(b"usr/bin/app"[..].into())));
        let Some(Node::File { is_executable: true, body: Some(body) }) = tree.node(b"usr/bin/app") else { panic!() };
        let Body::Program(program, interpreter) = &**body else { panic!("{body:?}") };
        assert_eq!(
            (program.describe().as_str(), interpreter.as_deref()),
            ("AArch64 64-bit ELF", Some(&b"/lib/ld-linux-aarch64.so.1"[..]))
        );
        let script = Body::Script(b"/bin/sh -e"[..].into());
        assert_eq!(tree.node(b"run.sh"), Some(&Node::File { is_executable: true, body: Some(Box::new(script)) }));
        assert_eq!(tree.node(b"data"), Some(&Node::File { is_executable: true, body: None }));
        assert!(facts.noted.is_empty(), "{:?}", facts.noted);
    }
}

#[tokio::test]
async fn an_interpreter_far_into_the_file_is_read() {
    let program = elf_of(Machine::of("riscv64"), Some(("/far/ld.so", 300_000)));
    let facts =
        read_bytes(gzip(&tar(&[(FILE, "app", &program), (FILE, "next", b"x")])), Reading::default(), None).await;
    let Some(Node::File { body: Some(body), .. }) = facts.tree.node(b"app") else { panic!() };
    assert!(matches!(&**body, Body::Program(_, Some(name)) if **name == b"/far/ld.so"[..]), "{body:?}");
    assert!(facts.tree.node(b"next").is_some());
}

#[tokio::test]
async fn reading_ends_when_nobody_needs_more() {
    let noise: Vec<u8> = polyarch_testkit::layer::noise(1, 8 << 20).to_vec();
    let blob = gzip(&tar(&[(FILE, "usr/bin/app", &elf("amd64")), (FILE, "noise", &noise), (FILE, "last", b"")]));
    let size = blob.len() as u64;
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let ask = Box::new(move |tree: &Tree| {
        *count.lock().unwrap() += 1;
        tree.node(b"usr/bin/app").is_none().then(|| vec![b"usr/bin/app".to_vec()])
    });
    let facts = read_bytes(blob, Reading::default(), Some(Watch { paths: vec![b"usr".to_vec()], ask })).await;
    assert_eq!((facts.ended, facts.tree.is_whole, facts.digest), (Ended::Enough, false, None));
    assert!(facts.size < size / 4 && facts.tree.node(b"last").is_none(), "{} of {size}", facts.size);
    assert_eq!(*asked.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_bomb_is_left_alone() {
    let zeros = vec![0; 16 << 20];
    let blob = zstd::encode_all(&tar(&[(FILE, "zeros", &zeros)])[..], 1).unwrap();
    let limits = |limits| Reading { is_deep: true, limits };
    let ratio = Limits { ratio_from: 1 << 20, ..Limits::default() };
    let facts = read_bytes(blob.clone(), limits(ratio), None).await;
    assert_eq!(facts.ended, Ended::Bomb);
    assert!(facts.unpacked < 2 << 20, "{}", facts.unpacked);
    let total = Limits { unpacked: 1 << 20, ..Limits::default() };
    assert_eq!(read_bytes(blob.clone(), limits(total), None).await.ended, Ended::Bomb);
    assert_eq!(read_bytes(blob, limits(Limits::default()), None).await.ended, Ended::Whole, "small ones are none");
    let many: Vec<String> = (0..50).map(|n| format!("f{n}")).collect();
    let many: Vec<(EntryType, &str, &[u8])> = many.iter().map(|name| (FILE, name.as_str(), &b""[..])).collect();
    let few = Limits { nodes: 10, ..Limits::default() };
    assert_eq!(read_bytes(gzip(&tar(&many)), limits(few), None).await.ended, Ended::TooMany);
}

#[tokio::test]
async fn what_is_broken_is_named() {
    let whole = gzip(&tar(&[(FILE, "a", &polyarch_testkit::layer::noise(2, 9000))]));
    let ended = async |blob: &[u8]| read_bytes(blob.to_vec(), Reading::default(), None).await.ended;
    assert!(matches!(ended(&whole[..whole.len() - 20]).await, Ended::Compression(_)));
    assert!(matches!(
        ended(b"no archive").await,
        Ended::Tar { offset: 10, reason: "the archive ends within a header" }
    ));
    assert!(matches!(ended(&gzip(&[7; 1024])).await, Ended::Tar { reason: "a header has a wrong checksum", .. }));
    let twice = [whole.clone(), gzip(b"")].concat();
    let trailed = [whole, b"rest".to_vec()].concat();
    for (blob, oddity) in [(twice, super::super::Oddity::GzipMember), (trailed, super::super::Oddity::Trailing)] {
        let facts = read_bytes(blob, Reading { is_deep: true, ..Reading::default() }, None).await;
        assert_eq!(facts.ended, Ended::Whole);
        assert_eq!(facts.noted.keys().collect::<Vec<_>>(), [&oddity]);
    }
}
