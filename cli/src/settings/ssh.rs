//! `--ssh default|ID[=SOCKET|KEY[,KEY]]` (buildx `buildflags/ssh.go`, BuildKit `sshprovider`).

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use polyarch_builder::request::SshSource;

use super::{Env, ValueError, env_vars};

/// Reads the option's value as id and paths; pure.
///
/// # Errors
/// An empty id or path.
pub fn parse(value: &str) -> Result<(String, Vec<PathBuf>), ValueError> {
    let (id, paths) = value.split_once('=').unwrap_or((value, ""));
    if id.is_empty() {
        return Err(ValueError::new(value, "there is no id before `=`").at(0).hint("write --ssh default"));
    }
    let paths = paths.split(',').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    Ok((id.to_owned(), paths))
}

/// Tells sockets from keys; without paths, the agent of SSH_AUTH_SOCK.
///
/// # Errors
/// No agent, a path that is not there, or a socket beside other paths.
pub fn resolve(value: &str, paths: &[PathBuf], env: &Env, cwd: &Path) -> Result<SshSource, ValueError> {
    if paths.is_empty() {
        let socket = env.get(&env_vars::SSH_AUTH_SOCK).ok_or_else(|| {
            ValueError::new(value, "SSH_AUTH_SOCK is not set, so there is no agent to forward")
                .hint("start one (`eval $(ssh-agent)`, `ssh-add`), or name keys: --ssh default=KEY")
        })?;
        return agent(value, socket.into());
    }
    let mut keys = Vec::new();
    for path in paths {
        let path = cwd.join(path);
        let meta = std::fs::metadata(&path);
        let meta = meta.map_err(|error| ValueError::new(value, format!("cannot read {}: {error}", path.display())))?;
        match meta.file_type().is_socket() {
            true if paths.len() > 1 => {
                return Err(ValueError::new(
                    value,
                    format!("{} is a socket; only keys can be several", path.display()),
                ));
            }
            true => return Ok(SshSource::Agent(path)),
            false => keys.push(path),
        }
    }
    Ok(SshSource::Keys(keys))
}

fn agent(value: &str, socket: PathBuf) -> Result<SshSource, ValueError> {
    match std::fs::metadata(&socket) {
        Ok(meta) if meta.file_type().is_socket() => Ok(SshSource::Agent(socket)),
        _ => Err(ValueError::new(value, format!("SSH_AUTH_SOCK is {}, where no agent listens", socket.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ids_and_paths() {
        assert_eq!(parse("default"), Ok(("default".into(), vec![])));
        assert_eq!(parse("a=/k1,/k2"), Ok(("a".into(), vec!["/k1".into(), "/k2".into()])));
        assert_eq!(parse("=x").unwrap_err().at, Some(0));
    }

    #[test]
    fn sockets_are_agents_and_files_are_keys() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::write(dir.path().join("key"), "k").unwrap();
        let get = |paths: &[&str], env: &Env| {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            resolve("v", &paths, env, dir.path())
        };
        let none = Env::default();
        let env = Env::of([("SSH_AUTH_SOCK", socket.to_str().unwrap())]);
        assert_eq!(get(&[], &env), Ok(SshSource::Agent(socket.clone())));
        assert_eq!(get(&["sock"], &none), Ok(SshSource::Agent(socket)));
        assert_eq!(get(&["key"], &none), Ok(SshSource::Keys(vec![dir.path().join("key")])));
        assert!(get(&["key", "sock"], &none).unwrap_err().reason.contains("only keys"));
        assert!(get(&["absent"], &none).unwrap_err().reason.contains("cannot read"));
        assert!(get(&[], &none).unwrap_err().hint.is_some());
    }
}
