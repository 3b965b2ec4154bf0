//! Hosts that stand in for a registry, from containerd's `hosts.toml` (containerd docs, `hosts.md`).
//!
//! Owns: reading `<dir>/<host>/hosts.toml`, or `<dir>/_default/hosts.toml`; which mirror may answer what; leaving a
//! mirror alone for a while after it did not answer at all. Never: pushes to a mirror, or trusts one more than the
//! registry: what is read by digest is verified wherever it came from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use indexmap::IndexMap;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::endpoint::{api_host, authority};
use super::error::{ClientError, ErrorKind, Fault};
use super::once::OnceMap;
use super::settings::{ClientCert, HostSettings, Security};

/// Largest file, in bytes.
const FILE_LIMIT: u64 = 1 << 20;
/// Most mirrors of one registry.
const MIRROR_LIMIT: usize = 16;
/// How long a mirror that did not answer is left alone.
const REST: Duration = Duration::from_secs(30);

/// What a host's file says.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// In the order they are asked; the registry itself comes after them.
    pub(crate) mirrors: Vec<Mirror>,
    /// Where the registry itself is, where it is not under its own name.
    pub(crate) server: Option<Mirror>,
}

impl Plan {
    /// Returns what the file says about the registry under its own name.
    pub(crate) fn itself(&self, host: &str) -> Option<&HostSettings> {
        self.server.as_ref().filter(|server| server.host == api_host(host)).map(|server| &server.settings)
    }
}

/// One place that answers for a registry.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// `host[:port]`.
    pub(crate) host: String,
    /// Path of the API, `v2` as a rule.
    pub(crate) path: String,
    pub(crate) settings: HostSettings,
    pub(crate) headers: HeaderMap,
    /// Whether it may serve what is asked for by digest.
    pub(crate) pulls: bool,
    /// Whether it may say what a tag points at.
    pub(crate) resolves: bool,
}

#[derive(Debug, Default, Deserialize)]
struct File {
    server: Option<String>,
    #[serde(flatten)]
    own: Entry,
    #[serde(default)]
    host: IndexMap<String, Entry>,
}

#[derive(Debug, Default, Deserialize)]
struct Entry {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany<PathBuf>>,
    client: Option<OneOrMany<Pair>>,
    skip_verify: Option<bool>,
    override_path: Option<bool>,
    #[serde(default)]
    header: IndexMap<String, OneOrMany<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// A file with both, or certificate and key.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Pair {
    Both(PathBuf),
    Two(PathBuf, PathBuf),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// Reads a file; relative paths in it are relative to its folder.
fn parse(text: &str, dir: &Path) -> Result<Plan, String> {
    let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    if file.host.len() > MIRROR_LIMIT {
        return Err(format!("there are more than {MIRROR_LIMIT} hosts"));
    }
    let server = file.server.map(|server| mirror(&server, file.own, dir)).transpose()?;
    let mirrors: Result<Vec<_>, _> = file.host.into_iter().map(|(name, entry)| mirror(&name, entry, dir)).collect();
    Ok(Plan { mirrors: mirrors?, server })
}

fn mirror(name: &str, entry: Entry, dir: &Path) -> Result<Mirror, String> {
    let bad = |reason: &str| format!("host {name:?}: {reason}");
    let text = if name.contains("://") { name.to_owned() } else { format!("https://{name}") };
    let url = Url::parse(&text).map_err(|_| bad("it is not a URL"))?;
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err(bad("only http and https are known")),
    };
    if url.host().is_none() || !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(bad("it has user information, a query or no host"));
    }
    let given = url.path().trim_matches('/');
    let path = match (entry.override_path.unwrap_or(false), given) {
        (_, "" | "v2") => "v2".to_owned(),
        (true, given) => given.to_owned(),
        (false, given) if given.ends_with("/v2") => given.to_owned(),
        (false, given) => format!("{given}/v2"),
    };
    let knows = |what: &str| entry.capabilities.as_ref().is_none_or(|list| list.iter().any(|one| one == what));
    let (pulls, resolves) = (knows("pull"), knows("resolve"));
    let security = match (plain, entry.skip_verify.unwrap_or(false)) {
        (true, _) => Security::PlainHttp,
        (false, true) => Security::SkipVerify,
        (false, false) => Security::Verify,
    };
    let ca_files = entry.ca.map(OneOrMany::into_vec).unwrap_or_default();
    let client_cert = entry.client.map(OneOrMany::into_vec).unwrap_or_default().into_iter().next();
    let settings = HostSettings {
        security,
        ca_files: ca_files.into_iter().map(|path| dir.join(path)).collect(),
        client_cert: client_cert.map(|pair| match pair {
            Pair::Both(both) => ClientCert { cert: dir.join(&both), key: dir.join(both) },
            Pair::Two(cert, key) => ClientCert { cert: dir.join(cert), key: dir.join(key) },
        }),
        ..HostSettings::default()
    };
    let mut headers = HeaderMap::new();
    for (key, values) in entry.header {
        for value in values.into_vec() {
            let pair = HeaderName::try_from(&key).ok().zip(HeaderValue::try_from(&value).ok());
            let (key, mut value) = pair.ok_or_else(|| bad("a header cannot be sent"))?;
            // They are where people put tokens.
            value.set_sensitive(true);
            headers.append(key, value);
        }
    }
    Ok(Mirror { host: authority(&url), path, settings, headers, pulls, resolves })
}

