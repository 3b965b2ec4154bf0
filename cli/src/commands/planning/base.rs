//! `--platform all-from-base`: every platform the target's base image has.

use polyarch_builder::dockerfile::Dockerfile;
use polyarch_builder::plan::{PlanInput, plan};
use polyarch_registry::oci::{Manifest, Platform, Reference};
use polyarch_registry::resolve::Resolver;

use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// Returns the platforms of the target's base image.
///
/// # Errors
/// There is no base image, it does not exist or cannot be read, or it is for one platform only.
pub async fn platforms(
    file: &Dockerfile,
    resolver: &Resolver,
    input: &PlanInput,
    node: &Platform,
) -> Result<Vec<Platform>, Diagnostic> {
    let input = PlanInput { platforms: vec![node.clone()], ..input.clone() };
    let plan = plan(file, &input);
    let base = plan.platforms.first().and_then(|one| one.base()).map(|(name, _)| name.to_owned());
    let Some(base) = base else {
        return Err(Diagnostic::message(ExitCode::Plan, "the target has no base image to take platforms from")
            .hint("list the platforms: --platform linux/amd64,linux/arm64"));
    };
    let bad = |error| Diagnostic::new(ExitCode::Plan, &error).context(format!("base image {base:?} is no reference"));
    let reference: Reference = base.parse().map_err(bad)?;
    let Some(root) = resolver.root(&reference.or_latest()).await? else {
        return Err(Diagnostic::message(ExitCode::Plan, format!("base image {base} does not exist")).hint(format!(
            "{} was asked for {}",
            reference.host(),
            reference.or_latest()
        )));
    };
    let Ok(Manifest::Index(index)) = root.view() else {
        return Err(Diagnostic::message(ExitCode::Plan, format!("base image {base} is for one platform only"))
            .hint("name that platform with --platform"));
    };
    let listed = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
    let mut platforms: Vec<Platform> = Vec::new();
    for platform in listed.filter(|platform| !platform.is_unknown()).map(Platform::normalize) {
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}
