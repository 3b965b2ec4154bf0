//! What images say of their bases, joined: one row for each base and digest.
//!
//! Owns: recognising bases by their layers. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Base, INVENTORY_VERSION, Inventory, KnownBy, State};
use crate::oci::{Digest, Reference};

/// What is kept of an image.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) repository: String,
    pub(super) tag: Option<String>,
    pub(super) name: String,
    pub(super) root: Digest,
    pub(super) platforms: Vec<SeenPlatform>,
}

/// What is kept of one platform of it.
#[derive(Debug, Clone)]
pub(super) struct SeenPlatform {
    pub(super) platform: String,
    /// What its layers come to, from the first alone to all of them.
    pub(super) chain: Vec<Chain>,
    pub(super) clues: Vec<Clue>,
}

/// Stands for layers one upon another.
pub(super) type Chain = [u8; 32];

/// A base that an image names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clue {
    pub(super) base: Reference,
    pub(super) digest: Option<Digest>,
    pub(super) known_by: KnownBy,
    /// Where it is not the image's own.
    pub(super) platform: Option<String>,
}

/// Returns what layers come to, one after another.
pub(super) fn chain<'a>(layers: impl IntoIterator<Item = &'a Digest>) -> Vec<Chain> {
    let mut last = String::new();
    let step = |digest: &Digest| {
        last = Digest::sha256(format!("{last} {digest}")).encoded().to_owned();
        let mut chain = Chain::default();
        let short = last.bytes().take(chain.len());
        chain.iter_mut().zip(short).for_each(|(at, byte)| *at = byte);
        chain
    };
    layers.into_iter().map(step).collect()
}

type Rows = BTreeMap<(String, Option<Digest>), Base>;

pub(super) fn join(seen: &[Seen]) -> Inventory {
    let whole = whole(seen);
    let (mut rows, mut unknown) = (Rows::new(), BTreeSet::new());
    for image in seen {
        for platform in &image.platforms {
            let mut clues = platform.clues.clone();
            if !clues.iter().any(|clue| clue.known_by == KnownBy::Annotation) {
                clues.extend(by_layers(&whole, seen, image, platform));
            }
            if clues.is_empty() {
                unknown.insert(image.name.clone());
            }
            for clue in clues {
                add(&mut rows, &image.name, &platform.platform, clue);
            }
        }
    }
    Inventory {
        version: INVENTORY_VERSION,
        bases: rows.into_values().collect(),
        unknown: unknown.into_iter().collect(),
        unchecked: Vec::new(),
    }
}

fn add(rows: &mut Rows, image: &str, platform: &str, clue: Clue) {
    let row = rows.entry((clue.base.to_string(), clue.digest.clone())).or_insert_with(|| Base {
        name: clue.base.to_string(),
        digest: clue.digest,
        platforms: BTreeSet::new(),
        known_by: BTreeSet::new(),
        used_by: BTreeSet::new(),
        created: None,
        age_days: None,
        state: State::Unknown,
    });
    row.platforms.insert(clue.platform.unwrap_or_else(|| platform.to_owned()));
    row.known_by.insert(clue.known_by);
    row.used_by.insert(image.to_owned());
}

/// Images by all of their layers.
fn whole(seen: &[Seen]) -> HashMap<Chain, Vec<usize>> {
    let mut whole: HashMap<Chain, Vec<usize>> = HashMap::new();
    for (number, image) in seen.iter().enumerate() {
        for last in image.platforms.iter().filter_map(|platform| platform.chain.last()) {
            let numbers = whole.entry(*last).or_default();
            if numbers.last() != Some(&number) {
                numbers.push(number);
            }
        }
    }
    whole
}

