//! Docker daemons without the containerd image store: their images leave and enter as tars, and what they cannot
//! compress is compressed here.
//!
//! Never: prunes, or touches a reference that is not ours.

mod compress;
mod error;
pub mod gzip;
mod load;
mod save;
#[cfg(test)]
mod save_tests;
mod tag;
pub(crate) mod tar_stream;

pub use error::ClassicError;
pub use load::{Capacity, LoadSpec, Loaded, load};
pub use save::{ClassicImage, SaveSpec, save, save_tar};
pub use tag::{TemporaryTag, sweep};
pub use tar_stream::TarError;
