//! Changing an input: bytes, runs, words of the format, pieces of another input.

use rand::Rng as _;
use rand::rngs::SmallRng;

/// Bytes that formats stumble over.
const ODD: [u8; 16] = *b"\0\n\r\t \"'\\/:@%+-~\xff";
/// Numbers at the edge of their types, as text.
const NUMBERS: [&str; 8] =
    ["0", "-1", "1e309", "65536", "4294967296", "9223372036854775808", "18446744073709551615", "18446744073709551616"];

/// Changes `input` in one to four places.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], words: &[&str], rng: &mut SmallRng) {
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=input.len());
        match rng.random_range(0..9) {
            0 => flip(input, at, rng),
            1 => set(input, at, ODD[rng.random_range(0..ODD.len())]),
            2 => insert(input, at, &[rng.random()]),
            3 => remove(input, at, rng),
            4 => repeat(input, at, rng),
            5 => insert(input, at, NUMBERS[rng.random_range(0..NUMBERS.len())].as_bytes()),
            6 => splice(input, at, other, rng),
            7 if !words.is_empty() => insert(input, at, words[rng.random_range(0..words.len())].as_bytes()),
            _ => set(input, at, rng.random()),
        }
    }
}

fn flip(input: &mut [u8], at: usize, rng: &mut SmallRng) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << rng.random_range(0..8);
    }
}

fn set(input: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte = value;
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

fn remove(input: &mut Vec<u8>, at: usize, rng: &mut SmallRng) {
    let end = (at + rng.random_range(1..32)).min(input.len());
    input.drain(at..end);
}

fn repeat(input: &mut Vec<u8>, at: usize, rng: &mut SmallRng) {
    let end = (at + rng.random_range(1..64)).min(input.len());
    let piece = input[at..end].to_vec();
    for _ in 0..rng.random_range(1..8) {
        insert(input, at, &piece);
    }
}

fn splice(input: &mut Vec<u8>, at: usize, other: &[u8], rng: &mut SmallRng) {
    if other.is_empty() {
        return;
    }
    let start = rng.random_range(0..other.len());
    let end = rng.random_range(start..=other.len());
    input.truncate(at);
    input.extend_from_slice(&other[start..end]);
}
