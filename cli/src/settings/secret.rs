//! `--secret id=NAME[,src=FILE|,env=VAR][,type=file|env]` (buildx `buildflags/secrets.go`).

use std::path::{Path, PathBuf};

use polyarch_builder::request::SecretSource;
use polyarch_builder::secret::Secret;

use super::{Env, ValueError, csv};

/// BuildKit's limit of one secret (`secretsprovider.MaxSecretSize`), in bytes.
const MAX_BYTES: u64 = 500 * 1024;

/// Where a secret was said to be; pure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSpec {
    /// Name in the Dockerfile.
    pub id: String,
    /// The place.
    pub place: Place,
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
    /// Only an id was given: the variable of that name, else the file of that name (as buildx).
    ById,
}

/// Reads the option's value.
///
/// # Errors
/// Malformed CSV, an unknown key or type, no id, or both a file and a variable.
pub fn parse(value: &str) -> Result<SecretSpec, ValueError> {
    let (mut id, mut src, mut env, mut kind) = (None, None, None, None);
    for pair in csv::pairs(value)? {
        let slot = match pair.key.as_str() {
            "id" => &mut id,
            "src" | "source" => &mut src,
            "env" => &mut env,
            "type" if ["file", "env"].contains(&pair.value.as_str()) => &mut kind,
            "type" => {
                return Err(ValueError::new(value, format!("`{}` is neither file nor env", pair.value)).at(pair.at));
            }
            key => {
                let error = ValueError::new(value, format!("`{key}` is not a key of a secret")).at(pair.at);
                return Err(error.near(key, &["id", "src", "env", "type"]));
            }
        };
        *slot = Some(pair.value);
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| ValueError::new(value, "there is no id="))?;
    let place = match (src, env, kind.as_deref()) {
        (Some(_), Some(_), _) => return Err(ValueError::new(value, "src= and env= exclude each other")),
        (_, Some(name), Some("file")) => {
            return Err(ValueError::new(value, format!("type=file and env={name} exclude each other")));
        }
        (None, Some(name), _) | (Some(name), None, Some("env")) => Place::Env(name),
        (None, None, Some("env")) => Place::Env(id.clone()),
        (Some(path), None, _) => Place::File(path.into()),
        (None, None, Some(_)) => Place::File(id.clone().into()),
        (None, None, None) => Place::ById,
    };
    Ok(SecretSpec { id, place })
}

/// Finds the value (a variable) or checks that it can be read later (a file).
///
/// # Errors
/// A variable that is not set, a file that is not there or is larger than BuildKit takes.
pub fn resolve(value: &str, spec: SecretSpec, env: &Env, cwd: &Path) -> Result<SecretSource, ValueError> {
    let path = match spec.place {
        Place::Env(name) => {
            let text = env.raw(&name);
            let text = text.ok_or_else(|| ValueError::new(value, format!("environment variable {name} is not set")))?;
            return Ok(SecretSource::Value(Secret::new(text)));
        }
        Place::ById => match env.raw(&spec.id) {
            Some(text) => return Ok(SecretSource::Value(Secret::new(text))),
            None => cwd.join(&spec.id),
        },
        Place::File(path) => cwd.join(path),
    };
    let shown = path.display();
    let meta =
        std::fs::metadata(&path).map_err(|error| ValueError::new(value, format!("cannot read {shown}: {error}")))?;
    if !meta.is_file() {
        return Err(ValueError::new(value, format!("{shown} is not a file")));
    }
    if meta.len() > MAX_BYTES {
        return Err(ValueError::new(
            value,
            format!("{shown} is {} bytes; BuildKit takes at most {MAX_BYTES}", meta.len()),
        ));
    }
    Ok(SecretSource::File(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (value, place) in [
            ("id=a", Place::ById),
            ("id=a,src=f", Place::File("f".into())),
            ("id=a,source=f,type=file", Place::File("f".into())),
            ("id=a,env=V", Place::Env("V".into())),
            ("id=a,src=V,type=env", Place::Env("V".into())),
            ("id=a,type=env", Place::Env("a".into())),
            ("id=a,type=file", Place::File("a".into())),
        ] {
            assert_eq!(parse(value).map(|spec| spec.place), Ok(place), "{value}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (value, reason) in [
            ("src=f", "there is no id="),
            ("id=a,type=vault", "`vault` is neither file nor env"),
            ("id=a,scr=f", "`scr` is not a key of a secret"),
            ("id=a,src=f,env=V", "src= and env= exclude each other"),
            ("a", "`a` is not KEY=VALUE"),
        ] {
            assert_eq!(parse(value).unwrap_err().reason, reason, "{value}");
        }
    }

    #[test]
    fn variables_and_files_are_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("big"), vec![0; 500 * 1024 + 1]).unwrap();
        std::fs::write(dir.path().join("small"), "x").unwrap();
        let env = Env::of([("TOKEN", "hunter2")]);
        let get = |value: &str| resolve(value, parse(value).unwrap(), &env, dir.path());
        let SecretSource::Value(secret) = get("id=TOKEN").unwrap() else { panic!("not a value") };
        assert_eq!(secret.expose(), b"hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(matches!(get("id=small"), Ok(SecretSource::File(path)) if path == dir.path().join("small")));
        assert_eq!(get("id=x,env=NO").unwrap_err().reason, "environment variable NO is not set");
        assert!(get("id=big").unwrap_err().reason.contains("512001 bytes"));
        assert!(get("id=x,src=.").unwrap_err().reason.ends_with("is not a file"));
        assert!(get("id=x,src=absent").unwrap_err().reason.contains("cannot read"));
    }
}
