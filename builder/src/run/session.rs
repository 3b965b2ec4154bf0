//! One session per node: everything a daemon may ask for while it solves.
//!
//! Owns: what of a request is served under which name. Never: reads a context; the services do when asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use polyarch_registry::oci::Digest;
use polyarch_registry::store::{BlobStore, LayoutStore, StoreError};

use crate::buildkit::attrs::{LayoutName, SessionNames, local_name};
use crate::buildkit::filesync::{LocalDir, LocalDirs};
use crate::buildkit::session::{ContentStores, FileSend, RegistryAuth, Uploads};
use crate::buildkit::{ConnectError, Session, SessionServices, Worker};
use crate::event::EventKind;
use crate::event_sink::EventSink;
use crate::request::{BuildRequest, CacheSpec, ContextSource, DockerfileSource};

/// Attributes of a local cache (BuildKit `cache/remotecache/local`).
const CACHE_SRC: &str = "src";
const CACHE_DEST: &str = "dest";

/// What a session is made of, apart from the request.
pub struct SessionParts<'a> {
    /// The daemon's BuildKit.
    pub worker: &'a Worker,
    /// Registry credentials.
    pub auth: Arc<dyn RegistryAuth>,
    /// Where `tar=false` exports go; `None` for a daemon that cannot make one.
    pub export: Option<Arc<dyn BlobStore>>,
    /// Where streamed exports go.
    pub files: FileSend,
    /// Where transfers are told.
    pub events: &'a EventSink,
}

/// Why a session could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The daemon refused it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A layout or local cache named by the request cannot be used.
    #[error("open {path}")]
    Layout {
        /// Directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: StoreError,
    },
    /// A layout has no entry of the name asked for.
    #[error("layout {path} has no {wanted}")]
    NoEntry {
        /// Directory.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
    },
}

/// Opens a session that serves what `request` names.
///
/// # Errors
/// [`SessionError`].
pub async fn open(request: &BuildRequest, parts: SessionParts<'_>) -> Result<(Session, SessionNames), SessionError> {
    let mut names = SessionNames::default();
    let mut services = SessionServices::new(parts.events.clone());
    services.auth = parts.auth;
    services.secrets = request.secrets.clone();
    services.ssh = request.ssh.clone();
    services.files = parts.files;
    services.dirs = dirs(request);
    if let ContextSource::Tar(path) = &request.context {
        let id = hex::encode(rand::random::<[u8; 16]>());
        services.uploads = Uploads::from([(id.clone(), path.clone())]);
        names.context_upload = Some(id);
    }
    let mut content = parts.export.into_iter().fold(ContentStores::default(), ContentStores::export);
    content = layouts(request, content, &mut names).await?;
    services.content = caches(request, content, &mut names, parts.events).await?;
    let session = Session::open(parts.worker, services, &shared_key(request)).await?;
    Ok((session, names))
}

/// Local directories by the name the daemon asks for.
fn dirs(request: &BuildRequest) -> LocalDirs {
    let mut dirs = LocalDirs::new();
    if let ContextSource::Dir(path) = &request.context {
        dirs.insert("context".into(), LocalDir::Disk(path.clone()));
    }
    match &request.dockerfile {
        DockerfileSource::File(path) => {
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            dirs.insert("dockerfile".into(), LocalDir::Disk(dir.to_owned()));
        }
        DockerfileSource::Text(text) => {
            dirs.insert("dockerfile".into(), LocalDir::single_file("Dockerfile", text.clone()));
        }
        DockerfileSource::InContext(_) => {}
    }
    for (name, source) in &request.build_contexts {
        if let ContextSource::Dir(path) = source {
            dirs.insert(local_name(name), LocalDir::Disk(path.clone()));
        }
    }
    dirs
}

