//! What a build leaves in the store: names, so that a collection does not take its result.

use polyarch_registry::oci::{Descriptor, Digest, Manifest, RawManifest};

use super::execute::Means;
use super::solve::Solved;
use crate::diagnostics::Diagnostic;
use crate::report::BuildReport;
use crate::settings::transfer::Way;

/// Names a result: by its tags, or by its digest if it has none. Returns the first name. A result whose layers the
/// daemon pushed gets none: a name in the store promises that all is there.
pub(super) async fn result(means: &Means<'_>, root: &RawManifest) -> Result<Option<String>, Diagnostic> {
    if means.settings.transfer != Way::Store {
        return Ok(None);
    }
    let mut names: Vec<String> = means.settings.tags.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        names.push(format!("build-{}", root.digest().short()));
    }
    let annotations = &means.settings.annotations.index_descriptor;
    let annotations = annotations.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let descriptor = Descriptor { annotations, ..root.descriptor() };
    // What an earlier, incomplete attempt left is reached through the result now.
    let view = root.view();
    let digests = view.iter().flat_map(Manifest::references).map(|child| &child.digest).chain([root.digest()]);
    let left: Vec<String> = digests.map(partial_name).collect();
    means.store.rename_roots(&left, &names, &descriptor).await?;
    Ok(Some(names.swap_remove(0)))
}

fn partial_name(manifest: &Digest) -> String {
    format!("partial-{}", manifest.short())
}

/// Names the images of an incomplete build: the next attempt finds their blobs.
pub(super) async fn partial(means: &Means<'_>, solved: &Solved, report: &mut BuildReport) -> Result<(), Diagnostic> {
    for image in solved.images() {
        if let (Way::Daemon { .. }, [first, ..]) = (means.settings.transfer, means.settings.tags.as_slice()) {
            let at = first.with_digest(image.manifest.digest().clone());
            report.warnings.push(format!("the image for {} was pushed as {at}", image.platform));
            continue;
        }
        let name = partial_name(image.manifest.digest());
        means.store.set_root(&name, &image.manifest.descriptor()).await?;
        report.warnings.push(format!("the image for {} is kept in the store as {name}", image.platform));
    }
    Ok(())
}
