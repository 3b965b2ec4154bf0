//! How a Docker-in-Docker container is started.
//!
//! Owns: the options after `dind://?`. Names and meanings are those of `docker run`.

use crate::node::endpoint::QueryError;

/// The image used when none is named.
pub const DEFAULT_IMAGE: &str = "docker:dind";

/// Every option, for errors and help.
const KNOWN: &str = "arg, cap-add, cap-drop, env, image, memory, network, privileged, pull, security-opt, store, tmpfs, \
     volume (or mount), host";

/// When to pull the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pull {
    /// Only if the Docker host does not have it.
    #[default]
    Missing,
    /// Always, so that a moved tag is followed.
    Always,
    /// Never: it must be there.
    Never,
}

/// Where the daemon keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DindStore {
    /// In containerd, where the daemon knows how (Docker 23): results leave by digest and as they are.
    #[default]
    Containerd,
    /// In Docker's own store of layers.
    Classic,
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DindOptions {
    /// Image with dockerd as its entry point and the `docker` command in it.
    pub image: String,
    /// `--privileged`; `None` means yes, unless capabilities or security options are named.
    pub privileged: Option<bool>,
    /// `--cap-add`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`.
    pub cap_drop: Vec<String>,
    /// `--security-opt`.
    pub security_opt: Vec<String>,
    /// `--network`.
    pub network: Option<String>,
    /// `--volume HOST:CONTAINER[:OPTIONS]`.
    pub volumes: Vec<String>,
    /// `--tmpfs PATH[:OPTIONS]`.
    pub tmpfs: Vec<(String, String)>,
    /// `--env`.
    pub env: Vec<String>,
    /// Arguments for dockerd.
    pub args: Vec<String>,
    /// `--memory`, bytes.
    pub memory: Option<i64>,
    /// `--pull`.
    pub pull: Pull,
    /// Where the daemon keeps images.
    pub store: DindStore,
}

impl Default for DindOptions {
    fn default() -> Self {
        Self {
            image: DEFAULT_IMAGE.to_owned(),
            privileged: None,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            security_opt: Vec::new(),
            network: None,
            volumes: Vec::new(),
            tmpfs: Vec::new(),
            env: Vec::new(),
            args: Vec::new(),
            memory: None,
            pull: Pull::Missing,
            store: DindStore::Containerd,
        }
    }
}

impl DindOptions {
    /// Reads `key=value` pairs; lists are written by repeating the key.
    ///
    /// # Errors
    /// [`QueryError`] for an unknown key or a value that means nothing.
    pub fn from_query(pairs: Vec<(String, String)>) -> Result<Self, QueryError> {
        let mut options = Self::default();
        for (key, value) in pairs {
            options.set(&key, value)?;
        }
        Ok(options)
    }

    /// Returns whether the container runs privileged.
    pub fn is_privileged(&self) -> bool {
        let named = !self.cap_add.is_empty() || !self.cap_drop.is_empty() || !self.security_opt.is_empty();
        self.privileged.unwrap_or(!named)
    }

    /// Returns whether the daemon is to be told where it keeps images. The user's own arguments come first: dockerd
    /// refuses what is set by an argument and in its file.
    pub fn sets_store(&self) -> bool {
        let own = |arg: &String| arg.starts_with("--feature") || arg.starts_with("--config-file");
        !self.args.iter().any(own)
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), QueryError> {
        let bad = |want| QueryError::BadValue { key: key.to_owned(), value: value.clone(), want };
        if value.is_empty() {
            return Err(bad("it needs a value"));
        }
        match key {
            "image" => self.image = value,
            "privileged" => self.privileged = Some(value.parse().map_err(|_| bad("true or false"))?),
            "cap-add" => self.cap_add.push(value),
            "cap-drop" => self.cap_drop.push(value),
            "security-opt" => self.security_opt.push(value),
            "network" => self.network = Some(value),
            "volume" | "mount" if is_volume(&value) => self.volumes.push(value),
            "volume" | "mount" => return Err(bad("it is written SOURCE:/TARGET[:OPTIONS]")),
            "tmpfs" => {
                let (path, options) = value.split_once(':').unwrap_or((&value, ""));
                self.tmpfs.push((path.to_owned(), options.to_owned()));
            }
            "env" => self.env.push(value),
            "arg" => self.args.push(value),
            "memory" => self.memory = Some(bytes(&value).ok_or_else(|| bad("bytes, or with the unit k, m or g"))?),
            "pull" => {
                self.pull = match value.as_str() {
                    "missing" => Pull::Missing,
                    "always" => Pull::Always,
                    "never" => Pull::Never,
                    _ => return Err(bad("missing, always or never")),
                }
            }
            "store" => {
                self.store = match value.as_str() {
                    "containerd" => DindStore::Containerd,
                    "classic" => DindStore::Classic,
                    _ => return Err(bad("containerd or classic")),
                }
            }
            _ => return Err(QueryError::UnknownKey { key: key.to_owned(), known: KNOWN }),
        }
        Ok(())
    }
}

