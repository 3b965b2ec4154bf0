//! `polyarch copy`: an image with all that belongs to it, somewhere else.
//!
//! Owns: what is copied; where it goes is `into`'s, what is said of it `told`'s. Never: keeps a blob of its own.

mod daemon;
mod into;
mod told;

use std::path::Path;

use polyarch_builder::event_sink::EventSink;
use polyarch_registry::client::{Registry, fallback_tag};
use polyarch_registry::oci::reference::is_tag;
use polyarch_registry::oci::{Digest, RawManifest, Reference};
use polyarch_registry::store::LayoutStore;
use polyarch_registry::store::layout::REF_NAME;
use polyarch_registry::transfer::copier::{self, Request};
use polyarch_registry::transfer::{Copier, Origin, PARALLEL};
use polyarch_registry::verify::StoreSource;

use self::daemon::{DAEMON, DaemonImage, Taken};
use self::into::Destination;
use self::told::Copied;
use super::{Context, publish, source, until_cancelled};
use crate::args::copy::CopyArgs;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report;
use crate::settings::target::{self, Target};
use crate::settings::{GlobalSettings, Surroundings, platform, progress, registries};

/// What names a tar for `docker load`.
const ARCHIVE: &str = "docker-archive:";

/// Runs `polyarch copy`.
///
/// # Errors
/// A reference is none, the source is not there, or an image could not be copied: then its tag was not moved.
pub async fn run(
    args: &CopyArgs,
    global: &GlobalSettings,
    context: &Context,
    around: &Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let config = registries::resolve(&args.registries, around)?;
    let mode = progress::resolve(args.progress, args.quiet, around)?;
    let platforms = platform::parse_list(&args.platform).map_err(|error| error.of("--platform"))?;
    let (sink, events) = EventSink::channel();
    let copier = Copier {
        registry: Registry::new(config),
        events: publish::events(sink.clone()),
        parallel: PARALLEL,
        referrers: !args.no_referrers,
        platforms,
    };
    let display = report::display(mode, Box::new(std::io::stderr()), context.console.look());
    // The display ends with the last sink, which goes with the work.
    let work = async move {
        let run = Run { args, global, around, events: sink };
        run.copy(copier).await
    };
    let (done, ()) = tokio::join!(until_cancelled(context, work), report::show(events, display));
    told::tell(&done?, mode, context)
}

fn no_scratch(error: std::io::Error) -> Diagnostic {
    Diagnostic::new(ExitCode::Publish, &error).context("cannot make a temporary directory")
}

/// What all parts of a run need.
struct Run<'a> {
    args: &'a CopyArgs,
    global: &'a GlobalSettings,
    around: &'a Surroundings,
    events: EventSink,
}

impl Run<'_> {
    async fn copy(&self, copier: Copier) -> Result<Copied, Diagnostic> {
        let destination = Destination::parse(&self.args.destination, self.around)?;
        // What is neither in a registry nor in a layout is unpacked into one that goes away with the command.
        let scratch = tempfile::tempdir().map_err(no_scratch)?;
        let taken = self.take(&scratch).await?;
        let mut images = find(&taken.target, &copier, self.global, self.args.all_tags).await?;
        if let (Some(name), [only]) = (&taken.name, images.roots.as_mut_slice()) {
            only.tag = name.tag().map(str::to_owned);
        }
        images.name = taken.name;
        let mut copied = destination.take(copier, &images, self).await?;
        copied.remade = taken.remade;
        Ok(copied)
    }

    async fn take(&self, scratch: &tempfile::TempDir) -> Result<Taken, Diagnostic> {
        let source = self.args.source.as_str();
        if let Some(image) = source.strip_prefix(DAEMON) {
            let image = DaemonImage::parse(image, "SRC")?;
            return daemon::take(&image, &LayoutStore::open(scratch.path()).await?, self.around, &self.events).await;
        }
        if let Some(file) = source.strip_prefix(ARCHIVE) {
            let layout = LayoutStore::open(scratch.path()).await?;
            return daemon::unpack(&self.around.cwd.join(file), &layout, &self.events).await;
        }
        Ok(Taken { target: target::parse(source, &self.around.cwd)?, name: None, remade: None })
    }
}

