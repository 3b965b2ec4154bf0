//! The image as an OCI layout, in a directory or a tar, and as a Docker archive.

use std::path::Path;
use std::sync::Arc;

use polyarch_registry::oci::Descriptor;
use polyarch_registry::store::layout::REF_NAME;
use polyarch_registry::store::{BlobStore, LayoutStore};
use polyarch_registry::transfer::{Archive, Graph, copy, graph, layout_entries};

use super::{Made, Product};
use crate::commands::build::destination::{self, Destination};
use crate::commands::build::execute::Means;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::export::Dest;

/// The name of an entry when nobody named one: what tools look for then.
const NAMELESS: &str = "latest";

/// Adds the image to a layout, or makes one.
pub(super) async fn directory(means: &Means<'_>, product: &Product<'_>, dir: &Path) -> Result<Made, Diagnostic> {
    let context = |error: Diagnostic| error.context(format!("cannot write the layout {}", dir.display()));
    let image = graph_of(means, product).await?;
    let layout = LayoutStore::open_output(dir).await.map_err(|error| context(publishing(error)))?;
    let copied = copy::into_layout(&image, &means.store, &layout, named(means, product)).await;
    // The image is there, or is not, whatever else is.
    if let Err(error) = layout.tidy().await {
        tracing::debug!(%error, dir = %dir.display(), "the layout is not tidy");
    }
    let copied = copied.map_err(|error| context(Diagnostic::new(ExitCode::Publish, &error)))?;
    tracing::debug!(?copied, dir = %dir.display(), "image copied into the layout");
    let tags: Vec<String> = means.settings.tags.iter().map(ToString::to_string).collect();
    let names = if tags.is_empty() { NAMELESS.to_owned() } else { tags.join(", ") };
    Ok(Made::of(format!("OCI layout in {} as {names}", dir.display())))
}

/// Writes an OCI layout as a tar.
pub(super) async fn oci_tar(means: &Means<'_>, product: &Product<'_>, dest: &Dest) -> Result<Made, Diagnostic> {
    let image = graph_of(means, product).await?;
    let archive = layout(means, &image, dest, &named(means, product)).await?;
    write(archive, dest).await?;
    Ok(Made::of(format!("OCI layout in {}", destination::name(dest))))
}

/// Writes what `docker load` takes: one platform for every Docker, several for the containerd image store.
pub(super) async fn docker_tar(means: &Means<'_>, product: &Product<'_>, dest: &Dest) -> Result<Made, Diagnostic> {
    let image = graph_of(means, product).await?;
    let mut made = Made::of(format!("Docker archive in {}", destination::name(dest)));
    // Without a name `docker load` must not invent one.
    let mut archive =
        layout(means, &image, dest, &layout_entries(&entry(means, product), &means.settings.tags)).await?;
    if let [only] = product.images.as_slice()
        && let Some(node) = image.manifests.iter().find(|node| node.digest == *only.manifest.digest())
    {
        let tags: Vec<String> = means.settings.tags.iter().map(ToString::to_string).collect();
        let with = archive.with_docker_manifest(node, &tags);
        archive = with.map_err(|error| destination::failed(dest, &error))?;
    } else {
        made.notes.push("only Docker with the containerd image store loads several platforms at once".to_owned());
    }
    write(archive, dest).await?;
    Ok(made)
}

async fn layout(means: &Means<'_>, image: &Graph, dest: &Dest, entries: &[Descriptor]) -> Result<Archive, Diagnostic> {
    let store = Arc::clone(&means.store) as Arc<dyn BlobStore>;
    Archive::layout(store, image, entries).await.map_err(|error| destination::failed(dest, &error))
}

async fn write(archive: Archive, dest: &Dest) -> Result<(), Diagnostic> {
    let destination = Destination::open(dest)?;
    let mut out = tokio::fs::File::from_std(destination.writer()?);
    let written = archive.write_to(&mut out, Arc::new(|_, _| {})).await;
    written.map_err(|error| destination::failed(dest, &error))?;
    destination.commit()
}

async fn graph_of(means: &Means<'_>, product: &Product<'_>) -> Result<Graph, Diagnostic> {
    let graph = graph::from_store(&product.root, &*means.store).await;
    graph.map_err(|error| Diagnostic::new(ExitCode::Verification, &error))
}

/// The entries of a layout's index, each with a name.
fn named(means: &Means<'_>, product: &Product<'_>) -> Vec<Descriptor> {
    let mut entry = entry(means, product);
    if means.settings.tags.is_empty() {
        entry.annotations.insert(REF_NAME.to_owned(), NAMELESS.to_owned());
    }
    layout_entries(&entry, &means.settings.tags)
}

/// The root with `--annotation index-descriptor:…`.
fn entry(means: &Means<'_>, product: &Product<'_>) -> Descriptor {
    let annotations = &means.settings.annotations.index_descriptor;
    let annotations = annotations.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    Descriptor { annotations, ..product.root.descriptor() }
}

/// Whatever is wrong with the layout written to is about the output, not about what was built.
fn publishing(error: polyarch_registry::store::StoreError) -> Diagnostic {
    Diagnostic { code: ExitCode::Publish, ..Diagnostic::from(error) }
}
