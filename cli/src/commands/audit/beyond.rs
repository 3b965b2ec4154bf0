//! What an audit asks beyond the images that are audited.

use std::collections::BTreeMap;
use std::path::Path;

use polyarch_registry::audit::{Beyond, Report};
use polyarch_registry::oci::{Digest, Reference};

use crate::args::audit::BeyondArgs;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{SettingsError, Surroundings, ValueError};

/// Reads the options.
///
/// # Errors
/// The source is no repository, or the report cannot be read.
pub fn of(args: &BeyondArgs, around: &Surroundings) -> Result<Beyond, Diagnostic> {
    let mirror_of = args.mirror_of.as_deref().map(source).transpose()?;
    let earlier = match &args.unmoved_since {
        Some(path) => earlier(&around.cwd.join(path))?,
        None => BTreeMap::new(),
    };
    Ok(Beyond { bases: args.bases, mirror_of, recheck: args.recheck_tags, earlier })
}

fn source(text: &str) -> Result<Reference, SettingsError> {
    let source: Reference = text.parse().map_err(|error| ValueError::from(error).of("--mirror-of"))?;
    if source.tag().is_some() || source.digest().is_some() {
        let error = ValueError::new(text, "it names a tag or digest");
        return Err(error.hint("only the repository: tags are compared by their names").of("--mirror-of"));
    }
    Ok(source)
}

/// Where tags led, by `host/name:tag`.
fn earlier(path: &Path) -> Result<BTreeMap<String, Digest>, Diagnostic> {
    let failed = |reason: String| {
        Diagnostic::message(ExitCode::Usage, format!("cannot read the report {}: {reason}", path.display()))
            .hint("write it with `polyarch audit --format json --output FILE`")
    };
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let report: Report = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
    let named = report.images.into_iter().filter_map(|image| {
        let name = image.tag.is_some().then(|| image.name())?;
        Some((name, image.digest?))
    });
    Ok(named.collect())
}
