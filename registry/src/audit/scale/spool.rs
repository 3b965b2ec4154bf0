//! The reports that are done, on disk instead of in memory: what is left of an audit that was interrupted.
//!
//! ```text
//! polyarch-audit 1 KEY
//! {"repository":…}         an image's report
//! ```
//!
//! Owns: a file per run, under the name of what was asked; finding the one that got furthest. Never: mixes runs that ask for
//! different things, or that go on at the same time: each holds the lock of its file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::journal::{self, Journal};
use crate::audit::report::{ImageReport, RepositoryReport};

/// Most bytes that are read of a file: a hundred thousand images with many findings.
const FILE_BYTES: u64 = 4 << 30;
/// Longer reports are kept in memory.
const LINE_BYTES: usize = 8 << 20;
/// Files of audits that nobody went on with.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where an audit keeps what is done, so that another run may go on.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// A directory for these files.
    pub dir: PathBuf,
    /// What is audited, in any form that is always the same. Policy, scope, shard and rules are taken into account as well.
    pub asked: String,
    /// Whether to go on where an interrupted run for the same stopped.
    pub resume: bool,
}

impl Checkpoint {
    /// Returns how old the unfinished run for the same is that got furthest, and how many images it did.
    pub(in crate::audit) fn unfinished(&self) -> Option<(Duration, usize)> {
        let found = furthest(&self.dir, &self.key())?;
        let age = SystemTime::now().duration_since(found.changed).unwrap_or_default();
        let done = Spool::over(found.journal, Some(found.path), &self.key()).ok()?.done.len();
        (done > 0).then_some((age, done))
    }

    fn key(&self) -> String {
        let rules = crate::audit::rules();
        let rules: Vec<String> = rules.iter().map(|rule| format!("{} {}", rule.id, rule.severity.name())).collect();
        let all = format!("{}\n{}\n{}", env!("CARGO_PKG_VERSION"), rules.join("\n"), self.asked);
        hex::encode(&Sha256::digest(all)[..16])
    }
}

type Name = [u8; 16];

/// The reports of a run.
#[derive(Debug, Default)]
pub(in crate::audit) struct Spool {
    journal: Option<Journal>,
    path: Option<PathBuf>,
    /// Reports in the file by name: its line, and whether everything could be checked.
    done: HashMap<Name, Line>,
    lines: u64,
    /// Whether the file takes no more: what comes after half a line would be lost with it.
    is_full: bool,
    /// Reports that could not be written.
    images: Vec<ImageReport>,
    repositories: Vec<RepositoryReport>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    number: u64,
    is_complete: bool,
}

struct Found {
    journal: Journal,
    path: PathBuf,
    changed: SystemTime,
    bytes: u64,
}

impl Spool {
    /// Begins a run, or goes on with one. Blocks. A directory that cannot be written is none.
    pub(in crate::audit) fn open(checkpoint: Option<&Checkpoint>) -> Self {
        let opened = match checkpoint {
            Some(checkpoint) => Self::kept(checkpoint),
            None => tempfile::tempfile().and_then(|file| Self::over(Journal::over(file)?, None, "")),
        };
        opened.unwrap_or_else(|error| {
            tracing::debug!(%error, "reports are kept in memory");
            Self::default()
        })
    }

    fn kept(checkpoint: &Checkpoint) -> io::Result<Self> {
        let (dir, key) = (&checkpoint.dir, checkpoint.key());
        fs::create_dir_all(dir)?;
        sweep(dir);
        if checkpoint.resume
            && let Some(found) = furthest(dir, &key)
        {
            return Self::over(found.journal, Some(found.path), &key);
        }
        let named = tempfile::Builder::new().prefix(&format!("{key}-")).suffix(".jsonl").tempfile_in(dir)?;
        let (file, path) = named.keep().map_err(|error| error.error)?;
        file.lock()?;
        Self::over(Journal::over(file)?, Some(path), &key)
    }

    fn over(mut journal: Journal, path: Option<PathBuf>, key: &str) -> io::Result<Self> {
        let mut spool = Self { path, ..Self::default() };
        let header = format!("polyarch-audit 1 {key}");
        let mut is_ours = false;
        journal::read(journal.file(), FILE_BYTES, &mut |line| {
            spool.lines += 1;
            match line {
                Some(line) if spool.lines == 1 => is_ours = line == header,
                Some(line) if is_ours => spool.index(line),
                _ => {}
            }
        })?;
        if !is_ours {
            journal.file().set_len(0)?;
            journal.add([header.as_str()])?;
            spool.lines = 1;
        }
        spool.journal = Some(journal);
        Ok(spool)
    }

