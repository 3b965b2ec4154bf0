//! What an audit is asked about.
//!
//! Owns: reading targets; a repository without a tag means all of them, unlike everywhere else.

use std::sync::Arc;

use polyarch_registry::audit::{Job, is_about_another};
use polyarch_registry::oci::{RawManifest, Reference};
use polyarch_registry::store::LayoutStore;
use polyarch_registry::verify::StoreSource;

use crate::commands::source;
use crate::diagnostics::Diagnostic;
use crate::settings::near;
use crate::settings::target::{self, Target};
use crate::settings::{GlobalSettings, SettingsError, Surroundings, ValueError};

/// Reads the targets.
///
/// # Errors
/// One is no reference, or names a layout or an entry that is not there.
pub async fn of(targets: &[String], global: &GlobalSettings, around: &Surroundings) -> Result<Vec<Job>, Diagnostic> {
    let mut jobs = Vec::new();
    for text in targets {
        jobs.push(match target::parse(text, &around.cwd)? {
            Target::Registry(_) => remote(text)?,
            Target::Layout { path, entry } => {
                let store = LayoutStore::open_existing(&path).await?;
                local(format!("oci:{}", path.display()), store, entry.as_deref()).await?
            }
            Target::Store(name) => {
                let store = LayoutStore::open_existing(&global.store).await?;
                local("store".to_owned(), store, Some(&name)).await?
            }
        });
    }
    Ok(jobs)
}

/// Names of commands, which a target is easily taken for.
const COMMANDS: [&str; 4] = ["explain", "rules", "merge", "policy"];

/// Returns what else a bare word may have been meant for: an image of Docker Hub is rarely audited by its short name.
fn meant(text: &str) -> Option<String> {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((host, port)) = text.split_once(':')
        && is_port(port)
        && (host == "localhost" || host.contains('.'))
    {
        return Some(format!("all repositories of a registry are `--repos {text}`"));
    }
    let is_word = text.bytes().all(|byte| byte.is_ascii_lowercase());
    let near = near::nearest(text, COMMANDS).filter(|_| is_word)?;
    Some(format!("`polyarch audit {near}` is a command; an image of Docker Hub is docker.io/library/{text}"))
}

fn remote(text: &str) -> Result<Job, SettingsError> {
    if let Some(hint) = meant(text) {
        return Err(ValueError::new(text, "it names no repository").hint(hint).of("TARGET"));
    }
    let reference: Reference = text.parse().map_err(|error| ValueError::from(error).of("TARGET"))?;
    Ok(match (reference.digest(), reference.tag()) {
        (Some(_), _) => Job::Digest(reference),
        (None, Some(tag)) => Job::Repository { tags: Some(vec![tag.to_owned()]), repository: reference },
        (None, None) => Job::Repository { repository: reference, tags: None },
    })
}

async fn local(repository: String, store: LayoutStore, entry: Option<&str>) -> Result<Job, Diagnostic> {
    let found = match entry {
        Some(entry) => vec![source::find_root(&store, entry).await?.into_root()],
        None => store.roots().await?,
    };
    let source = StoreSource(store);
    let mut roots: Vec<(Option<String>, RawManifest)> = Vec::new();
    for root in found {
        roots.push((root.name, source::manifest(&source, &root.descriptor).await?));
    }
    if entry.is_some() {
        roots.append(&mut about_others(&source).await?);
    }
    Ok(Job::Local { repository, source: Arc::new(source), roots })
}

/// Returns what in a layout is about something else, and belongs to whatever is audited of it.
async fn about_others(source: &StoreSource<LayoutStore>) -> Result<Vec<(Option<String>, RawManifest)>, Diagnostic> {
    let mut about = Vec::new();
    for root in source.0.roots().await? {
        // What cannot be read is found where it is asked for.
        let Ok(manifest) = source::manifest(source, &root.descriptor).await else { continue };
        if is_about_another(root.name.as_deref(), &manifest) {
            about.push((root.name, manifest));
        }
    }
    Ok(about)
}
