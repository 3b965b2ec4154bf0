//! A hostile tar, read as it arrives.
//!
//! Owns: headers (ustar, PAX, GNU long names) with a budget for each, names checked to stay inside the archive, contents
//! in chunks. Never: touches a file system, holds a file in memory, trusts a length further than it reads.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Tars come in blocks of this size.
const BLOCK: usize = 512;
/// Longest name, and longest set of PAX records, in bytes.
const NAME_LIMIT: u64 = 64 << 10;
/// Longest run of extension headers before one entry.
const EXTENSIONS: usize = 8;

/// Why a tar cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream failed.
    #[error("the stream broke")]
    Io(#[from] io::Error),
    /// The stream ended before the tar did.
    #[error("the tar is cut short")]
    Truncated,
    /// A header is not one.
    #[error("a tar header is malformed: {0}")]
    Header(&'static str),
    /// A name leaves the archive or is not text.
    #[error("the tar has the unacceptable name {0:?}")]
    Name(String),
}

impl TarError {
    /// Whether the fault is in the connection rather than in the tar.
    pub(crate) fn is_broken_stream(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Truncated)
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A link to another entry of the archive, by its path in it.
    Link(String),
    /// A directory or something that has no contents here.
    Other,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Path in the archive, without `./` and `..`.
    pub(crate) path: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Size of its contents in bytes.
    pub(crate) size: u64,
}

/// Names and sizes that did not fit into a header.
#[derive(Default)]
struct Extended {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

/// Reads entries in turn.
#[derive(Debug)]
pub(crate) struct TarStream<R> {
    reader: R,
    left: u64,
    padding: u64,
}

impl<R: AsyncRead + Unpin> TarStream<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, left: 0, padding: 0 }
    }

    /// Returns the next entry, skipping what is left of this one; `None` at the end mark.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extended = Extended::default();
        for _ in 0..EXTENSIONS {
            self.skip().await?;
            let mut block = [0; BLOCK];
            self.reader.read_exact(&mut block).await.map_err(cut)?;
            if block == [0; BLOCK] {
                return Ok(None);
            }
            let header = tar::Header::from_byte_slice(&block);
            let size = checked_size(header)?;
            self.left = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            match header.entry_type() {
                tar::EntryType::XHeader => self.pax(&mut extended).await?,
                tar::EntryType::GNULongName => extended.path = Some(self.long_name().await?),
                tar::EntryType::GNULongLink => extended.link = Some(self.long_name().await?),
                tar::EntryType::XGlobalHeader => {}
                _ => return self.entry(header, extended).map(Some),
            }
        }
        Err(TarError::Header("too many extension headers"))
    }

    /// Returns the next bytes of the entry's contents, at most `limit`; empty at its end.
    pub(crate) async fn chunk(&mut self, limit: usize) -> Result<Bytes, TarError> {
        let want = self.left.min(limit as u64) as usize;
        let mut chunk = BytesMut::with_capacity(want);
        while chunk.len() < want {
            let missing = (want - chunk.len()) as u64;
            if (&mut self.reader).take(missing).read_buf(&mut chunk).await? == 0 {
                return Err(TarError::Truncated);
            }
        }
        self.left -= want as u64;
        Ok(chunk.freeze())
    }

    fn entry(&mut self, header: &tar::Header, extended: Extended) -> Result<Entry, TarError> {
        let own = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).map_err(|_| TarError::Name(String::from_utf8_lossy(bytes).into_owned()))
        };
        if let Some(size) = extended.size {
            self.left = size;
            self.padding = size.checked_next_multiple_of(BLOCK as u64).ok_or(TarError::Header("size"))? - size;
        }
        let path = extended.path.map_or_else(|| own(&header.path_bytes()), Ok)?;
        let path = inside("", &path)?;
        let link = || match (&extended.link, header.link_name_bytes()) {
            (Some(link), _) => Ok(link.clone()),
            (None, Some(bytes)) => own(&bytes),
            (None, None) => Err(TarError::Header("a link without a target")),
        };
        let kind = match header.entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File,
            // A hard link names a path of the archive, a symbolic one is relative to its directory.
            tar::EntryType::Link => Kind::Link(inside("", &link()?)?),
            tar::EntryType::Symlink => {
                Kind::Link(inside(path.rsplit_once('/').map_or("", |(directory, _)| directory), &link()?)?)
            }
            _ => Kind::Other,
        };
        Ok(Entry { path, kind, size: self.left })
    }

    async fn skip(&mut self) -> Result<(), TarError> {
        while self.left > 0 {
            self.chunk(64 << 10).await?;
        }
        let mut padding = [0; BLOCK];
        let length = std::mem::take(&mut self.padding) as usize;
        self.reader.read_exact(&mut padding[..length]).await.map_err(cut)?;
        Ok(())
    }

    async fn small(&mut self) -> Result<Bytes, TarError> {
        match self.left <= NAME_LIMIT {
            true => self.chunk(NAME_LIMIT as usize).await,
            false => Err(TarError::Header("a name is too long")),
        }
    }

    async fn long_name(&mut self) -> Result<String, TarError> {
        let bytes = self.small().await?;
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        let text = std::str::from_utf8(&bytes[..end]);
        text.map(str::to_owned).map_err(|_| TarError::Name(String::from_utf8_lossy(&bytes[..end]).into_owned()))
    }

    async fn pax(&mut self, extended: &mut Extended) -> Result<(), TarError> {
        let bytes = self.small().await?;
        for record in tar::PaxExtensions::new(&bytes) {
            let record = record.map_err(|_| TarError::Header("a PAX record"))?;
            let (Ok(key), value) = (record.key(), record.value()) else { continue };
            let text = || value.map(str::to_owned).map_err(|_| TarError::Header("a PAX value"));
            match key {
                "path" => extended.path = Some(text()?),
                "linkpath" => extended.link = Some(text()?),
                "size" => extended.size = Some(text()?.parse().map_err(|_| TarError::Header("a PAX size"))?),
                _ => {}
            }
        }
        Ok(())
    }
}

