//! Comparing the platforms of one image with each other.
//!
//! Owns: which platforms are comparable, and which of several values is the odd one. Pure. Never: findings.

use std::collections::HashMap;
use std::hash::Hash;

use super::facts::{ImageFacts, PlatformImage};

/// Returns the images that can be compared: those of one operating system, in the order of the index; groups of one are left out.
pub(super) fn comparable(facts: &ImageFacts) -> Vec<Vec<PlatformImage<'_>>> {
    let mut groups: Vec<(String, Vec<PlatformImage<'_>>)> = Vec::new();
    for image in facts.platforms() {
        let os = image.platform().normalize().os;
        match groups.iter_mut().find(|(one, _)| *one == os) {
            Some((_, group)) => group.push(image),
            None => groups.push((os, vec![image])),
        }
    }
    groups.into_iter().map(|(_, group)| group).filter(|group| group.len() > 1).collect()
}

/// Returns the number of the value that most have; of several the first.
pub(super) fn usual<T: Hash + Eq>(values: &[T]) -> usize {
    let mut counts: HashMap<&T, usize> = HashMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let best = counts.values().max().copied().unwrap_or(0);
    values.iter().position(|value| counts[value] == best).unwrap_or(0)
}

/// Returns a text cut to what a message can quote.
pub(super) fn brief(text: &str) -> String {
    cut(text, 120)
}

/// Returns a reason cut to what can be a message: it may quote a document.
pub(super) fn reason(text: &str) -> String {
    cut(text, 400)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_have_is_usual_else_what_comes_first() {
        assert_eq!(usual(&["a", "b", "b"]), 1);
        assert_eq!(usual(&["a", "b"]), 0);
        assert_eq!(usual::<u8>(&[]), 0);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(brief("ä"), "ä");
        assert_eq!(brief(&"ä".repeat(500)).chars().count(), 121);
    }
}
