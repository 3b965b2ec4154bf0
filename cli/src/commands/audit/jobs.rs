//! What an audit is asked about.
//!
//! Owns: reading targets; a repository without a tag means all of them, unlike everywhere else.

use std::sync::Arc;

use polyarch_registry::audit::Job;
use polyarch_registry::oci::Reference;
use polyarch_registry::store::LayoutStore;
use polyarch_registry::verify::StoreSource;

use crate::commands::source;
use crate::diagnostics::Diagnostic;
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

fn remote(text: &str) -> Result<Job, SettingsError> {
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
    let mut roots = Vec::new();
    for root in found {
        roots.push((root.name, source::manifest(&source, &root.descriptor).await?));
    }
    Ok(Job::Local { repository, source: Arc::new(source), roots })
}
