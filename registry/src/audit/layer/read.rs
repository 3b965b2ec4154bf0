//! One pass over one layer.
//!
//! Owns: streaming, decompressing, walking the archive, and ending as soon as nobody needs more. Never: keeps content beyond
//! the start of programs, writes anything, trusts a size before counting.

use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tar::EntryType;

use super::facts::{Ended, LayerFacts};
pub use super::inflate::Limits;
use super::inflate::{Count, Failure, Members, Packed, Seen, Unpacked};
use super::observe::Observer;
use super::tree::{Body, Node, OPAQUE, SCRIPT_BYTES, Tree, WHITEOUT, base_name, clean, parents, push};
use crate::audit::binary::Program;
use crate::audit::binary::header::{Elf, HEAD_BYTES};
use crate::oci::media_type::LayerCompression;
use crate::oci::{Descriptor, Hasher};
use crate::verify::pump::{RawReader, channel, pump};
use crate::verify::tar_walk::{Head, TarFault, Visitor, walk_with};
use crate::verify::{ContentSource, SourceError, sniff_layer, zstd_decoder};

/// Decompressed bytes walked at once.
const BUFFER: usize = 128 * 1024;
/// Longest path that is kept, in bytes: Linux's `PATH_MAX`.
const LONGEST_PATH: usize = 4096;
/// Deepest path that is kept; real ones have some twenty directories.
const DEEPEST_PATH: usize = 256;

/// How a layer is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Whether what stands out is noted, and the unpacked layer hashed.
    pub is_deep: bool,
    /// How much is read.
    pub limits: Limits,
}

/// Who waits for something in a layer.
pub(in crate::audit) struct Watch {
    /// As soon as one of these paths is there, `ask` is asked.
    pub(in crate::audit) paths: Vec<Vec<u8>>,
    /// Returns the paths to wait for next, or none if nothing more is needed.
    pub(in crate::audit) ask: Ask,
}

/// Tells from what was seen of a layer so far which paths are still waited for.
type Ask = Box<dyn FnMut(&Tree) -> Option<Vec<Vec<u8>>> + Send>;

/// Why there is nothing about a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit) enum Unread {
    Missing,
    Failed(String),
    /// It was read, and what is wrong with it is a finding.
    Told,
}

/// Reads a layer to its end, or until the watch has seen enough.
pub(in crate::audit) async fn read(
    source: &dyn ContentSource,
    descriptor: &Descriptor,
    reading: Reading,
    watch: Option<Watch>,
) -> Result<LayerFacts, Unread> {
    let failed = |error: &dyn std::error::Error| Unread::Failed(error.to_string());
    let hasher = descriptor.digest.hasher().map_err(|error| failed(&error))?;
    let reader = source.blob(descriptor).await.map_err(|error| match &error {
        SourceError::Missing(_) => Unread::Missing,
        error => Unread::Failed(crate::audit::collect::in_full(error)),
    })?;
    let (sender, raw) = channel(hasher);
    // Ends by itself when this future, and with it the sender, is dropped.
    let worker = tokio::task::spawn_blocking(move || examine(raw, reading, watch));
    let (facts, ()) = futures::join!(worker, pump(reader, sender));
    facts.map_err(|error| failed(&error))?
}

fn examine(mut raw: RawReader, reading: Reading, watch: Option<Watch>) -> Result<LayerFacts, Unread> {
    let compression = sniff_layer(raw.fill_buf().unwrap_or_default());
    let observer = reading.is_deep.then(Observer::default);
    let mut pass = Pass { tree: Tree::default(), observer, watch, limits: reading.limits, stop: None };
    let mut stream = Stream::default();
    let walked = stream.walk(&mut raw, compression, reading, &mut pass);
    if raw.has_failed() {
        return Err(raw.finish().err().map_or(Unread::Missing, Unread::Failed));
    }
    let ended = match (pass.stop, stream.count.failure, walked) {
        (Some(ended), ..) => ended,
        (None, Some(Failure::Bomb), _) => Ended::Bomb,
        (None, Some(Failure::Compression(reason)), _) => Ended::Compression(reason),
        (None, None, Err(TarFault::Malformed { offset, reason })) => Ended::Tar { offset, reason },
        (None, None, Err(TarFault::Reader)) => Ended::Compression("it ended early".to_owned()),
        (None, None, Ok(_)) => Ended::Whole,
    };
    let (mut size, mut digest) = (stream.packed.load(Ordering::Relaxed), None);
    // A bomb's rest is not worth its transfer; of what is broken the digest tells whose fault it is.
    if !matches!(ended, Ended::Enough | Ended::TooMany | Ended::Bomb) {
        let arrived = raw.finish().map_err(Unread::Failed)?;
        (size, digest) = (arrived.size, Some(arrived.digest));
    }
    let is_whole = ended == Ended::Whole;
    pass.tree.is_whole = is_whole;
    let observed = pass.observer.map(|observer| observer.finish(&pass.tree, &stream.gzip)).unwrap_or_default();
    Ok(LayerFacts {
        tree: pass.tree,
        ended,
        size,
        unpacked: stream.count.unpacked,
        digest,
        diff_id: stream.hasher.filter(|_| is_whole).map(Hasher::finish),
        compression,
        noted: observed.noted,
        newest: observed.newest,
        contents: observed.contents,
    })
}

/// What is known of the bytes besides the entries in them.
#[derive(Default)]
struct Stream {
    packed: Arc<AtomicU64>,
    count: Count,
    gzip: Seen,
    hasher: Option<Hasher>,
}

