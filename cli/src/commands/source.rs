//! Where `inspect`, `verify`, `push` and `store rm` find an image.
//!
//! Owns: finding the root manifest of a [`Target`], and reading small content with its digest checked.
//! Never: writes.

use polyarch_registry::client;
use polyarch_registry::oci::{Descriptor, Digest, RawManifest, Reference};
use polyarch_registry::store::LayoutStore;
use polyarch_registry::store::layout::Root;
use polyarch_registry::transfer::{IMAGE_NAME, RegistrySource};
use polyarch_registry::verify::{ContentSource, SourceError, StoreSource};
use tokio::io::AsyncReadExt;

use super::about::Home;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::GlobalSettings;
use crate::settings::target::Target;

/// Manifests and configurations of real images are far below. Bytes.
const SMALL: u64 = 4 << 20;

/// An image that can be read.
pub struct Opened {
    /// What it is called.
    pub name: String,
    /// Where its content is.
    pub source: Box<dyn ContentSource>,
    /// Index or manifest.
    pub root: RawManifest,
    /// Where what is about it would be.
    pub home: Home,
}

/// Finds the root manifest of a target.
///
/// # Errors
/// It is not there, or cannot be read.
pub async fn open(target: &Target, registries: client::Config, global: &GlobalSettings) -> Result<Opened, Diagnostic> {
    match target {
        Target::Registry(reference) => {
            let registry = client::Registry::new(registries);
            let root = registry.get_manifest(reference).await;
            super::notes::tell(&registry, reference.host());
            let root = root?;
            let home = Home::Registry(Box::new((registry.clone(), reference.clone())));
            let source = Box::new(RegistrySource { registry, repository: reference.clone() });
            Ok(Opened { name: reference.to_string(), source, root, home })
        }
        Target::Layout { path, entry } => {
            let store = LayoutStore::open_existing(path).await?;
            let mut opened = from_layout(store, entry.as_deref()).await?;
            opened.name = format!("oci:{}:{}", path.display(), opened.name);
            Ok(opened)
        }
        Target::Store(name) => {
            let store = LayoutStore::open_existing(&global.store).await?;
            let mut opened = from_layout(store, Some(name)).await?;
            opened.name = format!("store:{}", opened.name);
            Ok(opened)
        }
    }
}

async fn from_layout(store: LayoutStore, wanted: Option<&str>) -> Result<Opened, Diagnostic> {
    let found = entry(&store, wanted).await?;
    let shown = found.name.unwrap_or_else(|| found.descriptor.digest.to_string());
    let home = Home::Layout(store.clone());
    let source = StoreSource(store);
    let root = manifest(&source, &found.descriptor).await?;
    Ok(Opened { name: shown, source: Box::new(source), root, home })
}

/// Finds the entry that is named, else the only one.
///
/// # Errors
/// There is none, or several images fit.
pub async fn entry(store: &LayoutStore, wanted: Option<&str>) -> Result<Root, Diagnostic> {
    match wanted {
        Some(wanted) => find_root(store, wanted).await.map(Found::into_root),
        None => only_root(store).await,
    }
}

/// An entry, and what it was asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its name.
    Name(Root),
    /// Its digest, or the beginning of it.
    Digest(Root),
}

impl Found {
    /// Returns the entry.
    pub fn into_root(self) -> Root {
        match self {
            Self::Name(root) | Self::Digest(root) => root,
        }
    }
}

/// Finds an entry by `NAME`, full reference, `NAME@DIGEST`, `@DIGEST` or `DIGEST`; of a digest the beginning is enough
/// where it fits only one.
///
/// # Errors
/// There is none, or several images fit.
pub async fn find_root(store: &LayoutStore, wanted: &str) -> Result<Found, Diagnostic> {
    let mut roots = store.roots().await?;
    // Of several entries with one name, the last one written counts.
    roots.reverse();
    // Compared, not parsed: `app:1` has the form of a digest too.
    if let Some(root) = named(&roots, wanted).next() {
        return Ok(Found::Name(root.clone()));
    }
    let (name, digest) = wanted.rsplit_once('@').unwrap_or(("", wanted));
    if !name.is_empty() {
        let found = named(&roots, name).find(|root| begins(&root.descriptor.digest, digest));
        return found.cloned().map(Found::Name).ok_or_else(|| match named(&roots, name).next() {
            Some(other) => not_in(store, wanted, &[]).hint(format!("{name} is {} there", other.descriptor.digest)),
            None => not_in(store, wanted, &roots),
        });
    }
    let mut matching: Vec<&Root> = roots.iter().filter(|root| begins(&root.descriptor.digest, digest)).collect();
    matching.sort_by(|a, b| a.descriptor.digest.cmp(&b.descriptor.digest));
    matching.dedup_by(|a, b| a.descriptor.digest == b.descriptor.digest);
    match matching.as_slice() {
        [only] => Ok(Found::Digest((*only).clone())),
        [] => Err(not_in(store, wanted, &roots)),
        _ => Err(Diagnostic::message(ExitCode::Usage, format!("{wanted:?} is the beginning of several digests"))),
    }
}

