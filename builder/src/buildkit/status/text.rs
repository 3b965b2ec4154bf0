//! Log bytes to text, where a message may end in the middle of a character.

/// The bytes of an unfinished character.
#[derive(Debug, Default)]
pub(super) struct Utf8Carry(Vec<u8>);

impl Utf8Carry {
    /// Returns the text up to the last whole character; invalid bytes become U+FFFD.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> String {
        self.0.extend_from_slice(bytes);
        let whole = self.0.len() - unfinished(&self.0);
        let text = String::from_utf8_lossy(&self.0[..whole]).into_owned();
        self.0.drain(..whole);
        text
    }
}

/// Number of bytes at the end that begin a character but do not finish it: at most 3.
fn unfinished(bytes: &[u8]) -> usize {
    (1..=3.min(bytes.len()))
        .find(|n| match std::str::from_utf8(&bytes[bytes.len() - n..]) {
            Ok(_) => false,
            Err(error) => error.valid_up_to() == 0 && error.error_len().is_none(),
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_split_character_waits_for_its_rest() {
        let mut carry = Utf8Carry::default();
        assert_eq!(carry.decode("a€".as_bytes().split_at(2).0), "a");
        assert_eq!(carry.decode("€".as_bytes().split_at(1).1), "€");
        assert_eq!(carry.decode(b"x\xffy"), "x\u{fffd}y");
    }

    proptest! {
        #[test]
        fn any_split_of_valid_text_gives_the_text(text in any::<String>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut carry = Utf8Carry::default();
            let decoded: String = cuts.windows(2).map(|pair| carry.decode(&bytes[pair[0]..pair[1]])).collect();
            prop_assert_eq!(decoded, text);
        }
    }
}
