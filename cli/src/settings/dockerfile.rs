//! Where the Dockerfile is (buildx `build/opt.go`): `--file` is relative to the current directory,
//! for a context that is fetched or piped it is a path inside it.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use polyarch_builder::request::{ContextSource, DockerfileSource};

use super::context::not_a_terminal;
use super::{SettingsError, Surroundings, near, stdin};

const DEFAULT: &str = "Dockerfile";

/// Resolves `--file` for a context.
///
/// # Errors
/// The file is not there (with near names), or standard input cannot be read.
pub fn resolve(
    file: Option<&str>,
    context: &ContextSource,
    around: &mut Surroundings,
) -> Result<DockerfileSource, SettingsError> {
    match (file, context) {
        (Some("-"), _) => text(around),
        (Some(url), _) if url.starts_with("http://") || url.starts_with("https://") => Err(SettingsError::Conflict {
            what: format!("--file {url} is a URL"),
            hint: Some("fetch it and pipe it in: curl … | polyarch build -f - CONTEXT"),
        }),
        (None, ContextSource::Dir(dir)) => default_in(dir),
        (Some(path), ContextSource::Dir(dir)) => named(path, dir, around),
        (Some(path), _) if Path::new(path).is_absolute() => existing(path.into()),
        (path, _) => Ok(DockerfileSource::InContext(path.unwrap_or(DEFAULT).to_owned())),
    }
}

fn text(around: &mut Surroundings) -> Result<DockerfileSource, SettingsError> {
    not_a_terminal(around, "the Dockerfile")?;
    let io = |source| SettingsError::Io { action: "read", path: "standard input".into(), source };
    let text = stdin::read_text(&mut *around.stdin, Vec::new()).map_err(io)?;
    match text.is_empty() {
        true => Err(SettingsError::conflict("standard input is empty; a Dockerfile was expected")),
        false => Ok(DockerfileSource::Text(text)),
    }
}

/// `Dockerfile`, or `dockerfile` if only that is there (buildx `handleLowercaseDockerfile`).
fn default_in(dir: &Path) -> Result<DockerfileSource, SettingsError> {
    let lower = dir.join("dockerfile");
    let path = dir.join(DEFAULT);
    existing(if !path.is_file() && lower.is_file() { lower } else { path })
}

fn named(file: &str, context: &Path, around: &Surroundings) -> Result<DockerfileSource, SettingsError> {
    let path = around.resolve(file);
    existing(path).map_err(|error| match error {
        // The commonest slip: a path relative to the context.
        SettingsError::Dockerfile { path, .. } if context.join(file).is_file() => {
            SettingsError::Dockerfile { path, near: vec![context.join(file).display().to_string()] }
        }
        other => other,
    })
}

fn existing(path: PathBuf) -> Result<DockerfileSource, SettingsError> {
    if path.is_file() {
        return Ok(DockerfileSource::File(path));
    }
    let near = near_names(&path);
    Err(SettingsError::Dockerfile { path, near })
}

/// Files beside the missing one whose names are near, or begin or end like a Dockerfile's.
fn near_names(path: &Path) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = names_in(path.parent().unwrap_or(path), |entry| entry.path().is_file());
    let alike = |file: &&String| {
        let lower = file.to_ascii_lowercase();
        lower.starts_with("dockerfile") || lower.ends_with("dockerfile") || lower == "containerfile"
    };
    let mut near: Vec<String> = files.iter().filter(alike).cloned().collect();
    if let Some(best) = near::nearest(&name, files.iter().map(String::as_str))
        && !near.iter().any(|file| file == best)
    {
        near.insert(0, best.to_owned());
    }
    near.truncate(4);
    near
}

/// Sorted names in a folder; none if it cannot be read, for they only serve advice.
pub(super) fn names_in(dir: &Path, keep: impl Fn(&DirEntry) -> bool) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let kept = entries.flatten().filter(|entry| keep(entry));
    let mut names: Vec<String> = kept.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
