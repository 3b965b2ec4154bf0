//! The build context: directory, Git or HTTP URL, or standard input (buildx `build/opt.go`, `loadInputs`),
//! and named contexts.

use std::path::Path;

use polyarch_builder::request::{ContextSource, DockerfileSource};
use polyarch_registry::oci::Reference;

use super::stdin::Piped;
use super::url_kind::{self, UrlKind};
use super::{SettingsError, Surroundings, ValueError, dockerfile, near, pair, stdin};

/// The context and the Dockerfile.
#[derive(Debug)]
pub struct Inputs {
    /// Where files come from.
    pub context: ContextSource,
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileSource,
}

/// Resolves `CONTEXT` and `--file` together, for either may be standard input.
///
/// # Errors
/// A path that is not there, both from standard input, or standard input that cannot be read.
pub fn resolve(context: &str, file: Option<&str>, around: &mut Surroundings) -> Result<Inputs, SettingsError> {
    if context == "-" {
        return from_stdin(file, around);
    }
    let path = around.resolve(context);
    let source = if path.is_dir() {
        ContextSource::Dir(path)
    } else {
        match url_kind::kind(context) {
            Some(UrlKind::Git) => ContextSource::Git(context.to_owned()),
            Some(UrlKind::Http) => ContextSource::Http(context.to_owned()),
            None => return Err(not_a_context(context, &path)),
        }
    };
    let dockerfile = dockerfile::resolve(file, &source, around)?;
    Ok(Inputs { context: source, dockerfile })
}

fn not_a_context(text: &str, path: &Path) -> SettingsError {
    let reason = if path.is_file() { "is a file, not a directory" } else { "is not a directory that exists" };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let siblings = dockerfile::names_in(path.parent().unwrap_or(path), |entry| entry.path().is_dir());
    let near = near::nearest(&name, siblings.iter().map(String::as_str)).map(str::to_owned);
    SettingsError::Context { path: text.to_owned(), reason, near: near.into_iter().collect() }
}

fn from_stdin(file: Option<&str>, around: &mut Surroundings) -> Result<Inputs, SettingsError> {
    if file == Some("-") {
        return Err(SettingsError::conflict("standard input cannot be both the context and the Dockerfile"));
    }
    not_a_terminal(around, "the context")?;
    let io = |source| SettingsError::Io { action: "read", path: "standard input".into(), source };
    match stdin::read(&mut *around.stdin, &around.spool).map_err(io)? {
        Piped::Empty => Err(SettingsError::conflict("standard input is empty; a tar or a Dockerfile was expected")),
        Piped::Archive(path) => {
            let context = ContextSource::Tar(path);
            let dockerfile = dockerfile::resolve(file, &context, around)?;
            Ok(Inputs { context, dockerfile })
        }
        Piped::Text(_) if file.is_some() => Err(SettingsError::Conflict {
            what: "standard input is a Dockerfile, and --file names another".into(),
            hint: Some("leave out one of them, or pipe a tar"),
        }),
        Piped::Text(text) => {
            let dir = around.spool.path().map_err(io)?.join("empty");
            std::fs::create_dir_all(&dir).map_err(io)?;
            Ok(Inputs { context: ContextSource::Dir(dir), dockerfile: DockerfileSource::Text(text) })
        }
    }
}

/// Refuses to wait for what nobody will type.
pub(super) fn not_a_terminal(around: &Surroundings, what: &str) -> Result<(), SettingsError> {
    match around.terminals.stdin {
        true => Err(SettingsError::conflict(format!("{what} is to come from standard input, which is a terminal"))),
        false => Ok(()),
    }
}

/// Reads `--build-context NAME=SOURCE`.
///
/// # Errors
/// No name or source, a reference that is none, or a directory that is not there.
pub fn named(value: &str, cwd: &Path) -> Result<(String, ContextSource), ValueError> {
    let (name, Some(source)) = pair::split(value)? else {
        return Err(ValueError::new(value, "it is not NAME=SOURCE"));
    };
    let at = name.len() + 1;
    if source.is_empty() {
        return Err(ValueError::new(value, "there is no source after `=`").at(at));
    }
    named_source(source, cwd).map(|source| (short_name(name), source)).map_err(|error| ValueError {
        value: value.to_owned(),
        at: Some(at + error.at.unwrap_or(0)),
        ..error
    })
}

fn named_source(source: &str, cwd: &Path) -> Result<ContextSource, ValueError> {
    const IMAGE: &str = "docker-image://";
    if let Some(image) = source.strip_prefix(IMAGE) {
        let parsed = image.parse::<Reference>();
        parsed.map_err(|error| ValueError { at: Some(IMAGE.len() + error.at), ..ValueError::from(error) })?;
        return Ok(ContextSource::Image(image.to_owned()));
    }
    if let Some(layout) = source.strip_prefix("oci-layout://") {
        return oci_layout(layout, cwd);
    }
    if source.starts_with("target:") || source.starts_with("input:") {
        return Ok(ContextSource::Verbatim(source.to_owned()));
    }
    let path = cwd.join(source);
    match (path.is_dir(), url_kind::kind(source)) {
        (true, _) => Ok(ContextSource::Dir(path)),
        (_, Some(UrlKind::Git)) => Ok(ContextSource::Git(source.to_owned())),
        (_, Some(UrlKind::Http)) => Ok(ContextSource::Http(source.to_owned())),
        _ => Err(ValueError::new(source, format!("{} is not a directory that exists", path.display()))
            .hint("an image is written docker-image://REF")),
    }
}

/// Splits `PATH[:TAG][@DIGEST]`.
fn oci_layout(text: &str, cwd: &Path) -> Result<ContextSource, ValueError> {
    let head = text.split('@').next().unwrap_or_default();
    let tag = head.rfind(':').filter(|colon| !head[*colon..].contains('/'));
    let end = tag.unwrap_or(head.len());
    let path = cwd.join(&text[..end]);
    if !path.join("oci-layout").is_file() {
        return Err(ValueError::new(text, format!("{} is not an OCI layout", path.display())));
    }
    let rest = text[end..].strip_prefix(':').unwrap_or(&text[end..]);
    Ok(ContextSource::OciLayout { path, reference: (!rest.is_empty()).then(|| rest.to_owned()) })
}

/// The name as a FROM line writes it: BuildKit compares familiar names (`docker.io/library/a:latest` is `a`).
fn short_name(name: &str) -> String {
    let name = name.strip_suffix(":latest").unwrap_or(name);
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name).to_ascii_lowercase()
}
