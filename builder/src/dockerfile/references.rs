//! Which other stages and images an instruction names.

use super::instruction::Instruction;
use super::keyword::Keyword;
use super::mount::from_of;

/// A stage or image named by an instruction, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// COPY may name a stage by its index; a mount may not (BuildKit `detectRunMount`).
    pub by_index: bool,
}

impl Instruction {
    /// Returns the `--from` of COPY or every `from` of RUN's mounts.
    pub fn references(&self) -> Vec<Reference> {
        match self.keyword {
            Keyword::Copy => {
                let from = self.flag("from").filter(|from| !from.is_empty());
                from.map(|name| Reference { name: name.to_owned(), by_index: true }).into_iter().collect()
            }
            Keyword::Run => {
                let mounts = self.flags.iter().filter(|flag| flag.name == "mount");
                let from = mounts.filter_map(|mount| from_of(&mount.value)).filter(|from| !from.is_empty());
                from.map(|name| Reference { name, by_index: false }).collect()
            }
            _ => Vec::new(),
        }
    }
}
