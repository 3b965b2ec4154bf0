//! Which files an image has: its layers on top of one another, without unpacking anything.
//!
//! Owns: reading a layer's entries with their content's digest, checked against the layer's own; applying them, whiteouts
//! included (image-spec, "Applying Changesets"). Bounded in files, bytes of names and decompressed bytes.
//! Never: writes to disk, follows a link.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

use tar::EntryType;

use super::layer::{Budget, with_counted};
use super::pump::{RawReader, channel, pump};
use super::tar_walk::{Head, TarFault, Visitor, walk_with};
use super::{ContentSource, SourceError};
use crate::oci::media_type::{LayerCompression, layer_compression};
use crate::oci::{Descriptor, Digest, Hasher};

/// What begins the name of a file that hides another one.
const WHITEOUT: &[u8] = b".wh.";
/// What hides everything a directory had.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What reading layers may cost.
#[derive(Debug, Clone, Copy)]
pub struct FileLimits {
    /// Most entries of one layer.
    pub entries: usize,
    /// Most bytes of all names of one layer.
    pub names: usize,
    /// Most decompressed bytes of one layer.
    pub unpacked: u64,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self { entries: 500_000, names: 64 << 20, unpacked: 64 << 30 }
    }
}

/// Why a layer's files cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The source has no answer.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is no layer, or nobody knows how to read it.
    #[error("{digest} is a {media_type:?}, which is no layer that can be read")]
    NotALayer {
        /// Which.
        digest: Digest,
        /// Its type; untrusted.
        media_type: String,
    },
    /// It is damaged, not what its digest says, or too large.
    #[error("layer {digest} cannot be read: {reason}")]
    Layer {
        /// Which.
        digest: Digest,
        /// Why.
        reason: String,
    },
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What it is.
    pub kind: FileKind,
    /// Permissions, with set-user-ID, set-group-ID and sticky bit.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular {
        /// Bytes.
        size: u64,
        /// Digest of its content.
        digest: Digest,
    },
    /// A directory.
    Directory,
    /// A symbolic link, to this.
    Symlink(Vec<u8>),
    /// Another name of this file.
    Hardlink(Vec<u8>),
    /// A device or pipe: its type in the tar, major and minor number.
    Special(u8, u32, u32),
}

impl std::fmt::Display for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, mode, uid, gid } = self;
        let owner = if (*uid, *gid) == (0, 0) { String::new() } else { format!(" {uid}:{gid}") };
        match kind {
            FileKind::Regular { size, digest } => write!(f, "{mode:04o}{owner} {size} {digest}"),
            FileKind::Directory => write!(f, "{mode:04o}{owner} directory"),
            FileKind::Symlink(to) => write!(f, "link to {}{owner}", String::from_utf8_lossy(to)),
            FileKind::Hardlink(to) => write!(f, "same as {}", String::from_utf8_lossy(to)),
            FileKind::Special(kind, major, minor) => {
                write!(f, "{mode:04o}{owner} {} {major}:{minor}", char::from(*kind).escape_default())
            }
        }
    }
}

/// What a layer does.
#[derive(Debug, Default)]
pub struct LayerFiles {
    /// In the tar's order.
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Put(Vec<u8>, File),
    /// What lower layers have at a path goes.
    Hide(Vec<u8>),
    /// What lower layers have below a path goes.
    Empty(Vec<u8>),
}

/// All files by path, without a leading slash.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<Vec<u8>, File>);

impl Files {
    /// Puts a layer on top.
    pub fn apply(&mut self, layer: &LayerFiles) {
        // Whiteouts are for what is below, wherever they stand in the tar.
        for change in &layer.changes {
            match change {
                Change::Hide(path) => {
                    self.0.remove(path);
                    self.remove_below(path);
                }
                Change::Empty(path) => self.remove_below(path),
                Change::Put(..) => {}
            }
        }
        for change in &layer.changes {
            let Change::Put(path, file) = change else { continue };
            if file.kind != FileKind::Directory {
                self.remove_below(path);
            }
            self.0.insert(path.clone(), file.clone());
        }
    }

    fn remove_below(&mut self, path: &[u8]) {
        if path.is_empty() {
            return self.0.clear();
        }
        // What begins with `path/` stands before `path0`.
        let (from, to) = ([path, b"/"].concat(), [path, b"0"].concat());
        let gone: Vec<Vec<u8>> = self.0.range(from..to).map(|(path, _)| path.clone()).collect();
        gone.iter().for_each(|path| drop(self.0.remove(path)));
    }
}

