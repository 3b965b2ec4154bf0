//! What stands before and after a file's bytes in a tar.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use tar::{EntryType, Header};

/// A tar is made of blocks of this size (POSIX ustar).
const BLOCK: usize = 512;
/// The name that GNU tar gives the entry holding a longer name.
const LONG_LINK: &str = "././@LongLink";
static ZEROS: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Returns what ends a tar.
pub(super) fn end() -> Bytes {
    Bytes::from_static(&ZEROS)
}

/// Returns header and padding of a file; the same file has the same header, whoever writes it.
pub(super) fn around(path: &str, size: u64) -> io::Result<(Bytes, Bytes)> {
    let mut head = BytesMut::with_capacity(BLOCK);
    let mut header = header(size);
    if header.set_path(path).is_err() {
        // The hex of a SHA-512 does not fit the 100 bytes of a header.
        let mut long = self::header(path.len() as u64 + 1);
        long.set_entry_type(EntryType::GNULongName);
        long.set_path(LONG_LINK)?;
        long.set_cksum();
        head.put_slice(long.as_bytes());
        head.put_slice(path.as_bytes());
        head.put_slice(&ZEROS[..1 + padding(path.len() as u64 + 1)]);
        header.set_path("blob")?;
    }
    header.set_cksum();
    head.put_slice(header.as_bytes());
    Ok((head.freeze(), Bytes::from_static(&ZEROS[..padding(size)])))
}

fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header
}

/// Bytes that fill the last block; less than a block.
fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK as u64) - size) as usize
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn files(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut tar = tar::Archive::new(tar);
        let read = tar.entries().unwrap().map(|entry| {
            let (mut entry, mut content) = (entry.unwrap(), Vec::new());
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        read.collect()
    }

    #[test]
    fn long_names_and_sizes_are_read_back() {
        let path = format!("blobs/sha512/{}", "0".repeat(128));
        for size in [0, 1, 511, 512, 513] {
            let (head, tail) = around(&path, size).unwrap();
            let tar = [head, vec![7; size as usize].into(), tail, end()].concat();
            assert_eq!(files(&tar), [(path.clone(), vec![7; size as usize])]);
        }
        // More than the eleven octal digits of a ustar header hold.
        let (head, _) = around("a", 1 << 40).unwrap();
        let mut tar = tar::Archive::new(&head[..]);
        assert_eq!(tar.entries().unwrap().next().unwrap().unwrap().size(), 1 << 40);
    }
}
