//! What the history of a configuration tells of a layer.
//!
//! Owns: reading `created_by` as BuildKit, the classic builder, buildah and kaniko write it. It is text for people: what is
//! not understood tells nothing.

use std::collections::HashMap;

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

/// Longest history that is read; images have some hundred steps at most.
const MOST_STEPS: usize = 10_000;

/// The steps of layers, by the layers' digests.
pub(super) struct Steps<'a>(HashMap<&'a Digest, &'a str>);

impl<'a> Steps<'a> {
    /// Returns the steps of the first image whose history has as many as there are layers; none knows of no layer.
    pub(super) fn of(images: &[&PlatformImage<'a>]) -> Self {
        Self(images.iter().find_map(|image| by_layer(image)).unwrap_or_default())
    }

    /// Returns where a layer comes from.
    pub(super) fn origin(&self, layer: &Digest) -> Origin {
        match self.0.get(layer).copied() {
            None | Some("") => Origin::Unknown,
            // A builder that makes layers of packages names itself, not the package.
            Some(step) if step.starts_with("bazel ") || step.starts_with("nix") => Origin::Unknown,
            Some(step) if copied_to(step).is_some_and(|path| !path.trim_matches('/').is_empty()) => Origin::Copied,
            Some(_) => Origin::RootFs,
        }
    }

    /// Returns the architecture that the step of a layer names, if it is one: `debian.sh --arch 'arm64'`,
    /// `ADD alpine-minirootfs-3.20.3-x86_64.tar.gz`.
    pub(super) fn architecture(&self, layer: &Digest) -> Option<&'static str> {
        named_in(self.0.get(layer)?)
    }
}

fn by_layer<'a>(image: &PlatformImage<'a>) -> Option<HashMap<&'a Digest, &'a str>> {
    let history = Some(&image.config?.view.history).filter(|history| history.len() <= MOST_STEPS)?;
    let steps: Vec<&str> =
        history.iter().filter(|step| !step.empty_layer).map(|step| step.created_by.as_deref().unwrap_or("")).collect();
    let layers = &image.manifest.view.layers;
    (steps.len() == layers.len()).then(|| layers.iter().map(|layer| &layer.digest).zip(steps).collect())
}

/// Architectures as archives of root file systems are named after them, and as Go calls them.
const ARCHITECTURES: [(&str, &str); 13] = [
    ("amd64", "amd64"),
    ("x86_64", "amd64"),
    ("arm64", "arm64"),
    ("arm64v8", "arm64"),
    ("aarch64", "arm64"),
    ("armhf", "arm"),
    ("armv7", "arm"),
    ("armel", "arm"),
    ("i386", "386"),
    ("ppc64le", "ppc64le"),
    ("ppc64el", "ppc64le"),
    ("s390x", "s390x"),
    ("riscv64", "riscv64"),
];

fn named_in(step: &str) -> Option<&'static str> {
    let words = step.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut named = words
        .filter_map(|word| ARCHITECTURES.iter().find(|(name, _)| *name == word))
        .map(|(_, architecture)| *architecture);
    let first = named.next()?;
    named.all(|other| other == first).then_some(first)
}

/// Returns whether commands were run in the image: then it holds at least a shell.
pub(super) fn runs_programs(image: &PlatformImage<'_>) -> bool {
    let history = image.config.map(|config| &config.view.history[..]).unwrap_or_default();
    let commands = history.iter().take(MOST_STEPS).filter_map(|step| step.created_by.as_deref());
    commands.into_iter().any(|step| {
        let is_classic = step.starts_with("/bin/sh -c ") && !step.contains("#(nop)");
        step.starts_with("RUN ") || is_classic
    })
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

    #[test]
    fn steps_name_architectures() {
        for (step, want) in [
            ("# debian.sh --arch 'arm64' out/ 'bookworm' '@1728864000'", Some("arm64")),
            ("ADD alpine-minirootfs-3.20.3-x86_64.tar.gz / # buildkit", Some("amd64")),
            ("ADD rootfs-amd64-or-arm64.tar / # buildkit", None),
            ("/bin/sh -c #(nop) ADD file:4b1 in / ", None),
        ] {
            assert_eq!(named_in(step), want, "{step}");
        }
    }
}
