//! Whether the programs in an image are for its platform.
//!
//! Owns: telling programs by their headers, finding the ones an image starts, and the tables of what runs where. Never: runs
//! anything: an emulator would hide the fault.

mod command;
pub mod find;
pub mod header;
mod tables;

pub use find::{Role, Started};
pub use header::{Elf, Fit, Program};
