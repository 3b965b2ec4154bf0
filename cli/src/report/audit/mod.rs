//! An audit's report in every format. Pure: a report in, text out; each format escapes in its own way what registries said.

pub mod json;
pub mod text;
