//! Layers made from nothing: deterministic tars, compressed or not.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use polyarch_registry::oci::media_type::{self, LayerCompression};
use polyarch_registry::oci::{Descriptor, Digest};
use tar::{EntryType, Header};

/// A layer's files, in the order they are added.
#[derive(Debug, Clone)]
pub struct Layer {
    entries: Vec<(Header, String, Bytes)>,
    compression: LayerCompression,
}

impl Default for Layer {
    fn default() -> Self {
        Self { entries: Vec::new(), compression: LayerCompression::Gzip }
    }
}

/// A layer as bytes.
#[derive(Debug, Clone)]
pub struct BuiltLayer {
    /// The blob.
    pub blob: Bytes,
    /// Digest of the uncompressed tar, for the config's `rootfs.diff_ids`.
    pub diff_id: Digest,
    /// How the blob is compressed.
    pub compression: LayerCompression,
}

impl Layer {
    /// Returns an empty layer, compressed with gzip.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a layer with one file of `len` bytes that do not compress, the same for the same seed.
    pub fn noise(seed: u64, len: usize) -> Self {
        Self::new().file("noise", noise(seed, len))
    }

    /// Adds a regular file, mode 0644.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Bytes>) -> Self {
        self.entry(EntryType::Regular, 0o644, (path, content.into()))
    }

    /// Adds an executable file, mode 0755.
    #[must_use]
    pub fn executable(self, path: &str, content: impl Into<Bytes>) -> Self {
        self.entry(EntryType::Regular, 0o755, (path, content.into()))
    }

    /// Adds a directory, mode 0755.
    #[must_use]
    pub fn dir(self, path: &str) -> Self {
        self.entry(EntryType::Directory, 0o755, (path, Bytes::new()))
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        header.set_link_name(target).unwrap();
        self.entries.push((header, path.to_owned(), Bytes::new()));
        self
    }

    /// Chooses the compression.
    #[must_use]
    pub fn compressed(self, compression: LayerCompression) -> Self {
        Self { compression, ..self }
    }

    fn entry(mut self, kind: EntryType, mode: u32, content: (&str, Bytes)) -> Self {
        let (path, bytes) = content;
        self.entries.push((header(kind, mode, bytes.len() as u64), path.to_owned(), bytes));
        self
    }

    /// Returns the bytes: the same for the same entries, always.
    pub fn build(&self) -> BuiltLayer {
        let tar = self.tar();
        let blob = match self.compression {
            LayerCompression::None => tar.clone(),
            LayerCompression::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&tar).unwrap();
                encoder.finish().unwrap()
            }
            LayerCompression::Zstd => zstd::encode_all(&tar[..], 1).unwrap(),
        };
        BuiltLayer { blob: blob.into(), diff_id: Digest::sha256(&tar), compression: self.compression }
    }

    fn tar(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (header, path, content) in &self.entries {
            builder.append_data(&mut header.clone(), path, &content[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }
}

impl BuiltLayer {
    /// Returns the layer's descriptor, with OCI's or Docker's media type.
    pub fn descriptor(&self, docker: bool) -> Descriptor {
        let media_type = match (self.compression, docker) {
            (LayerCompression::None, false) => media_type::OCI_LAYER,
            (LayerCompression::Gzip, false) => media_type::OCI_LAYER_GZIP,
            (LayerCompression::Zstd, false) => media_type::OCI_LAYER_ZSTD,
            (LayerCompression::None, true) => media_type::DOCKER_LAYER,
            (LayerCompression::Gzip, true) => media_type::DOCKER_LAYER_GZIP,
            (LayerCompression::Zstd, true) => media_type::DOCKER_LAYER_ZSTD,
        };
        Descriptor::new(media_type, Digest::sha256(&self.blob), self.blob.len() as u64)
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Returns bytes that do not compress, the same for the same seed (xorshift64*).
pub fn noise(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}
