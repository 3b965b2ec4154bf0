//! `polyarch copy`: an image with all that belongs to it, somewhere else.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use polyarch_builder::event_sink::EventSink;
use polyarch_registry::client::{Registry, fallback_tag};
use polyarch_registry::oci::media_type::layer_compression;
use polyarch_registry::oci::reference::is_tag;
use polyarch_registry::oci::{Digest, Manifest, RawManifest, Reference};
use polyarch_registry::store::LayoutStore;
use polyarch_registry::store::layout::REF_NAME;
use polyarch_registry::transfer::archive::{ImportError, import};
use polyarch_registry::transfer::copier::{self, Names, Outcome, Request, Tree};
use polyarch_registry::transfer::{
    Archive, ArchiveError, Copier, CopierError, Counts, Delivered, Origin, PARALLEL, TagMove, layout_entries,
};
use polyarch_registry::verify::StoreSource;

use super::{Context, publish, source, until_cancelled};
use crate::args::copy::CopyArgs;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::{self, Mode};
use crate::settings::target::{self, Target};
use crate::settings::{GlobalSettings, Surroundings, ValueError, platform, progress, registries};
use crate::text::{bytes, escape};

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
    // An archive is unpacked into a layout that goes away with the command.
    let mut scratch = None;
    let from = match args.source.strip_prefix(ARCHIVE) {
        Some(file) => {
            unpacked(&around.cwd.join(file), scratch.insert(tempfile::tempdir().map_err(no_scratch)?)).await?
        }
        None => target::parse(&args.source, &around.cwd)?,
    };
    let (sink, events) = EventSink::channel();
    let copier = Copier {
        registry: Registry::new(config),
        events: publish::events(sink),
        parallel: PARALLEL,
        referrers: !args.no_referrers,
        platforms,
    };
    let display = report::display(mode, Box::new(std::io::stderr()), context.console.look());
    let work = async {
        let done = copy(args, copier, &from, global, around).await;
        // The display ends with the last sink, which went with the copier.
        done
    };
    let (done, ()) = tokio::join!(until_cancelled(context, work), report::show(events, display));
    tell(&done?, mode, context)
}

fn no_scratch(error: std::io::Error) -> Diagnostic {
    Diagnostic::new(ExitCode::Publish, &error).context("cannot make a temporary directory")
}

async fn unpacked(file: &Path, scratch: &tempfile::TempDir) -> Result<Target, Diagnostic> {
    let layout = LayoutStore::open(scratch.path()).await?;
    match import(file, &layout).await {
        Ok(()) => Ok(Target::Layout { path: scratch.path().to_owned(), entry: None }),
        Err(ImportError::Store(error)) => {
            Err(Diagnostic::from(error).context(format!("cannot use {}", file.display())))
        }
        Err(error) => {
            Err(Diagnostic::new(ExitCode::Usage, &error).hint("`docker save` writes such tars since Docker 25"))
        }
    }
}

async fn copy(
    args: &CopyArgs,
    copier: Copier,
    from: &Target,
    global: &GlobalSettings,
    around: &Surroundings,
) -> Result<Copied, Diagnostic> {
    let images = find(from, &copier, global, args.all_tags).await?;
    if let Some(file) = args.destination.strip_prefix(ARCHIVE) {
        return to_archive(&copier, &images, &around.cwd.join(file)).await;
    }
    match target::parse(&args.destination, &around.cwd)? {
        Target::Registry(_) => {
            // Parsed again: `latest` is not what a missing tag means here.
            let to = args.destination.parse::<Reference>().map_err(|error| ValueError::from(error).of("DST"))?;
            if to.digest().is_some() {
                let error = ValueError::new(&args.destination, "a destination has a tag, not a digest");
                return Err(error.of("DST").into());
            }
            let requests: Vec<Request> = images.roots.iter().map(|root| root.request(&to, args.all_tags)).collect();
            Ok(copier.to_repository(&images.origin, &requests).await.into())
        }
        Target::Layout { path, entry } => to_layout(&copier, &images, &path, entry).await,
        Target::Store(_) => {
            let error = ValueError::new(&args.destination, "the store holds what was built");
            Err(error.hint("oci:DIR names a layout").of("DST").into())
        }
    }
}

/// What is copied.
struct Images {
    origin: Origin,
    roots: Vec<Root>,
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
            Ok(Images { origin: Origin::Repository(at.clone()), roots })
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
    Ok(Images { origin: Origin::Layout(store), roots })
}

async fn to_layout(copier: &Copier, images: &Images, path: &Path, entry: Option<String>) -> Result<Copied, Diagnostic> {
    let layout = LayoutStore::open(path).await?;
    let mut copied = Copied::default();
    for root in &images.roots {
        let name = entry.clone().or_else(|| root.tag.clone());
        let names = Names::Plain(name.clone());
        let manifest = root.read(copier).await?;
        let done = copier.to_layout(&images.origin, &manifest, &layout, &names).await;
        let (tree, part) = done.map_err(|error| Diagnostic::from(&error))?;
        copied.add(part.blobs);
        copied.images.push(Ok(Image::of_tree(name.unwrap_or_else(|| "-".to_owned()), &tree)));
    }
    Ok(copied)
}

