//! The deep check: every blob of every platform is read, each once.
//!
//! Owns: which blobs are read and what is compared with what; the work per layer is in `layer.rs` and `pipeline.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream;

use super::layer::{Budget, Examined, examine_layer, examine_opaque};
use super::pipeline;
use super::pump::{channel, pump};
use super::shallow::{Image, Survey};
use super::{ContentSource, Finding, FindingKind, Report, VerifyOptions};
use crate::oci::media_type::LayerCompression;
use crate::oci::{Algorithm, Descriptor, Digest, Hasher, media_type};

/// How a blob is to be read. Two uses of a blob share one reading if they agree in this.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    Opaque,
    Layer { compression: LayerCompression, diff_algorithm: Algorithm },
}

/// One reading and everyone who waits for its result.
struct Job {
    descriptor: Descriptor,
    reading: Reading,
    uses: Vec<Use>,
}

/// Who uses a blob: a platform's layer, or an attestation's content.
struct Use {
    slot: Option<usize>,
    size: u64,
    diff_id: Option<(usize, Digest)>,
}

pub(super) async fn examine(source: &dyn ContentSource, survey: Survey, options: &VerifyOptions) -> Report {
    let Survey { mut report, images } = survey;
    let budget = Arc::new(Budget::new(options.unpacked_limit));
    let mut jobs = BTreeMap::new();
    for child in &images {
        if let Some(image) = &child.image {
            collect(&mut jobs, child.slot, image);
        }
    }
    let done = stream::iter(jobs.into_values()).map(|job| {
        let budget = Arc::clone(&budget);
        async move {
            let outcome = read(source, &job, budget).await;
            (job, outcome)
        }
    });
    let mut done = done.buffer_unordered(options.jobs.max(1));
    while let Some((job, outcome)) = done.next().await {
        record(&mut report, &job, &outcome);
    }
    drop(done);
    settle(&mut report);
    report
}

/// Reads one layer, decompresses it, and compares it with its descriptor and its diff_id. Returns all findings.
/// `unpacked_limit` bounds the decompressed bytes.
pub async fn check_layer(
    source: &dyn ContentSource,
    layer: &Descriptor,
    diff_id: &Digest,
    unpacked_limit: u64,
) -> Vec<FindingKind> {
    let Some(compression) = media_type::layer_compression(&layer.media_type) else {
        return vec![FindingKind::Unverifiable];
    };
    let reading = Reading::Layer { compression, diff_algorithm: diff_id.algorithm().clone() };
    let used = Use { slot: None, size: layer.size, diff_id: Some((0, diff_id.clone())) };
    let job = Job { descriptor: layer.clone(), reading, uses: Vec::new() };
    let outcome = read(source, &job, Arc::new(Budget::new(unpacked_limit))).await;
    compare(&job, &used, &outcome)
}

type Jobs = BTreeMap<(Digest, Reading), Job>;

/// Configurations of images were read by the shallow check; those of attestations were not.
fn collect(jobs: &mut Jobs, slot: Option<usize>, image: &Image) {
    for (index, layer) in image.manifest.layers.iter().enumerate() {
        let diff_id = image.config.as_ref().and_then(|config| config.rootfs.diff_ids.get(index));
        let reading = match (media_type::layer_compression(&layer.media_type), diff_id) {
            (Some(compression), Some(diff_id)) => {
                Reading::Layer { compression, diff_algorithm: diff_id.algorithm().clone() }
            }
            (Some(compression), None) => Reading::Layer { compression, diff_algorithm: Algorithm::Sha256 },
            (None, _) => Reading::Opaque,
        };
        let diff_id = diff_id.map(|diff_id| (index, diff_id.clone()));
        add(jobs, layer, reading, Use { slot, size: layer.size, diff_id });
    }
    if slot.is_none() {
        let config = &image.manifest.config;
        add(jobs, config, Reading::Opaque, Use { slot, size: config.size, diff_id: None });
    }
}

