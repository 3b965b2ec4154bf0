//! What a build offers to a daemon: directories, or a few files held in memory.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bollard_buildkit_proto::fsutil::types::Stat;
use sha2::{Digest as _, Sha256};

use super::error::SendError;
use super::filter::{Filter, FilterSpec, Inherited, Verdict, merge_followed};
use super::followlinks::follow_links;
use super::walk::{DiskWalk, Stamp};

/// Directories by the name a daemon asks for, such as `context` and `dockerfile`.
pub type LocalDirs = BTreeMap<String, LocalDir>;

/// One directory. Owner and group are always sent as 0, as buildx does.
#[derive(Debug, Clone)]
pub enum LocalDir {
    /// A directory on this machine.
    Disk(PathBuf),
    /// Files by name, without sub-directories: a Dockerfile read from standard input, for instance.
    Memory(BTreeMap<String, MemoryFile>),
}

/// A file held in memory.
#[derive(Debug, Clone)]
pub struct MemoryFile {
    content: Vec<u8>,
    mode: u32,
}

impl LocalDir {
    /// Offers one file held in memory.
    pub fn single_file(name: &str, content: Vec<u8>) -> Self {
        Self::Memory(BTreeMap::from([(name.to_owned(), MemoryFile { content, mode: 0o644 })]))
    }

    /// Offers one program held in memory.
    pub fn program(name: &str, content: Vec<u8>) -> Self {
        Self::Memory(BTreeMap::from([(name.to_owned(), MemoryFile { content, mode: 0o755 })]))
    }

    /// Walks what `spec` selects, in the order the protocol wants; `emit` says whether to go on. Blocks.
    pub(super) fn walk(&self, spec: &FilterSpec, emit: &mut dyn FnMut(Stat) -> bool) -> Result<(), SendError> {
        match self {
            Self::Disk(root) => {
                let root = open_root(root)?;
                let filter = Filter::new(&resolve(&root, spec)?)?;
                DiskWalk::new(&root, &filter).run(emit)
            }
            Self::Memory(files) => {
                let include = merge_followed(&spec.include, spec.follow.as_deref().unwrap_or_default());
                let filter = Filter::new(&FilterSpec { include, ..spec.clone() })?;
                for (name, file) in files {
                    let sent = filter.judge(name, false, &Inherited::default()).0 == Verdict::Send;
                    if sent && !emit(memory_stat(name, file)) {
                        return Err(SendError::Disconnected);
                    }
                }
                Ok(())
            }
        }
    }

    /// Opens a file that was announced. Blocks.
    pub(super) fn open(&self, path: &str) -> io::Result<Opened<'_>> {
        match self {
            Self::Disk(root) => super::read::open(root, path),
            Self::Memory(files) => match files.get(path) {
                Some(file) => Ok(Opened { reader: Box::new(file.content.as_slice()), stamp: None }),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        }
    }
}

/// A file being sent.
pub(super) struct Opened<'a> {
    /// Its bytes.
    pub(super) reader: Box<dyn Read + Send + 'a>,
    /// Asks again for size and modification time; `None` where they cannot change.
    pub(super) stamp: Option<Box<dyn Fn() -> io::Result<Stamp> + Send>>,
}

fn open_root(root: &Path) -> Result<PathBuf, SendError> {
    let fail = |source| SendError::Root { path: root.to_owned(), source };
    let real = root.canonicalize().map_err(fail)?;
    match real.metadata().map_err(fail)?.is_dir() {
        true => Ok(real),
        false => Err(fail(io::ErrorKind::NotADirectory.into())),
    }
}

fn resolve(root: &Path, spec: &FilterSpec) -> Result<FilterSpec, SendError> {
    let Some(follow) = &spec.follow else { return Ok(spec.clone()) };
    let followed = follow_links(root, follow).map_err(|source| SendError::Read { path: follow.join(", "), source })?;
    let include = if followed.is_empty() { spec.include.clone() } else { merge_followed(&spec.include, &followed) };
    Ok(FilterSpec { include, ..spec.clone() })
}

/// A daemon takes a file for unchanged if size and time are equal, so the time is made from the content.
fn memory_stat(name: &str, MemoryFile { content, mode }: &MemoryFile) -> Stat {
    /// 2001-09-09, in seconds.
    const EPOCH: i64 = 1_000_000_000;
    let hash = Sha256::digest(content);
    let nanos = u64::from_be_bytes([0, 0, hash[0], hash[1], hash[2], hash[3], hash[4], hash[5]]);
    Stat {
        path: name.to_owned(),
        mode: *mode,
        size: i64::try_from(content.len()).unwrap_or(i64::MAX),
        mod_time: EPOCH * 1_000_000_000 + i64::try_from(nanos).unwrap_or(0),
        ..Stat::default()
    }
}
