//! The shallow check: reads manifests and configurations, looks blobs up.
//!
//! Owns: the walk from the root to its images and attestations. Its [`Survey`] is what the deep check builds on.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream;

use super::report::chain;
use super::source::read_limited;
use super::{ContentSource, Finding, FindingKind, PlatformReport, Report, VerifyOptions};
use crate::oci::index_builder::REFERENCE_DIGEST;
use crate::oci::{
    Descriptor, Digest, ImageConfig, ImageIndex, ImageManifest, Manifest, ManifestError, Platform, RawManifest,
    media_type, validate_image,
};

/// Largest configuration that is read; containers/image stops at 4 MiB, this leaves room for long histories.
const CONFIG_LIMIT: u64 = 8 * 1024 * 1024;

/// Children of an index and layers of an image that are followed. Real ones have less than 200; overlayfs takes 500.
const LIST_LIMIT: usize = 1000;

/// What the shallow check saw.
pub(super) struct Survey {
    pub(super) report: Report,
    /// Readable images: those of `report.platforms` first, in order, then attestations.
    pub(super) images: Vec<Examined>,
}

/// One child of the index.
pub(super) struct Examined {
    /// Position in `report.platforms`; `None` for an attestation.
    pub(super) slot: Option<usize>,
    pub(super) image: Option<Image>,
}

/// A manifest and its configuration, as far as they could be read.
pub(super) struct Image {
    pub(super) manifest: ImageManifest,
    pub(super) config: Option<ImageConfig>,
}

/// A child with its findings, before the report is put together.
struct Child<'a> {
    descriptor: &'a Descriptor,
    image: Option<Image>,
    findings: Vec<(Digest, FindingKind)>,
}

pub(super) async fn survey(source: &dyn ContentSource, root: &RawManifest, options: &VerifyOptions) -> Survey {
    let index = root.descriptor();
    let mut report = Report { index: index.clone(), platforms: Vec::new(), attestations: 0, findings: Vec::new() };
    let (children, whole) = match limited(root.view()) {
        Ok(Manifest::Index(view)) => (view.manifests.clone(), Some(view)),
        Ok(Manifest::Image(_)) => (vec![index.clone()], None),
        Err(kind) => {
            report.findings.push(Finding { platform: None, blob: index.digest, kind });
            return Survey { report, images: Vec::new() };
        }
    };
    let examined = stream::iter(&children).map(|child| examine(source, child, whole.is_none().then_some(root)));
    let examined: Vec<Child<'_>> = examined.buffered(options.jobs.max(1)).collect().await;
    let images = assemble(&mut report, examined);
    if let Some(whole) = &whole {
        report.findings.extend(orphans(whole));
    }
    duplicates(&mut report);
    absent(&mut report, &options.platforms);
    Survey { report, images }
}

/// `known` is the root itself where the root is an image.
async fn examine<'a>(source: &dyn ContentSource, child: &'a Descriptor, known: Option<&RawManifest>) -> Child<'a> {
    let mut findings = Vec::new();
    let raw = match known {
        Some(root) => Ok(root.clone()),
        None => source.manifest(child).await,
    };
    let raw = match raw {
        Ok(raw) => raw,
        Err(error) => {
            findings.push((child.digest.clone(), FindingKind::of_source(&error)));
            return Child { descriptor: child, image: None, findings };
        }
    };
    findings.extend(check_bytes(child, raw.bytes()).into_iter().map(|kind| (child.digest.clone(), kind)));
    let image = match limited(Manifest::parse(&child.media_type, raw.bytes())) {
        Ok(Manifest::Image(manifest)) => Some(image(source, child, manifest, &mut findings).await),
        Ok(Manifest::Index(_)) => {
            let reason = "an index within an index".to_owned();
            findings.push((child.digest.clone(), FindingKind::Malformed { reason }));
            None
        }
        Err(kind) => {
            findings.push((child.digest.clone(), kind));
            None
        }
    };
    Child { descriptor: child, image, findings }
}

/// Refuses a manifest that points at more than anyone should look up.
fn limited(view: Result<Manifest, ManifestError>) -> Result<Manifest, FindingKind> {
    let view = view.map_err(|error| FindingKind::Malformed { reason: chain(&error) })?;
    match view.references().len() > LIST_LIMIT {
        true => Err(FindingKind::Malformed { reason: format!("more than {LIST_LIMIT} entries") }),
        false => Ok(view),
    }
}

/// Compares a whole blob with its descriptor.
fn check_bytes(descriptor: &Descriptor, bytes: &[u8]) -> Vec<FindingKind> {
    let mut kinds = Vec::new();
    let got = bytes.len() as u64;
    if got != descriptor.size {
        kinds.push(FindingKind::Size { want: descriptor.size, got });
    }
    match descriptor.digest.hasher() {
        Ok(mut hasher) => {
            hasher.update(bytes);
            let got = hasher.finish();
            if got != descriptor.digest {
                kinds.push(FindingKind::Digest { got });
            }
        }
        Err(_) => kinds.push(FindingKind::Unverifiable),
    }
    kinds
}

