//! Whether the programs in an image are for its platform.
//!
//! Owns: telling programs by their headers, finding the ones an image starts, and the tables of what runs where. Never: runs
//! anything: an emulator would hide the fault.

mod command;
pub mod facts;
pub mod find;
pub mod header;
pub(super) mod look;
mod others;
mod tables;

pub use facts::{BinaryFacts, Census, OtherProgram, Others, ProgramFacts, Sharing, sharing};
pub use find::{Role, Started};
pub use header::{Elf, Fit, Program};
pub(super) use others::names_any_machine;