fn is_volume(text: &str) -> bool {
    let mut parts = text.split(':');
    let (source, target) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    !source.is_empty() && target.starts_with('/') && parts.count() <= 1
}

/// `512`, `512b`, `64k`, `512m`, `2g`, as `docker run --memory`.
fn bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let (digits, shift) = match lower.strip_suffix(['b', 'k', 'm', 'g']) {
        Some(digits) => (digits, "bkmg".find(&lower[digits.len()..])? * 10),
        None => (lower.as_str(), 0),
    };
    let number: i64 = digits.parse().ok().filter(|number| *number > 0)?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<DindOptions, QueryError> {
        DindOptions::from_query(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn reads_every_option() {
        let options = read(&[
            ("image", "docker:28-dind"),
            ("cap-add", "ALL"),
            ("cap-drop", "SYS_RESOURCE"),
            ("security-opt", "seccomp=unconfined"),
            ("security-opt", "apparmor=unconfined"),
            ("network", "host"),
            ("mount", "/sys/fs/cgroup:/sys/fs/cgroup:rw"),
            ("tmpfs", "/run"),
            ("tmpfs", "/tmp:exec"),
            ("env", "A=b"),
            ("arg", "--mtu=1400"),
            ("memory", "2g"),
            ("pull", "never"),
            ("store", "classic"),
        ])
        .unwrap();
        let want = DindOptions {
            image: "docker:28-dind".into(),
            privileged: None,
            cap_add: vec!["ALL".into()],
            cap_drop: vec!["SYS_RESOURCE".into()],
            security_opt: vec!["seccomp=unconfined".into(), "apparmor=unconfined".into()],
            network: Some("host".into()),
            volumes: vec!["/sys/fs/cgroup:/sys/fs/cgroup:rw".into()],
            tmpfs: vec![("/run".into(), String::new()), ("/tmp".into(), "exec".into())],
            env: vec!["A=b".into()],
            args: vec!["--mtu=1400".into()],
            memory: Some(2 << 30),
            pull: Pull::Never,
            store: DindStore::Classic,
        };
        assert_eq!(options, want);
    }

    #[test]
    fn the_store_is_left_to_the_arguments_that_set_it() {
        assert_eq!(DindOptions::default().store, DindStore::Containerd);
        assert!(DindOptions::default().sets_store());
        assert!(read(&[("arg", "--mtu=1400")]).unwrap().sets_store());
        assert!(!read(&[("arg", "--feature=containerd-snapshotter=false")]).unwrap().sets_store());
        assert!(!read(&[("arg", "--config-file=/d.json")]).unwrap().sets_store());
    }

    #[test]
    fn is_privileged_unless_told_what_it_needs() {
        assert!(DindOptions::default().is_privileged());
        assert!(!read(&[("cap-add", "ALL")]).unwrap().is_privileged());
        assert!(read(&[("cap-add", "ALL"), ("privileged", "true")]).unwrap().is_privileged());
        assert!(!read(&[("privileged", "false")]).unwrap().is_privileged());
    }

    #[test]
    fn refuses_values_that_mean_nothing() {
        for (key, value) in [
            ("privileged", "yes"),
            ("memory", "lots"),
            ("memory", "-1"),
            ("memory", "9999999999g"),
            ("pull", "sometimes"),
            ("store", "disk"),
            ("mount", "/only"),
            ("mount", "a:b"),
            ("image", ""),
            ("entrypoint", "sh"),
        ] {
            assert!(read(&[(key, value)]).is_err(), "{key}={value}");
        }
    }
}
