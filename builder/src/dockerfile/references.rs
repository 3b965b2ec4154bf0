//! Which other stages and images an instruction names.

use super::instruction::{Instruction, Keyword};
use super::words::split_csv;

/// A stage or image named by an instruction, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// COPY may name a stage by its index; a mount may not (BuildKit `detectRunMount`).
    pub by_index: bool,
}

/// Finds references.
pub trait References {
    /// Returns the `--from` of COPY or every `from` of RUN's mounts.
    fn references(&self) -> Vec<Reference>;
}

impl References for Instruction {
    fn references(&self) -> Vec<Reference> {
        match self.keyword {
            Keyword::Copy => {
                let from = self.flag("from").filter(|from| !from.is_empty());
                from.map(|name| Reference { name: name.to_owned(), by_index: true }).into_iter().collect()
            }
            Keyword::Run => {
                let mounts = self.flags.iter().filter(|flag| flag.name == "mount");
                let from = mounts.filter_map(|mount| mount_from(&mount.value)).filter(|from| !from.is_empty());
                from.map(|name| Reference { name, by_index: false }).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn mount_from(mount: &str) -> Option<String> {
    split_csv(mount).iter().rev().find_map(|field| {
        let (key, value) = field.split_once('=')?;
        key.trim().eq_ignore_ascii_case("from").then(|| value.to_owned())
    })
}