/// Reads a layer once.
///
/// # Errors
/// [`FilesError`].
pub async fn layer_files(
    source: &dyn ContentSource,
    layer: &Descriptor,
    limits: FileLimits,
) -> Result<LayerFiles, FilesError> {
    let digest = layer.digest.clone();
    let not_a_layer = || FilesError::NotALayer { digest: digest.clone(), media_type: layer.media_type.clone() };
    let compression = layer_compression(&layer.media_type).ok_or_else(not_a_layer)?;
    let hasher = layer.digest.hasher().map_err(|_| not_a_layer())?;
    let reader = source.blob(layer).await?;
    let (sender, raw) = channel(hasher);
    let (want, size) = (digest.clone(), layer.size);
    // Ends by itself when this future, and with it the sender, is dropped.
    let worker = tokio::task::spawn_blocking(move || read(raw, compression, (&want, size), limits));
    let (done, ()) = futures::join!(worker, pump(reader, sender));
    let done = done.unwrap_or_else(|error| Err(error.to_string()));
    done.map_err(|reason| FilesError::Layer { digest, reason })
}

fn read(
    mut raw: RawReader,
    compression: LayerCompression,
    (want, size): (&Digest, u64),
    limits: FileLimits,
) -> Result<LayerFiles, String> {
    let mut collector = Collector { limits, names: 0, files: LayerFiles::default(), is_full: false };
    let budget = Arc::new(Budget::new(limits.unpacked));
    let (walked, failure) = with_counted(&mut raw, compression, &budget, |reader| walk_with(reader, &mut collector));
    if collector.is_full {
        return Err("it has too many files".to_owned());
    }
    // The source's own failure, and another digest, explain every other one.
    let arrived = raw.finish()?;
    if arrived.digest != *want || arrived.size != size {
        return Err(format!("it has digest {} and {} bytes, expected {size}", arrived.digest, arrived.size));
    }
    match (walked, failure) {
        (_, Some(failure)) => Err(failure),
        (Some(Err(TarFault::Malformed { offset, reason })), None) => {
            Err(format!("{reason}, at byte {offset} of the tar"))
        }
        _ => Ok(collector.files),
    }
}

struct Collector {
    limits: FileLimits,
    names: usize,
    files: LayerFiles,
    is_full: bool,
}

impl Collector {
    /// Ends the walk where there is too much: what comes then is not what the layer holds.
    fn put(&mut self, change: Change) -> ControlFlow<()> {
        self.is_full |= self.files.changes.len() >= self.limits.entries || self.names > self.limits.names;
        if self.is_full {
            return ControlFlow::Break(());
        }
        self.files.changes.push(change);
        ControlFlow::Continue(())
    }
}

impl Visitor for Collector {
    fn entry(&mut self, head: &Head<'_>, content: &mut dyn Read) -> ControlFlow<()> {
        self.names = self.names.saturating_add(head.path.len() + head.link.len());
        let path = clean(head.path);
        let split = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let (folder, name) = (path[..split.saturating_sub(1)].to_vec(), &path[split..]);
        if name == OPAQUE {
            return self.put(Change::Empty(folder));
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.put(Change::Hide([&path[..split], hidden].concat()));
        }
        let kind = kind_of(head, content);
        let number = |value: std::io::Result<u64>| value.unwrap_or(0);
        let (uid, gid) = (number(head.header.uid()), number(head.header.gid()));
        let file = File { kind, mode: head.mode & 0o7777, uid, gid };
        match file.kind {
            FileKind::Regular { .. } => self.put(Change::Put(path, file)),
            // The root itself.
            _ if path.is_empty() => ControlFlow::Continue(()),
            _ => self.put(Change::Put(path, file)),
        }
    }
}

/// Reads the content of a file. What cannot be read, the walk cannot read either, and says so.
fn kind_of(head: &Head<'_>, content: &mut dyn Read) -> FileKind {
    let device = |value: std::io::Result<Option<u32>>| value.ok().flatten().unwrap_or(0);
    match head.kind {
        EntryType::Directory => FileKind::Directory,
        EntryType::Symlink => FileKind::Symlink(head.link.to_vec()),
        EntryType::Link => FileKind::Hardlink(clean(head.link)),
        kind @ (EntryType::Char | EntryType::Block | EntryType::Fifo) => {
            let header = head.header;
            FileKind::Special(kind.as_byte(), device(header.device_major()), device(header.device_minor()))
        }
        _ => {
            let (mut hasher, mut buffer) = (Hasher::sha256(), vec![0; 64 << 10]);
            while let Ok(count @ 1..) = content.read(&mut buffer) {
                hasher.update(&buffer[..count]);
            }
            FileKind::Regular { size: head.size, digest: hasher.finish() }
        }
    }
}

