//! Several platforms' files in one tar, each below its folder.
//!
//! Owns: new paths for entries and for the targets of hard links; owners, modes, times and attributes stay. Never:
//! follows a path; one that leads out of its folder ends the export.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use tar::{Entry, EntryType, Header};

use super::record;

/// Bytes of a ustar header's name and link name.
const NAME: usize = 100;

/// Why a stream could not be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// What came is not a tar, or it broke off.
    #[error("the daemon's stream is not a usable tar")]
    Read(#[source] io::Error),
    /// The tar cannot be written.
    #[error("the tar cannot be written")]
    Write(#[source] io::Error),
    /// A path leads out of the tar's folder.
    #[error("the daemon's tar has the path {path:?}")]
    BadPath {
        /// The path, shortened.
        path: String,
    },
}

/// A tar being joined.
pub struct TarJoiner<W> {
    out: W,
    /// A stream was copied as a whole, with its end.
    ended: bool,
}

impl<W: Write> TarJoiner<W> {
    /// Begins a tar.
    pub fn new(out: W) -> Self {
        Self { out, ended: false }
    }

    /// Makes the tar the stream's very bytes: for one platform alone.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn copy(&mut self, mut stream: impl Read) -> Result<(), JoinError> {
        self.ended = true;
        let mut chunk = vec![0; super::PIPE];
        loop {
            match stream.read(&mut chunk).map_err(JoinError::Read)? {
                0 => return Ok(()),
                n => self.out.write_all(&chunk[..n]).map_err(JoinError::Write)?,
            }
        }
    }

    /// Appends a stream's entries below a folder.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn append_below(&mut self, folder: &str, stream: impl Read) -> Result<(), JoinError> {
        self.folder(folder)?;
        let mut archive = tar::Archive::new(stream);
        for entry in archive.entries().map_err(JoinError::Read)? {
            self.entry(folder, entry.map_err(JoinError::Read)?)?;
        }
        // What follows the end is read too: the sender waits for it to be taken.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop).map_err(JoinError::Read)
    }

    /// Ends the tar and returns its writer, flushed.
    ///
    /// # Errors
    /// [`JoinError::Write`].
    pub fn finish(mut self) -> Result<W, JoinError> {
        let end: &[u8] = if self.ended { &[] } else { &[0; 1024] };
        self.out.write_all(end).and_then(|()| self.out.flush()).map_err(JoinError::Write)?;
        Ok(self.out)
    }

    fn folder(&mut self, folder: &str) -> Result<(), JoinError> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        header.set_path(format!("{folder}/")).map_err(JoinError::Write)?;
        header.set_cksum();
        self.out.write_all(header.as_bytes()).map_err(JoinError::Write)
    }

    fn entry(&mut self, folder: &str, mut entry: Entry<'_, impl Read>) -> Result<(), JoinError> {
        let Some(path) = below(folder, &entry.path_bytes())? else { return Ok(()) };
        let link = link(folder, &entry)?;
        let mut records = record::kept(&mut entry).map_err(JoinError::Read)?;
        let (mut header, size) = (entry.header().clone(), entry.size());
        if header.entry_type().is_gnu_sparse() {
            return Err(JoinError::Read(io::ErrorKind::Unsupported.into()));
        }
        header.set_size(size);
        if let Some(ustar) = header.as_ustar_mut() {
            ustar.prefix.fill(0);
        }
        records.extend(name(&mut header.as_old_mut().name, path).map(|path| ("path".to_owned(), path)));
        if let Some(link) = link {
            records.extend(name(&mut header.as_old_mut().linkname, link).map(|link| ("linkpath".to_owned(), link)));
        }
        header.set_cksum();
        if let Some((extended, body)) = record::entry(&records).map_err(JoinError::Read)? {
            self.part(&extended, &mut &body[..], body.len() as u64)?;
        }
        self.part(&header, &mut entry, size)
    }

    fn part(&mut self, header: &Header, body: &mut dyn Read, size: u64) -> Result<(), JoinError> {
        self.out.write_all(header.as_bytes()).map_err(JoinError::Write)?;
        let mut left = size;
        let mut chunk = vec![0; super::PIPE.min(size.next_multiple_of(512) as usize)];
        while left > 0 {
            let want = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = body.read(&mut chunk[..want]).map_err(JoinError::Read)?;
            if got == 0 {
                return Err(JoinError::Read(io::ErrorKind::UnexpectedEof.into()));
            }
            self.out.write_all(&chunk[..got]).map_err(JoinError::Write)?;
            left -= got as u64;
        }
        let padding = (size.next_multiple_of(512) - size) as usize;
        self.out.write_all(&[0; 512][..padding]).map_err(JoinError::Write)
    }
}

/// Writes a name into its place in a header, or as much as fits and returns it for a record.
fn name(place: &mut [u8; NAME], name: Vec<u8>) -> Option<Vec<u8>> {
    place.fill(0);
    let fits = name.len().min(NAME);
    place[..fits].copy_from_slice(&name[..fits]);
    (name.len() > NAME).then_some(name)
}

/// Returns the path below a folder; `None` for the tar's own root.
fn below(folder: &str, path: &[u8]) -> Result<Option<Vec<u8>>, JoinError> {
    let mut joined = folder.as_bytes().to_vec();
    for component in Path::new(OsStr::from_bytes(path)).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) if !path.contains(&0) => {
                joined.push(b'/');
                joined.extend_from_slice(name.as_bytes());
            }
            _ => {
                let path = String::from_utf8_lossy(path).chars().take(256).collect();
                return Err(JoinError::BadPath { path });
            }
        }
    }
    if joined.len() == folder.len() {
        return Ok(None);
    }
    // Old readers know directories by this.
    if path.ends_with(b"/") {
        joined.push(b'/');
    }
    Ok(Some(joined))
}

