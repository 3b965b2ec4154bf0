//! Where a copy goes: a repository, a layout, an archive, the Docker daemon.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use polyarch_builder::classic::Capacity;
use polyarch_registry::oci::media_type::layer_compression;
use polyarch_registry::oci::{Manifest, Platform, RawManifest, Reference};
use polyarch_registry::store::LayoutStore;
use polyarch_registry::transfer::copier::{Names, Request};
use polyarch_registry::transfer::{Archive, ArchiveError, Copier, Origin, layout_entries};

use super::daemon::{DAEMON, DaemonImage, Receiver};
use super::told::{Copied, Image};
use super::{ARCHIVE, Images, Run};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::target::{self, Target};
use crate::settings::{Surroundings, ValueError};

/// Where a copy goes.
#[derive(Debug)]
pub(super) enum Destination {
    /// A repository, and perhaps a tag.
    Repository(Reference),
    /// A layout, and what the image is called there.
    Layout(PathBuf, Option<String>),
    /// A tar for `docker load`.
    Archive(PathBuf),
    /// The Docker daemon.
    Daemon(DaemonImage),
}

impl Destination {
    pub(super) fn parse(text: &str, around: &Surroundings) -> Result<Self, Diagnostic> {
        if let Some(file) = text.strip_prefix(ARCHIVE) {
            return Ok(Self::Archive(around.cwd.join(file)));
        }
        if let Some(image) = text.strip_prefix(DAEMON) {
            return Ok(Self::Daemon(DaemonImage::parse(image, "DST")?));
        }
        match target::parse(text, &around.cwd)? {
            Target::Registry(_) => {
                // Parsed again: `latest` is not what a missing tag means here.
                let to = text.parse::<Reference>().map_err(|error| ValueError::from(error).of("DST"))?;
                match to.digest() {
                    Some(_) => Err(ValueError::new(text, "a destination has a tag, not a digest").of("DST").into()),
                    None => Ok(Self::Repository(to)),
                }
            }
            Target::Layout { path, entry } => Ok(Self::Layout(path, entry)),
            Target::Store(_) => {
                let error = ValueError::new(text, "the store holds what was built");
                Err(error.hint("oci:DIR names a layout").of("DST").into())
            }
        }
    }

    /// Brings the images there.
    pub(super) async fn take(&self, copier: Copier, images: &Images, run: &Run<'_>) -> Result<Copied, Diagnostic> {
        match self {
            Self::Repository(to) => {
                let requests: Vec<Request> =
                    images.roots.iter().map(|root| root.request(to, run.args.all_tags)).collect();
                Ok(copier.to_repository(&images.origin, &requests).await.into())
            }
            Self::Layout(path, entry) => to_layout(&copier, images, path, entry.clone()).await,
            Self::Archive(file) => to_archive(&copier, images, file).await,
            Self::Daemon(image) => to_daemon(copier, images, image, run).await,
        }
    }
}

async fn to_layout(copier: &Copier, images: &Images, path: &Path, entry: Option<String>) -> Result<Copied, Diagnostic> {
    let layout = LayoutStore::open(path).await?;
    let mut copied = Copied::default();
    for root in &images.roots {
        let name = entry.clone().or_else(|| root.tag.clone());
        let names = Names::Plain(name.clone());
        let manifest = root.read(copier).await?;
        let done = copier.to_layout(&images.origin, &manifest, &layout, &names).await;
        let (tree, part) = done.map_err(|error| Diagnostic::from(&error))?;
        copied.add(part.blobs);
        copied.images.push(Ok(Image::of_tree(name.unwrap_or_else(|| "-".to_owned()), &tree)));
    }
    Ok(copied)
}

