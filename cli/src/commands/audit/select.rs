//! Repositories and tags that are named by patterns.

use polyarch_registry::audit::elsewhere::Place;
use polyarch_registry::audit::glob::Glob;
use polyarch_registry::audit::select::{RepositoryPattern, TagFilter, repositories};
use polyarch_registry::audit::{Job, RepositoryReport};
use polyarch_registry::client::Registry;

use crate::args::audit_policy::PolicyArgs;
use crate::settings::{SettingsError, ValueError};

/// Reads the patterns of tags.
///
/// # Errors
/// One is none.
pub fn tags(args: &PolicyArgs) -> Result<TagFilter, SettingsError> {
    Ok(TagFilter { only: globs(&args.tags, "--tags")?, except: globs(&args.exclude_tags, "--exclude-tags")? })
}

/// Reads patterns.
///
/// # Errors
/// One is none.
pub fn globs(list: &[String], option: &'static str) -> Result<Vec<Glob>, SettingsError> {
    list.iter().map(|text| Glob::new(text).map_err(|reason| ValueError::new(text, reason).of(option))).collect()
}

/// Reads where what is missing is looked for.
///
/// # Errors
/// One is no registry or repository.
pub fn places(list: &[String]) -> Result<Vec<Place>, SettingsError> {
    list.iter().map(|text| Place::new(text).map_err(|reason| ValueError::new(text, reason).of("--find-in"))).collect()
}

/// Adds a job for each repository that fits a pattern; returns what could not be told.
///
/// # Errors
/// A pattern is none.
pub async fn add(
    list: &[String],
    registry: &Registry,
    jobs: &mut Vec<Job>,
) -> Result<Vec<RepositoryReport>, SettingsError> {
    let read = |text: &String| {
        let hint = "HOST/GLOB, such as 'registry.example.com/team/*'";
        RepositoryPattern::new(text).map_err(|reason| ValueError::new(text, reason).hint(hint).of("--repos"))
    };
    let patterns = list.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let selection = repositories(registry, &patterns).await;
    jobs.extend(selection.repositories.into_iter().map(Job::Listed));
    Ok(selection.unchecked)
}
