//! One layer's compression, whatever the format.

use std::io;

use bytes::Bytes;
use polyarch_registry::oci::media_type::{LayerCompression, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
use polyarch_registry::store::layout::LayerForm;
use tokio::task::spawn_blocking;

use super::gzip::ParallelGzip;

/// Input handed to zstd at once, in bytes: long enough that the change of thread does not count.
const ZSTD_CHUNK: usize = 1 << 20;

/// A stream being compressed; the same input gives the same bytes.
pub(super) enum Compressor {
    /// Nothing to do.
    Plain,
    /// gzip.
    Gzip(Box<ParallelGzip>),
    /// zstd.
    Zstd(ZstdStream),
}

impl Compressor {
    /// Starts a stream of a form.
    pub(super) fn new(form: LayerForm, threads: usize) -> io::Result<Self> {
        match form.compression {
            LayerCompression::None => Ok(Self::Plain),
            LayerCompression::Gzip => {
                // Negative levels mean `the default` to zlib.
                let level = form.level.and_then(|level| u32::try_from(level).ok());
                Ok(Self::Gzip(Box::new(ParallelGzip::new(level, threads))))
            }
            LayerCompression::Zstd => Ok(Self::Zstd(ZstdStream::new(form.level)?)),
        }
    }

    /// Takes input and appends what is compressed by now to `out`.
    pub(super) async fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> io::Result<()> {
        match self {
            Self::Plain => out.push(chunk),
            Self::Gzip(gzip) => gzip.push(chunk, out).await?,
            Self::Zstd(zstd) => zstd.push(&chunk, out).await?,
        }
        Ok(())
    }

    /// Compresses the rest and appends it to `out`.
    pub(super) async fn finish(self, out: &mut Vec<Bytes>) -> io::Result<()> {
        match self {
            Self::Plain => Ok(()),
            Self::Gzip(gzip) => gzip.finish(out).await,
            Self::Zstd(zstd) => zstd.finish(out).await,
        }
    }
}

/// The media type of layers of a form.
pub(super) fn media_type(form: LayerForm) -> &'static str {
    match form.compression {
        LayerCompression::None => OCI_LAYER,
        LayerCompression::Gzip => OCI_LAYER_GZIP,
        LayerCompression::Zstd => OCI_LAYER_ZSTD,
    }
}

type Encoder = zstd::stream::write::Encoder<'static, Vec<u8>>;

/// zstd on one thread beside the caller's.
pub(super) struct ZstdStream {
    encoder: Option<Encoder>,
    input: Vec<u8>,
}

impl ZstdStream {
    fn new(level: Option<i32>) -> io::Result<Self> {
        let encoder = Encoder::new(Vec::new(), level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL))?;
        Ok(Self { encoder: Some(encoder), input: Vec::new() })
    }

    async fn push(&mut self, chunk: &[u8], out: &mut Vec<Bytes>) -> io::Result<()> {
        self.input.extend_from_slice(chunk);
        if self.input.len() >= ZSTD_CHUNK {
            let encoder = self.run(false).await?;
            out.extend(encoder);
        }
        Ok(())
    }

    async fn finish(mut self, out: &mut Vec<Bytes>) -> io::Result<()> {
        out.extend(self.run(true).await?);
        Ok(())
    }

    async fn run(&mut self, last: bool) -> io::Result<Option<Bytes>> {
        use std::io::Write;
        let gone = || io::Error::other("the zstd stream failed before");
        let mut encoder = self.encoder.take().ok_or_else(gone)?;
        let input = std::mem::take(&mut self.input);
        let work = move || {
            encoder.write_all(&input)?;
            if last {
                return Ok((None, encoder.finish()?));
            }
            let bytes = std::mem::take(encoder.get_mut());
            Ok::<_, io::Error>((Some(encoder), bytes))
        };
        let (encoder, bytes) = spawn_blocking(work).await.map_err(io::Error::other)??;
        self.encoder = encoder;
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()).map(Bytes::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn zstd_comes_back_as_it_went_in() {
        let input: Vec<u8> = (0..3 * ZSTD_CHUNK + 5).map(|i| (i * i % 251) as u8).collect();
        for level in [None, Some(1), Some(19)] {
            let form = LayerForm { compression: LayerCompression::Zstd, level };
            let (mut compressor, mut out) = (Compressor::new(form, 2).unwrap(), Vec::new());
            for chunk in input.chunks(300_000) {
                compressor.push(Bytes::copy_from_slice(chunk), &mut out).await.unwrap();
            }
            compressor.finish(&mut out).await.unwrap();
            assert_eq!(zstd::decode_all(out.concat().as_slice()).unwrap(), input, "level {level:?}");
        }
    }
}
