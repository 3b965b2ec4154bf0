//! What becomes of a complete result.

use polyarch_builder::assemble::{IndexAnnotations, assemble};
use polyarch_builder::event::EventKind;
use polyarch_builder::node::probe::Node;
use polyarch_builder::request::ManifestAnnotation;
use polyarch_builder::run::BuiltImage;
use polyarch_registry::oci::{Platform, RawManifest, Reference};
use polyarch_registry::store::BlobStoreExt;
use polyarch_registry::transfer::{MountSources, Publication};

use super::early::Early;
use super::execute::Means;
use super::solve::Solved;
use super::{Done, keep};
use crate::commands::publish;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::annotation::Annotations;
use crate::settings::output::Output;

/// Assembles the index, keeps it in the store under its names, and makes every output.
pub(super) async fn produce(
    means: &Means<'_>,
    nodes: &[Node],
    solved: Solved,
    done: &mut Done,
) -> Result<(), Diagnostic> {
    let images = solved.images();
    let root = root(means, &solved.platforms, &images)?;
    means.store.put_bytes(root.bytes().clone()).await?;
    done.report.stored_as = keep::result(means, &root).await?;
    done.report.root = Some(root.descriptor());
    means.events.send(EventKind::Assembled { root: root.descriptor() });
    for output in &means.settings.outputs {
        let (_, _) = (nodes, &images);
        match output {
            Output::Registry { .. } => push(means, &root, solved.early.as_ref(), done).await,
            other => {
                return Err(Diagnostic::message(ExitCode::Publish, format!("output {other:?} is not there yet")));
            }
        }
    }
    Ok(())
}

/// Publishes under all tags; with `push-by-digest` no tag is named.
async fn push(means: &Means<'_>, root: &RawManifest, early: Option<&Early>, done: &mut Done) {
    let by_digest = means.settings.outputs.contains(&Output::Registry { by_digest: true });
    let name = |tag: &Reference| if by_digest { tag.with_digest(root.digest().clone()) } else { tag.clone() };
    let destinations = means.settings.tags.iter().map(name).collect();
    let publication = Publication { root: root.clone(), destinations, mounts: MountSources::new() };
    let publisher = publish::publisher(means.settings.registries.clone(), means.store.clone(), means.events.clone());
    let outcomes = match early.and_then(Early::take) {
        Some(pusher) => publisher.publish_with(pusher, &publication).await,
        None => publisher.publish(&publication).await,
    };
    let (tags, errors) = publish::outcomes(outcomes);
    done.report.tags = tags;
    done.errors.extend(errors);
}

/// One platform without attestations needs no index, as buildx has it; anything asked of the index makes one.
fn root(means: &Means<'_>, platforms: &[Platform], images: &[BuiltImage]) -> Result<RawManifest, Diagnostic> {
    let annotations = levels(&means.settings.annotations);
    if let [only] = images
        && only.attestations.is_empty()
        && annotations == IndexAnnotations::default()
    {
        return Ok(only.manifest.clone());
    }
    assemble(means.settings.request.format, platforms, images, &annotations)
        .map_err(|error| Diagnostic::new(ExitCode::Plan, &error))
}

fn levels(annotations: &Annotations) -> IndexAnnotations {
    let pairs = |map: &indexmap::IndexMap<String, String>| map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    let descriptor = |a: &ManifestAnnotation| (a.platform.clone(), a.key.clone(), a.value.clone());
    IndexAnnotations {
        index: pairs(&annotations.index),
        index_descriptor: pairs(&annotations.index_descriptor),
        manifest_descriptor: annotations.manifest_descriptor.iter().map(descriptor).collect(),
    }
}
