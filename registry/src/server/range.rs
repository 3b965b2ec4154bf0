//! Byte ranges, in the two dialects the distribution API speaks.
//!
//! Owns: `Range` of a blob read (RFC 9110, section 14) and `Content-Range` of an upload chunk
//! (distribution-spec, "Pushing a blob in chunks"). Never: bytes.

/// What a `Range` header asks of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: no range, or one this server ignores, as RFC 9110 allows.
    All,
    /// Bytes `start..=end`, within the blob.
    Part {
        /// First byte.
        start: u64,
        /// Last byte, inclusive.
        end: u64,
    },
    /// Nothing of the blob is in the range: answer 416.
    Unsatisfiable,
}

/// Reads a `Range` header for content of `size` bytes. Several ranges at once are ignored.
///
/// An inverted range is invalid and could be ignored; the conformance suite asks for 416.
pub fn parse_range(header: &str, size: u64) -> Wanted {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|spec| spec.trim().split_once('-')) else {
        return Wanted::All;
    };
    match (parse_number(first), parse_number(last)) {
        (Some(start), Some(end)) => part(start, end, size),
        (Some(start), None) if last.is_empty() => part(start, u64::MAX, size),
        (None, Some(count)) if first.is_empty() => suffix(count, size),
        _ => Wanted::All,
    }
}

fn part(start: u64, end: u64, size: u64) -> Wanted {
    if start >= size || end < start {
        return Wanted::Unsatisfiable;
    }
    Wanted::Part { start, end: end.min(size - 1) }
}

fn suffix(count: u64, size: u64) -> Wanted {
    if count == 0 || size == 0 {
        return Wanted::Unsatisfiable;
    }
    Wanted::Part { start: size.saturating_sub(count), end: size - 1 }
}

/// The place of a chunk in an upload, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset of the last byte.
    pub end: u64,
}

impl ChunkRange {
    /// Reads `<start>-<end>`; `None` if it is malformed or inverted.
    pub fn parse(header: &str) -> Option<Self> {
        let (start, end) = header.split_once('-')?;
        let range = Self { start: parse_number(start)?, end: parse_number(end)? };
        (range.start <= range.end).then_some(range)
    }

    /// Returns the number of bytes; `None` on overflow.
    pub fn len(&self) -> Option<u64> {
        (self.end - self.start).checked_add(1)
    }
}

/// Digits only: `u64::from_str` would take a leading `+`.
fn parse_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges_of_a_blob() {
        let part = |start, end| Wanted::Part { start, end };
        for (header, want) in [
            ("bytes=500-1499", part(500, 1499)),
            ("bytes=500-", part(500, 2047)),
            ("bytes=-500", part(1548, 2047)),
            ("bytes=-5000", part(0, 2047)),
            ("bytes=2000-5000", part(2000, 2047)),
            ("bytes=0-0", part(0, 0)),
            ("bytes=500-0", Wanted::Unsatisfiable),
            ("bytes=5000-10000", Wanted::Unsatisfiable),
            ("bytes=2048-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=99999999999999999999-", Wanted::All),
            ("lines=1-2", Wanted::All),
        ] {
            assert_eq!(parse_range(header, 2048), want, "{header}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn reads_places_of_chunks() {
        assert_eq!(ChunkRange::parse("0-9"), Some(ChunkRange { start: 0, end: 9 }));
        assert_eq!(ChunkRange::parse("5-5").and_then(|range| range.len()), Some(1));
        assert_eq!(ChunkRange { start: 0, end: u64::MAX }.len(), None);
        for bad in ["", "-", "1-", "-1", "2-1", "a-b", "bytes 0-9/10", "+0-9"] {
            assert_eq!(ChunkRange::parse(bad), None, "{bad:?}");
        }
    }
}
