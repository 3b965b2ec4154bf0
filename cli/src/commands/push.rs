//! `polyarch push`: publish what a build left in the store.

use std::sync::Arc;

use polyarch_builder::event_sink::EventSink;
use polyarch_registry::client::Registry;
use polyarch_registry::oci::Reference;
use polyarch_registry::store::LayoutStore;
use polyarch_registry::store::layout::Root;
use polyarch_registry::verify::StoreSource;

use super::{Context, publish, source, until_cancelled};
use crate::args::PushArgs;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::{self, BuildReport, Mode, summary};
use crate::settings::{GlobalSettings, SettingsError, Surroundings, progress, registries, tag};

/// Runs `polyarch push`.
///
/// # Errors
/// The result is not in the store, a tag is none, or nothing could be published.
pub async fn run(
    args: &PushArgs,
    global: &GlobalSettings,
    context: &Context,
    around: &Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let config = registries::resolve(&args.registries, around)?;
    let mode = progress::resolve(args.progress, false, around)?;
    let store = LayoutStore::open(&global.store).await?;
    // Nobody may collect what is being published.
    let _lease = store.lease().await?;
    let found = source::find_root(&store, &args.source).await?;
    let tags = destinations(&args.tag, &found)?;
    let root = source::manifest(&StoreSource(store.clone()), &found.descriptor).await?;
    let (sink, events) = EventSink::channel();
    let publisher = publish::publisher(Registry::new(config), Arc::new(store), sink);
    let display = report::display(mode, Box::new(std::io::stderr()), context.console.look());
    let work = async {
        let done = publish::publish(&publisher, root.clone(), &tags).await;
        // The display ends with the last sink.
        drop(publisher);
        done
    };
    let both = async { Ok(tokio::join!(work, report::show(events, display)).0) };
    let (tags, failures) = until_cancelled(context, both).await?;
    let report = BuildReport { root: Some(root.descriptor()), tags, ..BuildReport::default() };
    if mode != Mode::Quiet {
        context.console.say(&summary::render(&report, context.console.err));
    }
    for failure in &failures {
        context.console.error(failure);
    }
    if failures.is_empty() {
        context.console.result(format!("{}\n", root.digest()))?;
    }
    Ok(failures.iter().map(|failure| failure.code).min().unwrap_or(ExitCode::Done))
}

/// The tags named, else the name it has in the store if that is a reference.
fn destinations(named: &[String], found: &Root) -> Result<Vec<Reference>, Diagnostic> {
    let tags = tag::parse_list(named).map_err(|error| error.of("--tag"))?;
    if !tags.is_empty() {
        return Ok(tags);
    }
    let own = found.name.as_deref().filter(|name| name.contains('/')).and_then(|name| name.parse::<Reference>().ok());
    match own.filter(|reference| reference.digest().is_none()) {
        Some(reference) => Ok(vec![reference.or_latest()]),
        None => Err(SettingsError::Conflict {
            what: "the result has no name that says where it goes".into(),
            hint: Some("add -t REGISTRY/NAME:TAG"),
        }
        .into()),
    }
}
