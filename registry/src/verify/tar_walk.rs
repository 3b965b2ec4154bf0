//! Reads a tar archive from header to header without keeping anything of it.
//!
//! Owns: whether all tools that unpack layers will see the same entries: checksums, sizes, the end.
//! Follows Go's archive/tar, which containerd, Docker and BuildKit unpack with. The tar crate's own iterator
//! is not used because it reads long names into memory unbounded. Who wants the entries is shown them on the way.
//! Never: writes to disk, judges paths.

use std::io::{self, BufRead};

use tar::{EntryType, Header};

const BLOCK: usize = 512;
/// Go's archive/tar stops at 1 MiB as well (`maxSpecialFileSize`).
const PAX_LIMIT: u64 = 1024 * 1024;
/// Longest name, or link, that is shown, in bytes; Linux takes 4096.
const NAME_LIMIT: u64 = 64 << 10;
/// The largest size that eleven octal digits hold; above it the header's field cannot agree with the extended header.
const USTAR_SIZE_MAX: u64 = 0o77_777_777_777;

/// Why the walk ended early.
#[derive(Debug)]
pub(super) enum TarFault {
    /// The archive is wrong.
    Malformed { offset: u64, reason: &'static str },
    /// The reader failed; it knows why.
    Reader,
}

/// Is shown an archive's entries.
pub(super) trait Visitor {
    /// An entry begins, of which `size` bytes follow. `path` and `link` are as written, long ones in full.
    fn entry(&mut self, header: &Header, path: &[u8], link: &[u8], size: u64);

    /// Bytes of its content.
    fn data(&mut self, bytes: &[u8]);

    /// Its content is over.
    fn end(&mut self);
}

/// Walks to the end of the archive and returns the number of headers.
pub(super) fn walk(reader: &mut dyn BufRead) -> Result<u64, TarFault> {
    walk_with(reader, None)
}

/// Walks to the end of the archive, showing its entries. A longer name than [`NAME_LIMIT`] ends it.
pub(super) fn visit(reader: &mut dyn BufRead, visitor: &mut dyn Visitor) -> Result<u64, TarFault> {
    walk_with(reader, Some(visitor))
}

fn walk_with<'a>(reader: &'a mut dyn BufRead, visitor: Option<&'a mut dyn Visitor>) -> Result<u64, TarFault> {
    let mut walk = Walk { reader, offset: 0, extended: Extended::default(), visitor };
    let mut count = 0;
    while walk.entry()? {
        count += 1;
    }
    Ok(count)
}

struct Walk<'a> {
    reader: &'a mut dyn BufRead,
    offset: u64,
    extended: Extended,
    visitor: Option<&'a mut dyn Visitor>,
}

