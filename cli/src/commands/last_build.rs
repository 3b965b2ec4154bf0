//! What the last build of a Dockerfile took, kept beside the store for `plan` to show.
//!
//! BuildKit cannot be asked whether a step is in its cache; what the last build found there is the next best thing.
//!
//! Owns: one small file for each Dockerfile, target and platform, in `cache/builds` of the store. Never: fails a build or a
//! plan, and never says more than was seen: build arguments and files may have changed since.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use polyarch_builder::request::{BuildRequest, ContextSource, DockerfileSource};
use polyarch_registry::oci::{Digest, Platform};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::report::result::{PlatformRow, RowResult};
use crate::settings::plan::Subject;
use crate::text;

/// Grows with every change that an older polyarch could misread.
const VERSION: u32 = 1;

/// Largest file that is read, in bytes.
const LIMIT: u64 = 16 << 10;

/// Most files that are kept.
const MOST: usize = 1000;

/// One platform of the last build that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastBuild {
    version: u32,
    /// The platform.
    pub platform: String,
    /// When it ended: RFC 3339, in UTC.
    pub at: String,
    /// How long it took.
    pub milliseconds: u64,
    /// Where.
    pub node: Option<String>,
    /// Steps the daemon had cached.
    pub cached: usize,
    /// Steps the daemon ran.
    pub executed: usize,
}

impl LastBuild {
    /// Returns it in a line: `2026-11-20 19:05 UTC, 41.2s, 12 of 14 steps cached`.
    pub fn line(&self) -> String {
        // `2026-11-20T19:05:11Z`, as far as it is that.
        let at = self.at.get(..16).unwrap_or(&self.at).replace('T', " ");
        let time = text::duration(std::time::Duration::from_millis(self.milliseconds));
        let all = self.cached.saturating_add(self.executed);
        format!("{at} UTC, {time}, {} of {all} step{} cached", self.cached, if all == 1 { "" } else { "s" })
    }
}

/// What a build is known by.
#[derive(Debug, Serialize)]
pub struct Identity {
    dockerfile: String,
    target: Option<String>,
}

impl Identity {
    fn new(context: &ContextSource, dockerfile: &DockerfileSource, target: Option<&str>) -> Option<Self> {
        let absolute = |path: &Path| fs::canonicalize(path).ok().map(|path| path.to_string_lossy().into_owned());
        let context = || match context {
            ContextSource::Dir(path) => absolute(path),
            ContextSource::Git(url) | ContextSource::Http(url) => Some(url.clone()),
            _ => None,
        };
        let dockerfile = match dockerfile {
            DockerfileSource::File(path) => absolute(path)?,
            DockerfileSource::InContext(path) => format!("{} {path}", context()?),
            DockerfileSource::Text(_) => format!("{} -", context()?),
        };
        Some(Self { dockerfile, target: target.map(str::to_owned) })
    }

    /// Returns what a build is known by, if that is the same the next time.
    pub fn of_build(request: &BuildRequest) -> Option<Self> {
        Self::new(&request.context, &request.dockerfile, request.target.as_deref())
    }

    /// The same of what is planned.
    pub fn of_plan(subject: &Subject) -> Option<Self> {
        Self::new(&subject.context, &subject.dockerfile, subject.target.as_deref())
    }

    fn file(&self, store: &Path, platform: &str) -> PathBuf {
        // Strings under string keys: this cannot fail.
        let name = serde_json::to_string(&(self, platform)).unwrap_or_default();
        store.join("cache").join("builds").join(Digest::sha256(name).encoded())
    }
}

/// Keeps what the platforms of a build took that were built.
pub fn keep(store: &Path, identity: &Identity, rows: &[PlatformRow]) {
    let Ok(at) = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH).format(&Rfc3339)
    else {
        return;
    };
    for row in rows.iter().filter(|row| matches!(row.result, RowResult::Built(_) | RowResult::Files)) {
        let record = LastBuild {
            version: VERSION,
            platform: row.platform.to_string(),
            at: at.clone(),
            milliseconds: u64::try_from(row.elapsed.as_millis()).unwrap_or(u64::MAX),
            node: row.node.clone(),
            cached: row.cached,
            executed: row.executed,
        };
        if let Err(error) = write(&identity.file(store, &record.platform), &record) {
            tracing::debug!(%error, "what the build took is not kept");
        }
    }
}

/// Returns what is known of the platforms, in their order.
pub fn recall(store: &Path, identity: &Identity, platforms: &[Platform]) -> Vec<LastBuild> {
    let one = |platform: &Platform| {
        let platform = platform.to_string();
        let mut text = String::new();
        fs::File::open(identity.file(store, &platform)).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
        let record: LastBuild = serde_json::from_str(&text).ok()?;
        (record.version == VERSION && record.platform == platform).then_some(record)
    };
    platforms.iter().filter_map(one).collect()
}

fn write(path: &Path, record: &LastBuild) -> std::io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    fs::create_dir_all(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.persist(path).map_err(|error| error.error)?;
    prune(dir)
}

/// Removes the oldest half where there are too many.
fn prune(dir: &Path) -> std::io::Result<()> {
    let mut files: Vec<_> = fs::read_dir(dir)?.flatten().map(|entry| entry.path()).collect();
    if files.len() <= MOST {
        return Ok(());
    }
    files.sort_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok());
    files[..MOST / 2].iter().try_for_each(fs::remove_file)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(platform: &str, result: RowResult) -> PlatformRow {
        PlatformRow {
            platform: platform.parse().unwrap(),
            result,
            elapsed: Duration::from_millis(41_234),
            cached: 12,
            executed: 2,
            node: Some("docker".to_owned()),
            builder: None,
        }
    }

    #[test]
    fn what_was_built_is_recalled_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("Dockerfile");
        fs::write(&file, "").unwrap();
        let of = |target: Option<&str>| {
            Identity::new(&ContextSource::Dir(dir.path().into()), &DockerfileSource::File(file.clone()), target)
                .unwrap()
        };
        let store = dir.path().join("store");
        let platforms: Vec<Platform> = ["linux/arm64", "linux/amd64"].map(|one| one.parse().unwrap()).to_vec();
        assert_eq!(recall(&store, &of(None), &platforms), []);
        keep(&store, &of(None), &[row("linux/amd64", RowResult::Files), row("linux/arm64", RowResult::Cancelled)]);
        let found = recall(&store, &of(None), &platforms);
        let shown: Vec<_> = found.iter().map(|one| (one.platform.as_str(), one.milliseconds, one.cached)).collect();
        assert_eq!(shown, [("linux/amd64", 41_234, 12)]);
        assert!(found[0].line().ends_with(" UTC, 41.2s, 12 of 14 steps cached"), "{}", found[0].line());
        assert_eq!(recall(&store, &of(Some("other")), &platforms), []);

        let path = of(None).file(&store, "linux/amd64");
        for torn in ["", "{}", "{\"version\":9}"] {
            fs::write(&path, torn).unwrap();
            assert_eq!(recall(&store, &of(None), &platforms), [], "{torn}");
        }
    }

    #[test]
    fn the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        for at in 0..=MOST {
            fs::write(dir.path().join(at.to_string()), "").unwrap();
        }
        prune(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MOST + 1 - MOST / 2);
    }

    #[test]
    fn what_has_no_place_is_not_kept() {
        let text = DockerfileSource::Text(Vec::new());
        assert!(Identity::new(&ContextSource::Tar("t".into()), &text, None).is_none());
        assert!(Identity::new(&ContextSource::Dir("/nowhere/at/all".into()), &text, None).is_none());
    }
}
