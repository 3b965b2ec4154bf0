//! Files are newer than the image says it is.

use time::{Duration, OffsetDateTime};

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::{layers, times};

pub(super) const RULE: Rule = Rule {
    id: "newer-files",
    title: "files in a layer are newer than the image says it is",
    severity: Severity::Info,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &[],
    explanation: "With SOURCE_DATE_EPOCH the time of the image is that of its sources, but the times of its files are those of the \
        build unless they are rewritten (`--output …,rewrite-timestamp=true`): the next build of the same sources has other \
        digests. A day more is no finding, nor are images without a time.",
    fix: "build with rewrite-timestamp=true beside SOURCE_DATE_EPOCH",
    check: Check::Image(check),
};

const SLACK: Duration = Duration::days(1);

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        let Some((newest, path)) = &layer.facts.newest else { continue };
        let Some(made) = layer.uses.iter().filter_map(|(image, _)| times::created(image)).max() else { continue };
        let time = i64::try_from(*newest).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        let Some(late) = time.map(|time| time - made).filter(|late| *late > SLACK) else { continue };
        let message = format!("{path} is {} newer than the image", times::span(late));
        layer.found(findings, Severity::Info, "", message);
    }
}