/// A path without `.`, doubled and outer slashes. `..` stays: it is compared, never opened.
fn clean(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    parts.join(&b'/')
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::oci::media_type::OCI_LAYER_GZIP;
    use crate::store::{BlobStoreExt as _, MemoryStore};
    use crate::verify::StoreSource;

    fn header(kind: EntryType, mode: u32, size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size as u64);
        header
    }

    fn tar(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let (kind, mode) =
                if path.ends_with('/') { (EntryType::Directory, 0o755) } else { (EntryType::Regular, 0o644) };
            builder.append_data(&mut header(kind, mode, content.len()), path, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    async fn layer(tar: &[u8]) -> Result<LayerFiles, String> {
        limited(tar, FileLimits::default()).await
    }

    async fn limited(tar: &[u8], limits: FileLimits) -> Result<LayerFiles, String> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(tar).unwrap();
        let bytes = encoder.finish().unwrap();
        let store = MemoryStore::new();
        let descriptor = Descriptor::new(OCI_LAYER_GZIP, Digest::sha256(&bytes), bytes.len() as u64);
        store.put_bytes(bytes).await.unwrap();
        layer_files(&StoreSource(store), &descriptor, limits).await.map_err(|error| error.to_string())
    }

    async fn applied(layers: &[&[(&str, &str)]]) -> Vec<String> {
        let mut files = Files::default();
        for one in layers {
            files.apply(&layer(&tar(one)).await.unwrap());
        }
        files.0.keys().map(|path| String::from_utf8(path.clone()).unwrap()).collect()
    }

    #[tokio::test]
    async fn layers_are_applied_with_their_whiteouts() {
        let base: &[(&str, &str)] = &[("./etc/", ""), ("etc/a", "1"), ("etc/b", "2"), ("lib/x", "x"), ("lib0", "")];
        assert_eq!(applied(&[base]).await, ["etc", "etc/a", "etc/b", "lib/x", "lib0"]);
        assert_eq!(applied(&[base, &[("etc/.wh.a", "")]]).await, ["etc", "etc/b", "lib/x", "lib0"]);
        let opaque: &[(&str, &str)] = &[("etc/c", "3"), ("etc/.wh..wh..opq", "")];
        assert_eq!(applied(&[base, opaque]).await, ["etc", "etc/c", "lib/x", "lib0"], "its own stay, in any order");
        assert_eq!(applied(&[base, &[(".wh.lib", "")]]).await, ["etc", "etc/a", "etc/b", "lib0"]);
        assert_eq!(applied(&[base, &[("lib", "a file now")]]).await, ["etc", "etc/a", "etc/b", "lib", "lib0"]);
        assert_eq!(applied(&[base, &[(".wh..wh..opq", "")]]).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_file_is_told_with_all_that_is_compared() {
        let mut builder = tar::Builder::new(Vec::new());
        let long = "n".repeat(150);
        builder.append_data(&mut header(EntryType::Regular, 0o4755, 5), &long, &b"hello"[..]).unwrap();
        let mut owned = header(EntryType::Directory, 0o700, 0);
        owned.set_uid(1000);
        owned.set_gid(7);
        builder.append_data(&mut owned, "home/", &b""[..]).unwrap();
        builder.append_link(&mut header(EntryType::Symlink, 0o777, 0), "l", "../etc/passwd").unwrap();
        builder.append_link(&mut header(EntryType::Link, 0o644, 0), "h", "./home/x").unwrap();
        builder.append_pax_extensions([("path", b"by/pax".as_slice())]).unwrap();
        builder.append_data(&mut header(EntryType::Fifo, 0o600, 0), "short", &b""[..]).unwrap();
        let mut files = Files::default();
        files.apply(&layer(&builder.into_inner().unwrap()).await.unwrap());
        let told: Vec<String> =
            files.0.iter().map(|(path, file)| format!("{}: {file}", String::from_utf8_lossy(path))).collect();
        assert_eq!(
            told,
            [
                "by/pax: 0600 6 0:0".to_owned(),
                "h: same as home/x".to_owned(),
                "home: 0700 1000:7 directory".to_owned(),
                "l: link to ../etc/passwd".to_owned(),
                format!("{long}: 4755 5 {}", Digest::sha256("hello")),
            ]
        );
    }

    #[tokio::test]
    async fn what_is_damaged_or_too_large_is_refused() {
        let sound = tar(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let few = FileLimits { entries: 2, ..FileLimits::default() };
        assert!(limited(&sound, few).await.unwrap_err().ends_with("it has too many files"));
        let short = FileLimits { names: 2, ..FileLimits::default() };
        assert!(limited(&sound, short).await.unwrap_err().ends_with("it has too many files"));
        let small = FileLimits { unpacked: 1000, ..FileLimits::default() };
        assert!(limited(&sound, small).await.is_err());
        assert!(layer(&sound[..700]).await.unwrap_err().contains("at byte 700 of the tar"));
        let other = Descriptor::new(OCI_LAYER_GZIP, Digest::sha256("x"), 1);
        let missing = layer_files(&StoreSource(MemoryStore::new()), &other, FileLimits::default()).await;
        assert!(matches!(missing, Err(FilesError::Source(SourceError::Missing(_)))));
        let picture = Descriptor { media_type: "image/png".into(), ..other };
        let refused = layer_files(&StoreSource(MemoryStore::new()), &picture, FileLimits::default()).await;
        assert!(matches!(refused, Err(FilesError::NotALayer { .. })));
    }
}