/// A hard link's target is a path of the tar; a symbolic link's is content.
fn link(folder: &str, entry: &Entry<'_, impl Read>) -> Result<Option<Vec<u8>>, JoinError> {
    let Some(target) = entry.link_name_bytes() else { return Ok(None) };
    match entry.header().entry_type() {
        EntryType::Link => below(folder, &target),
        _ => Ok(Some(target.into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Entries = Vec<(String, EntryType, Option<String>, Vec<u8>)>;

    fn header(kind: EntryType, size: usize) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_uid(7);
        header.set_size(size as u64);
        header
    }

    fn tar(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        builder.into_inner().unwrap()
    }

    fn entries(bytes: &[u8]) -> Entries {
        let mut archive = tar::Archive::new(bytes);
        let read = archive.entries().unwrap().map(|entry| {
            let (mut entry, mut content) = (entry.unwrap(), Vec::new());
            entry.read_to_end(&mut content).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let link = entry.link_name_bytes().map(|link| text(&link));
            (text(&entry.path_bytes()), entry.header().entry_type(), link, content)
        });
        read.collect()
    }

    fn joined(parts: &[(&str, &[u8])]) -> Result<Vec<u8>, JoinError> {
        let mut joiner = TarJoiner::new(Vec::new());
        for (folder, part) in parts {
            joiner.append_below(folder, *part)?;
        }
        joiner.finish()
    }

    #[test]
    fn entries_move_below_their_folder_with_everything_they_have() {
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(140));
        let part = tar(|builder| {
            builder.append_data(&mut header(EntryType::Directory, 0), "./bin/", io::empty()).unwrap();
            builder.append_data(&mut header(EntryType::Regular, 3), "bin/a", &b"abc"[..]).unwrap();
            builder.append_link(&mut header(EntryType::Link, 0), "bin/b", "bin/a").unwrap();
            builder.append_link(&mut header(EntryType::Symlink, 0), "up", "../../etc").unwrap();
            builder.append_data(&mut header(EntryType::Regular, 1), &long, &b"x"[..]).unwrap();
        });
        let got = joined(&[("linux_amd64", &part), ("linux_arm64", &part)]).unwrap();
        let want = |folder: &str| -> Entries {
            let at = |path: &str| format!("{folder}/{path}");
            vec![
                (at(""), EntryType::Directory, None, vec![]),
                (at("bin/"), EntryType::Directory, None, vec![]),
                (at("bin/a"), EntryType::Regular, None, b"abc".to_vec()),
                (at("bin/b"), EntryType::Link, Some(at("bin/a")), vec![]),
                (at("up"), EntryType::Symlink, Some("../../etc".to_owned()), vec![]),
                (at(&long), EntryType::Regular, None, b"x".to_vec()),
            ]
        };
        assert_eq!(entries(&got), [want("linux_amd64"), want("linux_arm64")].concat());
        let mut archive = tar::Archive::new(&got[..]);
        let entry = archive.entries().unwrap().nth(2).unwrap().unwrap();
        assert_eq!((entry.header().mode().unwrap(), entry.header().uid().unwrap()), (0o4755, 7));
    }

    #[test]
    fn attributes_stay_and_long_names_get_a_record() {
        let records = [
            ("SCHILY.xattr.user.k".to_owned(), b"v\0\xff".to_vec()),
            ("path".to_owned(), "p/".repeat(80).into_bytes()),
        ];
        let (extended, body) = record::entry(&records).unwrap().unwrap();
        let part = tar(|builder| {
            builder.append(&extended, &body[..]).unwrap();
            builder.append_data(&mut header(EntryType::Directory, 0), "short/", io::empty()).unwrap();
        });
        let got = joined(&[("f", &part)]).unwrap();
        let mut archive = tar::Archive::new(&got[..]);
        let mut entry = archive.entries().unwrap().nth(1).unwrap().unwrap();
        assert_eq!(entry.path_bytes(), format!("f/{}", "p/".repeat(80)).into_bytes());
        let records: BTreeMap<_, _> = entry
            .pax_extensions()
            .unwrap()
            .unwrap()
            .map(|record| {
                record.map(|record| (record.key().unwrap().to_owned(), record.value_bytes().to_vec())).unwrap()
            })
            .collect();
        assert_eq!(records["SCHILY.xattr.user.k"], b"v\0\xff");
    }

    #[test]
    fn paths_that_lead_out_end_the_export() {
        for (path, link) in [("../x", ""), ("/etc/passwd", ""), ("a/../../x", ""), ("x", "../y"), ("x", "/y")] {
            let kind = if link.is_empty() { EntryType::Regular } else { EntryType::Link };
            let mut header = header(kind, 0);
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_cksum();
            let part = [header.as_bytes().as_slice(), &[0; 1024]].concat();
            assert!(matches!(joined(&[("f", &part)]), Err(JoinError::BadPath { .. })), "{path} {link}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_told_apart_from_a_full_disk() {
        let part = tar(|builder| {
            builder.append_data(&mut header(EntryType::Regular, 2000), "a", io::repeat(1).take(2000)).unwrap();
        });
        assert!(matches!(joined(&[("f", &part[..1000])]), Err(JoinError::Read(_))));
        let mut small = [0; 700];
        let full = TarJoiner::new(&mut small[..]).append_below("f", &part[..]);
        assert!(matches!(full, Err(JoinError::Write(_))));
        let mut joiner = TarJoiner::new(Vec::new());
        joiner.copy(&part[..]).unwrap();
        assert_eq!(joiner.finish().unwrap(), part);
    }
}
