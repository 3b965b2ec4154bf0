//! Extended headers of a tar (POSIX pax): `LENGTH KEY=VALUE` lines that replace and add to the header after them.

use std::io;

use tar::{Entry, EntryType, Header};

/// Most bytes of extended headers an entry may have.
const MOST: usize = 1 << 20;

/// An entry's records, without those its new header says itself.
pub(super) fn kept<R: io::Read>(entry: &mut Entry<'_, R>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut kept = Vec::new();
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        let key = record.key().map_err(io::Error::other)?;
        if !matches!(key, "path" | "linkpath" | "size") {
            kept.push((key.to_owned(), record.value_bytes().to_vec()));
        }
    }
    Ok(kept)
}

/// Returns an extended header and its body for these records; `None` if there are none.
pub(super) fn entry(records: &[(String, Vec<u8>)]) -> io::Result<Option<(Header, Vec<u8>)>> {
    let body: Vec<u8> = records.iter().flat_map(|(key, value)| line(key, value)).collect();
    if body.is_empty() {
        return Ok(None);
    }
    if body.len() > MOST {
        return Err(io::Error::other("its extended attributes are too large"));
    }
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_path("PaxHeaders/entry")?;
    header.set_mode(0o644);
    header.set_size(body.len() as u64);
    header.set_cksum();
    Ok(Some((header, body)))
}

/// The length counts its own digits.
fn line(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key.as_bytes(), b"=", value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_counts_itself() {
        for (size, want) in [(1, "6 k=x\n"), (4, "9 k=xxxx\n"), (5, "11 k=xxxxx\n")] {
            assert_eq!(line("k", &vec![b'x'; size]), want.as_bytes());
        }
        for size in 0..1200 {
            let line = line("key", &vec![b'x'; size]);
            assert!(line.starts_with(format!("{} key=", line.len()).as_bytes()), "{size}");
        }
    }
}