    fn index(&mut self, line: &str) {
        if let Ok(image) = serde_json::from_str::<ImageReport>(line) {
            let line = Line { number: self.lines, is_complete: image.unchecked.is_empty() };
            self.done.insert(name_of(&image), line);
        }
    }

    /// Returns whether an image is done, by its repository and tag, or digest where it has no tag. One of which something
    /// could not be checked is not.
    pub(in crate::audit) fn is_done(&self, repository: &str, name: &str) -> bool {
        self.done.get(&self::name(repository, name)).is_some_and(|line| line.is_complete)
    }

    /// Keeps an image's report.
    pub(in crate::audit) fn image(&mut self, image: ImageReport) {
        let Some(()) = self.write(serde_json::to_string(&image).ok()) else {
            self.done.remove(&name_of(&image));
            return self.images.push(image);
        };
        let line = Line { number: self.lines, is_complete: image.unchecked.is_empty() };
        self.done.insert(name_of(&image), line);
    }

    /// Keeps a repository's report. They are few, and a run that goes on makes them anew.
    pub(in crate::audit) fn repository(&mut self, report: RepositoryReport) {
        self.repositories.push(report);
    }

    fn write(&mut self, line: Option<String>) -> Option<()> {
        let line = line.filter(|line| line.len() < LINE_BYTES && !self.is_full)?;
        let written = self.journal.as_mut()?.add([line.as_str()]);
        if let Err(error) = &written {
            tracing::debug!(%error, "reports are kept in memory from here on");
            self.is_full = true;
        }
        written.ok()?;
        self.lines += 1;
        Some(())
    }

    /// Returns all reports, each image's last one, and removes the file: the run is done. Blocks.
    pub(in crate::audit) fn finish(mut self) -> (Vec<ImageReport>, Vec<RepositoryReport>) {
        let mut images = std::mem::take(&mut self.images);
        images.reserve(self.done.len());
        if let Some(journal) = &self.journal {
            let mut number = 0;
            let read = journal::read(journal.file(), FILE_BYTES, &mut |line| {
                number += 1;
                let Some(Ok(image)) = line.map(serde_json::from_str::<ImageReport>) else { return };
                if self.done.get(&name_of(&image)).is_some_and(|line| line.number == number) {
                    images.push(image);
                }
            });
            if let Err(error) = read {
                tracing::debug!(%error, "the reports that were kept cannot be read");
            }
        }
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
        (images, std::mem::take(&mut self.repositories))
    }
}

fn name_of(image: &ImageReport) -> Name {
    let digest = image.digest.as_ref().map(ToString::to_string);
    name(&image.repository, image.tag.as_deref().or(digest.as_deref()).unwrap_or_default())
}

fn name(repository: &str, name: &str) -> Name {
    let hash = Sha256::digest(format!("{repository}\n{name}"));
    let mut short = Name::default();
    short.copy_from_slice(&hash[..16]);
    short
}

/// Of the unfinished runs for the same, none of which goes on, the one that got furthest.
fn furthest(dir: &Path, key: &str) -> Option<Found> {
    let prefix = format!("{key}-");
    let files = fs::read_dir(dir).ok()?.flatten();
    let ours = files.filter(|file| file.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)));
    let open = ours.filter_map(|file| {
        let opened = File::options().read(true).append(true).open(file.path()).ok()?;
        opened.try_lock().ok()?;
        let meta = opened.metadata().ok()?;
        let journal = Journal::over(opened).ok()?;
        Some(Found { journal, path: file.path(), changed: meta.modified().ok()?, bytes: meta.len() })
    });
    open.max_by_key(|found| found.bytes)
}

fn sweep(dir: &Path) {
    let Ok(files) = fs::read_dir(dir) else { return };
    for file in files.flatten() {
        let is_ours = file.path().extension().is_some_and(|extension| extension == "jsonl");
        let age = file.metadata().and_then(|meta| meta.modified()).ok().and_then(|changed| changed.elapsed().ok());
        if is_ours && age.is_some_and(|age| age > KEPT) {
            let _ = fs::remove_file(file.path());
        }
    }
}

#[cfg(test)]
mod tests;
