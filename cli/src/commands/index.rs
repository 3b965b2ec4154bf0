//! `polyarch index`: indexes made and changed in a registry.

use std::sync::Arc;

use polyarch_registry::client::Registry;
use polyarch_registry::oci::index_editor::{AnnotationChange, attested};
use polyarch_registry::oci::{
    Descriptor, Digest, Format, ImageConfig, IndexEditError, IndexEditor, Manifest, Platform, RawManifest, Reference,
};
use polyarch_registry::transfer::copier::{Request, Root};
use polyarch_registry::transfer::{Copier, Origin, PARALLEL, RegistrySource};
use serde_json::json;

use super::listing::Listing;
use super::tools::{client, put_tag, reference, refused};
use super::{Context, source};
use crate::args::index::{AddArgs, AnnotateArgs, CreateArgs, GuardArgs, IndexCommand, RmEntryArgs, ShowArgs};
use crate::args::values;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{Surroundings, ValueError};

/// Runs `polyarch index`.
///
/// # Errors
/// The index or an image is not there, the change cannot be made, or the tag has moved.
pub async fn run(command: &IndexCommand, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    match command {
        IndexCommand::Create(args) => create(args, context, around).await?,
        IndexCommand::Add(args) => add(args, context, around).await?,
        IndexCommand::Rm(args) => rm(args, context, around).await?,
        IndexCommand::Annotate(args) => annotate(args, context, around).await?,
        IndexCommand::Show(args) => show(args, context, around).await?,
    }
    Ok(ExitCode::Done)
}

/// An index in a registry, being changed.
struct Work {
    registry: Registry,
    at: Reference,
    guard: Option<Digest>,
}

impl Work {
    fn new(text: &str, guard: &GuardArgs, around: &Surroundings) -> Result<Self, Diagnostic> {
        let at = reference(text, "REF")?.or_latest();
        if at.digest().is_some() {
            return Err(ValueError::new(text, "a digest cannot be changed; name a tag").of("REF").into());
        }
        let digest = guard.if_digest.as_deref().map(|digest| {
            digest.parse::<Digest>().map_err(|error| ValueError::new(digest, error.to_string()).of("--if-digest"))
        });
        Ok(Self { registry: client(&guard.registries, around)?, at, guard: digest.transpose()? })
    }

    async fn open(&self) -> Result<IndexEditor, Diagnostic> {
        let index = self.registry.without_mirrors().get_manifest(&self.at).await?;
        self.check(Some(index.digest()))?;
        IndexEditor::open(&index).map_err(invalid)
    }

    fn check(&self, found: Option<&Digest>) -> Result<(), Diagnostic> {
        let Some(want) = self.guard.as_ref().filter(|want| found != Some(want)) else { return Ok(()) };
        let found = found.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let text = format!("{} points at {found}, not at {want}: it was not changed", self.at);
        Err(Diagnostic::message(ExitCode::Publish, text).hint("somebody has moved the tag; look at it and try again"))
    }

    /// Writes the index by digest, then moves the tag, if it is still where it was.
    async fn write(&self, editor: &IndexEditor, context: &Context) -> Result<(), Diagnostic> {
        let index = editor.build().map_err(invalid)?;
        let by_digest = self.at.with_digest(index.digest().clone());
        self.registry.put_manifest(&by_digest, &index).await.map_err(refused)?;
        if self.guard.is_some() {
            let registry = self.registry.without_mirrors();
            let found = match registry.head_manifest(&self.at).await?.is_some() {
                true => Some(registry.get_manifest(&self.at).await?),
                false => None,
            };
            self.check(found.as_ref().map(RawManifest::digest))?;
        }
        put_tag(&self.registry, &self.at, &index).await?;
        context.console.result(format!("{} {}\n", self.at, index.digest()))
    }

