//! What the history of a configuration tells of a layer.
//!
//! Owns: reading `created_by` as BuildKit, the classic builder, buildah and kaniko write it. It is text for people: what is
//! not understood tells nothing.

use crate::audit::facts::PlatformImage;
use crate::oci::Digest;

/// Where a layer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Copied to a path of its own: files, not a root file system.
    Copied,
    /// Anything else that was written down: a base's own archive, a command.
    RootFs,
    /// The history does not say.
    Unknown,
}

/// Returns where a layer of an image comes from.
pub(super) fn origin(image: &PlatformImage<'_>, layer: &Digest) -> Origin {
    let Some(steps) = steps(image) else { return Origin::Unknown };
    let number = image.manifest.view.layers.iter().position(|one| one.digest == *layer);
    match number.and_then(|number| steps.get(number)) {
        Some(step) if step.is_empty() => Origin::Unknown,
        // A builder that makes layers of packages names itself, not the package.
        Some(step) if step.starts_with("bazel ") || step.starts_with("nix") => Origin::Unknown,
        Some(step) if copied_to(step).is_some_and(|path| path.trim_matches('/') != "") => Origin::Copied,
        Some(_) => Origin::RootFs,
        None => Origin::Unknown,
    }
}

/// Returns whether commands were run in the image: then it holds at least a shell.
pub(super) fn runs_programs(image: &PlatformImage<'_>) -> bool {
    let history = image.config.map(|config| &config.view.history[..]).unwrap_or_default();
    let commands = history.iter().filter_map(|step| step.created_by.as_deref());
    commands.into_iter().any(|step| {
        let is_classic = step.starts_with("/bin/sh -c ") && !step.contains("#(nop)");
        step.starts_with("RUN ") || is_classic
    })
}

/// Returns the command of each layer, if the history has as many as there are layers.
fn steps<'a>(image: &PlatformImage<'a>) -> Option<Vec<&'a str>> {
    let history = &image.config?.view.history;
    let steps: Vec<&str> =
        history.iter().filter(|step| !step.empty_layer).map(|step| step.created_by.as_deref().unwrap_or("")).collect();
    (steps.len() == image.manifest.view.layers.len()).then_some(steps)
}

/// Returns the path that `COPY` or `ADD` wrote to: the last word of `COPY a b /srv/ # buildkit`, and of the classic
/// builder's `/bin/sh -c #(nop) COPY file:0f… in /srv/`.
fn copied_to(step: &str) -> Option<&str> {
    let step = step.strip_prefix("/bin/sh -c #(nop) ").unwrap_or(step).trim();
    let rest = step.strip_prefix("COPY ").or_else(|| step.strip_prefix("ADD "))?;
    let rest = rest.split(" # buildkit").next().unwrap_or(rest).trim();
    rest.split_whitespace().next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_told_from_root_file_systems() {
        for (step, want) in [
            ("COPY /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ # buildkit", Some("/etc/ssl/certs/")),
            ("/bin/sh -c #(nop) COPY file:0f1 in /srv/app ", Some("/srv/app")),
            ("/bin/sh -c #(nop) ADD file:4b1 in / ", Some("/")),
            ("ADD alpine-minirootfs-3.20.3-x86_64.tar.gz / # buildkit", Some("/")),
            ("# debian.sh --arch 'amd64' out/ 'bookworm' '@1728864000'", None),
            ("RUN /bin/sh -c apk add curl # buildkit", None),
            ("COPY", None),
        ] {
            assert_eq!(copied_to(step), want, "{step}");
        }
    }
}
