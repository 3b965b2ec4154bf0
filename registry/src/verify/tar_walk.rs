//! Reads a tar archive from header to header without keeping anything of it.
//!
//! Owns: whether all tools that unpack layers will see the same entries: checksums, sizes, the end; and what each entry is
//! called, for whoever wants to look at them. Follows Go's archive/tar, which containerd, Docker and BuildKit unpack with. The
//! tar crate's own iterator is not used because it reads long names into memory unbounded. Never: writes to disk, judges paths.

use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

use tar::{EntryType, Header};

const BLOCK: usize = 512;
/// Go's archive/tar stops at 1 MiB as well (`maxSpecialFileSize`).
const PAX_LIMIT: u64 = 1024 * 1024;
/// The largest size that eleven octal digits hold; above it the header's field cannot agree with the extended header.
const USTAR_SIZE_MAX: u64 = 0o77_777_777_777;
/// Bytes kept of a name: more than any system's longest path. What is longer is cut.
pub(crate) const NAME_LIMIT: usize = 64 * 1024;
/// Names of extended attributes that are kept of one entry.
const XATTR_LIMIT: usize = 64;

/// The reason of a fault: tools that follow the one or the other unpack different files.
pub(crate) const SIZES_DISAGREE: &str = "an extended header and its header disagree about the size";
/// The reason of a fault: some tools read on, some stop.
pub(crate) const DATA_AFTER_END: &str = "there is data after the end of the archive";

/// Why the walk ended early.
#[derive(Debug)]
pub(crate) enum TarFault {
    /// The archive is wrong.
    Malformed { offset: u64, reason: &'static str },
    /// The reader failed; it knows why.
    Reader,
}

/// One entry, as the archive describes it.
pub(crate) struct Head<'a> {
    /// The header itself, for what is not here.
    pub(crate) header: &'a Header,
    pub(crate) path: &'a [u8],
    /// What a link points to; empty if it is none.
    pub(crate) link: &'a [u8],
    pub(crate) kind: EntryType,
    pub(crate) mode: u32,
    /// Seconds since 1970.
    pub(crate) mtime: u64,
    pub(crate) size: u64,
    /// Names of its extended attributes.
    pub(crate) xattrs: &'a [String],
    /// A long name and an extended header both name it, differently.
    pub(crate) has_two_names: bool,
}

/// Looks at entries.
pub(crate) trait Visitor {
    /// Sees one entry, and may read of its content. Breaking ends the walk.
    fn entry(&mut self, head: &Head<'_>, content: &mut dyn Read) -> ControlFlow<()>;
}

/// Looks at nothing.
struct Nobody;

impl Visitor for Nobody {
    fn entry(&mut self, _: &Head<'_>, _: &mut dyn Read) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Walks to the end of the archive and returns the number of headers.
pub(crate) fn walk(reader: &mut dyn BufRead) -> Result<u64, TarFault> {
    walk_with(reader, &mut Nobody)
}

/// Walks until the end of the archive or until the visitor has seen enough. Returns the number of headers.
pub(crate) fn walk_with(reader: &mut dyn BufRead, visitor: &mut dyn Visitor) -> Result<u64, TarFault> {
    let mut walk = Walk { reader, offset: 0, next: Extended::default() };
    let mut count = 0;
    while walk.entry(visitor)? {
        count += 1;
    }
    Ok(count)
}

/// What headers before an entry say about it.
#[derive(Debug, Default)]
struct Extended {
    size: Option<u64>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    mtime: Option<u64>,
    xattrs: Vec<String>,
}

struct Walk<'a> {
    reader: &'a mut dyn BufRead,
    offset: u64,
    next: Extended,
}

impl Walk<'_> {
    /// Reads one entry; false at the end. A missing end marker is tolerated, as Go does.
    fn entry(&mut self, visitor: &mut dyn Visitor) -> Result<bool, TarFault> {
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            0 => return Ok(false),
            BLOCK => {}
            _ => return self.fault("the archive ends within a header"),
        }
        if block.iter().all(|&byte| byte == 0) {
            return self.end();
        }
        if !checksum_fits(&block) {
            return self.fault("a header has a wrong checksum");
        }
        let header = Header::from_byte_slice(&block);
        let Ok(written) = header.entry_size() else { return self.fault("a header has a malformed size") };
        match header.entry_type() {
            EntryType::XHeader => self.extended(written)?,
            EntryType::XGlobalHeader => self.skip(written)?,
            kind @ (EntryType::GNULongName | EntryType::GNULongLink) => self.long_name(kind, written)?,
            kind => return self.content(header, kind, written, visitor),
        }
        Ok(true)
    }

