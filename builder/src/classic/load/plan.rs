//! Which files the tar has.

use std::collections::BTreeSet;

use bytes::Bytes;
use polyarch_registry::oci::media_type::OCI_INDEX;
use polyarch_registry::oci::{Descriptor, Digest, ImageConfig, ImageManifest, Manifest, Platform, Reference};
use polyarch_registry::store::BlobStoreExt;
use serde_json::json;

use super::LoadSpec;
use crate::classic::ClassicError;

/// Depth of indexes in indexes that is followed; Docker itself writes at most one.
const DEPTH: usize = 4;

/// One file of the tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A small file.
    Bytes {
        /// Its path.
        path: String,
        /// Its contents.
        bytes: Bytes,
    },
    /// A blob of the store.
    Blob {
        /// Its path.
        path: String,
        /// Which.
        descriptor: Box<Descriptor>,
    },
}

/// Returns the platforms of an image, in its own order, without attestations.
pub(super) async fn platforms_of(spec: &LoadSpec) -> Result<Vec<Platform>, ClassicError> {
    Ok(children(spec).await?.into_iter().map(|(_, platform)| platform).collect())
}

/// Returns the manifest for the first preferred platform the image has, else its first one.
pub(super) async fn child_for(spec: &LoadSpec, preferred: &[Platform]) -> Result<(Descriptor, Platform), ClassicError> {
    let mut children = children(spec).await?;
    let wanted = preferred.iter().find_map(|want| children.iter().position(|(_, have)| have.same_as(want)));
    match children.is_empty() {
        true => Err(not_loadable(&spec.root.digest, "it has no platform")),
        false => Ok(children.swap_remove(wanted.unwrap_or(0))),
    }
}

async fn children(spec: &LoadSpec) -> Result<Vec<(Descriptor, Platform)>, ClassicError> {
    match read(spec, &spec.root).await? {
        Manifest::Image(image) => Ok(vec![(spec.root.clone(), config_of(spec, &image).await?.platform())]),
        Manifest::Index(index) => {
            let mut children = Vec::new();
            for child in index.manifests {
                let platform = match child.platform.clone() {
                    Some(platform) => platform,
                    None => match read(spec, &child).await? {
                        Manifest::Image(image) => config_of(spec, &image).await?.platform(),
                        Manifest::Index(_) => continue,
                    },
                };
                if !platform.is_unknown() {
                    children.push((child, platform));
                }
            }
            Ok(children)
        }
    }
}

/// An OCI layout with everything below the root, once: what the containerd store imports.
pub(super) async fn layout(spec: &LoadSpec) -> Result<Vec<Part>, ClassicError> {
    let mut parts = vec![text("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))];
    parts.push(text("index.json", &layout_index(&spec.root, &spec.references)));
    let mut seen = BTreeSet::new();
    let mut level = vec![spec.root.clone()];
    for _ in 0..DEPTH {
        let mut below = Vec::new();
        for descriptor in level {
            if !seen.insert(descriptor.digest.clone()) {
                continue;
            }
            let (is_index, references) = match read(spec, &descriptor).await? {
                Manifest::Index(index) => (true, index.manifests),
                Manifest::Image(image) => (false, std::iter::once(image.config).chain(image.layers).collect()),
            };
            parts.push(blob(descriptor));
            if is_index {
                below.extend(references);
                continue;
            }
            for reference in references {
                if seen.insert(reference.digest.clone()) {
                    parts.push(present(spec, reference).await?);
                }
            }
        }
        if below.is_empty() {
            return Ok(parts);
        }
        level = below;
    }
    Err(not_loadable(&spec.root.digest, "its indexes are nested too deeply"))
}

/// containerd takes the name from the first annotation; the second is what older importers read.
fn layout_index(root: &Descriptor, references: &[Reference]) -> serde_json::Value {
    let named = |reference: &Reference| {
        let reference = reference.or_latest();
        json!({
            "mediaType": root.media_type,
            "digest": root.digest,
            "size": root.size,
            "annotations": {
                "io.containerd.image.name": reference.to_string(),
                "org.opencontainers.image.ref.name": reference.tag().unwrap_or("latest"),
            },
        })
    };
    let manifests: Vec<_> = references.iter().map(named).collect();
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
}

/// `docker save`'s own form with one image: what the classic store imports. It inflates layers itself.
pub(super) async fn archive(spec: &LoadSpec, manifest: &Descriptor) -> Result<Vec<Part>, ClassicError> {
    let Manifest::Image(image) = read(spec, manifest).await? else {
        return Err(not_loadable(&manifest.digest, "it is an index in an index"));
    };
    let config = format!("{}.json", image.config.digest.encoded());
    let mut parts = vec![Part::Blob { path: config.clone(), descriptor: Box::new(image.config) }];
    let mut layers = Vec::new();
    let mut seen = BTreeSet::new();
    for layer in image.layers {
        let path = format!("{}/layer.tar", layer.digest.encoded());
        layers.push(path.clone());
        if seen.insert(layer.digest.clone()) {
            present(spec, layer.clone()).await?;
            parts.push(Part::Blob { path, descriptor: Box::new(layer) });
        }
    }
    let tags: Vec<String> = spec.references.iter().map(|reference| reference.or_latest().to_string()).collect();
    parts.push(text("manifest.json", &json!([{"Config": config, "RepoTags": tags, "Layers": layers}])));
    Ok(parts)
}

async fn read(spec: &LoadSpec, descriptor: &Descriptor) -> Result<Manifest, ClassicError> {
    let bytes = spec.store.read_bytes(&descriptor.digest, spec.document_limit).await?;
    let parsed = Manifest::parse(&descriptor.media_type, &bytes);
    parsed.map_err(|error| not_loadable(&descriptor.digest, &error.to_string()))
}

async fn config_of(spec: &LoadSpec, image: &ImageManifest) -> Result<ImageConfig, ClassicError> {
    let bytes = spec.store.read_bytes(&image.config.digest, spec.document_limit).await?;
    Ok(ImageConfig::parse(&bytes)?)
}

/// A blob is asked for before the tar begins: an error in its middle would only be a broken connection to the daemon.
async fn present(spec: &LoadSpec, descriptor: Descriptor) -> Result<Part, ClassicError> {
    match spec.store.has(&descriptor.digest, descriptor.size).await? {
        true => Ok(blob(descriptor)),
        false => Err(not_loadable(&descriptor.digest, "the blob is not in the store")),
    }
}

fn blob(descriptor: Descriptor) -> Part {
    let digest = &descriptor.digest;
    let path = format!("blobs/{}/{}", digest.algorithm().as_str(), digest.encoded());
    Part::Blob { path, descriptor: Box::new(descriptor) }
}

fn text(path: &str, value: &serde_json::Value) -> Part {
    Part::Bytes { path: path.to_owned(), bytes: value.to_string().into() }
}

fn not_loadable(digest: &Digest, why: &str) -> ClassicError {
    ClassicError::NotLoadable { what: digest.to_string(), why: why.to_owned() }
}
