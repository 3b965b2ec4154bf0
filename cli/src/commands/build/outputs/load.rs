//! `--load`: every platform a Docker daemon can hold.
//!
//! Owns: which daemon, and what is said of platforms it cannot hold, before anything is built. Never: decides how an
//! image is loaded.

use std::sync::Arc;

use polyarch_builder::classic::{Capacity, LoadSpec, Loaded, load as load_image};
use polyarch_builder::event::EventKind;
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
pub(super) struct Target {
    name: String,
    version: String,
    docker: DockerApi,
    capacity: Capacity,
}

/// Finds the daemon, and refuses platforms it cannot hold unless the user said that they may be missing.
pub(super) async fn prepare(means: &Means<'_>, nodes: &[Node], platforms: &[Platform]) -> Result<Target, Diagnostic> {
    let target = target(means, nodes).await?;
    let held = target.capacity.held(platforms);
    let left_out: Vec<&Platform> = platforms.iter().filter(|platform| !held.contains(platform)).collect();
    if left_out.is_empty() {
        return Ok(target);
    }
    let text = format!(
        "--load of several platforms cannot be done by {} ({}): its classic image store holds one platform of an image, \
         here {}, and cannot hold {}",
        target.name,
        target.version,
        list(&held),
        list(&left_out)
    );
    if means.settings.allow_missing.contains(&Feature::Load) {
        means.events.send(EventKind::Notice { message: format!("{text}; left out as allowed") });
        return Ok(target);
    }
    Err(Diagnostic::message(ExitCode::Plan, text)
        .hint(format!("build one platform: --platform {}", list(&held)))
        .hint("or use a Docker with the containerd image store, which holds every platform")
        .hint("or write the image to a file: --output type=oci,dest=FILE")
        .hint("or load that one platform alone: --allow-missing load"))
}

/// Loads the result into the daemon.
pub(super) async fn load(means: &Means<'_>, product: &Product<'_>, target: &Target) -> Result<Made, Diagnostic> {
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

/// What is missing was allowed to be, or [`prepare`] had refused it.
fn made(means: &Means<'_>, daemon: &str, loaded: Loaded) -> Made {
    let mut made = Made::of(format!("{} loaded into {daemon}", list(&loaded.platforms)));
    if means.settings.tags.is_empty() {
        made.notes.extend(loaded.said);
    }
    if !loaded.left_out.is_empty() {
        let left_out = list(&loaded.left_out);
        made.notes.push(format!("{daemon} holds one platform of an image and cannot hold {left_out}"));
    }
    made
}

fn list(platforms: &[impl ToString]) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A Docker-in-Docker goes away after the build, and the image with it.
async fn target(means: &Means<'_>, nodes: &[Node]) -> Result<Target, Diagnostic> {
    let stays = nodes.iter().filter(|node| node.dind.is_none());
    if let Some((node, docker)) = stays.filter_map(|node| Some((node, node.docker.clone()?))).next() {
        let (name, version) = (node.builder.clone(), node.facts.version.clone());
        return Ok(Target { name, version, docker, capacity: capacity(&node.facts) });
    }
    let reach = Reach {
        env: &means.settings.host_env,
        limits: &means.limits,
        events: &means.events,
        credentials: &means.settings.registries.credentials,
    };
    let none = "no Docker daemon to load the image into";
    let reached = reach.builder(USUAL).await.map_err(|error| {
        let diagnostic = Diagnostic::new(ExitCode::Plan, &error).context(none);
        diagnostic.hint("start Docker, or write the image to a file: --output type=docker,dest=FILE")
    })?;
    let Some(docker) = reached.docker else {
        return Err(Diagnostic::message(ExitCode::Plan, none));
    };
    let facts = facts_from(&Told { docker: Some((&docker.version, &docker.info)), ..Told::default() });
    let capacity = capacity(&facts);
    Ok(Target { name: reached.builder, version: facts.version, docker: docker.api, capacity })
}

fn capacity(facts: &NodeFacts) -> Capacity {
    match facts.store {
        ImageStore::Containerd | ImageStore::Buildkitd => Capacity::All,
        ImageStore::Classic => Capacity::One { preferred: facts.native.clone() },
    }
}
