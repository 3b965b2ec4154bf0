//! Platforms of one image of very different sizes.

use crate::audit::compare::comparable;
use crate::audit::facts::{ImageFacts, PlatformImage};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "size-disparity",
    title: "one platform is much smaller than another: something may be missing in it",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Drift,
    evidence: &["attevon-llc/OpenTranscribe#680"],
    explanation: "When a package is not to be had for one architecture, builds often go on without it, and the image of that \
        platform lacks what the others have. The compressed sizes tell: by default more than three times is reported \
        (`size_ratio` of the policy). Images under 16 MiB are left out, and operating systems are not compared with each \
        other. Where the sizes agree but one layer does not, by three times as much again, that layer is named as info.",
    fix: "compare what the step installs on both platforms; raise `size_ratio` if the difference is meant",
    check: Check::Image(check),
};

/// Largest platform below which sizes say nothing, in bytes.
const TINY: u64 = 16 << 20;
/// The same of one layer.
const TINY_LAYER: u64 = 64 << 20;
/// How much more than whole images single layers may differ: what is downloaded for an architecture often does.
const LAYER_FACTOR: f64 = 3.0;

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    for group in comparable(facts) {
        let Some(largest) = group.iter().max_by_key(|image| image.size()) else { continue };
        if largest.size() < TINY {
            continue;
        }
        let (small, rest): (Vec<&PlatformImage<'_>>, Vec<_>) =
            group.iter().partition(|image| exceeds(largest.size(), image.size(), wanted.size_ratio));
        for image in small {
            let (own, other) = (mib(image.size()), mib(largest.size()));
            let message = format!("{own} of layers, but {other} on {}", largest.platform());
            findings.add(image.place(), message);
        }
        for image in rest {
            layers(image, largest, wanted.size_ratio * LAYER_FACTOR, findings);
        }
    }
}

fn layers(image: &PlatformImage<'_>, largest: &PlatformImage<'_>, ratio: f64, findings: &mut Findings) {
    let (own, other) = (&image.manifest.view.layers, &largest.manifest.view.layers);
    if own.len() != other.len() {
        return;
    }
    for (number, (a, b)) in own.iter().zip(other).enumerate() {
        if b.size >= TINY_LAYER && exceeds(b.size, a.size, ratio) {
            let message =
                format!("layer {} has {}, but {} on {}", number + 1, mib(a.size), mib(b.size), largest.platform());
            findings.add_as(Severity::Info, image.place(), message).key = format!("layer {}", number + 1);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of sizes needs no more than 52 bits")]
fn exceeds(large: u64, small: u64, ratio: f64) -> bool {
    large as f64 > small.max(1) as f64 * ratio
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
