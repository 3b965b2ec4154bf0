//! Docker contexts on this machine.
//!
//! Owns: where a context's metadata and certificates are, and what of it matters here (docker/cli, `cli/context/store`).
//! Reading is a small file each; the parsing is pure.

use std::io;
use std::path::{Path, PathBuf};

use polyarch_registry::oci::Digest;
use serde::Deserialize;

use super::endpoint::{HostEnv, TlsFiles};

/// The context every Docker client has: DOCKER_HOST or the usual socket.
pub const DEFAULT: &str = "default";
/// Configuration files larger than this are not Docker's, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// What a context says about its Docker daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerContext {
    /// Address, as DOCKER_HOST is written.
    pub host: String,
    /// Certificates, if the context has any.
    pub tls: Option<TlsFiles>,
}

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// There is no context of this name.
    #[error("there is no Docker context {name:?} ({looked_at} does not exist)")]
    Missing {
        /// Its name.
        name: String,
        /// The file that would describe it.
        looked_at: PathBuf,
    },
    /// There is no directory to look for contexts in.
    #[error("Docker context {0:?} cannot be looked up: neither DOCKER_CONFIG nor HOME is set")]
    NoConfigDir(String),
    /// A file cannot be read.
    #[error("could not read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A file is not what Docker writes.
    #[error("{path} is not what Docker writes")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// The context has no Docker daemon.
    #[error("Docker context {name:?} {why}")]
    Unusable {
        /// Its name.
        name: String,
        /// Why.
        why: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEndpoint {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ConfigFile {
    #[serde(default)]
    current_context: String,
}

/// Returns the name of the current context, or `None` for the default one.
///
/// # Errors
/// [`ContextError`] for an unreadable configuration; a missing one is none.
pub fn current(env: &HostEnv) -> Result<Option<String>, ContextError> {
    let named = |name: String| Some(name).filter(|name| !name.is_empty() && name != DEFAULT);
    if let Some(name) = env.docker_context.clone().filter(|name| !name.is_empty()) {
        return Ok(named(name));
    }
    let Some(path) = env.config_dir().map(|dir| dir.join("config.json")) else { return Ok(None) };
    match read(&path)? {
        None => Ok(None),
        Some(text) => {
            let config: ConfigFile = parse(&path, &text)?;
            Ok(named(config.current_context))
        }
    }
}

/// Reads a context.
///
/// # Errors
/// [`ContextError`].
pub fn load(name: &str, env: &HostEnv) -> Result<DockerContext, ContextError> {
    let contexts = env.config_dir().ok_or_else(|| ContextError::NoConfigDir(name.to_owned()))?.join("contexts");
    let id = Digest::sha256(name).encoded().to_owned();
    let path = contexts.join("meta").join(&id).join("meta.json");
    let Some(text) = read(&path)? else {
        return Err(ContextError::Missing { name: name.to_owned(), looked_at: path });
    };
    let unusable = |why| ContextError::Unusable { name: name.to_owned(), why };
    let endpoint = parse::<Metadata>(&path, &text)?.endpoints.docker.ok_or_else(|| unusable("has no Docker daemon"))?;
    if endpoint.host.is_empty() {
        return Err(unusable("has no Docker daemon"));
    }
    let tls = certificates(&contexts.join("tls").join(id).join("docker"), endpoint.skip_tls_verify);
    Ok(DockerContext { host: endpoint.host, tls })
}

/// `SkipTLSVerify` alone also means TLS, as in docker/cli (`cli/context/docker/load.go`).
fn certificates(dir: &Path, skip_verify: bool) -> Option<TlsFiles> {
    let files = TlsFiles::in_directory(dir);
    let client = files.client.filter(|(cert, key)| cert.exists() && key.exists());
    let is_tls = skip_verify || files.ca.exists();
    is_tls.then_some(TlsFiles { ca: files.ca, client, server_name: None, skip_verify })
}

fn read(path: &Path) -> Result<Option<String>, ContextError> {
    use std::io::Read;
    let broken = |source| ContextError::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(broken)?,
    };
    let mut text = String::new();
    file.take(FILE_LIMIT).read_to_string(&mut text).map_err(broken)?;
    Ok(Some(text))
}

fn parse<'a, T: Deserialize<'a>>(path: &Path, text: &'a str) -> Result<T, ContextError> {
    serde_json::from_str(text).map_err(|source| ContextError::Malformed { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> (tempfile::TempDir, HostEnv) {
        let dir = tempfile::tempdir().unwrap();
        let env = HostEnv { docker_config: Some(dir.path().to_owned()), ..HostEnv::default() };
        (dir, env)
    }

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn meta(dir: &Path, name: &str) -> PathBuf {
        dir.join("contexts/meta").join(Digest::sha256(name).encoded()).join("meta.json")
    }

    #[test]
    fn finds_the_current_context() {
        let (dir, env) = machine();
        assert_eq!(current(&env).unwrap(), None);
        write(&dir.path().join("config.json"), r#"{"auths":{},"currentContext":"prod"}"#);
        assert_eq!(current(&env).unwrap().as_deref(), Some("prod"));
        let chosen = HostEnv { docker_context: Some("default".into()), ..env.clone() };
        assert_eq!(current(&chosen).unwrap(), None);
        write(&dir.path().join("config.json"), "{");
        assert!(matches!(current(&env), Err(ContextError::Malformed { .. })));
    }

    #[test]
    fn reads_a_context_and_its_certificates() {
        let (dir, env) = machine();
        assert!(matches!(load("prod", &env), Err(ContextError::Missing { .. })));
        let meta = meta(dir.path(), "prod");
        write(
            &meta,
            r#"{"Name":"prod","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://h:2376","SkipTLSVerify":false}}}"#,
        );
        assert_eq!(load("prod", &env).unwrap(), DockerContext { host: "tcp://h:2376".into(), tls: None });
        let tls = dir.path().join("contexts/tls").join(Digest::sha256("prod").encoded()).join("docker");
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            write(&tls.join(file), "");
        }
        assert_eq!(load("prod", &env).unwrap().tls, Some(TlsFiles::in_directory(&tls)));
    }

    #[test]
    fn a_context_may_skip_the_check_of_the_certificate() {
        let (dir, env) = machine();
        write(&meta(dir.path(), "x"), r#"{"Endpoints":{"docker":{"Host":"tcp://h:1","SkipTLSVerify":true}}}"#);
        let tls = dir.path().join("contexts/tls").join(Digest::sha256("x").encoded()).join("docker");
        let unchecked = TlsFiles { client: None, skip_verify: true, ..TlsFiles::in_directory(&tls) };
        assert_eq!(load("x", &env).unwrap().tls, Some(unchecked));
    }

    #[test]
    fn refuses_contexts_without_a_daemon() {
        let (dir, env) = machine();
        for (text, want) in [
            (r#"{"Name":"k8s","Endpoints":{}}"#, "has no Docker daemon"),
            (r#"{"Endpoints":{"docker":{"Host":""}}}"#, "has no Docker daemon"),
        ] {
            write(&meta(dir.path(), "x"), text);
            assert!(load("x", &env).unwrap_err().to_string().contains(want), "{text}");
        }
    }
}