/// Through a layout beside the file: a tar has its list first, and its sizes before its blobs.
async fn to_archive(copier: &Copier, images: &Images, file: &Path) -> Result<Copied, Diagnostic> {
    let [root] = images.roots.as_slice() else {
        return Err(Diagnostic::message(ExitCode::Usage, "an archive holds one image: leave --all-tags out"));
    };
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let unwritable = |error: &std::io::Error| {
        Diagnostic::new(ExitCode::Publish, error).context(format!("cannot write {}", file.display()))
    };
    let scratch = tempfile::tempdir_in(folder).map_err(|error| unwritable(&error))?;
    let layout = LayoutStore::open(scratch.path()).await?;
    let manifest = root.read(copier).await?;
    let done = copier.to_layout(&images.origin, &manifest, &layout, &Names::Plain(None)).await;
    let (tree, part) = done.map_err(|error| Diagnostic::from(&error))?;
    let Some(manifest) = tree.root() else { return Err(Diagnostic::message(ExitCode::Bug, "an image without a root")) };
    let names: Vec<Reference> = match &images.origin {
        Origin::Repository(at) => vec![at.with_tag(root.tag.as_deref().unwrap_or("latest"))],
        Origin::Layout(_) => images.name.iter().cloned().collect(),
    };
    let bad = |error: ArchiveError| Diagnostic::new(ExitCode::Publish, &error);
    let entries = layout_entries(&manifest.descriptor(), &names);
    let mut archive = Archive::layout(Arc::new(layout), &tree.image, &entries).await.map_err(bad)?;
    // Docker's classic image store takes one image; of several it would not know which.
    let mut platforms = tree.image.manifests.iter().filter(|node| is_image(&node.manifest));
    if let (Some(only), None) = (platforms.next(), platforms.next()) {
        let tags: Vec<String> = names.iter().map(ToString::to_string).collect();
        archive = archive.with_docker_manifest(only, &tags).map_err(bad)?;
    }
    let part_file = tempfile::NamedTempFile::new_in(folder).map_err(|error| unwritable(&error))?;
    let mut out = tokio::fs::File::from_std(part_file.reopen().map_err(|error| unwritable(&error))?);
    archive.write_to(&mut out, Arc::new(|_, _| {})).await.map_err(|error| unwritable(&error))?;
    part_file.persist(file).map_err(|error| unwritable(&error.error))?;
    let mut copied = Copied::default();
    copied.add(part.blobs);
    copied.images.push(Ok(Image::of_tree(file.display().to_string(), &tree)));
    Ok(copied)
}

/// Attestations have layers that are no layers.
fn is_image(manifest: &RawManifest) -> bool {
    let Ok(Manifest::Image(image)) = manifest.view() else { return false };
    image.layers.iter().all(|layer| layer_compression(&layer.media_type).is_some())
}

/// Through a layout: a daemon takes a tar, which has its sizes before its blobs.
async fn to_daemon(
    mut copier: Copier,
    images: &Images,
    image: &DaemonImage,
    run: &Run<'_>,
) -> Result<Copied, Diagnostic> {
    let [root] = images.roots.as_slice() else {
        return Err(Diagnostic::message(ExitCode::Usage, "one image is loaded at a time: leave --all-tags out"));
    };
    let receiver = Receiver::reach(image.clone(), run.around, &run.events).await?;
    let manifest = root.read(&copier).await?;
    let platforms = platforms_of(&manifest);
    if copier.platforms.is_empty() && matches!(receiver.capacity(), Capacity::One { .. }) {
        // What the daemon cannot hold need not be fetched.
        copier.platforms = receiver.capacity().held(&platforms).into_iter().cloned().collect();
    }
    let scratch = tempfile::tempdir().map_err(super::no_scratch)?;
    let layout = LayoutStore::open(scratch.path()).await?;
    // The classic store has no place for what refers to an image, and containerd's shows it as images of its own.
    copier.referrers = false;
    let done = copier.to_layout(&images.origin, &manifest, &layout, &Names::Plain(None)).await;
    let (tree, part) = done.map_err(|error| Diagnostic::from(&error))?;
    let Some(chosen) = tree.root() else { return Err(Diagnostic::message(ExitCode::Bug, "an image without a root")) };
    let loaded = receiver.load(&layout, chosen.descriptor(), &run.events).await?;
    let mut copied = Copied::default();
    copied.add(part.blobs);
    let mut told = Image::of_tree(receiver.name(), &tree);
    if let Capacity::One { .. } = receiver.capacity() {
        told.held = Some(loaded.platforms.iter().map(ToString::to_string).collect());
    }
    copied.images.push(Ok(told));
    Ok(copied)
}

/// Platforms an index names, attestations left out.
fn platforms_of(manifest: &RawManifest) -> Vec<Platform> {
    let Ok(Manifest::Index(index)) = manifest.view() else { return Vec::new() };
    index.manifests.into_iter().filter_map(|entry| entry.platform).filter(|platform| !platform.is_unknown()).collect()
}
