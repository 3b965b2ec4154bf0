//! Keeping what a login has proved, and forgetting it, as `docker login` and `docker logout` do.
//!
//! Owns: `config.json` as a document of which only one entry is touched; written aside with mode 0600, synced, renamed.
//! Where a helper keeps the host's credentials, it gets them, and the file holds no secret.
//! Never: loses a key it does not know, writes a file it could not read, or shows a secret.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::config_file::server_address;
use super::helper::Helper;
use super::{AuthFile, AuthFileError, CredentialError, read};
use crate::client::secret::Secret;

/// Where a credential is kept now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In this file, readable by whoever may read it.
    File(PathBuf),
    /// By this helper.
    Helper(String),
}

/// Keeps credentials in Docker's way.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// `config.json`.
    pub file: PathBuf,
    /// Directories searched for `docker-credential-*` before the process's own search path.
    pub helper_dirs: Vec<PathBuf>,
    /// How long a helper may take.
    pub helper_timeout: Duration,
}

impl Keeper {
    /// Keeps user name and password of a host.
    ///
    /// # Errors
    /// [`CredentialError`]; then the file is as it was.
    pub async fn save(&self, host: &str, username: &str, password: &Secret) -> Result<Kept, CredentialError> {
        let (known, mut document) = self.load().await?;
        let server = server_address(host);
        let (entry, kept) = match known.helper_for(host) {
            Some(name) => {
                self.helper(name)?.store(server, username, password).await?;
                // Docker lists who is logged in by the keys; the value stays empty.
                (json!({}), Kept::Helper(name.to_owned()))
            }
            None => {
                let auth = STANDARD.encode(format!("{username}:{}", password.expose()));
                (json!({ "auth": auth }), Kept::File(self.file.clone()))
            }
        };
        let auths = document.entry("auths").or_insert_with(|| json!({}));
        let auths = auths.as_object_mut().ok_or_else(|| self.not_ours())?;
        for key in known.keys_of(host) {
            auths.shift_remove(&key);
        }
        auths.insert(server.to_owned(), entry);
        self.write(document).await.map(|()| kept)
    }

    /// Forgets the credentials of a host. Returns whether there were any.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn erase(&self, host: &str) -> Result<bool, CredentialError> {
        let (known, mut document) = self.load().await?;
        let mut erased = match known.helper_for(host) {
            Some(name) => self.helper(name)?.erase(server_address(host)).await?,
            None => false,
        };
        let keys = known.keys_of(host);
        if let Some(auths) = document.get_mut("auths").and_then(Value::as_object_mut).filter(|_| !keys.is_empty()) {
            erased |= keys.iter().filter(|key| auths.shift_remove(*key).is_some()).count() > 0;
            self.write(document).await?;
        }
        Ok(erased)
    }

    fn helper(&self, name: &str) -> Result<Helper, CredentialError> {
        Helper::new(name, &self.helper_dirs, self.helper_timeout)
    }

    fn not_ours(&self) -> CredentialError {
        CredentialError::Parse { path: self.file.clone(), source: AuthFileError::Json { line: 1, column: 1 } }
    }

    /// Returns the file twice: as credentials, and as a document.
    async fn load(&self) -> Result<(AuthFile, Map<String, Value>), CredentialError> {
        let Some(known) = read(&self.file).await? else { return Ok((AuthFile::default(), Map::new())) };
        let bytes = tokio::fs::read(&self.file).await;
        let bytes = bytes.map_err(|source| CredentialError::Read { path: self.file.clone(), source })?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok((known, Map::new()));
        }
        serde_json::from_slice(&bytes).map(|document| (known, document)).map_err(|_| self.not_ours())
    }

    async fn write(&self, document: Map<String, Value>) -> Result<(), CredentialError> {
        let path = self.file.clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &document)).await;
        let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        written.map_err(|source| CredentialError::Write { path: self.file.clone(), source })
    }
}

/// Replaces a file in one step; a link stays one, and what it points at is replaced.
fn write(path: &Path, document: &Map<String, Value>) -> std::io::Result<()> {
    use std::io::Write as _;
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_private_dir(dir)?;
    // Created with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".config.json-").tempfile_in(dir)?;
    let mut text = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    serde::Serialize::serialize(document, &mut serde_json::Serializer::with_formatter(&mut text, tabs))?;
    file.write_all(&text)?;
    crate::durable::publish(file, &path).map_err(|trouble| trouble.source)
}

fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::client::{Credential, CredentialSources};

    const LONG: Duration = Duration::from_secs(20);

    fn keeper(dir: &Path) -> Keeper {
        Keeper { file: dir.join("docker/config.json"), helper_dirs: vec![dir.to_owned()], helper_timeout: LONG }
    }

    fn prepared(text: &str) -> (tempfile::TempDir, Keeper) {
        let dir = tempfile::tempdir().unwrap();
        let keeper = keeper(dir.path());
        std::fs::create_dir(dir.path().join("docker")).unwrap();
        std::fs::write(&keeper.file, text).unwrap();
        (dir, keeper)
    }

    fn document(keeper: &Keeper) -> Value {
        serde_json::from_slice(&std::fs::read(&keeper.file).unwrap()).unwrap()
    }

    async fn found(keeper: &Keeper, host: &str) -> Option<Credential> {
        let docker_config_dir = keeper.file.parent().map(Path::to_owned);
        let helper_dirs = keeper.helper_dirs.clone();
        let sources = CredentialSources { docker_config_dir, helper_dirs, ..CredentialSources::default() };
        sources.find(host, "x", LONG).await.unwrap()
    }

    fn password(username: &str, password: &str) -> Option<Credential> {
        Some(Credential::Password { username: username.into(), password: Secret::new(password) })
    }

    #[tokio::test]
    async fn a_new_file_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = keeper(dir.path());
        let kept = keeper.save("r.example.com:5000", "ada", &Secret::new("a:b")).await.unwrap();
        assert_eq!(kept, Kept::File(keeper.file.clone()));
        assert_eq!(found(&keeper, "r.example.com:5000").await, password("ada", "a:b"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&keeper.file), mode(keeper.file.parent().unwrap())), (0o600, 0o700));
        let names = std::fs::read_dir(keeper.file.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1, "no temporary file stays");
    }

    #[tokio::test]
    async fn everything_else_in_the_file_stays() {
        let text = r#"{"zeta":{"b":1,"a":[2]},"auths":{"https://ghcr.io/v2/":{"auth":"eDp5"},"quay.io":{"auth":"eDp5"}},"psFormat":"x"}"#;
        let (_dir, keeper) = prepared(text);
        keeper.save("ghcr.io", "ada", &Secret::new("new")).await.unwrap();
        assert_eq!(found(&keeper, "ghcr.io").await, password("ada", "new"));
        let now = document(&keeper);
        assert_eq!((&now["zeta"], &now["psFormat"]), (&json!({"b":1,"a":[2]}), &json!("x")));
        let keys: Vec<_> = now["auths"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["quay.io", "ghcr.io"], "the old spelling of the host is gone");

        assert!(keeper.erase("ghcr.io").await.unwrap());
        assert!(!keeper.erase("ghcr.io").await.unwrap());
        assert_eq!(document(&keeper)["auths"], json!({"quay.io":{"auth":"eDp5"}}));
        keeper.save("docker.io", "ada", &Secret::new("hub")).await.unwrap();
        assert!(document(&keeper)["auths"]["https://index.docker.io/v1/"].is_object());
        assert_eq!(found(&keeper, "docker.io").await, password("ada", "hub"));
    }

    #[tokio::test]
    async fn a_helper_gets_the_secret_and_the_file_does_not() {
        let (dir, keeper) = prepared(r#"{"credsStore":"safe"}"#);
        let safe = dir.path().join("safe");
        let script = format!(
            "#!/bin/sh\ncase $1 in store) cat >{0};; get) cat >/dev/null; cat {0};; erase) rm {0};; esac\n",
            safe.display()
        );
        let draft = dir.path().join("draft");
        std::fs::write(&draft, script).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Through a copy: a file this process had open for writing may be "busy" when started.
        let program = dir.path().join("docker-credential-safe");
        assert!(std::process::Command::new("cp").arg(&draft).arg(&program).status().unwrap().success());

        let kept = keeper.save("r.example.com", "ada", &Secret::new("hunter2")).await.unwrap();
        assert_eq!(kept, Kept::Helper("safe".into()));
        assert!(!std::fs::read_to_string(&keeper.file).unwrap().contains("hunter2"));
        assert_eq!(document(&keeper)["auths"], json!({"r.example.com":{}}));
        assert_eq!(found(&keeper, "r.example.com").await, password("ada", "hunter2"));
        assert!(keeper.erase("r.example.com").await.unwrap());
        assert!(!safe.exists());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_understood_is_left_alone() {
        for text in ["{", "[]", r#"{"auths":[]}"#, r#"{"auths":{"h":{"auth":7}}}"#] {
            let (_dir, keeper) = prepared(text);
            let error = keeper.save("h", "ada", &Secret::new("hunter2")).await.unwrap_err();
            assert!(matches!(error, CredentialError::Parse { .. }), "{text}: {error:?}");
            assert!(!format!("{error:?}").contains("hunter2"));
            assert_eq!(std::fs::read_to_string(&keeper.file).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn a_link_to_the_file_stays_a_link() {
        let (dir, keeper) = prepared("{}");
        let target = dir.path().join("elsewhere.json");
        std::fs::rename(&keeper.file, &target).unwrap();
        std::os::unix::fs::symlink(&target, &keeper.file).unwrap();
        keeper.save("h.example.com", "ada", &Secret::new("p")).await.unwrap();
        assert!(std::fs::symlink_metadata(&keeper.file).unwrap().is_symlink());
        assert!(std::fs::read_to_string(&target).unwrap().contains("h.example.com"));
    }
}