/// The largest image of another repository whose layers are the first of this one's, but not all.
fn by_layers(whole: &HashMap<Chain, Vec<usize>>, seen: &[Seen], image: &Seen, platform: &SeenPlatform) -> Option<Clue> {
    let shorter = platform.chain.len().checked_sub(1)?;
    platform.chain[..shorter].iter().rev().find_map(|chain| {
        let others = whole.get(chain)?.iter().map(|number| &seen[*number]);
        let others = others.filter(|other| other.repository != image.repository);
        // Of several tags the longest says most: 1.2.3 rather than 1 or latest.
        let base = others.max_by_key(|other| {
            let tag = other.tag.as_deref().unwrap_or_default();
            (tag != "latest", tag.matches('.').count(), tag.to_owned(), std::cmp::Reverse(&other.repository))
        })?;
        let reference: Reference = base.repository.parse().ok()?;
        let reference = base.tag.as_deref().map_or_else(|| reference.clone(), |tag| reference.with_tag(tag));
        Some(Clue { base: reference, digest: Some(base.root.clone()), known_by: KnownBy::Layers, platform: None })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, layers: &[&str], clues: Vec<Clue>) -> Seen {
        let reference: Reference = name.parse().unwrap();
        let digests: Vec<Digest> = layers.iter().map(Digest::sha256).collect();
        let platform = SeenPlatform { platform: "linux/amd64".to_owned(), chain: chain(&digests), clues };
        Seen {
            repository: reference.name(),
            tag: reference.tag().map(str::to_owned),
            name: name.to_owned(),
            root: Digest::sha256(layers.join(" ")),
            platforms: vec![platform],
        }
    }

    fn clue(base: &str, known_by: KnownBy) -> Clue {
        Clue { base: base.parse().unwrap(), digest: None, known_by, platform: None }
    }

    fn shown(inventory: &Inventory) -> Vec<String> {
        let row = |base: &Base| {
            let known_by: Vec<_> = base.known_by.iter().map(|one| one.name()).collect();
            let used_by: Vec<_> = base.used_by.iter().map(String::as_str).collect();
            format!("{} by {} in {}", base.name, known_by.join("+"), used_by.join(", "))
        };
        inventory.bases.iter().map(row).collect()
    }

    #[test]
    fn the_largest_base_of_another_repository_is_recognised() {
        let inventory = join(&[
            seen("localhost:5000/os:1", &["a"], vec![]),
            seen("localhost:5000/os:1.2", &["a"], vec![]),
            seen("localhost:5000/os:latest", &["a"], vec![]),
            seen("localhost:5000/java:21", &["a", "b"], vec![]),
            seen("localhost:5000/app:1", &["a", "b", "c"], vec![]),
            seen("localhost:5000/app:2", &["a", "b", "c", "d"], vec![]),
            seen("localhost:5000/copy:2", &["a", "b", "c", "d"], vec![]),
            seen("localhost:5000/other:1", &["b", "a"], vec![]),
        ]);
        let want = [
            // An own repository is no base, and neither is an image that is all of another.
            "localhost:5000/app:1 by layers in localhost:5000/copy:2",
            "localhost:5000/java:21 by layers in localhost:5000/app:1, localhost:5000/app:2",
            "localhost:5000/os:1.2 by layers in localhost:5000/java:21",
        ];
        assert_eq!(shown(&inventory), want);
        let unknown = ["os:1", "os:1.2", "os:latest", "other:1"].map(|name| format!("localhost:5000/{name}"));
        assert_eq!(inventory.unknown, unknown);
    }

    #[test]
    fn what_an_image_says_comes_before_its_layers() {
        let inventory = join(&[
            seen("localhost:5000/os:1", &["a"], vec![]),
            seen("localhost:5000/a:1", &["a", "b"], vec![clue("debian:12", KnownBy::Annotation)]),
            seen("localhost:5000/b:1", &["x"], vec![clue("debian:12", KnownBy::Provenance)]),
        ]);
        let want = "docker.io/library/debian:12 by annotation+provenance in localhost:5000/a:1, localhost:5000/b:1";
        assert_eq!(shown(&inventory), [want]);
    }
}
