//! The walk of a directory on disk, in the order the protocol wants: names compared byte by byte, a directory before its
//! children, children before the directory's next sibling.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bollard_buildkit_proto::fsutil::types::Stat;

use super::error::SendError;
use super::filter::{Filter, Inherited, Verdict};
use super::{mode, xattr};

/// Size and modification time (nanoseconds): what tells whether a file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: i64,
    pub(super) mod_time: i64,
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        let size = i64::try_from(meta.size()).unwrap_or(i64::MAX);
        Self { size, mod_time: meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()) }
    }
}

/// A walk in progress. Memory: the names of the directories between the root and the current entry.
pub(super) struct DiskWalk<'a> {
    root: &'a Path,
    filter: &'a Filter,
    levels: Vec<Level>,
    /// First path of every file that has several names.
    linked: HashMap<(u64, u64), String>,
}

/// One directory on the way.
struct Level {
    at: Place,
    names: std::vec::IntoIter<(OsString, bool)>,
    inherited: Inherited,
    announced: bool,
}

/// Where an entry is, below the root.
#[derive(Clone, Default)]
struct Place {
    os: PathBuf,
    /// The same as text; `exact` says whether nothing was replaced.
    text: String,
    exact: bool,
}

impl Place {
    fn root() -> Self {
        Self { exact: true, ..Self::default() }
    }

    fn join(&self, name: &OsString) -> Self {
        let lossy = String::from_utf8_lossy(name.as_bytes());
        let text = if self.text.is_empty() { lossy.into_owned() } else { format!("{}/{lossy}", self.text) };
        Self { os: self.os.join(name), text, exact: self.exact && name.to_str().is_some() }
    }

    fn read_error(&self, source: io::Error) -> SendError {
        SendError::Read { path: self.text.clone(), source }
    }
}

impl<'a> DiskWalk<'a> {
    pub(super) fn new(root: &'a Path, filter: &'a Filter) -> Self {
        Self { root, filter, levels: Vec::new(), linked: HashMap::new() }
    }

    /// Calls `emit` for every selected entry until it answers `false`.
    pub(super) fn run(mut self, emit: &mut dyn FnMut(Stat) -> bool) -> Result<(), SendError> {
        let names = list(self.root).map_err(|e| Place::root().read_error(e))?;
        self.levels.push(Level { at: Place::root(), names, inherited: Inherited::default(), announced: true });
        while let Some(level) = self.levels.last_mut() {
            let Some((name, is_dir)) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let place = level.at.join(&name);
            let (verdict, inherited) = self.filter.judge(&place.text, is_dir, &level.inherited);
            if verdict == Verdict::Prune || (verdict == Verdict::Hide && !is_dir) {
                continue;
            }
            let announced = verdict == Verdict::Send;
            if announced && !self.announce(&place, emit)? {
                continue;
            }
            if is_dir {
                self.descend(Level { at: place, names: Vec::new().into_iter(), inherited, announced })?;
            }
        }
        Ok(())
    }

    /// Emits the entry after those of its parents that were not; `false` if it has gone since its directory was read.
    fn announce(&mut self, place: &Place, emit: &mut dyn FnMut(Stat) -> bool) -> Result<bool, SendError> {
        let Some(stat) = self.stat(place)? else { return Ok(false) };
        let hidden: Vec<usize> = (0..self.levels.len()).filter(|&at| !self.levels[at].announced).collect();
        for at in hidden {
            let parent = self.levels[at].at.clone();
            let Some(stat) = self.stat(&parent)? else { return Ok(false) };
            self.levels[at].announced = true;
            go_on(emit(stat))?;
        }
        go_on(emit(stat))?;
        Ok(true)
    }

    fn descend(&mut self, level: Level) -> Result<(), SendError> {
        match list(&self.root.join(&level.at.os)) {
            Ok(names) => self.levels.push(Level { names, ..level }),
            Err(e) if is_absent(&e) => {}
            Err(e) if !level.announced && e.kind() == io::ErrorKind::PermissionDenied => {}
            Err(e) => return Err(level.at.read_error(e)),
        }
        Ok(())
    }

    fn stat(&mut self, place: &Place) -> Result<Option<Stat>, SendError> {
        if !place.exact {
            return Err(SendError::NotUtf8(place.text.clone()));
        }
        let full = self.root.join(&place.os);
        let meta = match fs::symlink_metadata(&full) {
            Err(e) if is_absent(&e) => return Ok(None),
            other => other.map_err(|e| place.read_error(e))?,
        };
        let mut stat = base_stat(&place.text, &meta);
        stat.xattrs = xattr::read(&full).map_err(|e| place.read_error(e))?;
        if meta.is_symlink() {
            let target = fs::read_link(&full).map_err(|e| place.read_error(e))?;
            let target = target.into_os_string().into_string();
            stat.linkname = target.map_err(|_| SendError::NotUtf8(format!("{} (its target)", place.text)))?;
        } else if !meta.is_dir() && meta.nlink() > 1 {
            let first = self.linked.entry((meta.dev(), meta.ino())).or_insert_with(|| place.text.clone());
            if *first != place.text {
                stat.linkname.clone_from(first);
                stat.size = 0;
            }
        }
        Ok(Some(stat))
    }
}

fn base_stat(path: &str, meta: &Metadata) -> Stat {
    let stamp = Stamp::of(meta);
    let device = if mode::has_data(mode::from_metadata(meta)) { 0 } else { meta.rdev() };
    Stat {
        path: path.to_owned(),
        mode: mode::from_metadata(meta),
        size: if meta.is_dir() { 0 } else { stamp.size },
        mod_time: stamp.mod_time,
        devmajor: i64::try_from((device >> 8) & 0xfff).unwrap_or(0),
        devminor: i64::try_from((device & 0xff) | ((device >> 12) & 0xf_ff00)).unwrap_or(0),
        ..Stat::default()
    }
}

/// Lists a directory sorted by name, with whether each entry is a directory.
fn list(dir: &Path) -> io::Result<std::vec::IntoIter<(OsString, bool)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        names.push((entry.file_name(), entry.file_type()?.is_dir()));
    }
    names.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    Ok(names.into_iter())
}

fn go_on(answer: bool) -> Result<(), SendError> {
    if answer { Ok(()) } else { Err(SendError::Disconnected) }
}

fn is_absent(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