fn add(jobs: &mut Jobs, descriptor: &Descriptor, reading: Reading, used: Use) {
    let key = (descriptor.digest.clone(), reading.clone());
    let job = jobs.entry(key).or_insert_with(|| Job { descriptor: descriptor.clone(), reading, uses: Vec::new() });
    job.uses.push(used);
}

async fn read(source: &dyn ContentSource, job: &Job, budget: Arc<Budget>) -> Result<Examined, FindingKind> {
    let unverifiable = |_| FindingKind::Unverifiable;
    let hasher = job.descriptor.digest.hasher().map_err(unverifiable)?;
    let reader = source.blob(&job.descriptor).await.map_err(|error| FindingKind::of_source(&error))?;
    let (sender, raw) = channel(hasher);
    let work: Box<dyn FnOnce() -> Examined + Send> = match &job.reading {
        Reading::Opaque => Box::new(move || examine_opaque(raw)),
        Reading::Layer { compression, diff_algorithm } => {
            let (compression, hasher) = (*compression, diff_hasher(diff_algorithm).ok_or(FindingKind::Unverifiable)?);
            match job.descriptor.size >= pipeline::WORTHWHILE {
                true => Box::new(move || pipeline::examine(raw, compression, hasher, &budget)),
                false => Box::new(move || examine_layer(raw, compression, hasher, &budget)),
            }
        }
    };
    // Ends by itself when this future, and with it the sender, is dropped.
    let worker = tokio::task::spawn_blocking(work);
    let (examined, ()) = futures::join!(worker, pump(reader, sender));
    examined.map_err(|error| FindingKind::Unreadable { reason: error.to_string() })
}

fn diff_hasher(algorithm: &Algorithm) -> Option<Hasher> {
    match algorithm {
        Algorithm::Sha256 => Some(Hasher::sha256()),
        Algorithm::Sha512 => Some(Hasher::sha512()),
        Algorithm::Other(_) => None,
    }
}

fn record(report: &mut Report, job: &Job, outcome: &Result<Examined, FindingKind>) {
    for used in &job.uses {
        for kind in compare(job, used, outcome) {
            place(report, used.slot, &job.descriptor.digest, kind);
        }
    }
}

/// Compares what was read with what one use of the blob promises.
fn compare(job: &Job, used: &Use, outcome: &Result<Examined, FindingKind>) -> Vec<FindingKind> {
    let examined = match outcome {
        Ok(examined) => examined,
        Err(FindingKind::Missing) if media_type::is_nondistributable(&job.descriptor.media_type) => return Vec::new(),
        Err(kind) => return vec![kind.clone()],
    };
    let raw = match &examined.raw {
        Ok(raw) => raw,
        Err(reason) => return vec![FindingKind::Unreadable { reason: reason.clone() }],
    };
    let mut kinds = Vec::new();
    if raw.size != used.size {
        kinds.push(FindingKind::Size { want: used.size, got: raw.size });
    }
    if raw.digest != job.descriptor.digest {
        kinds.push(FindingKind::Digest { got: raw.digest.clone() });
    }
    kinds.extend(examined.findings.iter().cloned());
    if let (Some((index, want)), Some(got)) = (&used.diff_id, &examined.diff_id)
        && want != got
    {
        kinds.push(FindingKind::DiffId { index: *index, want: want.clone(), got: got.clone() });
    }
    kinds
}

fn place(report: &mut Report, slot: Option<usize>, blob: &Digest, kind: FindingKind) {
    let (platform, findings) = match slot.and_then(|slot| report.platforms.get_mut(slot)) {
        Some(entry) => (Some(entry.platform.clone()), &mut entry.findings),
        None => (None, &mut report.findings),
    };
    let finding = Finding { platform, blob: blob.clone(), kind };
    // What is missing or has a wrong size is seen twice, by looking and by reading.
    if !findings.contains(&finding) {
        findings.push(finding);
    }
}

/// Jobs end in any order; the report must not depend on it.
fn settle(report: &mut Report) {
    let all = report.platforms.iter_mut().map(|entry| &mut entry.findings).chain([&mut report.findings]);
    all.for_each(|findings| findings.sort_by(|a, b| a.blob.cmp(&b.blob)));
}