/// Entries with this name, full or as image-spec has it.
fn named<'a>(roots: &'a [Root], name: &'a str) -> impl Iterator<Item = &'a Root> {
    let full = name.parse::<Reference>().ok().map(|reference| reference.or_latest().to_string());
    let fits = move |have: &String| have == name || Some(have) == full.as_ref();
    roots.iter().filter(move |root| {
        root.name.as_ref().is_some_and(&fits) || root.descriptor.annotations.get(IMAGE_NAME).is_some_and(&fits)
    })
}

/// Four characters at least, with the algorithm or without.
fn begins(digest: &Digest, wanted: &str) -> bool {
    wanted.len() >= 4 && (digest.to_string().starts_with(wanted) || digest.encoded().starts_with(wanted))
}

fn not_in(store: &LayoutStore, wanted: &str, roots: &[Root]) -> Diagnostic {
    let text = format!("{wanted:?} is not in {}", store.root().display());
    let names = roots.iter().filter_map(|root| root.name.as_deref());
    let error = Diagnostic::message(ExitCode::Usage, text);
    match super::store::nearest(wanted, names) {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error.hint("`polyarch store ls` lists what is there"),
    }
}

async fn only_root(store: &LayoutStore) -> Result<Root, Diagnostic> {
    let mut roots = store.roots().await?;
    roots.dedup_by(|a, b| a.descriptor.digest == b.descriptor.digest);
    match <[Root; 1]>::try_from(roots) {
        Ok([only]) => Ok(only),
        Err(roots) if roots.is_empty() => {
            Err(Diagnostic::message(ExitCode::Usage, format!("{} has no image", store.root().display())))
        }
        Err(roots) => {
            let names: Vec<String> = roots.into_iter().filter_map(|root| root.name).collect();
            let text = format!("{} has several images", store.root().display());
            Err(Diagnostic::message(ExitCode::Usage, text).hint(format!("name one of {}", names.join(", "))))
        }
    }
}

/// Reads a manifest and checks its digest; none if it is not there.
///
/// # Errors
/// It cannot be read, or is not what the descriptor says.
pub async fn manifest_if_there(
    source: &dyn ContentSource,
    descriptor: &Descriptor,
) -> Result<Option<RawManifest>, Diagnostic> {
    match source.manifest(descriptor).await {
        Err(SourceError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(manifest) => check(&descriptor.digest, manifest.bytes()).map(|()| Some(manifest)),
    }
}

/// Reads a manifest and checks its digest.
///
/// # Errors
/// It cannot be read, or is not what the descriptor says.
pub async fn manifest(source: &dyn ContentSource, descriptor: &Descriptor) -> Result<RawManifest, Diagnostic> {
    let manifest = source.manifest(descriptor).await?;
    check(&descriptor.digest, manifest.bytes())?;
    Ok(manifest)
}

/// Reads a small blob and checks its digest.
///
/// # Errors
/// As [`manifest`], and a blob too large to be a configuration.
pub async fn small_blob(source: &dyn ContentSource, descriptor: &Descriptor) -> Result<Vec<u8>, Diagnostic> {
    let digest = &descriptor.digest;
    let unreadable =
        |error: std::io::Error| Diagnostic::message(ExitCode::CouldNotCheck, format!("cannot read {digest}: {error}"));
    let mut bytes = Vec::new();
    let reader = source.blob(descriptor).await?;
    reader.take(SMALL + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() as u64 > SMALL {
        return Err(Diagnostic::message(ExitCode::Verification, format!("{digest} is larger than {SMALL} bytes")));
    }
    check(digest, &bytes)?;
    Ok(bytes)
}

fn check(want: &Digest, bytes: &[u8]) -> Result<(), Diagnostic> {
    let mut hasher = want.hasher().map_err(|error| Diagnostic::new(ExitCode::CouldNotCheck, &error))?;
    hasher.update(bytes);
    let got = hasher.finish();
    match got == *want {
        true => Ok(()),
        false => Err(Diagnostic::message(ExitCode::Verification, format!("content has digest {got}, expected {want}"))),
    }
}
