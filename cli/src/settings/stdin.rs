//! Standard input as a build context: a tar, packed or not, or the text of a Dockerfile.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use super::Spool;

/// Two tar blocks: enough for every magic number and a tar header (buildx `archiveHeaderSize * 2`).
const HEAD: usize = 1024;
/// No Dockerfile is larger; what is, was meant to be something else. Bytes.
const MAX_DOCKERFILE: u64 = 8 << 20;

/// What arrived.
#[derive(Debug)]
pub enum Piped {
    /// Nothing.
    Empty,
    /// A tar, perhaps compressed, spooled to this file.
    Archive(PathBuf),
    /// Text of a Dockerfile.
    Text(Vec<u8>),
}

/// Reads standard input to its end.
///
/// # Errors
/// Reading or spooling fails, or a text is too large to be a Dockerfile.
pub fn read(input: &mut dyn Read, spool: &Spool) -> io::Result<Piped> {
    let mut head = Vec::with_capacity(HEAD);
    input.take(HEAD as u64).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(Piped::Empty);
    }
    if is_archive(&head) {
        let path = spool.path()?.join("context.tar");
        let mut file = File::create_new(&path)?;
        file.write_all(&head)?;
        io::copy(input, &mut file)?;
        file.flush()?;
        return Ok(Piped::Archive(path));
    }
    read_text(input, head).map(Piped::Text)
}

/// Reads the rest of a Dockerfile's text.
///
/// # Errors
/// Reading fails, or the text is too large to be a Dockerfile.
pub fn read_text(input: &mut dyn Read, mut text: Vec<u8>) -> io::Result<Vec<u8>> {
    input.take(MAX_DOCKERFILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_DOCKERFILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too large for a Dockerfile, and not a tar"));
    }
    Ok(text)
}

/// Returns whether the first bytes are a tar's, or of a packed file's (buildx `isArchive`, and zstd).
pub fn is_archive(head: &[u8]) -> bool {
    const MAGIC: [&[u8]; 4] =
        [b"BZh", &[0x1f, 0x8b, 0x08], &[0xfd, b'7', b'z', b'X', b'Z', 0], &[0x28, 0xb5, 0x2f, 0xfd]];
    MAGIC.iter().any(|magic| head.starts_with(magic)) || is_tar_header(head)
}

/// A tar header proves itself: the sum of its bytes, its own field counted as spaces (POSIX ustar).
fn is_tar_header(head: &[u8]) -> bool {
    let (Some(block), Some(field)) = (head.get(..512), head.get(148..156)) else { return false };
    let digits: String = field.iter().map(|byte| char::from(*byte)).filter(char::is_ascii_digit).collect();
    let sum = block.iter().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ')
        - field.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    u32::from_str_radix(&digits, 8) == Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as tar writes it, for an empty file `a`.
    fn tar_block() -> Vec<u8> {
        let mut block = vec![0u8; 512];
        block[0] = b'a';
        block[257..262].copy_from_slice(b"ustar");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }

    #[test]
    fn knows_archives_from_text() {
        assert!(is_archive(&tar_block()));
        assert!(is_archive(b"BZh91AY"));
        assert!(is_archive(&[0x1f, 0x8b, 0x08, 0]));
        assert!(is_archive(&[0x28, 0xb5, 0x2f, 0xfd, 1]));
        assert!(!is_archive(b"FROM scratch\n"));
        assert!(!is_archive(&[0; 1024]));
        let mut broken = tar_block();
        broken[1] = b'b';
        assert!(!is_archive(&broken));
    }

    #[test]
    fn spools_an_archive_whole() {
        let mut bytes = tar_block();
        bytes.extend(std::iter::repeat_n(7u8, 100_000));
        let spool = Spool::default();
        let Piped::Archive(path) = read(&mut bytes.as_slice(), &spool).unwrap() else { panic!("not an archive") };
        assert_eq!(std::fs::read(path).unwrap(), bytes);
    }

    #[test]
    fn keeps_text_and_notices_nothing() {
        assert!(matches!(read(&mut &b""[..], &Spool::default()).unwrap(), Piped::Empty));
        assert!(
            matches!(read(&mut &b"FROM a"[..], &Spool::default()).unwrap(), Piped::Text(text) if text == b"FROM a")
        );
        let huge = vec![b'x'; (MAX_DOCKERFILE + 1) as usize];
        assert_eq!(read(&mut huge.as_slice(), &Spool::default()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
