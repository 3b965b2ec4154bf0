//! The nodes of a build: reaching them, what they cannot do, leaving them as they were.

use clap::ValueEnum as _;
use polyarch_builder::event::EventKind;
use polyarch_builder::node::facts::{Feature as NodeFeature, missing_features, without};
use polyarch_builder::node::probe::Node;
use polyarch_builder::node::reach::Reach;
use polyarch_builder::request::BuildRequest;

use super::execute::Means;
use super::planning::Place;
use crate::args::values::Feature;
use crate::commands::reach;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// Reaches all builders at once.
pub(super) async fn connect(means: &Means<'_>) -> Result<Vec<Node>, Diagnostic> {
    let reach = Reach {
        env: &means.settings.host_env,
        limits: &means.limits,
        events: &means.events,
        credentials: &means.settings.registries.credentials,
    };
    reach::connect(&means.settings.builders, reach, &means.context.cancel).await
}

/// Removes what was started for this build.
pub(super) async fn shut_down(nodes: Vec<Node>, means: &Means<'_>) {
    reach::shut_down(nodes, &means.limits, &means.events).await;
}

/// Refuses what a chosen node cannot do, before anything is sent; what the user can do without becomes a notice.
pub(super) fn check_features(means: &Means<'_>, nodes: &[Node], places: &[Place]) -> Result<(), Diagnostic> {
    let (mut refused, mut can_do_without): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut is_all = true;
    for (index, node) in nodes.iter().enumerate() {
        if !places.iter().any(|place| place.node == index) {
            continue;
        }
        for missing in missing_features(&means.request(), &node.name, &node.facts) {
            let option = option(missing.feature);
            if option.is_some_and(|option| means.settings.allow_missing.contains(&option)) {
                means.events.send(EventKind::Notice { message: format!("{missing}; left out as allowed") });
                continue;
            }
            add(&mut refused, missing.to_string());
            match option.and_then(|option| option.to_possible_value()) {
                Some(name) => add(&mut can_do_without, name.get_name().to_owned()),
                None => is_all = false,
            }
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    let without = match can_do_without.as_slice() {
        // Nothing is gained by leaving out only some of it.
        names if names.is_empty() || !is_all => String::new(),
        names => format!(", or say that you can do without: --allow-missing {}", names.join(",")),
    };
    Err(Diagnostic::message(ExitCode::Plan, refused.join("\n")).hint(format!("choose another --builder{without}")))
}

fn add(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

/// The request as this node gets it: without what it cannot do, which [`check_features`] found to be allowed.
pub(super) fn request_for(means: &Means<'_>, node: &Node) -> BuildRequest {
    let request = means.request();
    let missing = missing_features(&request, &node.name, &node.facts);
    without(&request, &missing.into_iter().map(|missing| missing.feature).collect::<Vec<_>>())
}

/// What `--allow-missing` calls a feature, if one can do without it.
fn option(feature: NodeFeature) -> Option<Feature> {
    Some(match feature {
        NodeFeature::Attestations => Feature::Attestations,
        NodeFeature::NamedContexts | NodeFeature::OciLayoutContexts => Feature::NamedContexts,
        NodeFeature::Zstd | NodeFeature::Estargz | NodeFeature::CompressionLevel => Feature::Compression,
        NodeFeature::CacheInline
        | NodeFeature::CacheRegistry
        | NodeFeature::CacheLocal
        | NodeFeature::CacheGha
        | NodeFeature::CacheS3
        | NodeFeature::CacheAzblob => Feature::CacheExport,
        NodeFeature::ContentExport
        | NodeFeature::OciTarExport
        | NodeFeature::ResourceOptions
        | NodeFeature::ManifestAnnotations
        | NodeFeature::Outline
        | NodeFeature::Lint
        | NodeFeature::Info => return None,
    })
}
