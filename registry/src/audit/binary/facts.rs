//! What is known of the programs in one platform's image.
//!
//! Owns: the data, bounded, and what it says about layers that platforms share. Pure.

use std::collections::BTreeMap;

use super::find::Role;
use super::header::{Fit, Program};
use super::others::{is_legal, is_library};
use crate::audit::layer::tree::{Body, Node, Tree};
use crate::oci::{Digest, Platform};

/// Kinds of programs counted in one layer.
const KINDS: usize = 32;

/// The programs of one platform's image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BinaryFacts {
    /// What it starts. Empty: nothing, or nothing that is known to run.
    pub started: Vec<ProgramFacts>,
    /// Programs in each of its layers that was read to its end.
    pub layers: BTreeMap<Digest, Census>,
    /// What is in search paths and library directories, if that was looked at.
    pub others: Option<Others>,
}

/// A program that an image starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramFacts {
    /// What it is to the image.
    pub role: Role,
    /// Where it is. Not escaped.
    pub path: String,
    /// The layer it is in; none if nothing is there.
    pub layer: Option<Digest>,
    /// What it is; none if nothing is there.
    pub program: Option<Program>,
}

/// How many programs of each kind are in a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census(pub BTreeMap<Program, u64>);

/// Programs and libraries that do not run on the platform they are in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// Those that should.
    pub foreign: Vec<OtherProgram>,
    /// How many there are of them, listed or not.
    pub foreign_count: u64,
    /// Those in places where they may be.
    pub legal: Vec<OtherProgram>,
    /// How many there are of them, listed or not.
    pub legal_count: u64,
}

/// A program or library.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OtherProgram {
    /// Where it is. Not escaped.
    pub path: String,
    /// What it is.
    pub program: Program,
}

/// Whether it does harm that platforms share layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The layers hold programs that do not run on one of them.
    Harmful,
    /// They hold none that would not run on all of them.
    Harmless,
    /// They were not read.
    Unknown,
}

impl Census {
    /// Counts the programs and libraries of a layer, without those in places where code of other machines is usual.
    pub fn of(tree: &Tree) -> Self {
        let mut counts = BTreeMap::new();
        for (path, node) in tree.nodes() {
            let Node::File { body: Some(body), is_executable } = node else { continue };
            let Body::Program(program, _) = &**body else { continue };
            let is_elsewhere = matches!(program, Program::Elf(elf) if is_legal(path, elf));
            if is_elsewhere || !is_executable && !is_library(path) {
                continue;
            }
            if counts.contains_key(program) || counts.len() < KINDS {
                *counts.entry(program.clone()).or_default() += 1;
            }
        }
        Self(counts)
    }
}

/// Says whether layers do harm where several platforms share them.
pub fn sharing(
    facts: &std::collections::HashMap<Digest, BinaryFacts>,
    platforms: &[Platform],
    layers: &[&Digest],
) -> Sharing {
    let census = |layer: &Digest| facts.values().find_map(|image| image.layers.get(layer));
    let fits = |program: &Program| platforms.iter().all(|platform| program.fits(platform) != Fit::Foreign);
    let read: Vec<&Census> = layers.iter().filter_map(|layer| census(layer)).collect();
    if read.iter().any(|census| census.0.keys().any(|program| !fits(program))) {
        return Sharing::Harmful;
    }
    match read.len() == layers.len() {
        true => Sharing::Harmless,
        false => Sharing::Unknown,
    }
}
