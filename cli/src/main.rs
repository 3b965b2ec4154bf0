//! The polyarch command.
fn main() {}
