//! What a copy says at its end.

use std::fmt::Write as _;
use std::sync::Arc;

use polyarch_registry::oci::{Digest, Reference};
use polyarch_registry::transfer::copier::{Outcome, Tree};
use polyarch_registry::transfer::{CopierError, Counts, Delivered, TagMove};

use crate::commands::Context;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::Mode;
use crate::text::{bytes, escape};

/// What a run did.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// Images, or why they were not copied.
    pub(super) images: Vec<Result<Image, Diagnostic>>,
    /// Blobs, each once.
    pub(super) blobs: Counts,
    /// The configuration of a source without a manifest: one was made.
    pub(super) remade: Option<Digest>,
}

/// An image that is where it should be.
#[derive(Debug)]
pub(super) struct Image {
    name: String,
    source: Digest,
    digest: Digest,
    was_there: bool,
    manifests: usize,
    referrers: usize,
    left_out: Vec<String>,
    /// The one platform that a place without manifests holds.
    pub(super) held: Option<Vec<String>>,
}

impl Image {
    pub(super) fn of_tree(name: String, tree: &Tree) -> Self {
        Self {
            name,
            source: tree.source.clone(),
            digest: tree.root().map_or_else(|| tree.source.clone(), |root| root.digest().clone()),
            was_there: false,
            manifests: tree.image.manifests.len(),
            referrers: tree.extras.len(),
            left_out: tree.left_out.clone(),
            held: None,
        }
    }
}

impl From<Delivered> for Image {
    fn from(delivered: Delivered) -> Self {
        Self {
            name: delivered.destination.tag().unwrap_or("-").to_owned(),
            source: delivered.source,
            digest: delivered.digest,
            was_there: delivered.tag == TagMove::Unchanged,
            manifests: delivered.manifests,
            referrers: delivered.referrers,
            left_out: delivered.left_out,
            held: None,
        }
    }
}

impl Copied {
    pub(super) fn add(&mut self, blobs: Counts) {
        self.blobs.sent += blobs.sent;
        self.blobs.sent_bytes += blobs.sent_bytes;
        self.blobs.present += blobs.present;
        self.blobs.mounted += blobs.mounted;
    }
}

impl From<Outcome> for Copied {
    fn from(outcome: Outcome) -> Self {
        let image = |(to, result): (Reference, Result<Delivered, Arc<CopierError>>)| {
            result.map(Image::from).map_err(|error| {
                let failure = Diagnostic::from(&*error);
                failure.context(format!("{to} was not copied, and its tag was not moved"))
            })
        };
        Self { images: outcome.images.into_iter().map(image).collect(), blobs: outcome.blobs, remade: None }
    }
}

/// Writes what became of the images to stdout, and every failure to stderr.
pub(super) fn tell(copied: &Copied, mode: Mode, context: &Context) -> Result<ExitCode, Diagnostic> {
    let mut text = String::new();
    for image in copied.images.iter().flatten() {
        match mode {
            Mode::Quiet => text.push_str(&format!("{}\n", image.digest)),
            _ => text.push_str(&line(image)),
        }
    }
    if mode != Mode::Quiet {
        // Writing to a String cannot fail.
        if let Some(config) = &copied.remade {
            let _ = writeln!(text, "{}", remade(config));
        }
        let blobs = copied.blobs;
        let sent = format!("{} sent ({})", blobs.sent, bytes(blobs.sent_bytes));
        let _ = writeln!(text, "blobs: {sent}, {} mounted, {} there already", blobs.mounted, blobs.present);
    }
    context.console.result(text)?;
    let failures: Vec<&Diagnostic> = copied.images.iter().filter_map(|image| image.as_ref().err()).collect();
    failures.iter().for_each(|failure| context.console.error(failure));
    Ok(failures.iter().map(|failure| failure.code).min().unwrap_or(ExitCode::Done))
}

/// Where there was no manifest, equal digests only say that what was made here arrived.
fn remade(config: &Digest) -> String {
    format!(
        "the source keeps no manifest: one was made around its configuration {config},\n  \
         with its layers compressed; a copy in a registry may have another digest"
    )
}

/// Says of one image whether both ends have the same digest, and if not, why.
fn line(image: &Image) -> String {
    let Image { name, source, digest, was_there, manifests, referrers, left_out, held } = image;
    let there = if *was_there { " (was there already)" } else { "" };
    let name = escape(name);
    if let Some(held) = held {
        let held = escape(&held.join(", "));
        return format!(
            "{name}: {held} of {source}\n  the classic image store holds one platform of an image, and no manifest\n"
        );
    }
    if left_out.is_empty() {
        let along = match referrers {
            0 => String::new(),
            1 => ", 1 referrer".to_owned(),
            more => format!(", {more} referrers"),
        };
        let count = if *manifests == 1 { "1 manifest".to_owned() } else { format!("{manifests} manifests") };
        return format!("{name}: {digest} at both ends, {count}{along}{there}\n");
    }
    let gone = escape(&left_out.join(", "));
    format!(
        "{name}: {digest}, at the source {source}{there}\n  the index has another digest because it does not list {gone}; \
         what refers to the source's index stays behind\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_said_in_one_line_and_a_difference_explained() {
        let digest = Digest::sha256("x");
        let mut image = Image {
            name: "1".into(),
            source: digest.clone(),
            digest: digest.clone(),
            was_there: false,
            manifests: 3,
            referrers: 1,
            left_out: Vec::new(),
            held: None,
        };
        assert_eq!(line(&image), format!("1: {digest} at both ends, 3 manifests, 1 referrer\n"));
        image.left_out = vec!["linux/arm64".into()];
        assert!(line(&image).contains("because it does not list linux/arm64"), "{}", line(&image));
    }
}