    /// Adds images, and what an index has; what is in another repository is copied first, by digest.
    async fn add(&self, editor: &mut IndexEditor, sources: &[String]) -> Result<(), Diagnostic> {
        let mut found = Vec::new();
        for text in sources {
            let from = reference(text, "SRC")?.or_latest();
            let is_here = from.name() == self.at.name();
            // What is here is not brought, so the registry itself must have it.
            let registry = if is_here { self.registry.without_mirrors() } else { self.registry.clone() };
            let root = registry.get_manifest(&from).await?;
            let entries = self.entries(&from, &root).await?;
            found.push((from, root, entries));
        }
        // Refused before anything is written.
        for (_, _, entries) in &found {
            for entry in entries {
                editor.add(entry.clone()).map_err(invalid)?;
            }
        }
        for (from, root, _) in found.into_iter().filter(|(from, _, _)| from.name() != self.at.name()) {
            self.bring(&from, root).await?;
        }
        Ok(())
    }

    async fn entries(&self, from: &Reference, root: &RawManifest) -> Result<Vec<Descriptor>, Diagnostic> {
        let unreadable = |error| Diagnostic::new(ExitCode::Verification, &error);
        match root.view().map_err(unreadable)? {
            Manifest::Index(index) => Ok(index.manifests),
            Manifest::Image(image) => {
                let content = RegistrySource { registry: self.registry.clone(), repository: from.clone() };
                let config = source::small_blob(&content, &image.config).await?;
                let config = ImageConfig::parse(&config).map_err(|error| {
                    let text = format!("{from} does not say what platform it is for");
                    Diagnostic::message(ExitCode::Verification, text).because(&error)
                })?;
                Ok(vec![Descriptor { platform: Some(config.platform()), ..root.descriptor() }])
            }
        }
    }

    async fn bring(&self, from: &Reference, root: RawManifest) -> Result<(), Diagnostic> {
        let copier = Copier {
            registry: self.registry.clone(),
            events: Arc::new(|_| {}),
            parallel: PARALLEL,
            referrers: true,
            platforms: Vec::new(),
        };
        let destination = self.at.with_digest(root.digest().clone());
        let request = Request { root: Root::Read(root), destination };
        let outcome = copier.to_repository(&Origin::Repository(from.clone()), &[request]).await;
        for (_, result) in outcome.images {
            result.map_err(|error| Diagnostic::from(&*error).context(format!("cannot copy {from}")))?;
        }
        Ok(())
    }
}

fn invalid(error: IndexEditError) -> Diagnostic {
    let code = match error {
        IndexEditError::Unreadable(_) => ExitCode::Verification,
        _ => ExitCode::Usage,
    };
    let diagnostic = Diagnostic::new(code, &error);
    match error {
        IndexEditError::NotAnIndex(_) => diagnostic.hint("`polyarch index create` joins images into an index"),
        _ => diagnostic,
    }
}

async fn create(args: &CreateArgs, context: &Context, around: &Surroundings) -> Result<(), Diagnostic> {
    let work = Work::new(&args.reference, &args.guard, around)?;
    if work.guard.is_some() {
        let found = work.registry.without_mirrors().head_manifest(&work.at).await?.and_then(|head| head.digest);
        work.check(found.as_ref())?;
    }
    let format = match args.format {
        values::Format::Oci => Format::Oci,
        values::Format::Docker => Format::Docker,
    };
    let mut editor = IndexEditor::new(format);
    let changes = args.annotation.iter().map(|text| change(text, false)).collect::<Result<Vec<_>, _>>()?;
    editor.annotate(&changes).map_err(invalid)?;
    work.add(&mut editor, &args.sources).await?;
    work.write(&editor, context).await
}

async fn add(args: &AddArgs, context: &Context, around: &Surroundings) -> Result<(), Diagnostic> {
    let work = Work::new(&args.reference, &args.guard, around)?;
    let mut editor = work.open().await?;
    work.add(&mut editor, &args.sources).await?;
    work.write(&editor, context).await
}

async fn rm(args: &RmEntryArgs, context: &Context, around: &Surroundings) -> Result<(), Diagnostic> {
    let work = Work::new(&args.reference, &args.guard, around)?;
    let mut editor = work.open().await?;
    let picks = args.entries.iter().map(|text| Pick::parse(text)).collect::<Result<Vec<_>, _>>()?;
    for (pick, text) in picks.iter().zip(&args.entries) {
        pick.must_be_in(&editor, text)?;
    }
    editor.retain(|entry| !picks.iter().any(|pick| pick.takes(entry)));
    work.write(&editor, context).await
}

