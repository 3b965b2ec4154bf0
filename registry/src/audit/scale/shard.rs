//! Which part of all tags a run audits, so that several machines share the work.
//!
//! Owns: the split, by hash of repository and tag: the same on every machine and whatever else is audited. Pure.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Most parts.
const MOST: u32 = 10_000;

/// One part of several, written `2/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its number, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

/// A text is no `I/N` with `1 <= I <= N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a shard is written I/N, with I from 1 to N and N at most {MOST}")]
pub struct ShardError;

impl Shard {
    /// Returns whether an image belongs to it: `host/name` and its tag or digest.
    pub fn has(self, repository: &str, name: &str) -> bool {
        let hash = Sha256::digest(format!("{repository}\n{name}"));
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        u64::from_be_bytes(first) % u64::from(self.of) == u64::from(self.number) - 1
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let (number, of) = text.split_once('/').ok_or(ShardError)?;
        let parse = |text: &str| text.parse::<u32>().map_err(|_| ShardError);
        let (number, of) = (parse(number)?, parse(of)?);
        let is_good = (1..=MOST).contains(&of) && (1..=of).contains(&number);
        is_good.then_some(Self { number, of }).ok_or(ShardError)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_in_exactly_one() {
        let shards: Vec<Shard> = (1..=4).map(|number| Shard { number, of: 4 }).collect();
        let mut sizes = [0; 4];
        for tag in 0..4000 {
            let has: Vec<usize> = (0..4).filter(|n| shards[*n].has("r.example.com/a", &tag.to_string())).collect();
            assert_eq!(has.len(), 1, "{tag}");
            sizes[has[0]] += 1;
        }
        assert!(sizes.iter().all(|size| (900..1100).contains(size)), "{sizes:?}");
    }

    #[test]
    fn the_split_never_changes() {
        let has: Vec<u32> = (0..20).filter(|tag| Shard { number: 1, of: 3 }.has("h/r", &format!("v{tag}"))).collect();
        assert_eq!(has, [0, 2, 3, 5, 6, 13, 14, 17, 19]);
    }

    #[test]
    fn is_written_with_a_number_from_one() {
        assert_eq!("2/8".parse(), Ok(Shard { number: 2, of: 8 }));
        assert_eq!(Shard { number: 2, of: 8 }.to_string(), "2/8");
        for bad in ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1/20000", "1/99999999999"] {
            assert_eq!(bad.parse::<Shard>(), Err(ShardError), "{bad}");
        }
    }
}
