//! Files that usually hold secrets.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::Oddity;
use crate::audit::layer::tree::clean;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers::{self, Layer};

pub(super) const RULE: Rule = Rule {
    id: "secret-files",
    title: "a layer has files whose names are those of credentials and private keys",
    severity: Severity::Warning,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &[],
    explanation: "Everybody who can pull an image can read all of its layers, also a file that a later layer deletes. Files are \
        told by their names (.npmrc, .git-credentials, id_rsa, .aws/credentials, .docker/config.json, …) and are not \
        opened; examples among tests, documentation and node modules are left out.",
    fix: "use `RUN --mount=type=secret`, revoke what was in the file, and build the image again without it",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        let Some(noted) = layer.facts.noted(Oddity::Secret) else { continue };
        let is_gone = noted.first.iter().all(|path| is_hidden(facts, &layer, path));
        let (words, key) = match is_gone {
            true => ("deleted later, but still to be read in a lower layer", "deleted secrets"),
            false => ("credentials or keys, by their names", "secrets"),
        };
        layer.found(findings, Severity::Warning, key, format!("{words}: {}", noted.list()));
    }
}

/// Whether a layer above deletes or replaces it, in every image it is in.
fn is_hidden(facts: &ImageFacts, layer: &Layer<'_>, path: &str) -> bool {
    let Some(path) = clean(path.as_bytes()) else { return false };
    let hides = |digest| {
        let above = facts.layers.as_ref().and_then(|layers| layers.get(digest));
        above.is_some_and(|above| above.tree.hides(&path) || above.tree.node(&path).is_some())
    };
    layer
        .uses
        .iter()
        .all(|(image, number)| image.manifest.view.layers.iter().skip(number + 1).any(|above| hides(&above.digest)))
}
