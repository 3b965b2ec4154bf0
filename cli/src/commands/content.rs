//! `polyarch blob` and `polyarch manifest`: single pieces of content, byte for byte.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use polyarch_registry::client::BlobSource;
use polyarch_registry::oci::{Descriptor, Hasher, RawManifest};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _};

use super::Context;
use super::tools::{client, reference, refused};
use crate::args::tools::{BlobCommand, BlobGetArgs, BlobPutArgs, ManifestCommand, ManifestPutArgs};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{Surroundings, ValueError};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;
/// Largest manifest that is sent (distribution-spec, "Pushing Manifests").
const MANIFEST_LIMIT: u64 = 4 << 20;
/// What a blob is called where nobody says more.
const OCTETS: &str = "application/octet-stream";

/// Runs `polyarch blob`.
///
/// # Errors
/// The blob or file is not there, or is not what its digest says.
pub async fn blob(command: &BlobCommand, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    match command {
        BlobCommand::Get(args) => get(args, context, around).await,
        BlobCommand::Put(args) => put(args, context, around).await,
    }
}

async fn get(args: &BlobGetArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let at = reference(&args.reference, "REPO@DIGEST")?;
    let Some(digest) = at.digest().cloned() else {
        return Err(ValueError::new(&args.reference, "it has no digest").of("REPO@DIGEST").into());
    };
    let registry = client(&args.registries, around)?;
    let absent = || Diagnostic::message(ExitCode::CouldNotCheck, format!("{at} is not there"));
    let mut descriptor = Descriptor::new(OCTETS, digest, 0);
    descriptor.size = registry.blob_exists(&at, &descriptor).await?.ok_or_else(absent)?;
    let mut download = registry.get_blob(&at, &descriptor).await?;
    let Some(output) = &args.output else {
        while let Some(chunk) = download.chunk().await? {
            context.console.result(chunk)?;
        }
        return Ok(ExitCode::Done);
    };
    let path = around.cwd.join(output);
    let failed = |error: &std::io::Error| unwritable(&path, error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    while let Some(chunk) = download.chunk().await? {
        file.write_all(&chunk).map_err(|error| failed(&error))?;
    }
    file.persist(&path).map_err(|error| failed(&error.error))?;
    Ok(ExitCode::Done)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(ExitCode::Publish, error).context(format!("cannot write {}", path.display()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(ExitCode::Usage, error).context(format!("cannot read {}", path.display()))
}

async fn put(args: &BlobPutArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let at = reference(&args.repository, "REPO")?;
    let path = around.cwd.join(&args.file);
    let descriptor = describe(&path).await.map_err(|error| unreadable(&path, &error))?;
    let registry = client(&args.registries, around)?.without_mirrors();
    if registry.blob_exists(&at, &descriptor).await.map_err(refused)?.is_none() {
        registry.put_blob(&at, &descriptor, &FileSource(path), None).await.map_err(refused)?;
    }
    context.console.result(format!("{}\n", descriptor.digest))?;
    Ok(ExitCode::Done)
}

async fn describe(path: &Path) -> std::io::Result<Descriptor> {
    let mut file = tokio::fs::File::open(path).await?;
    let (mut hasher, mut size, mut chunk) = (Hasher::sha256(), 0, vec![0; CHUNK]);
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Ok(Descriptor::new(OCTETS, hasher.finish(), size));
        }
        hasher.update(&chunk[..read]);
        size += read as u64;
    }
}

/// A file as the client reads it for an upload.
struct FileSource(PathBuf);

impl BlobSource for FileSource {
    fn open(&self, offset: u64) -> BoxFuture<'_, std::io::Result<Box<dyn AsyncRead + Send + Unpin>>> {
        async move {
            let mut file = tokio::fs::File::open(&self.0).await?;
            file.seek(std::io::SeekFrom::Start(offset)).await?;
            Ok(Box::new(file) as Box<dyn AsyncRead + Send + Unpin>)
        }
        .boxed()
    }
}

/// Runs `polyarch manifest`.
///
/// # Errors
/// The manifest or file is not there, or is none.
pub async fn manifest(
    command: &ManifestCommand,
    context: &Context,
    around: &Surroundings,
) -> Result<ExitCode, Diagnostic> {
    match command {
        ManifestCommand::Get(args) => {
            let at = reference(&args.reference, "REF")?.or_latest();
            let manifest = client(&args.registries, around)?.get_manifest(&at).await?;
            context.console.result(manifest.bytes())?;
        }
        ManifestCommand::Put(args) => put_manifest(args, context, around).await?,
    }
    Ok(ExitCode::Done)
}

async fn put_manifest(args: &ManifestPutArgs, context: &Context, around: &Surroundings) -> Result<(), Diagnostic> {
    let at = reference(&args.reference, "REF")?;
    let path = around.cwd.join(&args.file);
    let file = tokio::fs::File::open(&path).await.map_err(|error| unreadable(&path, &error))?;
    let mut bytes = Vec::new();
    let read = file.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| unreadable(&path, &error))?;
    let bad = |reason: String| Diagnostic::message(ExitCode::Usage, format!("{} {reason}", path.display()));
    if bytes.len() as u64 > MANIFEST_LIMIT {
        return Err(bad(format!("is larger than the {MANIFEST_LIMIT} bytes a manifest may have")));
    }
    let own = serde_json::from_slice::<Value>(&bytes).ok();
    let own = own.and_then(|value| value.get("mediaType")?.as_str().map(str::to_owned));
    let media_type = args.media_type.clone().or(own);
    let media_type =
        media_type.ok_or_else(|| bad("does not say what it is".to_owned()).hint("name its type with --media-type"))?;
    let manifest = RawManifest::new(media_type, bytes);
    manifest.view().map_err(|error| bad("is no manifest".to_owned()).because(&error))?;
    if let Some(want) = at.digest().filter(|want| *want != manifest.digest()) {
        return Err(bad(format!("has digest {}, not {want}", manifest.digest())));
    }
    let at = if at.tag().is_none() { at.with_digest(manifest.digest().clone()) } else { at };
    let registry = client(&args.registries, around)?;
    registry.put_referrer(&at, &manifest).await.map_err(refused)?;
    context.console.result(format!("{}\n", manifest.digest()))
}