/// What is copied.
struct Images {
    origin: Origin,
    roots: Vec<Root>,
    /// What the one image is called where there are no repositories.
    name: Option<Reference>,
}

/// One image and what it is called at its source.
struct Root {
    manifest: copier::Root,
    tag: Option<String>,
}

impl Root {
    /// Reads it, if it was not.
    async fn read(&self, copier: &Copier) -> Result<RawManifest, Diagnostic> {
        match &self.manifest {
            copier::Root::Read(manifest) => Ok(manifest.clone()),
            copier::Root::At(reference) => Ok(copier.registry.get_manifest(reference).await?),
        }
    }

    fn request(&self, to: &Reference, all: bool) -> Request {
        let named = to.tag().filter(|_| !all).map(str::to_owned).or_else(|| self.tag.clone());
        let destination = named.map_or_else(|| to.clone(), |tag| to.with_tag(&tag));
        Request { root: self.manifest.clone(), destination }
    }
}

async fn find(from: &Target, copier: &Copier, global: &GlobalSettings, all: bool) -> Result<Images, Diagnostic> {
    match from {
        Target::Registry(at) => {
            let tags = match all {
                true => tags(copier, at).await?,
                false => vec![at.tag().map(str::to_owned)],
            };
            let mut roots = Vec::new();
            for tag in tags {
                let one = match &tag {
                    Some(tag) if all => at.with_tag(tag),
                    _ => at.clone(),
                };
                // One that is not there is told before anything else is asked.
                let manifest = match all {
                    true => copier::Root::At(one),
                    false => copier::Root::Read(copier.registry.get_manifest(&one).await?),
                };
                roots.push(Root { manifest, tag });
            }
            Ok(Images { origin: Origin::Repository(at.clone()), roots, name: None })
        }
        Target::Layout { path, entry } => in_layout(path, entry.as_deref(), all).await,
        Target::Store(name) => in_layout(&global.store, Some(name), all).await,
    }
}

/// Tags that only point from a digest to what refers to it go along by themselves, or not at all.
async fn tags(copier: &Copier, at: &Reference) -> Result<Vec<Option<String>>, Diagnostic> {
    let list = copier.registry.tags(at).await?;
    if list.truncated {
        let text = format!("{} has more tags than can be copied at once", at.name());
        return Err(Diagnostic::message(ExitCode::CouldNotCheck, text));
    }
    let length = fallback_tag(&Digest::sha256("")).len();
    let is_own = |tag: &String| !(tag.starts_with("sha256-") && tag.len() >= length);
    Ok(list.tags.into_iter().filter(is_own).map(Some).collect())
}

async fn in_layout(path: &Path, entry: Option<&str>, all: bool) -> Result<Images, Diagnostic> {
    let store = LayoutStore::open_existing(path).await?;
    let entries = match all {
        true => store.roots().await?.into_iter().filter(|root| root.name.is_some()).collect(),
        false => vec![source::entry(&store, entry).await?],
    };
    let mut roots = Vec::new();
    for entry in entries {
        let manifest = source::manifest(&StoreSource(store.clone()), &entry.descriptor).await?;
        // A full name has its tag after the last colon.
        let name = entry.descriptor.annotations.get(REF_NAME).cloned();
        let parsed = name.as_ref().filter(|name| name.contains('/')).and_then(|name| name.parse::<Reference>().ok());
        let tag = match parsed {
            Some(reference) => reference.tag().map(str::to_owned),
            None => name.filter(|name| is_tag(name)),
        };
        roots.push(Root { manifest: copier::Root::Read(manifest), tag });
    }
    Ok(Images { origin: Origin::Layout(store), roots, name: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tag_is_the_sources() {
        let root = Root { manifest: copier::Root::Read(RawManifest::new("m", "{}")), tag: Some("1".into()) };
        let to = |text: &str, all| root.request(&text.parse().unwrap(), all).destination.to_string();
        assert_eq!(to("localhost:5000/a", false), "localhost:5000/a:1");
        assert_eq!(to("localhost:5000/a:2", false), "localhost:5000/a:2");
        assert_eq!(to("localhost:5000/a:2", true), "localhost:5000/a:1");
    }
}