    /// Keeps the name the next entry has. It comes before the entry, whose extended header it leaves alone.
    fn long_name(&mut self, kind: EntryType, size: u64) -> Result<(), TarFault> {
        // Bounded by the limit.
        let mut name = vec![0; size.min(NAME_LIMIT as u64) as usize];
        if self.fill(&mut name)? < name.len() {
            return self.fault("the archive ends within an entry");
        }
        self.skip(size - name.len() as u64)?;
        if let Some(end) = name.iter().position(|&byte| byte == 0) {
            name.truncate(end);
        }
        match kind {
            EntryType::GNULongName => self.next.long_path = Some(name),
            _ => self.next.long_link = Some(name),
        }
        Ok(())
    }

    /// Shows an ordinary entry and skips what was not read of it. False if nobody wants more.
    fn content(
        &mut self,
        header: &Header,
        kind: EntryType,
        written: u64,
        visitor: &mut dyn Visitor,
    ) -> Result<bool, TarFault> {
        let next = std::mem::take(&mut self.next);
        let size = match next.size {
            Some(size) if size <= USTAR_SIZE_MAX && size != written => return self.fault(SIZES_DISAGREE),
            Some(size) => size,
            None => written,
        };
        if kind == EntryType::GNUSparse && header.as_gnu().is_some_and(|gnu| gnu.is_extended()) {
            self.sparse_map()?;
        }
        // Go's `isHeaderOnly`: whatever size these claim, no content follows.
        let header_only = kind.is_hard_link()
            || kind.is_symlink()
            || kind.is_character_special()
            || kind.is_block_special()
            || kind.is_dir()
            || kind.is_fifo();
        let size = if header_only { 0 } else { size };
        let mut content = Content { walk: self, left: size };
        let flow = show(header, kind, size, &next, visitor, &mut content);
        let left = content.left;
        self.skip(left)?;
        Ok(flow.is_continue())
    }

    /// GNU sparse files continue their map in blocks of their own; the flag for one more is at byte 504.
    fn sparse_map(&mut self) -> Result<(), TarFault> {
        let mut block = [0; BLOCK];
        loop {
            if self.fill(&mut block)? != BLOCK {
                return self.fault("the archive ends within a sparse map");
            }
            if block[504] == 0 {
                return Ok(());
            }
        }
    }

    fn extended(&mut self, size: u64) -> Result<(), TarFault> {
        if size > PAX_LIMIT {
            return self.fault("an extended header is larger than 1 MiB");
        }
        // Bounded by the check above.
        let mut records = vec![0; size as usize];
        if self.fill(&mut records)? < records.len() {
            return self.fault("the archive ends within an extended header");
        }
        self.skip(0)?;
        let long = (self.next.long_path.take(), self.next.long_link.take());
        match extended(&records) {
            Ok(found) => self.next = Extended { long_path: long.0, long_link: long.1, ..found },
            Err(reason) => return self.fault(reason),
        }
        Ok(())
    }

    /// Only zeros may follow the first zero block.
    fn end(&mut self) -> Result<bool, TarFault> {
        let mut buffer = [0; 8 * BLOCK];
        loop {
            let n = self.fill(&mut buffer)?;
            if buffer[..n].iter().any(|&byte| byte != 0) {
                return self.fault(DATA_AFTER_END);
            }
            if n < buffer.len() {
                return Ok(false);
            }
        }
    }

