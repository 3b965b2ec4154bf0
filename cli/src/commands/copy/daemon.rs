//! `docker-daemon:IMAGE` and archives of `docker save`, for `copy`: both ways through a layout that goes away with the
//! command.
//!
//! Owns: which daemon is meant (as `--builder docker`), and what is said of digests: the classic image store, and Docker
//! before 25, keep no manifests, so one is made here around the configuration's own bytes. Never: builds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use futures::StreamExt as _;
use polyarch_builder::classic::{Capacity, ClassicError, ClassicImage, LoadSpec, Loaded, SaveSpec, load, save_tar};
use polyarch_builder::event_sink::EventSink;
use polyarch_builder::limits::Limits;
use polyarch_builder::node::docker::DockerApi;
use polyarch_builder::node::facts::{ImageStore, Told, facts_from};
use polyarch_builder::node::reach::Reach;
use polyarch_registry::client::CredentialSources;
use polyarch_registry::oci::media_type::LayerCompression;
use polyarch_registry::oci::{Descriptor, Digest, Format, ImageBuilder, Reference};
use polyarch_registry::store::layout::LayerForm;
use polyarch_registry::store::{BlobStoreExt as _, LayoutStore};
use polyarch_registry::transfer::archive::{ImportError, import, import_from};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::target::Target;
use crate::settings::{SettingsError, Surroundings, ValueError, host_env};

/// What names an image of the Docker daemon.
pub const DAEMON: &str = "docker-daemon:";
/// A containerd store does not give an index of which it has some platforms only.
const PARTS: &str = "if it has only some of the image's platforms, take one: `docker save --platform PLATFORM -o FILE IMAGE`, then docker-archive:FILE";
/// The daemon that is meant: `DOCKER_HOST`, else the current context, else the usual sockets.
const USUAL: &str = "docker";

/// An image of a daemon, by name or by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonImage {
    /// As the daemon is asked for it.
    text: String,
    /// `None` for an id.
    reference: Option<Reference>,
}

impl DaemonImage {
    /// Reads what comes after the prefix.
    ///
    /// # Errors
    /// It is neither a reference nor an id.
    pub fn parse(text: &str, what: &'static str) -> Result<Self, SettingsError> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if (12..=64).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self { text: text.to_owned(), reference: None });
        }
        let reference: Reference = text.parse().map_err(|error| ValueError::from(error).of(what))?;
        let reference = reference.or_latest();
        Ok(Self { text: reference.to_string(), reference: Some(reference) })
    }

    /// Returns the name with its tag.
    fn named(&self) -> Option<Reference> {
        self.reference.as_ref().and_then(with_tag_only)
    }
}

fn with_tag_only(reference: &Reference) -> Option<Reference> {
    Some(reference.with_tag(reference.tag()?))
}

/// An image taken out of where no registry is.
#[derive(Debug)]
pub struct Taken {
    /// The layout it is in now.
    pub target: Target,
    /// What it is called where it came from, with a tag.
    pub name: Option<Reference>,
    /// The configuration's digest, where the manifest had to be made.
    pub remade: Option<Digest>,
}

/// A daemon that answered.
struct Daemon {
    api: DockerApi,
    name: String,
    capacity: Capacity,
}

async fn daemon(around: &Surroundings, events: &EventSink) -> Result<Daemon, Diagnostic> {
    let (env, limits, credentials) = (host_env(&around.env), Limits::default(), CredentialSources::default());
    let reach = Reach { env: &env, limits: &limits, events, credentials: &credentials };
    let unreached = |diagnostic: Diagnostic| diagnostic.context("no Docker daemon can be asked");
    let reached = reach.builder(USUAL).await.map_err(|error| {
        let diagnostic = Diagnostic::new(ExitCode::Plan, &error);
        unreached(match error.advice() {
            Some(advice) => diagnostic.hint(advice),
            None => diagnostic.hint("DOCKER_HOST says where it is"),
        })
    })?;
    let Some(docker) = reached.docker else {
        return Err(unreached(Diagnostic::message(ExitCode::Plan, format!("{} is none", reached.builder))));
    };
    let facts = facts_from(&Told { docker: Some((&docker.version, &docker.info)), ..Told::default() });
    let capacity = match facts.store {
        ImageStore::Containerd | ImageStore::Buildkitd => Capacity::All,
        ImageStore::Classic => Capacity::One { preferred: facts.native },
    };
    Ok(Daemon { api: docker.api, name: reached.name, capacity })
}

/// Takes an image out of the daemon, into `layout`.
///
/// # Errors
/// There is no daemon, or it does not have the image, or what it sends is none.
pub async fn take(
    image: &DaemonImage,
    layout: &LayoutStore,
    around: &Surroundings,
    events: &EventSink,
) -> Result<Taken, Diagnostic> {
    let daemon = daemon(around, events).await?;
    let failed = |error: &(dyn std::error::Error + 'static)| {
        let what = format!("cannot take {} out of {}", image.text, daemon.name);
        Diagnostic::new(ExitCode::CouldNotCheck, error).context(what)
    };
    let found = daemon.api.image(&image.text).await.map_err(|error| failed(&error))?;
    if found.is_none() {
        let text = format!("{} does not have {}", daemon.name, image.text);
        return Err(Diagnostic::message(ExitCode::CouldNotCheck, text).hint("`docker image ls` lists what it has"));
    }
    let tar = StreamReader::new(daemon.api.save(&image.text).map(|chunk| chunk.map_err(std::io::Error::other)));
    let remade = match daemon.capacity {
        Capacity::All => {
            let name = PathBuf::from(format!("{DAEMON}{}", image.text));
            import_from(tar, &name, layout).await.map_err(|error| failed(&error).hint(PARTS))?;
            None
        }
        Capacity::One { .. } => Some(remake(tar, layout, events).await.map_err(|error| failed(&error))?.0),
    };
    Ok(Taken { target: in_layout(layout), name: image.named(), remade })
}