/// What did not fit into the next entry's header.
#[derive(Default)]
struct Extended {
    size: Option<u64>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Walk<'_> {
    /// Reads one entry; false at the end. A missing end marker is tolerated, as Go does.
    fn entry(&mut self) -> Result<bool, TarFault> {
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
            kind => self.content(header, kind, written)?,
        }
        Ok(true)
    }

    /// Skips the content of an ordinary entry. Long names (`L`, `K`) come before one and keep its extended header.
    fn content(&mut self, header: &Header, kind: EntryType, written: u64) -> Result<(), TarFault> {
        if matches!(kind, EntryType::GNULongName | EntryType::GNULongLink) {
            return self.long_name(kind, written);
        }
        let Extended { size, path, link } = std::mem::take(&mut self.extended);
        let size = match size {
            Some(size) if size <= USTAR_SIZE_MAX && size != written => {
                return self.fault("an extended header and its header disagree about the size");
            }
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
        if let Some(visitor) = &mut self.visitor {
            let path = path.map_or_else(|| header.path_bytes(), Into::into);
            let link = link.map(Into::into).or_else(|| header.link_name_bytes()).unwrap_or_default();
            visitor.entry(header, &path, &link, size);
        }
        self.skip(size)?;
        if let Some(visitor) = &mut self.visitor {
            visitor.end();
        }
        Ok(())
    }

    /// Nobody needs it who only walks.
    fn long_name(&mut self, kind: EntryType, size: u64) -> Result<(), TarFault> {
        if self.visitor.is_none() {
            return self.skip(size);
        }
        if size > NAME_LIMIT {
            return self.fault("a name is longer than 64 KiB");
        }
        // Bounded by the check above.
        let mut name = vec![0; size as usize];
        if self.fill(&mut name)? < name.len() {
            return self.fault("the archive ends within a long name");
        }
        self.skip(0)?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        match kind {
            EntryType::GNULongName => self.extended.path = Some(name),
            _ => self.extended.link = Some(name),
        }
        Ok(())
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
        match pax_size(&records) {
            Ok(found) => self.extended.size = found,
            Err(reason) => return self.fault(reason),
        }
        if self.visitor.is_some() {
            // Malformed ones were refused above.
            let text = |key: &[u8]| pax_last(&records, key).ok().flatten().map(<[u8]>::to_vec);
            self.extended.path = text(b"path").or(self.extended.path.take());
            self.extended.link = text(b"linkpath").or(self.extended.link.take());
        }
        Ok(())
    }

    /// Only zeros may follow the first zero block.
    fn end(&mut self) -> Result<bool, TarFault> {
        let mut buffer = [0; 8 * BLOCK];
        loop {
            let n = self.fill(&mut buffer)?;
            if buffer[..n].iter().any(|&byte| byte != 0) {
                return self.fault("there is data after the end of the archive");
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
        let content = self.offset + size;
        while self.offset < end {
            let buffer = self.reader.fill_buf().map_err(|_| TarFault::Reader)?;
            let available = buffer.len() as u64;
            if available == 0 {
                return self.fault("the archive ends within an entry");
            }
            let step = available.min(end - self.offset);
            if let Some(visitor) = &mut self.visitor {
                // At most what the buffer holds.
                visitor.data(&buffer[..step.min(content.saturating_sub(self.offset)) as usize]);
            }
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

const BAD: &str = "an extended header is malformed";

fn pax_size(records: &[u8]) -> Result<Option<u64>, &'static str> {
    // Every one must be a number.
    pax_values(records, b"size")?
        .into_iter()
        .map(|value| number(value).ok_or(BAD))
        .try_fold(None, |_, value| value.map(Some))
}

/// Finds the value that counts: the last one.
fn pax_last<'a>(records: &'a [u8], key: &[u8]) -> Result<Option<&'a [u8]>, &'static str> {
    Ok(pax_values(records, key)?.pop())
}

/// Finds a key's values in `LENGTH KEY=VALUE\n` records.
fn pax_values<'a>(mut records: &'a [u8], key: &[u8]) -> Result<Vec<&'a [u8]>, &'static str> {
    let mut found = Vec::new();
    while !records.is_empty() {
        let space = records.iter().position(|&byte| byte == b' ').ok_or(BAD)?;
        let length = number(&records[..space]).ok_or(BAD)?;
        let length = usize::try_from(length).map_err(|_| BAD)?;
        let record = records.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or(BAD)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or(BAD)?;
        if record[..equals] == *key {
            found.push(&record[equals + 1..]);
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

    /// Counts what it is shown.
    #[derive(Default)]
    struct Shown {
        open: bool,
        left: u64,
        names: Vec<String>,
    }

    impl Visitor for Shown {
        fn entry(&mut self, _header: &Header, path: &[u8], _link: &[u8], size: u64) {
            assert!(!self.open, "the last one has ended");
            (self.open, self.left) = (true, size);
            self.names.push(String::from_utf8_lossy(path).into_owned());
        }

        fn data(&mut self, bytes: &[u8]) {
            if self.open {
                self.left = self.left.checked_sub(bytes.len() as u64).unwrap();
            }
        }

        fn end(&mut self) {
            assert!(self.open && self.left == 0, "all of its content was shown");
            self.open = false;
        }
    }

    /// What is shown does not change what is found; only a name beyond the limit does.
    fn seen(bytes: &[u8]) -> Vec<String> {
        let mut shown = Shown::default();
        let visited = visit(&mut &bytes[..], &mut shown).ok();
        let names_fit = visited.is_some() || outcome(bytes).is_err();
        assert!(names_fit || bytes.len() as u64 > NAME_LIMIT);
        shown.names
    }

    #[test]
    fn entries_are_shown_by_their_full_names() {
        assert_eq!(seen(&archive()), ["a", &"long/".repeat(60), "other", "l"]);
        let mut builder = tar::Builder::new(Vec::new());
        file(&mut builder, &"n".repeat(70_000), b"x");
        let bytes = builder.into_inner().unwrap();
        assert_eq!(outcome(&bytes), Ok(2));
        let fault = visit(&mut &bytes[..], &mut Shown::default());
        assert!(matches!(fault, Err(TarFault::Malformed { reason: "a name is longer than 64 KiB", .. })));
    }

    proptest! {
        #[test]
        fn never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..3000), cut in 0usize..8000, at in 0usize..4096, value: u8) {
            let _ = (outcome(&bytes), seen(&bytes));
            bytes = archive();
            bytes.truncate(cut);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            let _ = (outcome(&bytes), seen(&bytes));
        }

        #[test]
        fn pax_records_never_panic(bytes in "[0-9]{0,3} ?[a-z=\n]{0,12}") {
            let _ = pax_size(bytes.as_bytes());
        }
    }
}