async fn annotate(args: &AnnotateArgs, context: &Context, around: &Surroundings) -> Result<(), Diagnostic> {
    let changes = args.changes.iter().map(|text| change(text, true)).collect::<Result<Vec<_>, _>>()?;
    let pick = args.entry.as_deref().map(Pick::parse).transpose()?;
    let work = Work::new(&args.reference, &args.guard, around)?;
    let mut editor = work.open().await?;
    match (&pick, &args.entry) {
        (Some(pick), Some(text)) => {
            pick.must_be_in(&editor, text)?;
            editor.annotate_entries(|entry| pick.takes(entry), &changes).map_err(invalid)?;
        }
        _ => editor.annotate(&changes).map_err(invalid)?,
    }
    work.write(&editor, context).await
}

/// Reads `KEY=VALUE`, or `KEY-` where that may be.
fn change(text: &str, may_remove: bool) -> Result<AnnotationChange, Diagnostic> {
    if let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) {
        return Ok((key.to_owned(), Some(value.to_owned())));
    }
    match text.strip_suffix('-').filter(|key| may_remove && !key.is_empty()) {
        Some(key) => Ok((key.to_owned(), None)),
        None => Err(ValueError::new(text, "it is not KEY=VALUE").of("annotation").into()),
    }
}

/// Names entries of an index.
enum Pick {
    Digest(Digest),
    Platform(Platform),
}

impl Pick {
    fn parse(text: &str) -> Result<Self, Diagnostic> {
        if text.contains(':') {
            let digest = text.parse().map_err(|error| digest_fault(text, &error))?;
            return Ok(Self::Digest(digest));
        }
        let platform = text.parse::<Platform>();
        platform.map(Self::Platform).map_err(|error| ValueError::new(text, error.to_string()).of("ENTRY").into())
    }

    fn takes(&self, entry: &Descriptor) -> bool {
        match self {
            Self::Digest(digest) => entry.digest == *digest,
            Self::Platform(platform) => entry.platform.as_ref().is_some_and(|have| have.same_as(platform)),
        }
    }

    fn must_be_in(&self, editor: &IndexEditor, text: &str) -> Result<(), Diagnostic> {
        if editor.entries().any(|entry| self.takes(entry)) {
            return Ok(());
        }
        let have = editor.entries().filter(|entry| attested(entry).is_none());
        let have: Vec<String> = have.filter_map(|entry| entry.platform.as_ref().map(ToString::to_string)).collect();
        let error = Diagnostic::message(ExitCode::Usage, format!("{text} is not in the index"));
        Err(error.hint(format!("there is {}", have.join(", "))))
    }
}

fn digest_fault(text: &str, error: &polyarch_registry::oci::DigestError) -> Diagnostic {
    ValueError::new(text, error.to_string()).of("ENTRY").into()
}

async fn show(args: &ShowArgs, context: &Context, around: &Surroundings) -> Result<(), Diagnostic> {
    let at = reference(&args.reference, "REF")?.or_latest();
    let index = client(&args.registries, around)?.get_manifest(&at).await?;
    let editor = IndexEditor::open(&index).map_err(invalid)?;
    let row = |entry: &Descriptor| {
        let platform = entry.platform.as_ref().map(ToString::to_string);
        let kind = if attested(entry).is_some() { "attestation" } else { "image" };
        let kind = entry.artifact_type.as_deref().unwrap_or(kind);
        vec![json!(platform), json!(entry.digest), json!(entry.size), json!(kind), json!(entry.annotations)]
    };
    let rows = editor.entries().map(row).collect();
    Listing { columns: &["platform", "digest", "size", "kind", "annotations"], rows }.show(&args.listing, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_set_and_remove() {
        assert_eq!(change("a=b=c", false).unwrap(), ("a".to_owned(), Some("b=c".to_owned())));
        assert_eq!(change("a-", true).unwrap(), ("a".to_owned(), None));
        for (text, may_remove) in [("a-", false), ("=b", true), ("a", true), ("-", true)] {
            assert!(change(text, may_remove).is_err(), "{text}");
        }
    }
}