impl Stream {
    fn walk(
        &mut self,
        raw: &mut RawReader,
        compression: Option<LayerCompression>,
        reading: Reading,
        pass: &mut Pass,
    ) -> Result<u64, TarFault> {
        let input = Packed { inner: raw, count: Arc::clone(&self.packed) };
        let inner: Box<dyn Read + '_> = match compression {
            Some(LayerCompression::Gzip) => Box::new(Members::new(input, &mut self.gzip)),
            Some(LayerCompression::Zstd) => match zstd_decoder(input) {
                Ok(decoder) => Box::new(decoder),
                Err(_) => return Err(TarFault::Reader),
            },
            // What is of no known kind is no archive either, and the walk says what is wrong with it.
            Some(LayerCompression::None) | None => Box::new(input),
        };
        let (packed, limits) = (Arc::clone(&self.packed), reading.limits);
        let hasher = reading.is_deep.then(Hasher::sha256);
        let unpacked = Unpacked { inner, packed, limits, hasher, count: &mut self.count };
        let mut reader = BufReader::with_capacity(BUFFER, unpacked);
        let walked = walk_with(&mut reader, pass);
        self.hasher = reader.into_inner().hasher;
        walked
    }
}

struct Pass {
    tree: Tree,
    observer: Option<Observer>,
    watch: Option<Watch>,
    limits: Limits,
    /// Why it ends before its end.
    stop: Option<Ended>,
}

impl Visitor for Pass {
    fn entry(&mut self, head: &Head<'_>, content: &mut dyn Read) -> ControlFlow<()> {
        let is_kept = |path: &Vec<u8>| {
            path.len() <= LONGEST_PATH
                && !path.contains(&0)
                && parents(path).take(DEEPEST_PATH + 1).count() <= DEEPEST_PATH
        };
        let path = clean(head.path).filter(is_kept);
        if let Some(observer) = &mut self.observer {
            observer.look(head, path.as_deref(), &self.tree, content);
        }
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            self.keep(head, path, content);
        }
        if self.tree.len() > self.limits.nodes || self.tree.bytes() > self.limits.memory {
            self.stop = Some(Ended::TooMany);
            return ControlFlow::Break(());
        }
        self.ask()
    }
}

impl Pass {
    fn keep(&mut self, head: &Head<'_>, path: Vec<u8>, content: &mut dyn Read) {
        let name = base_name(&path);
        if name == OPAQUE {
            return self.tree.make_opaque(parents(&path).next().unwrap_or_default());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            // Others that begin so are aufs' own, which every tool skips.
            if !hidden.is_empty() && !hidden.starts_with(WHITEOUT) {
                let mut target = parents(&path).next().unwrap_or_default().to_vec();
                push(&mut target, hidden);
                self.tree.white_out(&target);
            }
            return;
        }
        let link = || head.link[..head.link.len().min(LONGEST_PATH)].into();
        let node = match head.kind {
            EntryType::Directory => Node::Dir { has_entry: true },
            EntryType::Symlink => Node::Symlink(link()),
            EntryType::Link => match clean(head.link) {
                Some(target) => Node::Hardlink(target.into()),
                None => Node::Other,
            },
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                Node::File { is_executable: head.mode & 0o111 != 0, body: body(content).map(Box::new) }
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => Node::Other,
            // A type nobody knows is a file to Go.
            _ => Node::File { is_executable: false, body: None },
        };
        self.tree.insert(&path, node);
    }

    fn ask(&mut self) -> ControlFlow<()> {
        let Some(watch) = &mut self.watch else { return ControlFlow::Continue(()) };
        while watch.paths.iter().any(|path| self.tree.node(path).is_some()) {
            match (watch.ask)(&self.tree) {
                Some(paths) if paths == watch.paths => break,
                Some(paths) => watch.paths = paths,
                None => {
                    self.stop = Some(Ended::Enough);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Reads as much of a file as tells whether it runs.
fn body(content: &mut dyn Read) -> Option<Body> {
    let mut head = Vec::new();
    take(content, &mut head, 4);
    let is_known = match &head[..] {
        [b'#', b'!', ..] => {
            take(content, &mut head, SCRIPT_BYTES - 2);
            let line = head[2..].split(|&byte| byte == b'\n').next().unwrap_or_default();
            return Some(Body::Script(line.into()));
        }
        [0x7f, b'E', b'L', b'F'] | [0, b'a', b's', b'm'] | [b'M', b'Z', ..] => true,
        [0xfe, 0xed, 0xfa, _] | [_, 0xfa, 0xed, 0xfe] | [0xca, 0xfe, 0xba, _] => true,
        _ => false,
    };
    if !is_known {
        return None;
    }
    take(content, &mut head, HEAD_BYTES - 4);
    let program = Program::parse(&head)?;
    let interpreter = Elf::interpreter(&head).and_then(|span| {
        let missing = span.offset.saturating_add(span.len as u64).saturating_sub(head.len() as u64);
        let name = match usize::try_from(span.offset).ok().filter(|_| missing == 0) {
            Some(start) => head.get(start..start + span.len)?.to_vec(),
            // Tools that change it write the new one at the end of the file.
            None => {
                let start = span.offset.checked_sub(head.len() as u64)?;
                let skipped = std::io::copy(&mut content.take(start), &mut std::io::sink()).ok()?;
                let mut name = Vec::new();
                take(content, &mut name, span.len);
                (skipped == start && name.len() == span.len).then_some(name)?
            }
        };
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        (!name.is_empty()).then(|| name.into())
    });
    Some(Body::Program(program, interpreter))
}

/// Appends up to `most` bytes. An error is met again by the walk, which names it.
fn take(content: &mut dyn Read, to: &mut Vec<u8>, most: usize) {
    let _ = content.take(most as u64).read_to_end(to);
}

#[cfg(test)]
mod tests;
