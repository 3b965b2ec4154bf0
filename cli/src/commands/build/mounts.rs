//! Layers that a base image has in the same registry: the registry can mount them instead of being sent them.
//!
//! Owns: finding them, cheaply and while the build runs. Never: fails a build; what is not found is sent.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use polyarch_registry::client::ClientError;
use polyarch_registry::oci::{Descriptor, Manifest, Platform, RawManifest, Reference};
use polyarch_registry::resolve::Resolver;
use polyarch_registry::transfer::MountSources;

use super::execute::Means;
use super::planning::Place;
use super::preflight::Ahead;

/// A registry that takes longer to answer loses more time than a mount saves.
const PATIENCE: Duration = Duration::from_secs(3);

/// Returns the layers of the base images that are in a registry of the tags.
pub(super) async fn sources(means: &Means<'_>, places: &[Place]) -> MountSources {
    let bases = useful(places, &means.settings.tags);
    // What is looked up before the build is not read again.
    let own = match &means.ahead {
        Some(_) => None,
        None => Some(Resolver::new(means.registry.clone(), None)),
    };
    let resolver = means.ahead.as_ref().map(Ahead::resolver).or(own.as_ref());
    let asking = bases.into_iter().filter_map(|(base, platform)| Some(layers(resolver?, base, platform)));
    let found = tokio::select! {
        found = tokio::time::timeout(PATIENCE, join_all(asking)) => found.unwrap_or_default(),
        () = means.context.cancel.cancelled() => Vec::new(),
    };
    let mut sources = MountSources::new();
    for (base, layers) in found {
        for layer in layers {
            let known = sources.entry(layer.digest).or_default();
            if !known.contains(&base) {
                known.push(base.clone());
            }
        }
    }
    sources
}

/// Bases in the registry of a tag, but in another repository.
fn useful(places: &[Place], tags: &[Reference]) -> BTreeSet<(Reference, Platform)> {
    let bases = places.iter().filter_map(|place| {
        let (name, platform) = place.base.as_ref()?;
        Some((name.parse::<Reference>().ok()?.or_latest(), platform.clone()))
    });
    let near = |base: &Reference| tags.iter().any(|tag| tag.host() == base.host() && tag.name() != base.name());
    bases.filter(|(base, _)| near(base)).collect()
}

async fn layers(resolver: &Resolver, base: Reference, platform: Platform) -> (Reference, Vec<Descriptor>) {
    match read(resolver, &base, &platform).await {
        Ok(layers) => (base, layers),
        Err(error) => {
            tracing::debug!(%error, %base, %platform, "no layers to mount");
            (base, Vec::new())
        }
    }
}

async fn read(resolver: &Resolver, base: &Reference, platform: &Platform) -> Result<Vec<Descriptor>, ClientError> {
    let Some(root) = resolver.root(base).await? else { return Ok(Vec::new()) };
    let Ok(Manifest::Index(index)) = root.view() else { return Ok(layers_of(&root)) };
    let is_it = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|found| found.same_as(platform));
    match index.manifests.iter().find(is_it) {
        Some(entry) => Ok(layers_of(&resolver.manifest(base, &entry.digest).await?)),
        None => Ok(Vec::new()),
    }
}

fn layers_of(manifest: &RawManifest) -> Vec<Descriptor> {
    match manifest.view() {
        Ok(Manifest::Image(image)) => image.layers,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(base: Option<&str>) -> Place {
        let platform: Platform = "linux/amd64".parse().unwrap();
        Place { base: base.map(|base| (base.to_owned(), platform.clone())), platform, node: 0, how: String::new() }
    }

    #[test]
    fn only_other_repositories_of_the_tags_registry_are_asked() {
        let tags = ["reg.lan/app:1", "ghcr.io/a/app:1"].map(|tag| tag.parse().unwrap());
        let bases = ["reg.lan/base", "reg.lan/base:latest", "reg.lan/app:0", "debian", "ghcr.io/b@x", "Not A Name"];
        let mut places: Vec<Place> = bases.into_iter().map(|base| place(Some(base))).collect();
        places.push(place(None));
        let got: Vec<String> = useful(&places, &tags).into_iter().map(|(base, _)| base.to_string()).collect();
        assert_eq!(got, ["reg.lan/base:latest"]);
    }
}
