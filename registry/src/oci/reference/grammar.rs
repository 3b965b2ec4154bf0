//! The reference grammar (distribution/reference, `regexp.go` and `normalize.go`), with positions.
//!
//! Everything before a fault is ASCII, because parts are checked from left to right: a byte offset is
//! also a count of characters.

use std::net::Ipv6Addr;

use super::Reference;
use crate::oci::Digest;

/// distribution/reference, `RepositoryNameTotalLengthMax`: counts the path, not the host.
const REPOSITORY_MAX: usize = 255;
/// distribution-spec, "Pulling manifests".
const TAG_MAX: usize = 128;
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_LEGACY: &str = "index.docker.io";
/// Where Docker Hub keeps names of one component.
const OFFICIAL: &str = "library/";

/// What is wrong and at which byte.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) reason: String,
}

fn fault<T>(at: usize, reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { at, reason: reason.into() })
}

pub(super) fn parse(text: &str) -> Result<Reference, Fault> {
    if let Some(at) = text.find("://") {
        return fault(at, "a reference has no scheme");
    }
    let (rest, digest) = cut(text, text.find('@'));
    // A colon before the last slash belongs to the host's port.
    let path_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = cut(rest, rest[path_start..].find(':').map(|colon| path_start + colon));
    let (host, repository) = split_host(name)?;
    if let Some(tag) = tag {
        check_tag(tag, name.len() + 1)?;
    }
    let digest = digest.map(|digest| digest_at(digest, rest.len() + 1)).transpose()?;
    Ok(Reference { host, repository, tag: tag.map(str::to_owned), digest })
}

/// Splits around the one byte at `at`.
fn cut(text: &str, at: Option<usize>) -> (&str, Option<&str>) {
    at.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

fn digest_at(text: &str, at: usize) -> Result<Digest, Fault> {
    text.parse().map_err(|error: crate::oci::DigestError| Fault { at, reason: error.to_string() })
}

/// `normalize.go`, `splitDockerDomain`: only a dot, a colon or `localhost` makes the first component a host.
fn split_host(name: &str) -> Result<(String, String), Fault> {
    let (host, path, at) = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':', '[']) || first == "localhost" => {
            check_host(first)?;
            (first, path, first.len() + 1)
        }
        _ => (DOCKER_HUB, name, 0),
    };
    let host = if host == DOCKER_HUB_LEGACY { DOCKER_HUB } else { host };
    let prefix = if host == DOCKER_HUB && !path.contains('/') { OFFICIAL } else { "" };
    check_components(path, at)?;
    check_length(path, at, REPOSITORY_MAX - prefix.len())?;
    Ok((host.to_owned(), format!("{prefix}{path}")))
}

fn check_host(host: &str) -> Result<(), Fault> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else { return fault(host.len(), "missing `]`") };
            if address.parse::<Ipv6Addr>().is_err() {
                return fault(1, "not an IPv6 address");
            }
            let port_at = address.len() + 2;
            match after.strip_prefix(':') {
                Some(port) => return check_port(port, port_at + 1),
                None if after.is_empty() => return Ok(()),
                None => return fault(port_at, "expected `:` and a port after the address"),
            }
        }
        None => cut(host, host.find(':')),
    };
    check_labels(name)?;
    port.map_or(Ok(()), |port| check_port(port, name.len() + 1))
}

fn check_port(port: &str, at: usize) -> Result<(), Fault> {
    match port.bytes().position(|b| !b.is_ascii_digit()) {
        Some(bad) => fault(at + bad, "a port has digits only"),
        None if port.is_empty() => fault(at, "the port is empty"),
        None if port.parse::<u16>().is_err() => fault(at, "the port is larger than 65535"),
        None => Ok(()),
    }
}

/// Labels separated by dots. An underscore is no DNS, but names of containers on a Docker network have it.
fn check_labels(name: &str) -> Result<(), Fault> {
    let mut at = 0;
    for label in name.split('.') {
        if let Some(bad) = label.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
            return fault(at + bad, "a host has letters, digits, `-` and `.` only");
        }
        let edges = label.starts_with(['-', '_']) || label.ends_with(['-', '_']);
        if label.is_empty() || edges {
            return fault(at, "a part of the host is empty or starts or ends with a separator");
        }
        at += label.len() + 1;
    }
    Ok(())
}

pub(super) fn check_repository(path: &str) -> Result<(), Fault> {
    check_components(path, 0)?;
    check_length(path, 0, REPOSITORY_MAX)
}

/// `path` was checked to be ASCII.
fn check_length(path: &str, start: usize, limit: usize) -> Result<(), Fault> {
    match path.len() > limit {
        true => fault(start + limit, "the repository name is longer than 255 characters"),
        false => Ok(()),
    }
}

fn check_components(path: &str, start: usize) -> Result<(), Fault> {
    if path.is_empty() {
        return fault(start, "the repository name is empty");
    }
    let mut at = start;
    for component in path.split('/') {
        check_component(component, at)?;
        at += component.len() + 1;
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn check_component(component: &str, at: usize) -> Result<(), Fault> {
    for (index, c) in component.char_indices() {
        match c {
            'a'..='z' | '0'..='9' | '.' | '_' | '-' => {}
            'A'..='Z' => return fault(at + index, "a repository name must be lower case"),
            _ => return fault(at + index, format!("{c:?} is not allowed in a repository name")),
        }
    }
    if component.is_empty() {
        return fault(at, "a part of the repository name is empty");
    }
    let mut rest = component;
    loop {
        let word = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let position = at + component.len() - rest.len();
        if word == 0 {
            return fault(position, "a part of the repository name must start and end with a letter or digit");
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return Ok(());
        }
        let separator = rest.bytes().take_while(|b| !b.is_ascii_alphanumeric()).count();
        if !is_separator(&rest[..separator]) {
            return fault(position + word, "only `.`, `_`, `__` or dashes may separate letters and digits");
        }
        rest = &rest[separator..];
    }
}

fn is_separator(text: &str) -> bool {
    matches!(text, "." | "_" | "__") || text.bytes().all(|b| b == b'-')
}

pub(super) fn check_tag(tag: &str, at: usize) -> Result<(), Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if let Some(bad) = tag.find(|c| !allowed(c)) {
        return fault(at + bad, "a tag has letters, digits, `_`, `.` and `-` only");
    }
    match tag.as_bytes().first() {
        None => fault(at, "the tag is empty"),
        Some(b'.' | b'-') => fault(at, "a tag must start with a letter, a digit or `_`"),
        Some(_) if tag.len() > TAG_MAX => fault(at + TAG_MAX, "the tag is longer than 128 characters"),
        Some(_) => Ok(()),
    }
}