fn cut(error: io::Error) -> TarError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => TarError::Truncated,
        _ => TarError::Io(error),
    }
}

fn checked_size(header: &tar::Header) -> Result<u64, TarError> {
    let bytes = header.as_bytes();
    let sum: u32 =
        bytes.iter().enumerate().map(|(at, b)| u32::from(if (148..156).contains(&at) { b' ' } else { *b })).sum();
    if header.cksum().map_err(|_| TarError::Header("checksum"))? != sum {
        return Err(TarError::Header("checksum"));
    }
    let size = header.entry_size().map_err(|_| TarError::Header("size"))?;
    size.checked_add(BLOCK as u64).map(|_| size).ok_or(TarError::Header("size"))
}

/// Joins a relative path to a directory of the archive; leaving the archive is an error.
fn inside(directory: &str, path: &str) -> Result<String, TarError> {
    let bad = || TarError::Name(path.to_owned());
    if path.starts_with('/') || path.contains('\0') {
        return Err(bad());
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or_else(bad)?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    fn read_all(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
        runtime().block_on(async {
            let (mut tar, mut found) = (TarStream::new(bytes), Vec::new());
            while let Some(entry) = tar.next().await? {
                let mut contents = Vec::new();
                loop {
                    let chunk = tar.chunk(700).await?;
                    if chunk.is_empty() {
                        break;
                    }
                    contents.extend_from_slice(&chunk);
                }
                found.push((entry, contents));
            }
            Ok(found)
        })
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, contents) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            builder.append_data(&mut header, path, *contents).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn link(kind: tar::EntryType, path: &str, target: &str) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_path(path).unwrap();
        // The crate's own setter would refuse what a hostile tar has.
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        [header.as_bytes().as_slice(), &[0; 1024]].concat()
    }

    proptest! {
        #[test]
        fn reads_what_the_tar_crate_writes(
            files in prop::collection::vec(("[a-z]{1,9}(/[a-z]{1,70}){0,3}", prop::collection::vec(any::<u8>(), 0..1500)), 0..6)
        ) {
            let list: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
            let got = read_all(&archive(&list)).unwrap();
            let got: Vec<(&str, &[u8])> = got.iter().map(|(entry, bytes)| (entry.path.as_str(), bytes.as_slice())).collect();
            prop_assert_eq!(got, list);
        }

        #[test]
        fn never_panics_on_damage(at in 0usize..3000, byte in any::<u8>(), end in 0usize..4000) {
            let mut bytes = archive(&[(&"long/".repeat(60), b"x"), ("b", &[7; 900])]);
            let length = bytes.len();
            bytes[at % length] = byte;
            let _ = read_all(&bytes[..end.min(length)]);
        }
    }

    #[test]
    fn resolves_links_inside_the_archive_only() {
        for (kind, path, target, want) in [
            (tar::EntryType::Symlink, "a/layer.tar", "../b/layer.tar", Some("b/layer.tar")),
            (tar::EntryType::Symlink, "layer", "b", Some("b")),
            (tar::EntryType::Link, "a/layer.tar", "b/layer.tar", Some("b/layer.tar")),
            (tar::EntryType::Symlink, "a/layer.tar", "../../b", None),
            (tar::EntryType::Symlink, "a", "/etc/passwd", None),
            (tar::EntryType::Link, "a", "../b", None),
        ] {
            let got = read_all(&link(kind, path, target));
            match want {
                Some(want) => assert_eq!(got.unwrap()[0].0.kind, Kind::Link(want.to_owned())),
                None => assert!(matches!(got, Err(TarError::Name(_))), "{target}"),
            }
        }
    }

    #[test]
    fn refuses_cut_and_lying_archives() {
        let whole = archive(&[("a", &[1; 600])]);
        for end in [0, 100, 512, 900, 1536] {
            assert!(matches!(read_all(&whole[..end]), Err(TarError::Truncated)), "cut at {end}");
        }
        let mut lying = whole.clone();
        lying[124..135].copy_from_slice(b"77777777777");
        assert!(matches!(read_all(&lying), Err(TarError::Header("checksum"))));
        let mut huge = tar::Header::new_gnu();
        huge.set_entry_type(tar::EntryType::GNULongName);
        huge.set_size(1 << 40);
        huge.set_cksum();
        assert!(matches!(read_all(huge.as_bytes()), Err(TarError::Header("a name is too long"))));
    }
}