async fn layouts(
    request: &BuildRequest,
    mut content: ContentStores,
    names: &mut SessionNames,
) -> Result<ContentStores, SessionError> {
    for (name, source) in &request.build_contexts {
        let ContextSource::OciLayout { path, reference } = source else { continue };
        let fail = |source| SessionError::Layout { path: path.clone(), source };
        let store = LayoutStore::open_existing(path).await.map_err(fail)?;
        let digest = layout_digest(&store, path, reference.as_deref()).await?;
        let key = hex::encode(rand::random::<[u8; 8]>());
        content = content.layout(&key, Arc::new(store));
        names.layouts.insert(name.clone(), LayoutName { key, digest });
    }
    Ok(content)
}

/// The digest of `TAG`, `@DIGEST` or `TAG@DIGEST`; without either, of `latest` or the only entry.
async fn layout_digest(store: &LayoutStore, path: &Path, reference: Option<&str>) -> Result<Digest, SessionError> {
    let fail = |source| SessionError::Layout { path: path.to_owned(), source };
    let wanted = reference.unwrap_or_default().trim_start_matches(':');
    if let Some((_, digest)) = wanted.split_once('@') {
        return digest.parse().map_err(|error| fail(StoreError::Digest(error)));
    }
    let roots = store.roots().await.map_err(fail)?;
    let tag = if wanted.is_empty() { "latest" } else { wanted };
    let named = roots.iter().rev().find(|root| root.name.as_deref() == Some(tag));
    let only = (wanted.is_empty() && roots.len() == 1).then(|| &roots[0]);
    named
        .or(only)
        .map(|root| root.descriptor.digest.clone())
        .ok_or_else(|| SessionError::NoEntry { path: path.to_owned(), wanted: format!("tag {tag:?}") })
}

/// Local caches: an import names its manifest by digest, an export creates its folder.
async fn caches(
    request: &BuildRequest,
    mut content: ContentStores,
    names: &mut SessionNames,
    events: &EventSink,
) -> Result<ContentStores, SessionError> {
    for (src, spec) in local_caches(&request.cache_from, CACHE_SRC) {
        let fail = |source| SessionError::Layout { path: src.into(), source };
        let Some((store, digest)) = known_cache(src, spec).await? else {
            let message = format!("there is no cache in {src} yet; building without it");
            events.send(EventKind::Notice { message });
            names.absent_caches.insert(src.to_owned());
            continue;
        };
        let digest = digest.parse().map_err(|error| fail(StoreError::Digest(error)))?;
        content = content.local_cache(src, Arc::new(store));
        names.local_caches.insert(src.to_owned(), digest);
    }
    for (dest, _) in local_caches(&request.cache_to, CACHE_DEST) {
        let store = LayoutStore::open_output(dest)
            .await
            .map_err(|source| SessionError::Layout { path: dest.into(), source })?;
        content = content.local_cache(dest, Arc::new(store));
    }
    Ok(content)
}

/// Opens a local cache; `None` if it is not there, as before a first build.
async fn known_cache(src: &str, spec: &CacheSpec) -> Result<Option<(LayoutStore, String)>, SessionError> {
    let fail = |source| SessionError::Layout { path: src.into(), source };
    if !Path::new(src).join("index.json").exists() {
        return Ok(None);
    }
    let store = LayoutStore::open_existing(src).await.map_err(fail)?;
    if let Some(digest) = spec.attrs.get("digest") {
        return Ok(Some((store, digest.clone())));
    }
    match layout_digest(&store, Path::new(src), spec.attrs.get("tag").map(String::as_str)).await {
        Ok(digest) => Ok(Some((store, digest.to_string()))),
        Err(SessionError::NoEntry { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The `type=local` entries with their directory.
pub(super) fn local_caches<'a>(
    specs: &'a [CacheSpec],
    key: &'static str,
) -> impl Iterator<Item = (&'a str, &'a CacheSpec)> {
    specs.iter().filter(|spec| spec.kind == "local").filter_map(move |spec| Some((spec.attrs.get(key)?.as_str(), spec)))
}

/// Stable per context directory, so that a second build sends only what changed.
fn shared_key(request: &BuildRequest) -> String {
    let of = |text: &str| Digest::sha256(text).short().to_owned();
    match &request.context {
        ContextSource::Dir(path) => of(&format!("polyarch:{}", path.display())),
        _ => String::new(),
    }
}
