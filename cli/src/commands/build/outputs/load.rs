//! `--load`: every platform a Docker daemon can hold.
//!
//! Owns: which daemon, and what is said of platforms it cannot hold. Never: decides how an image is loaded.

use std::sync::Arc;

use polyarch_builder::classic::{Capacity, LoadSpec, Loaded, load as load_image};
use polyarch_builder::node::docker::DockerApi;
use polyarch_builder::node::facts::{ImageStore, NodeFacts, Told, facts_from};
use polyarch_builder::node::probe::Node;
use polyarch_builder::node::reach::Reach;
use polyarch_registry::oci::Platform;
use polyarch_registry::store::BlobStore;

use super::{Made, Product};
use crate::args::values::Feature;
use crate::commands::build::execute::Means;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// The builder whose Docker is meant when none of the build's own is one to stay.
const USUAL: &str = "docker";

/// A daemon that keeps images.
struct Target {
    name: String,
    docker: DockerApi,
    capacity: Capacity,
}

/// Loads the result into the first builder's Docker, else into the usual one.
pub(super) async fn load(means: &Means<'_>, product: &Product<'_>) -> Result<Made, Diagnostic> {
    let target = target(means, product.origin.nodes).await?;
    let spec = LoadSpec {
        store: Arc::clone(&means.store) as Arc<dyn BlobStore>,
        root: product.root.descriptor(),
        references: means.settings.tags.clone(),
        document_limit: means.limits.manifest_bytes,
        events: means.events.clone(),
    };
    let loaded = load_image(&target.docker, &target.capacity, &spec).await;
    let context = format!("cannot load the image into {}", target.name);
    let loaded = loaded.map_err(|error| Diagnostic::new(ExitCode::Publish, &error).context(context))?;
    Ok(made(means, &target.name, loaded))
}

/// A part that is missing is a failure unless the user said that it may be.
fn made(means: &Means<'_>, daemon: &str, loaded: Loaded) -> Made {
    let mut made = Made::of(format!("{} loaded into {daemon}", list(&loaded.platforms)));
    if means.settings.tags.is_empty() {
        made.notes.extend(loaded.said);
    }
    if loaded.left_out.is_empty() {
        return made;
    }
    let text = format!("{daemon} holds one platform of an image and cannot hold {}", list(&loaded.left_out));
    if means.settings.allow_missing.contains(&Feature::Load) {
        made.notes.push(text);
        return made;
    }
    let failure = Diagnostic::message(ExitCode::Publish, text)
        .hint("turn on Docker's containerd image store, which holds every platform")
        .hint("or accept one platform with --allow-missing load");
    Made { what: "image in Docker, for every platform".to_owned(), notes: vec![made.what], failure: Some(failure) }
}

fn list(platforms: &[Platform]) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A Docker-in-Docker goes away after the build, and the image with it.
async fn target(means: &Means<'_>, nodes: &[Node]) -> Result<Target, Diagnostic> {
    let stays = nodes.iter().filter(|node| node.dind.is_none());
    if let Some((node, docker)) = stays.filter_map(|node| Some((node, node.docker.clone()?))).next() {
        return Ok(Target { name: node.builder.clone(), docker, capacity: capacity(&node.facts) });
    }
    let reach = Reach { env: &means.settings.host_env, limits: &means.limits, events: &means.events };
    let reached = reach.builder(USUAL).await.map_err(|error| {
        let diagnostic = Diagnostic::new(ExitCode::Publish, &error).context("no Docker daemon to load the image into");
        diagnostic.hint("start Docker, or write the image to a file: --output type=docker,dest=FILE")
    })?;
    let Some(docker) = reached.docker else {
        return Err(Diagnostic::message(ExitCode::Publish, "no Docker daemon to load the image into"));
    };
    let facts = facts_from(&Told { docker: Some((&docker.version, &docker.info)), ..Told::default() });
    Ok(Target { name: reached.builder, docker: docker.api, capacity: capacity(&facts) })
}

fn capacity(facts: &NodeFacts) -> Capacity {
    match facts.store {
        ImageStore::Containerd | ImageStore::Buildkitd => Capacity::All,
        ImageStore::Classic => Capacity::One { preferred: facts.native.clone() },
    }
}