/// Takes the image of a file that `docker save` wrote, of any version, into `layout`.
///
/// # Errors
/// The file cannot be read, or holds no image, or several without saying which.
pub async fn unpack(file: &Path, layout: &LayoutStore, events: &EventSink) -> Result<Taken, Diagnostic> {
    let unusable = |error: &(dyn std::error::Error + 'static)| {
        let hint = "it is a tar of one image, as `docker save` or `polyarch copy` writes them";
        Diagnostic::new(ExitCode::Usage, error).context(format!("cannot use {}", file.display())).hint(hint)
    };
    match import(file, layout).await {
        Ok(()) => return Ok(Taken { target: in_layout(layout), name: None, remade: None }),
        // Docker before 25 wrote a directory for each layer.
        Err(ImportError::NotALayout(_)) => {}
        Err(ImportError::Store(error)) => {
            return Err(Diagnostic::from(error).context(format!("cannot use {}", file.display())));
        }
        Err(error) => return Err(unusable(&error)),
    }
    let tar = tokio::fs::File::open(file).await.map_err(|error| unusable(&error))?;
    let (remade, names) = remake(tar, layout, events).await.map_err(|error| unusable(&error))?;
    // Of several names the first is as good as any.
    let name = names.iter().find_map(|name| with_tag_only(&name.parse().ok()?));
    Ok(Taken { target: in_layout(layout), name, remade: Some(remade) })
}

fn in_layout(layout: &LayoutStore) -> Target {
    Target::Layout { path: layout.root().to_owned(), entry: None }
}

/// Makes a manifest around the configuration and the compressed layers; returns the configuration's digest, and what
/// the image is called in the tar.
async fn remake(
    tar: impl AsyncRead + Unpin,
    layout: &LayoutStore,
    events: &EventSink,
) -> Result<(Digest, Vec<String>), ClassicError> {
    let spec = SaveSpec {
        store: layout,
        cache: None,
        form: LayerForm { compression: LayerCompression::Gzip, level: None },
        threads: available_parallelism().map_or(1, std::num::NonZero::get),
        document_limit: Limits::default().manifest_bytes,
        config: None,
        events,
    };
    let _lease = layout.lease().await?;
    let ClassicImage { config, layers, names, .. } = save_tar(tar, &spec).await?;
    let builder = ImageBuilder::new(Format::Oci, config.digest.clone(), config.size);
    let manifest = layers.into_iter().fold(builder, ImageBuilder::layer).build();
    let manifest = manifest.map_err(|problems| ClassicError::NotLoadable {
        what: config.digest.to_string(),
        why: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    })?;
    layout.put_bytes(manifest.bytes().clone()).await?;
    layout.put_roots(vec![manifest.descriptor()]).await?;
    Ok((config.digest, names))
}

/// Where an image is going to be loaded.
pub struct Receiver {
    daemon: Daemon,
    image: DaemonImage,
}

impl Receiver {
    /// Reaches the daemon.
    ///
    /// # Errors
    /// There is none, or the image is named by an id.
    pub async fn reach(image: DaemonImage, around: &Surroundings, events: &EventSink) -> Result<Self, Diagnostic> {
        if image.reference.as_ref().is_none_or(|reference| reference.digest().is_some()) {
            let error = ValueError::new(&image.text, "an image is loaded under a name, not a digest");
            return Err(error.of("DST").into());
        }
        Ok(Self { daemon: daemon(around, events).await?, image })
    }

    /// What the daemon can hold under one name.
    pub fn capacity(&self) -> &Capacity {
        &self.daemon.capacity
    }

    /// What the image is called, and where.
    pub fn name(&self) -> String {
        format!("{} in {}", self.image.text, self.daemon.name)
    }

    /// Loads an image of a layout.
    ///
    /// # Errors
    /// The daemon refuses it.
    pub async fn load(&self, layout: &LayoutStore, root: Descriptor, events: &EventSink) -> Result<Loaded, Diagnostic> {
        let spec = LoadSpec {
            store: Arc::new(layout.clone()),
            root,
            references: self.image.reference.iter().cloned().collect(),
            document_limit: Limits::default().manifest_bytes,
            events: events.clone(),
        };
        let loaded = load(&self.daemon.api, &self.daemon.capacity, &spec).await;
        loaded.map_err(|error| {
            Diagnostic::new(ExitCode::Publish, &error).context(format!("cannot load the image as {}", self.name()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_name_or_an_id() {
        let parse = |text: &str| {
            let image = DaemonImage::parse(text, "SRC").ok()?;
            Some((image.text.clone(), image.named()?.tag().map(str::to_owned)))
        };
        let hex = "a".repeat(64);
        let by_id = DaemonImage::parse("0123456789ab", "SRC").unwrap();
        assert_eq!((by_id.text.as_str(), &by_id.reference), ("0123456789ab", &None));
        for (text, want) in [
            ("app", Some(("docker.io/library/app:latest".to_owned(), Some("latest".to_owned())))),
            ("localhost:5000/a:1", Some(("localhost:5000/a:1".to_owned(), Some("1".to_owned())))),
            ("0123456789ab", None),
            (&format!("sha256:{hex}"), None),
            ("App", None),
            ("", None),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
    }
}