    /// Skips `size` bytes and the padding to the next block.
    fn skip(&mut self, size: u64) -> Result<(), TarFault> {
        let Some(end) = self.offset.checked_add(size).and_then(|end| end.checked_next_multiple_of(BLOCK as u64)) else {
            return self.fault("a header has an impossible size");
        };
        while self.offset < end {
            let available = self.reader.fill_buf().map_err(|_| TarFault::Reader)?.len() as u64;
            if available == 0 {
                return self.fault("the archive ends within an entry");
            }
            let step = available.min(end - self.offset);
            // At most what the buffer holds.
            self.reader.consume(step as usize);
            self.offset += step;
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarFault> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(TarFault::Reader),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    fn fault<T>(&self, reason: &'static str) -> Result<T, TarFault> {
        Err(TarFault::Malformed { offset: self.offset, reason })
    }
}

/// The sum of all bytes with the checksum's own field as spaces; some old writers summed signed bytes.
fn checksum_fits(block: &[u8; BLOCK]) -> bool {
    const FIELD: std::ops::Range<usize> = 148..156;
    let Ok(want) = Header::from_byte_slice(block).cksum() else { return false };
    let byte_at = |(i, &byte): (usize, &u8)| if FIELD.contains(&i) { b' ' } else { byte };
    let unsigned: u32 = block.iter().enumerate().map(byte_at).map(u32::from).sum();
    let signed: i32 = block.iter().enumerate().map(byte_at).map(|byte| i32::from(byte as i8)).sum();
    want == unsigned || i64::from(want) == i64::from(signed)
}

/// What is left of an entry's content.
struct Content<'w, 'r> {
    walk: &'w mut Walk<'r>,
    left: u64,
}

impl Read for Content<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.walk.reader.read(&mut out[..most])?;
        self.walk.offset += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// An extended header outweighs a long name, which outweighs the header's own (Go's `readHeader`, `mergePAX`).
fn show(
    header: &Header,
    kind: EntryType,
    size: u64,
    next: &Extended,
    visitor: &mut dyn Visitor,
    content: &mut dyn Read,
) -> ControlFlow<()> {
    let own = header.path_bytes();
    let own_link = header.link_name_bytes().unwrap_or_default();
    let path = next.path.as_deref().or(next.long_path.as_deref()).unwrap_or(&own);
    // Version 7 marked directories by their name alone.
    let is_old_dir = header.as_bytes()[156] == 0 && path.ends_with(b"/");
    let head = Head {
        header,
        path,
        link: next.link.as_deref().or(next.long_link.as_deref()).unwrap_or(&own_link),
        kind: if is_old_dir { EntryType::Directory } else { kind },
        mode: header.mode().unwrap_or_default(),
        mtime: next.mtime.or_else(|| header.mtime().ok()).unwrap_or_default(),
        size,
        xattrs: &next.xattrs,
        has_two_names: matches!((&next.path, &next.long_path), (Some(a), Some(b)) if a != b),
    };
    visitor.entry(&head, content)
}

/// Reads `LENGTH KEY=VALUE\n` records; of several with one key the last counts.
fn extended(mut records: &[u8]) -> Result<Extended, &'static str> {
    const BAD: &str = "an extended header is malformed";
    let mut found = Extended::default();
    while !records.is_empty() {
        let space = records.iter().position(|&byte| byte == b' ').ok_or(BAD)?;
        let length = number(&records[..space]).ok_or(BAD)?;
        let length = usize::try_from(length).map_err(|_| BAD)?;
        let record = records.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or(BAD)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or(BAD)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        let cut = || value[..value.len().min(NAME_LIMIT)].to_vec();
        match key {
            b"size" => found.size = Some(number(value).ok_or(BAD)?),
            b"path" | b"GNU.sparse.name" => found.path = Some(cut()),
            b"linkpath" => found.link = Some(cut()),
            b"mtime" => found.mtime = value.split(|&byte| byte == b'.').next().and_then(number),
            _ => {
                let xattr = key.strip_prefix(b"SCHILY.xattr.").or_else(|| key.strip_prefix(b"LIBARCHIVE.xattr."));
                if let Some(name) = xattr.filter(|_| found.xattrs.len() < XATTR_LIMIT) {
                    found.xattrs.push(String::from_utf8_lossy(&name[..name.len().min(256)]).into_owned());
                }
            }
        }
        records = &records[length..];
    }
    Ok(found)
}

fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(builder: &mut tar::Builder<Vec<u8>>, name: &str, data: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, data).unwrap();
    }

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        file(&mut builder, "a", b"hello");
        file(&mut builder, &"long/".repeat(60), &[7; 1500]);
        builder.append_pax_extensions([("path", b"other".as_slice()), ("size", b"3")]).unwrap();
        file(&mut builder, "b", b"abc");
        let mut link = Header::new_ustar();
        link.set_entry_type(EntryType::Link);
        link.set_size(0);
        builder.append_link(&mut link, "l", "a").unwrap();
        builder.into_inner().unwrap()
    }

    fn outcome(bytes: &[u8]) -> Result<u64, (u64, &'static str)> {
        walk(&mut &bytes[..]).map_err(|fault| match fault {
            TarFault::Malformed { offset, reason } => (offset, reason),
            TarFault::Reader => unreachable!(),
        })
    }

    /// Sets a field of the first header and its checksum.
    fn forged(change: impl FnOnce(&mut Header)) -> Vec<u8> {
        let mut bytes = archive();
        let mut header = Header::from_byte_slice(&bytes[..BLOCK]).clone();
        change(&mut header);
        header.set_cksum();
        bytes[..BLOCK].copy_from_slice(header.as_bytes());
        bytes
    }

    #[test]
    fn sound_archives_are_walked() {
        let bytes = archive();
        assert_eq!(outcome(&bytes), Ok(6));
        assert_eq!(outcome(&[]), Ok(0));
        assert_eq!(outcome(&[0; 1024]), Ok(0));
        assert_eq!(outcome(&bytes[..bytes.len() - 1024]), Ok(6), "no end marker");
        assert_eq!(outcome(&[bytes, vec![0; 10_000]].concat()), Ok(6), "long end");
    }

    #[test]
    fn a_link_that_claims_content_has_none() {
        let bytes = forged(|header| {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(1 << 40);
        });
        // What was the content is now read as a header.
        assert_eq!(outcome(&bytes), Err((1024, "a header has a wrong checksum")));
    }

    #[test]
    fn faults_have_a_place() {
        let bytes = archive();
        assert_eq!(outcome(&bytes[..700]), Err((700, "the archive ends within an entry")));
        assert_eq!(outcome(&bytes[..1100]), Err((1100, "the archive ends within a header")));
        let mut trailing = bytes.clone();
        trailing.extend([0; 600]);
        trailing.push(1);
        assert!(matches!(outcome(&trailing), Err((_, "there is data after the end of the archive"))));
        let mut flipped = bytes.clone();
        flipped[3] ^= 1;
        assert_eq!(outcome(&flipped), Err((512, "a header has a wrong checksum")));
        let huge = forged(|header| header.set_size(u64::MAX));
        assert!(outcome(&huge).is_err());
    }

    #[test]
    fn extended_headers_are_bounded_and_must_agree() {
        let with = |key: &str, value: &[u8]| {
            let mut builder = tar::Builder::new(Vec::new());
            builder.append_pax_extensions([(key, value)]).unwrap();
            file(&mut builder, "b", b"abc");
            builder.into_inner().unwrap()
        };
        assert_eq!(outcome(&with("size", b"3")), Ok(2));
        assert!(matches!(
            outcome(&with("size", b"4")),
            Err((_, "an extended header and its header disagree about the size"))
        ));
        assert!(matches!(outcome(&with("size", b"x")), Err((_, "an extended header is malformed"))));
        let long = vec![b'p'; 2 << 20];
        assert!(matches!(outcome(&with("path", &long)), Err((_, "an extended header is larger than 1 MiB"))));
    }

    proptest! {
        #[test]
        fn never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..3000), cut in 0usize..8000, at in 0usize..4096, value: u8) {
            let _ = outcome(&bytes);
            bytes = archive();
            bytes.truncate(cut);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            let _ = outcome(&bytes);
        }

        #[test]
        fn pax_records_never_panic(bytes in "[0-9]{0,3} ?[a-z=\n]{0,12}") {
            let _ = extended(bytes.as_bytes());
        }
    }
}
