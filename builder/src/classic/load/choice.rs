//! Which platforms an image has, and which of them a daemon that holds one gets.

use polyarch_registry::oci::{Descriptor, Digest, ImageConfig, ImageManifest, Manifest, Platform, RawManifest};
use polyarch_registry::store::BlobStoreExt as _;

use super::{LoadSpec, manifest, not_loadable};
use crate::classic::ClassicError;

/// The images of an index, or the one image, in its own order and without attestations.
pub(super) struct Children {
    root: Digest,
    list: Vec<(Descriptor, Platform)>,
}

impl Children {
    pub(super) async fn of(spec: &LoadSpec, root: &RawManifest) -> Result<Self, ClassicError> {
        let mut list = Vec::new();
        match view(root)? {
            Manifest::Image(image) => list.push((root.descriptor(), config_of(spec, &image).await?.platform())),
            Manifest::Index(index) => {
                for child in index.manifests {
                    list.extend(with_platform(spec, child).await?);
                }
            }
        }
        Ok(Self { root: root.digest().clone(), list })
    }

    pub(super) fn platforms(&self) -> Vec<Platform> {
        self.list.iter().map(|(_, platform)| platform.clone()).collect()
    }

    /// Returns the image for the first preferred platform there is, else the first image.
    pub(super) fn one(&self, preferred: &[Platform]) -> Result<(&Descriptor, &Platform), ClassicError> {
        let wanted = preferred_of(preferred, self.list.iter().map(|(_, platform)| platform));
        let chosen = wanted.and_then(|wanted| self.list.iter().find(|(_, platform)| platform == wanted));
        let (descriptor, platform) = chosen.ok_or_else(|| ClassicError::NotLoadable {
            what: self.root.to_string(),
            why: "it has no platform".to_owned(),
        })?;
        Ok((descriptor, platform))
    }
}

/// The first preferred platform there is, else the first.
pub(super) fn preferred_of<'a>(
    preferred: &[Platform],
    mut platforms: impl Iterator<Item = &'a Platform> + Clone,
) -> Option<&'a Platform> {
    let wanted = preferred.iter().find_map(|want| platforms.clone().find(|have| have.same_as(want)));
    wanted.or_else(|| platforms.next())
}

async fn with_platform(spec: &LoadSpec, child: Descriptor) -> Result<Option<(Descriptor, Platform)>, ClassicError> {
    let platform = match &child.platform {
        Some(platform) => platform.clone(),
        None => match view(&manifest(spec, &child).await?)? {
            Manifest::Image(image) => config_of(spec, &image).await?.platform(),
            Manifest::Index(_) => return Ok(None),
        },
    };
    Ok((!platform.is_unknown()).then_some((child, platform)))
}

fn view(raw: &RawManifest) -> Result<Manifest, ClassicError> {
    raw.view().map_err(|error| not_loadable(raw, &error.to_string()))
}

async fn config_of(spec: &LoadSpec, image: &ImageManifest) -> Result<ImageConfig, ClassicError> {
    let bytes = spec.store.read_bytes(&image.config.digest, spec.document_limit).await?;
    Ok(ImageConfig::parse(&bytes)?)
}
