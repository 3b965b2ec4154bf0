//! `polyarch push`: publish what a build left in the store, or what is in an OCI layout.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use polyarch_builder::event_sink::EventSink;
use polyarch_registry::client::Registry;
use polyarch_registry::oci::{RawManifest, Reference};
use polyarch_registry::store::LayoutStore;
use polyarch_registry::store::layout::{Lease, Root};
use polyarch_registry::transfer::IMAGE_NAME;
use polyarch_registry::verify::{Depth, StoreSource, VerifyOptions, verify};

use super::{Context, notes, publish, source, until_cancelled};
use crate::args::PushArgs;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::{self, BuildReport};
use crate::settings::target::{self, Target};
use crate::settings::{GlobalSettings, SettingsError, Surroundings, progress, registries, tag};

/// Runs `polyarch push`.
///
/// # Errors
/// The result is not there or not sound, a tag is none, or nothing could be published.
pub async fn run(
    args: &PushArgs,
    global: &GlobalSettings,
    context: &Context,
    around: &Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let config = registries::resolve(&args.registries, around)?;
    let mode = progress::resolve(args.progress, args.quiet, around)?;
    let target = target::parse_local(&args.source, &around.cwd)?;
    let tags = tag::parse_list(&args.tag).map_err(|error| error.of("--tag"))?;
    let found = until_cancelled(context, find(&target, global, tags)).await?;
    let (sink, events) = EventSink::channel();
    let publisher = publish::publisher(Registry::new(config), Arc::new(found.store), sink);
    let display = report::display(mode, Box::new(std::io::stderr()), context.console.look());
    let work = async {
        let done = publish::publish(&publisher, found.root.clone(), &found.tags).await;
        let hosts: BTreeSet<&str> = found.tags.iter().map(Reference::host).collect();
        let notes: String = hosts.into_iter().map(|host| notes::of(&publisher.registry, host)).collect();
        // The display ends with the last sink.
        drop(publisher);
        Ok((done, notes))
    };
    // Cancelled, the work is dropped and the display ends as it does after it.
    let (done, ()) = tokio::join!(until_cancelled(context, work), report::show(events, display));
    let ((tags, failures), notes) = done?;
    context.console.say(&notes);
    let report = BuildReport { root: Some(found.root.descriptor()), tags, ..BuildReport::default() };
    for failure in &failures {
        context.console.error(failure);
    }
    publish::tell(&context.console, mode, &report)?;
    Ok(failures.iter().map(|failure| failure.code).min().unwrap_or(ExitCode::Done))
}

/// What is published.
struct Source {
    store: LayoutStore,
    root: RawManifest,
    tags: Vec<Reference>,
    /// Nobody may collect what is being published.
    _lease: Option<Lease>,
}

/// Finds the image. What is in the store was verified when it came there; what is in a layout is verified now.
async fn find(target: &Target, global: &GlobalSettings, tags: Vec<Reference>) -> Result<Source, Diagnostic> {
    let (store, lease, entry) = match target {
        Target::Store(name) => {
            let store = LayoutStore::open(&global.store).await?;
            let lease = store.lease().await?;
            (store, Some(lease), Some(name.as_str()))
        }
        Target::Layout { path, entry } => (LayoutStore::open_existing(path).await?, None, entry.as_deref()),
        Target::Registry(reference) => {
            let text = format!("{reference} is in a registry, and push publishes what is here");
            return Err(Diagnostic::message(ExitCode::Usage, text));
        }
    };
    let found = source::entry(&store, entry).await?;
    let tags = destinations(tags, &found)?;
    let root = source::manifest(&StoreSource(store.clone()), &found.descriptor).await?;
    if let Target::Layout { path, .. } = target {
        check(&store, &root, path).await?;
    }
    Ok(Source { store, root, tags, _lease: lease })
}

async fn check(store: &LayoutStore, root: &RawManifest, path: &Path) -> Result<(), Diagnostic> {
    let report = verify(&StoreSource(store.clone()), root, &VerifyOptions::new(Depth::Deep)).await;
    if report.is_good() {
        return Ok(());
    }
    let findings: Vec<String> = report.all_findings().map(ToString::to_string).collect();
    let text = format!("the image in {} is not sound, and was not published", path.display());
    Err(Diagnostic { chain: vec![text, findings.join("\n")], ..Diagnostic::message(super::verify::code(&report), "") })
}

/// The tags named, else the name it has if that is a reference.
fn destinations(tags: Vec<Reference>, found: &Root) -> Result<Vec<Reference>, Diagnostic> {
    if !tags.is_empty() {
        return Ok(tags);
    }
    let full = found.descriptor.annotations.get(IMAGE_NAME).or(found.name.as_ref());
    let own = full.filter(|name| name.contains('/')).and_then(|name| name.parse::<Reference>().ok());
    match own.filter(|reference| reference.digest().is_none()) {
        Some(reference) => Ok(vec![reference.or_latest()]),
        None => Err(SettingsError::Conflict {
            what: "the result has no name that says where it goes".into(),
            hint: Some("add -t REGISTRY/NAME:TAG"),
        }
        .into()),
    }
}
