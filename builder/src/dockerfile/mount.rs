//! `RUN --mount=…` (BuildKit `instructions/commands_runmount.go`).

use super::error::near;
use super::words::split_csv;

/// Kinds of mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    #[default]
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// A directory in memory.
    Tmpfs,
    /// A secret file.
    Secret,
    /// An SSH agent.
    Ssh,
}

/// One mount, its values expanded by the caller.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Stage or image the files come from.
    pub from: Option<String>,
    /// Where it appears.
    pub target: Option<String>,
    /// What of `from` is mounted.
    pub source: Option<String>,
    /// Name of a cache, secret or agent.
    pub id: Option<String>,
    /// How a cache is shared: `shared`, `private` or `locked`.
    pub sharing: Option<String>,
}

/// Why a mount cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct MountError {
    /// What is wrong.
    pub fault: String,
    /// What was probably meant, best first.
    pub near: Vec<String>,
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
];
const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];

impl Mount {
    /// Reads a mount. `expand` expands the variables of a value; `from` has none.
    ///
    /// # Errors
    /// The first field BuildKit would refuse.
    pub fn parse<E: From<MountError>>(text: &str, expand: &dyn Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        let mut mount = Self::default();
        for field in split_csv(text) {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (field.as_str(), None),
            };
            let key = key.trim().to_ascii_lowercase();
            let Some(value) = value else {
                mount.bare(&key, &field)?;
                continue;
            };
            let value = if key == "from" { value.to_owned() } else { expand(value)? };
            mount.set(&key, value, &field)?;
        }
        mount.check()?;
        Ok(mount)
    }

    fn bare(&self, key: &str, field: &str) -> Result<(), MountError> {
        match key {
            "readonly" | "ro" | "readwrite" | "rw" => Ok(()),
            "required" if matches!(self.kind, MountKind::Secret | MountKind::Ssh) => Ok(()),
            "required" => Err(fault("`required` is for secret and ssh mounts".to_owned())),
            _ => Err(MountError { fault: format!("{field:?} is not of the form key=value"), near: similar(key) }),
        }
    }

    fn set(&mut self, key: &str, value: String, field: &str) -> Result<(), MountError> {
        match key {
            "type" => {
                let lower = value.to_ascii_lowercase();
                let known = KINDS.iter().find(|(name, _)| *name == lower);
                let names =
                    || near(&lower, KINDS.iter().map(|(name, _)| *name)).into_iter().map(str::to_owned).collect();
                let unknown = || MountError { fault: format!("there is no mount type {value:?}"), near: names() };
                self.kind = known.ok_or_else(unknown)?.1;
            }
            "from" => self.from = Some(value),
            "source" | "src" => self.source = Some(value),
            "target" | "dst" | "destination" => self.target = Some(value),
            "id" => self.id = Some(value),
            "sharing" if matches!(value.as_str(), "shared" | "private" | "locked") => self.sharing = Some(value),
            "sharing" => return Err(fault(format!("sharing is shared, private or locked, not {value:?}"))),
            "readonly" | "ro" | "readwrite" | "rw" | "required" => {
                let known =
                    ["1", "t", "true", "0", "f", "false"].iter().any(|known| known.eq_ignore_ascii_case(&value));
                known.then_some(()).ok_or_else(|| fault(format!("{key} is true or false, not {value:?}")))?;
            }
            "mode" if u64::from_str_radix(&value, 8).is_err() => {
                return Err(fault(format!("{value:?} is no octal mode")));
            }
            "uid" | "gid" if value.parse::<u32>().is_err() => return Err(fault(format!("{value:?} is no {key}"))),
            "size" | "mode" | "uid" | "gid" | "env" => {}
            _ => return Err(MountError { fault: format!("unknown key in {field:?}"), near: similar(key) }),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), MountError> {
        if self.sharing.is_some() && self.kind != MountKind::Cache {
            return Err(fault("sharing is for cache mounts".to_owned()));
        }
        let needs_target = matches!(self.kind, MountKind::Bind | MountKind::Cache | MountKind::Tmpfs);
        let target = self.target.as_deref().unwrap_or("");
        if needs_target && target.trim_end_matches(['/', '.']).is_empty() {
            return Err(fault("it needs a target other than /".to_owned()));
        }
        if self.kind == MountKind::Secret && self.from.is_some() {
            return Err(fault("a secret mount has no `from`".to_owned()));
        }
        Ok(())
    }
}

/// Returns the `from` of a mount that may be wrong in other fields.
pub(super) fn from_of(mount: &str) -> Option<String> {
    split_csv(mount).iter().rev().find_map(|field| {
        let (key, value) = field.split_once('=')?;
        key.trim().eq_ignore_ascii_case("from").then(|| value.to_owned())
    })
}

fn fault(fault: String) -> MountError {
    MountError { fault, near: Vec::new() }
}

fn similar(key: &str) -> Vec<String> {
    near(key, KEYS).into_iter().map(str::to_owned).collect()
}
