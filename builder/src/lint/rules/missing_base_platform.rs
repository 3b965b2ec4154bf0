//! An image that does not have a platform it is needed for.

use crate::lint::finding::Findings;
use crate::lint::{Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    id: "MissingBasePlatform",
    severity: Severity::Error,
    summary: "an image lacks a platform that the build needs of it",
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    for image in &subject.plan.images {
        let facts = subject.input.images.get(&image.name);
        let has = facts.map(|facts| facts.platforms.iter().map(|one| one.platform.to_string()).collect::<Vec<_>>());
        for used in image.platforms.iter().filter(|used| used.available == Some(false)) {
            let message = format!("{} is not there for every platform that needs it", image.name);
            let fix = format!(
                "choose another base, or leave the platform out; it has {}",
                has.as_deref().unwrap_or_default().join(", ")
            );
            findings.add_for(image.span, message, fix, Some(&used.platform));
        }
    }
}