/// Through a layout beside the file: a tar has its list first, and its sizes before its blobs.
async fn to_archive(copier: &Copier, images: &Images, file: &Path) -> Result<Copied, Diagnostic> {
    let [root] = images.roots.as_slice() else {
        return Err(Diagnostic::message(ExitCode::Usage, "an archive holds one image: leave --all-tags out"));
    };
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let unwritable = |error: &std::io::Error| {
        Diagnostic::new(ExitCode::Publish, error).context(format!("cannot write {}", file.display()))
    };
    let scratch = tempfile::tempdir_in(folder).map_err(|error| unwritable(&error))?;
    let layout = LayoutStore::open(scratch.path()).await?;
    let manifest = root.read(copier).await?;
    let done = copier.to_layout(&images.origin, &manifest, &layout, &Names::Plain(None)).await;
    let (tree, part) = done.map_err(|error| Diagnostic::from(&error))?;
    let Some(manifest) = tree.root() else { return Err(Diagnostic::message(ExitCode::Bug, "an image without a root")) };
    let names: Vec<Reference> = match &images.origin {
        Origin::Repository(at) => vec![at.with_tag(root.tag.as_deref().unwrap_or("latest"))],
        Origin::Layout(_) => Vec::new(),
    };
    let bad = |error: ArchiveError| Diagnostic::new(ExitCode::Publish, &error);
    let entries = layout_entries(&manifest.descriptor(), &names);
    let mut archive = Archive::layout(Arc::new(layout), &tree.image, &entries).await.map_err(bad)?;
    // Docker's classic image store takes one image; of several it would not know which.
    let mut platforms = tree.image.manifests.iter().filter(|node| is_image(&node.manifest));
    if let (Some(only), None) = (platforms.next(), platforms.next()) {
        let tags: Vec<String> = names.iter().map(ToString::to_string).collect();
        archive = archive.with_docker_manifest(only, &tags).map_err(bad)?;
    }
    let part_file = tempfile::NamedTempFile::new_in(folder).map_err(|error| unwritable(&error))?;
    let mut out = tokio::fs::File::from_std(part_file.reopen().map_err(|error| unwritable(&error))?);
    archive.write_to(&mut out, Arc::new(|_, _| {})).await.map_err(|error| unwritable(&error))?;
    part_file.persist(file).map_err(|error| unwritable(&error.error))?;
    let mut copied = Copied::default();
    copied.add(part.blobs);
    copied.images.push(Ok(Image::of_tree(file.display().to_string(), &tree)));
    Ok(copied)
}

/// Attestations have layers that are no layers.
fn is_image(manifest: &RawManifest) -> bool {
    let Ok(Manifest::Image(image)) = manifest.view() else { return false };
    image.layers.iter().all(|layer| layer_compression(&layer.media_type).is_some())
}

/// What a run did.
#[derive(Debug, Default)]
struct Copied {
    images: Vec<Result<Image, Diagnostic>>,
    blobs: Counts,
}

/// An image that is where it should be.
#[derive(Debug)]
struct Image {
    name: String,
    source: Digest,
    digest: Digest,
    was_there: bool,
    manifests: usize,
    referrers: usize,
    left_out: Vec<String>,
}

impl Image {
    fn of_tree(name: String, tree: &Tree) -> Self {
        Self {
            name,
            source: tree.source.clone(),
            digest: tree.root().map_or_else(|| tree.source.clone(), |root| root.digest().clone()),
            was_there: false,
            manifests: tree.image.manifests.len(),
            referrers: tree.extras.len(),
            left_out: tree.left_out.clone(),
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
        }
    }
}

impl Copied {
    fn add(&mut self, blobs: Counts) {
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
        Self { images: outcome.images.into_iter().map(image).collect(), blobs: outcome.blobs }
    }
}

/// Writes what became of the images to stdout, and every failure to stderr.
fn tell(copied: &Copied, mode: Mode, context: &Context) -> Result<ExitCode, Diagnostic> {
    let mut text = String::new();
    for image in copied.images.iter().flatten() {
        match mode {
            Mode::Quiet => text.push_str(&format!("{}\n", image.digest)),
            _ => text.push_str(&line(image)),
        }
    }
    if mode != Mode::Quiet {
        let blobs = copied.blobs;
        let sent = format!("{} sent ({})", blobs.sent, bytes(blobs.sent_bytes));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "blobs: {sent}, {} mounted, {} there already", blobs.mounted, blobs.present);
    }
    context.console.result(text)?;
    let failures: Vec<&Diagnostic> = copied.images.iter().filter_map(|image| image.as_ref().err()).collect();
    failures.iter().for_each(|failure| context.console.error(failure));
    Ok(failures.iter().map(|failure| failure.code).min().unwrap_or(ExitCode::Done))
}

/// Says of one image whether both ends have the same digest, and if not, why.
fn line(image: &Image) -> String {
    let Image { name, source, digest, was_there, manifests, referrers, left_out } = image;
    let there = if *was_there { " (was there already)" } else { "" };
    let name = escape(name);
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
        };
        assert_eq!(line(&image), format!("1: {digest} at both ends, 3 manifests, 1 referrer\n"));
        image.left_out = vec!["linux/arm64".into()];
        assert!(line(&image).contains("because it does not list linux/arm64"), "{}", line(&image));
    }

    #[test]
    fn a_missing_tag_is_the_sources() {
        let root = Root { manifest: copier::Root::Read(RawManifest::new("m", "{}")), tag: Some("1".into()) };
        let to = |text: &str, all| root.request(&text.parse().unwrap(), all).destination.to_string();
        assert_eq!(to("localhost:5000/a", false), "localhost:5000/a:1");
        assert_eq!(to("localhost:5000/a:2", false), "localhost:5000/a:2");
        assert_eq!(to("localhost:5000/a:2", true), "localhost:5000/a:1");
    }
}