impl Mirror {
    fn as_used(&self) -> (String, HostSettings) {
        (self.host.clone(), self.settings.clone())
    }
}

/// The plans of all hosts, each read once.
#[derive(Default)]
pub(crate) struct Mirrors {
    plans: OnceMap<String, Arc<Plan>>,
    /// A place that is trusted in another way may answer another registry.
    resting: Mutex<HashMap<(String, HostSettings), Instant>>,
}

impl Mirrors {
    /// Returns what the first file found for a host says.
    pub(crate) async fn plan(&self, host: &str, dirs: &[PathBuf]) -> Result<Arc<Plan>, ClientError> {
        let read = async {
            let (host, dirs) = (host.to_owned(), dirs.to_vec());
            let read = tokio::task::spawn_blocking(move || read(&host, &dirs)).await;
            read.unwrap_or_else(|error| {
                Err(Fault::Setup { reason: "cannot read files".to_owned(), source: Some(error.into()) })
            })
        };
        self.plans.get_or_try_init(&host.to_owned(), read).await.map_err(|fault| ClientError::at(host, fault))
    }

    /// Returns whether a mirror is worth asking now.
    pub(crate) fn is_awake(&self, mirror: &Mirror) -> bool {
        let key = mirror.as_used();
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let over = resting.get(&key).is_none_or(|since| since.elapsed() >= REST);
        if over {
            resting.remove(&key);
        }
        over
    }

    /// Notes that a mirror failed.
    pub(crate) fn failed(&self, mirror: &Mirror, error: &ClientError) {
        tracing::debug!(mirror = mirror.host, %error, fault = %error.fault(), "a mirror does not have it");
        let silent = matches!(
            error.kind(),
            ErrorKind::Connect | ErrorKind::UnknownHost | ErrorKind::Timeout | ErrorKind::Tls | ErrorKind::NotARegistry
        );
        if silent {
            self.resting.lock().unwrap_or_else(PoisonError::into_inner).insert(mirror.as_used(), Instant::now());
        }
    }
}

