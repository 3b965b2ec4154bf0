//! What becomes of a complete result.
//!
//! Owns: the order of outputs, and that one's failure leaves the others alone. Never: knows how an image is written;
//! the libraries do.

mod files;
mod image;
mod load;
mod root;

use polyarch_builder::event::EventKind;
use polyarch_builder::node::probe::Node;
use polyarch_builder::run::BuiltImage;
use polyarch_registry::oci::{Platform, RawManifest, Reference};
use polyarch_registry::store::BlobStoreExt;
use polyarch_registry::transfer::{MountSources, Publication};

use super::early::Early;
use super::execute::Means;
use super::planning::Place;
use super::solve::Solved;
use super::{Done, destination, keep};
use crate::commands::publish;
use crate::diagnostics::Diagnostic;
use crate::report::result::OutputOutcome;
use crate::settings::output::{Output, only_files};

/// Where each platform was built.
#[derive(Clone, Copy)]
struct Origin<'a> {
    nodes: &'a [Node],
    places: &'a [Place],
}

/// The image, and where it was built.
struct Product<'a> {
    root: RawManifest,
    images: Vec<BuiltImage>,
    early: Option<Early>,
    load: Option<&'a load::Target>,
}

/// What outputs need besides the image, found before anything is built.
pub(super) struct Prepared {
    load: Option<load::Target>,
}

/// Finds what outputs need, and refuses what they cannot do.
pub(super) async fn prepare(means: &Means<'_>, nodes: &[Node], platforms: &[Platform]) -> Result<Prepared, Diagnostic> {
    if !means.settings.outputs.contains(&Output::Load) {
        return Ok(Prepared { load: None });
    }
    tokio::select! {
        target = load::prepare(means, nodes, platforms) => Ok(Prepared { load: Some(target?) }),
        () = means.context.cancel.cancelled() => Err(Diagnostic::cancelled()),
    }
}

/// What an output that is no tag came to.
struct Made {
    /// What is where now.
    what: String,
    /// More to know.
    notes: Vec<String>,
    /// A part that could not be done.
    failure: Option<Diagnostic>,
}

impl Made {
    fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), notes: Vec::new(), failure: None }
    }
}

/// Assembles the index, keeps it in the store under its names, and makes every output; without an image, files alone.
pub(super) async fn produce(
    means: &Means<'_>,
    (nodes, places): (&[Node], &[Place]),
    (prepared, solved): (&Prepared, Solved),
    done: &mut Done,
) -> Result<(), Diagnostic> {
    let origin = Origin { nodes, places };
    let product = match only_files(&means.settings.outputs) {
        true => None,
        false => Some(assembled(means, prepared, solved, done).await?),
    };
    for output in &means.settings.outputs {
        let making = async {
            match (output, &product) {
                (Output::Registry { .. }, Some(product)) => push(means, product, done).await,
                _ => other(means, output, (origin, product.as_ref()), done).await,
            }
        };
        let finished = tokio::select! {
            biased;
            () = making => true,
            () = means.context.cancel.cancelled() => false,
        };
        if !finished {
            done.errors.push(Diagnostic::cancelled());
            break;
        }
    }
    Ok(())
}

async fn assembled<'a>(
    means: &Means<'_>,
    prepared: &'a Prepared,
    solved: Solved,
    done: &mut Done,
) -> Result<Product<'a>, Diagnostic> {
    let images = solved.images();
    let root = root::of(means, &solved.platforms, &images)?;
    means.store.put_bytes(root.bytes().clone()).await?;
    done.report.stored_as = keep::result(means, &root).await?;
    done.report.root = Some(root.descriptor());
    means.events.send(EventKind::Assembled { root: root.descriptor() });
    Ok(Product { root, images, early: solved.early, load: prepared.load.as_ref() })
}

async fn other(means: &Means<'_>, output: &Output, from: (Origin<'_>, Option<&Product<'_>>), done: &mut Done) {
    let made = match (output, from) {
        (Output::Local { dest, split }, (origin, _)) => files::local(means, &origin, dest, *split).await,
        (Output::Tar(dest), (origin, _)) => files::tar(means, &origin, dest).await,
        (Output::OciDir(dir), (_, Some(product))) => image::directory(means, product, dir).await,
        (Output::OciTar(dest), (_, Some(product))) => image::oci_tar(means, product, dest).await,
        (Output::DockerTar(dest), (_, Some(product))) => image::docker_tar(means, product, dest).await,
        (Output::Load, (_, Some(product @ Product { load: Some(target), .. }))) => {
            load::load(means, product, target).await
        }
        // Tags are another report; an image is only missing where nothing asks for one, a daemon where none is to load it.
        (Output::Registry { .. } | Output::Load, _) | (_, (_, None)) => return,
    };
    let made = made.unwrap_or_else(|error| Made { failure: Some(error), ..Made::of(name(output)) });
    // The rest of the chain is told once, with the diagnostic.
    let failure = made.failure.as_ref().and_then(|failure| failure.chain.first().cloned());
    done.report.outputs.push(OutputOutcome { what: made.what, notes: made.notes, failure });
    done.errors.extend(made.failure);
}

/// What an output would have been.
fn name(output: &Output) -> String {
    match output {
        Output::Registry { .. } => "publication".to_owned(),
        Output::OciDir(dir) => format!("OCI layout in {}", dir.display()),
        Output::OciTar(dest) => format!("OCI layout in {}", destination::name(dest)),
        Output::DockerTar(dest) => format!("Docker archive in {}", destination::name(dest)),
        Output::Load => "image in Docker".to_owned(),
        Output::Local { dest, .. } => format!("files in {}", dest.display()),
        Output::Tar(dest) => format!("files in {}", destination::name(dest)),
    }
}

/// Publishes under all tags; with `push-by-digest` no tag is named.
async fn push(means: &Means<'_>, Product { root, early, .. }: &Product<'_>, done: &mut Done) {
    let by_digest = means.settings.outputs.contains(&Output::Registry { by_digest: true });
    let name = |tag: &Reference| if by_digest { tag.with_digest(root.digest().clone()) } else { tag.clone() };
    let destinations = means.settings.tags.iter().map(name).collect();
    let publication = Publication { root: root.clone(), destinations, mounts: MountSources::new() };
    let publisher = publish::publisher(means.registry.clone(), means.store.clone(), means.events.clone());
    let outcomes = match early.as_ref().and_then(Early::take) {
        Some(pusher) => publisher.publish_with(pusher, &publication).await,
        None => publisher.publish(&publication).await,
    };
    let (tags, errors) = publish::outcomes(outcomes);
    done.report.tags = tags;
    // The build need not be repeated.
    let again = done
        .report
        .stored_as
        .as_ref()
        .map(|name| format!("the result is in the store; to publish it: polyarch push store:{name}"));
    done.errors.extend(errors.into_iter().map(|error| match &again {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    }));
}