async fn image(
    source: &dyn ContentSource,
    child: &Descriptor,
    manifest: ImageManifest,
    findings: &mut Vec<(Digest, FindingKind)>,
) -> Image {
    let attestation = is_attestation(child);
    let config = match attestation {
        true => None,
        false => config(source, &manifest.config, findings).await,
    };
    if let Some(config) = &config {
        let asked = child.platform.clone().unwrap_or_else(|| config.platform());
        let problems = validate_image(&asked, config, &manifest);
        findings.extend(problems.into_iter().map(|problem| (problem.blob, FindingKind::Image(problem.mismatch))));
    }
    let looked_up = manifest.layers.iter().chain(attestation.then_some(&manifest.config));
    for descriptor in looked_up {
        let found = source.stat(descriptor).await;
        findings.extend(presence(descriptor, found).map(|kind| (descriptor.digest.clone(), kind)));
    }
    Image { manifest, config }
}

async fn config(
    source: &dyn ContentSource,
    descriptor: &Descriptor,
    findings: &mut Vec<(Digest, FindingKind)>,
) -> Option<ImageConfig> {
    let mut found = |kind| findings.push((descriptor.digest.clone(), kind));
    let bytes = match read_limited(source, descriptor, CONFIG_LIMIT).await {
        Ok(bytes) => bytes,
        Err(error) => {
            found(FindingKind::of_source(&error));
            return None;
        }
    };
    check_bytes(descriptor, &bytes).into_iter().for_each(&mut found);
    match ImageConfig::parse(&bytes) {
        Ok(config) => Some(config),
        Err(error) => {
            found(FindingKind::Malformed { reason: chain(&error) });
            None
        }
    }
}

/// A layer that must not be uploaded may be absent (image-spec, layer.md "Non-Distributable Layers").
fn presence(descriptor: &Descriptor, found: Result<Option<u64>, super::SourceError>) -> Option<FindingKind> {
    match found {
        Ok(Some(got)) if got != descriptor.size => Some(FindingKind::Size { want: descriptor.size, got }),
        Ok(Some(_)) => None,
        Ok(None) if media_type::is_nondistributable(&descriptor.media_type) => None,
        Ok(None) => Some(FindingKind::Missing),
        Err(error) => Some(FindingKind::of_source(&error)),
    }
}

fn is_attestation(child: &Descriptor) -> bool {
    child.platform.as_ref().is_some_and(Platform::is_unknown)
}

/// Distributes children over the report's platforms and its attestations.
fn assemble(report: &mut Report, children: Vec<Child<'_>>) -> Vec<Examined> {
    let (attestations, images): (Vec<_>, Vec<_>) =
        children.into_iter().partition(|child| is_attestation(child.descriptor));
    report.attestations = attestations.len();
    let mut examined = Vec::new();
    for child in images {
        let platform = platform_of(&child);
        let named = |(blob, kind)| Finding { platform: Some(platform.clone()), blob, kind };
        examined.push(Examined { slot: Some(report.platforms.len()), image: None });
        report.platforms.push(PlatformReport {
            digest: child.descriptor.digest.clone(),
            size: child.image.as_ref().map_or(child.descriptor.size, |image| total_size(child.descriptor, image)),
            layers: child.image.as_ref().map_or(0, |image| image.manifest.layers.len()),
            findings: child.findings.into_iter().map(named).collect(),
            platform,
        });
        if let Some(last) = examined.last_mut() {
            last.image = child.image;
        }
    }
    for child in attestations {
        let about = |(blob, kind)| Finding { platform: None, blob, kind };
        report.findings.extend(child.findings.into_iter().map(about));
        examined.push(Examined { slot: None, image: child.image });
    }
    examined
}

fn platform_of(child: &Child<'_>) -> Platform {
    let config = child.image.as_ref().and_then(|image| image.config.as_ref());
    let of_config = || config.map(ImageConfig::platform);
    let unknown = || Platform::new("unknown", "unknown", None);
    child.descriptor.platform.clone().or_else(of_config).unwrap_or_else(unknown)
}

fn total_size(descriptor: &Descriptor, image: &Image) -> u64 {
    let blobs = image.manifest.layers.iter().chain([&image.manifest.config, descriptor]);
    blobs.fold(0, |sum, blob| sum.saturating_add(blob.size))
}

fn orphans(index: &ImageIndex) -> Vec<Finding> {
    let known = |subject: &str| index.manifests.iter().any(|child| child.digest.to_string() == subject);
    let attestations = index.manifests.iter().filter(|child| is_attestation(child));
    let subject = |child: &Descriptor| child.annotations.get(REFERENCE_DIGEST).cloned().unwrap_or_default();
    attestations
        .filter(|child| !known(&subject(child)))
        .map(|child| {
            let kind = FindingKind::OrphanAttestation { subject: subject(child) };
            Finding { platform: None, blob: child.digest.clone(), kind }
        })
        .collect()
}

fn duplicates(report: &mut Report) {
    let mut first_of: BTreeMap<Platform, Digest> = BTreeMap::new();
    for entry in &mut report.platforms {
        match first_of.get(&entry.platform.normalize()) {
            Some(first) => entry.findings.push(Finding {
                platform: Some(entry.platform.clone()),
                blob: entry.digest.clone(),
                kind: FindingKind::DuplicatePlatform { first: first.clone() },
            }),
            None => drop(first_of.insert(entry.platform.normalize(), entry.digest.clone())),
        }
    }
}

fn absent(report: &mut Report, asked: &[Platform]) {
    for platform in asked {
        if !report.platforms.iter().any(|entry| entry.platform.same_as(platform)) {
            let (platform, blob) = (Some(platform.clone()), report.index.digest.clone());
            report.findings.push(Finding { platform, blob, kind: FindingKind::PlatformAbsent });
        }
    }
}
