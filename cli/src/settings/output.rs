//! `--output`, `--push` and `--load` together: what leaves the store, checked against each other.

use std::path::{Path, PathBuf};

use polyarch_registry::oci::Reference;

use super::export::{self, Dest, Export, ImageAttrs};
use super::{SettingsError, Surroundings, ValueError, report_file, tag};

/// What becomes of the result; an empty list leaves it in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Published under every tag of the build.
    Registry {
        /// No tag moves; the index is pushed by digest into each tag's repository.
        by_digest: bool,
    },
    /// An OCI layout directory.
    OciDir(PathBuf),
    /// An OCI layout in a tar.
    OciTar(Dest),
    /// Loaded into a Docker daemon's image store.
    Load,
    /// A `docker save` archive.
    DockerTar(Dest),
    /// The image's files, a folder per platform.
    Local {
        /// Folder.
        dest: PathBuf,
        /// A folder per platform also for one platform (`Some(true)`), or none for several (`Some(false)`).
        split: Option<bool>,
    },
    /// The image's files in one tar.
    Tar(Dest),
}

/// Outputs, the tags they add, and attributes of the image they set.
#[derive(Debug, Default)]
pub struct Outputs {
    /// In the order written; `--push` and `--load` last.
    pub list: Vec<Output>,
    /// References of `name=` attributes.
    pub names: Vec<Reference>,
    /// Attributes of the image.
    pub image: ImageAttrs,
}

/// The shorthands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shorthands {
    /// `--push`.
    pub push: bool,
    /// `--load`.
    pub load: bool,
}

/// Reads all outputs.
///
/// # Errors
/// An output that cannot be read, two that write to standard output, or that is a terminal.
pub fn resolve(values: &[String], short: Shorthands, around: &Surroundings) -> Result<Outputs, SettingsError> {
    let mut outputs = Outputs::default();
    for value in values {
        let (export, image) = export::parse(value).map_err(|error| error.of("--output"))?;
        outputs.image = merge(&outputs.image, image);
        if let Export::Registry { names, .. } = &export {
            outputs.names.extend(tag::parse_list(names).map_err(|error| error.of("--output"))?);
        }
        let output = placed(export, around)?;
        if let Some(reason) = output.as_ref().and_then(Output::path).and_then(report_file::obstacle) {
            return Err(ValueError::new(value, reason).of("--output"));
        }
        outputs.add(output);
    }
    if short.push {
        outputs.add(Some(Output::Registry { by_digest: false }));
    }
    if short.load {
        outputs.add(Some(Output::Load));
    }
    match outputs.list.iter().filter(|output| output.is_stdout()).count() {
        0 => Ok(outputs),
        1 if around.terminals.stdout => Err(SettingsError::Conflict {
            what: "a tar would go to standard output, which is a terminal".to_owned(),
            hint: Some("redirect it, `> FILE` or `| tar -t`, or name a file: --output type=tar,dest=FILE"),
        }),
        1 => Ok(outputs),
        _ => Err(SettingsError::conflict("only one output can go to standard output")),
    }
}

impl Outputs {
    fn add(&mut self, output: Option<Output>) {
        let is_push = |output: &Output| matches!(output, Output::Registry { .. });
        match output {
            None => {}
            // `--push` beside `type=registry,…` says the same thing twice.
            Some(new) if is_push(&new) && self.list.iter().any(is_push) => {}
            Some(new) if self.list.contains(&new) => {}
            Some(new) => self.list.push(new),
        }
    }
}

impl Output {
    /// Returns the file or folder it writes.
    fn path(&self) -> Option<&Path> {
        match self {
            Self::OciDir(path) | Self::Local { dest: path, .. } => Some(path),
            Self::OciTar(Dest::File(path)) | Self::DockerTar(Dest::File(path)) | Self::Tar(Dest::File(path)) => {
                Some(path)
            }
            _ => None,
        }
    }

    /// Returns whether this output takes standard output for itself.
    pub fn is_stdout(&self) -> bool {
        matches!(self, Self::OciTar(Dest::Stdout) | Self::DockerTar(Dest::Stdout) | Self::Tar(Dest::Stdout))
    }
}

/// Returns whether there are outputs and none of them needs an image.
pub fn only_files(outputs: &[Output]) -> bool {
    let is_files = |output: &Output| matches!(output, Output::Local { .. } | Output::Tar(_));
    !outputs.is_empty() && outputs.iter().all(is_files)
}

fn placed(export: Export, around: &Surroundings) -> Result<Option<Output>, SettingsError> {
    let place = |dest: Dest| match dest {
        Dest::File(path) => single_file(around.resolve(path)),
        Dest::Stdout => Ok(Dest::Stdout),
    };
    Ok(Some(match export {
        Export::Registry { by_digest, .. } => Output::Registry { by_digest },
        Export::Oci { dest: Dest::File(path), tar } if is_layout_dir(&path, tar, around) => {
            Output::OciDir(layout_dir(around.resolve(path))?)
        }
        Export::Oci { dest, .. } => Output::OciTar(place(dest)?),
        Export::Docker(None) => Output::Load,
        Export::Docker(Some(dest)) => Output::DockerTar(place(dest)?),
        Export::Local { dest, split } => Output::Local { dest: around.resolve(dest), split },
        Export::Tar(dest) => Output::Tar(place(dest)?),
        Export::CacheOnly => return Ok(None),
    }))
}

fn single_file(path: PathBuf) -> Result<Dest, SettingsError> {
    match path.is_dir() {
        false => Ok(Dest::File(path)),
        true => {
            Err(SettingsError::conflict(format!("--output writes one file, and {} is a directory", path.display())))
        }
    }
}

/// A layout is made in a new or empty directory, or added to; anything else there is not polyarch's to mix with.
fn layout_dir(path: PathBuf) -> Result<PathBuf, SettingsError> {
    let is_empty = || path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    if path.join("oci-layout").is_file() || is_empty() || std::fs::symlink_metadata(&path).is_err() {
        return Ok(path);
    }
    Err(SettingsError::Conflict {
        what: format!("{} is neither empty nor an OCI layout", path.display()),
        hint: Some("name a new directory, or a layout to add to"),
    })
}

/// buildx writes a tar unless `tar=false`; a path that is a directory can only mean the directory form.
fn is_layout_dir(path: &Path, tar: Option<bool>, around: &Surroundings) -> bool {
    let looks_like_dir = path.as_os_str().as_encoded_bytes().ends_with(b"/") || around.resolve(path).is_dir();
    !tar.unwrap_or(!looks_like_dir)
}

fn merge(old: &ImageAttrs, new: ImageAttrs) -> ImageAttrs {
    ImageAttrs {
        compression: new.compression.or(old.compression),
        level: new.level.or(old.level),
        force: new.force.or(old.force),
        format: new.format.or(old.format),
    }
}
