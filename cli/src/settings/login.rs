//! `polyarch login` and `logout`: which host, where credentials are kept, the password from standard input.

use std::io::{self, Read};
use std::time::Duration;

use polyarch_registry::client::credentials::Keeper;
use polyarch_registry::client::{Config, Secret};
use polyarch_registry::oci::Reference;

use super::{SettingsError, ValueError};

/// Longest password that is read, in bytes; tokens of clouds have a few thousand.
const PASSWORD_LIMIT: u64 = 64 << 10;

/// Reads a registry's host as people write it: with a scheme or a slash at its end, too.
///
/// # Errors
/// It is no host, or it would be taken for a repository of Docker Hub in a reference.
pub fn host(value: &str) -> Result<String, SettingsError> {
    let fail = |reason: &str| ValueError::new(value, reason).hint("write a registry such as ghcr.io or localhost:5000");
    let bare = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://")).unwrap_or(value);
    let bare = bare.strip_suffix("/v2/").or_else(|| bare.strip_suffix('/')).unwrap_or(bare);
    if matches!(bare, "index.docker.io" | "registry-1.docker.io" | "index.docker.io/v1") {
        return Ok("docker.io".to_owned());
    }
    let parsed: Result<Reference, _> = format!("{bare}/x").parse();
    match parsed {
        Ok(reference) if reference.host() == bare => Ok(bare.to_owned()),
        Ok(_) => Err(fail("it is not a registry's host").of("HOST")),
        Err(error) => Err(fail(&format!("it is not a registry's host: {}", error.reason)).of("HOST")),
    }
}

/// Returns where Docker keeps credentials.
///
/// # Errors
/// Nothing says where that is.
pub fn keeper(config: &Config) -> Result<Keeper, SettingsError> {
    let dir = config.credentials.docker_config_dir.as_ref();
    let dir = dir.ok_or(SettingsError::NoHome { what: "credentials", option: "$DOCKER_CONFIG" })?;
    let helper_timeout: Duration = config.limits.helper_timeout;
    Ok(Keeper { file: dir.join("config.json"), helper_dirs: config.credentials.helper_dirs.clone(), helper_timeout })
}

/// Reads a password to the end of the input; one line break at its end is not part of it.
///
/// # Errors
/// Reading fails, or it is empty, too long or no text.
pub fn password(input: &mut dyn Read) -> io::Result<Secret> {
    let mut text = String::new();
    input.take(PASSWORD_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > PASSWORD_LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Secret::new(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_as_people_write_them() {
        for (text, want) in [
            ("ghcr.io", "ghcr.io"),
            ("https://ghcr.io/", "ghcr.io"),
            ("http://localhost:5000/v2/", "localhost:5000"),
            ("[::1]:5000", "[::1]:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("docker.io", "docker.io"),
        ] {
            assert_eq!(host(text).unwrap(), want, "{text}");
        }
        for bad in ["", "registry", "ghcr.io/team", "user@ghcr.io", "a b.c", "ghcr.io:x", "ftp://ghcr.io"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_line_break_is_not_part_of_a_password() {
        let read = |text: &str| password(&mut text.as_bytes()).map(|secret| secret.expose().to_owned());
        for (text, want) in [("p", "p"), ("p\n", "p"), ("p\r\n", "p"), (" p \n\n", " p \n")] {
            assert_eq!(read(text).unwrap(), want, "{text:?}");
        }
        assert!(read("").is_err() && read("\n").is_err());
        assert!(password(&mut io::repeat(b'x')).is_err());
    }
}