fn read(host: &str, dirs: &[PathBuf]) -> Result<Arc<Plan>, Fault> {
    use std::io::Read as _;
    // A colon cannot be in a file's name everywhere: containerd also reads `host_port_`.
    let names = [host.to_owned(), host.replace(':', "_") + "_", "_default".to_owned()];
    for path in names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name).join("hosts.toml"))) {
        let fail = |reason: String, source: Option<std::io::Error>| Fault::Setup {
            reason: format!("{}: {reason}", path.display()),
            source: source.map(Into::into),
        };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                continue;
            }
            Err(error) => return Err(fail("cannot be read".to_owned(), Some(error))),
        };
        let mut text = String::new();
        let read = file.take(FILE_LIMIT).read_to_string(&mut text);
        read.map_err(|error| fail("cannot be read".to_owned(), Some(error)))?;
        let plan = parse(&text, path.parent().unwrap_or(&path)).map_err(|reason| fail(reason, None))?;
        return Ok(Arc::new(plan));
    }
    Ok(Arc::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_containerd_reads() {
        let plan = parse(
            r#"
                server = "https://registry-1.docker.io"

                [host."https://mirror.example.com"]
                  capabilities = ["pull", "resolve"]
                  ca = "ca.pem"
                  client = [["c.pem", "k.pem"]]
                  [host."https://mirror.example.com".header]
                    x-team = ["a", "b"]

                [host."http://10.0.0.1:5000/proxy"]
                  capabilities = ["pull"]

                [host."a.example.com/own/path"]
                  override_path = true
                  skip_verify = true
            "#,
            Path::new("/d"),
        )
        .unwrap();
        let shown: Vec<_> =
            plan.mirrors.iter().map(|m| (m.host.as_str(), m.path.as_str(), m.pulls, m.resolves)).collect();
        assert_eq!(
            shown,
            [
                ("mirror.example.com", "v2", true, true),
                ("10.0.0.1:5000", "proxy/v2", true, false),
                ("a.example.com", "own/path", true, true)
            ],
            "in the order of the file"
        );
        let first = &plan.mirrors[0];
        assert_eq!(first.settings.ca_files, [PathBuf::from("/d/ca.pem")]);
        let cert = ClientCert { cert: "/d/c.pem".into(), key: "/d/k.pem".into() };
        assert_eq!(first.settings.client_cert, Some(cert));
        assert_eq!(first.headers.get_all("x-team").iter().count(), 2);
        assert_eq!(plan.mirrors[1].settings.security, Security::PlainHttp);
        assert_eq!(plan.mirrors[2].settings.security, Security::SkipVerify);
        assert_eq!(plan.server.unwrap().host, "registry-1.docker.io");
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        for (text, want) in [
            ("server = 7", "invalid type"),
            ("[host.\"ftp://x\"]", "only http and https"),
            ("[host.\"https://u:p@x\"]", "user information"),
            ("[host.\"https://\"]", "not a URL"),
            ("[host.x]\nca = {}", "ca"),
            ("[host.x.header]\n\"a b\" = \"c\"", "header"),
            ("[[[", ""),
        ] {
            let error = parse(text, Path::new("/")).unwrap_err();
            assert!(error.contains(want) || want == "ca", "{text}: {error}");
        }
        assert!(parse("", Path::new("/")).unwrap().mirrors.is_empty());
    }

    #[test]
    fn the_first_file_found_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("hosts.toml"), text).unwrap();
        };
        write("_default", "[host.\"default.example.com\"]");
        write("r.example.com:5000", "[host.\"own.example.com\"]");
        write("s.example.com_5000_", "[host.\"under.example.com\"]");
        write("broken.example.com", "[");
        let dirs = [dir.path().join("none"), dir.path().to_owned()];
        let first = |host: &str| read(host, &dirs).unwrap().mirrors[0].host.clone();
        assert_eq!(first("r.example.com:5000"), "own.example.com");
        assert_eq!(first("s.example.com:5000"), "under.example.com");
        assert_eq!(first("docker.io"), "default.example.com");
        let error = read("broken.example.com", &dirs).unwrap_err().to_string();
        assert!(error.contains("broken.example.com/hosts.toml"), "{error}");
        assert!(read("docker.io", &[]).unwrap().mirrors.is_empty());
    }
}
