//! A base pinned to the manifest of one platform instead of the index.

use crate::lint::finding::Findings;
use crate::lint::{Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    id: "PlatformDigestPin",
    severity: Severity::Error,
    summary: "an image is pinned by the digest of one platform's manifest, so every platform gets that one",
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    for image in &subject.plan.images {
        let Some(facts) = subject.input.images.get(&image.name).filter(|facts| facts.is_manifest) else { continue };
        if !image.name.contains('@') {
            continue;
        }
        let only = facts.platforms.first().map(|one| one.platform.to_string()).unwrap_or_default();
        let fix = match &facts.index_of_tag {
            Some(index) => format!("pin the index: @{index}"),
            None => "pin the digest of the index: `polyarch inspect NAME:TAG` prints it first".to_owned(),
        };
        for used in &image.platforms {
            let fits = facts.platforms.iter().any(|one| used.platform.runs(&one.platform));
            let message = format!("the digest is that of the manifest for {only} alone, not of an index");
            if !fits || image.platforms.len() > 1 || facts.index_of_tag.is_some() {
                findings.add_for(image.span, message, fix.clone(), (!fits).then_some(&used.platform));
            }
        }
    }
}
