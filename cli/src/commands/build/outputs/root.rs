//! The one manifest that is tagged. Pure.

use polyarch_builder::assemble::{IndexAnnotations, assemble};
use polyarch_builder::request::ManifestAnnotation;
use polyarch_builder::run::BuiltImage;
use polyarch_registry::oci::{Platform, RawManifest};

use crate::commands::build::execute::Means;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::annotation::Annotations;

/// One platform without attestations needs no index, as buildx has it; anything asked of the index makes one.
pub(super) fn of(means: &Means<'_>, platforms: &[Platform], images: &[BuiltImage]) -> Result<RawManifest, Diagnostic> {
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
