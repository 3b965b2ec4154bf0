//! A small registry in memory, behind the scripted server: strict where real ones are lax.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use polyarch_registry::oci::Digest;

use super::script::{Reply, Seen, Server};

#[derive(Default)]
pub struct State {
    /// By repository and digest.
    pub blobs: BTreeMap<(String, String), Bytes>,
    /// By repository and digest or tag: media type and bytes.
    pub manifests: BTreeMap<(String, String), (String, Bytes)>,
    uploads: u64,
    /// Whether mounts work.
    pub mounts: bool,
    /// Whether a manifest's subject is echoed, as registries with the referrers API do.
    pub echoes_subject: bool,
    /// Whether manifests have entity tags and writes may be conditional.
    pub etags: bool,
}

pub type Shared = Arc<Mutex<State>>;

/// Starts a registry; `first` may answer instead of it.
pub async fn start(first: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> (Server, Shared) {
    let state = Shared::default();
    state.lock().unwrap().mounts = true;
    let model = Arc::clone(&state);
    let server = Server::start(move |seen| first(seen).unwrap_or_else(|| model.lock().unwrap().answer(seen))).await;
    (server, state)
}

/// As [`start`], over HTTP/2 and TLS, with a certificate that nothing vouches for.
pub async fn start_http2() -> (Server, Shared) {
    let state = Shared::default();
    let model = Arc::clone(&state);
    let (server, _pem) = Server::start_http2(move |seen| model.lock().unwrap().answer(seen)).await;
    (server, state)
}

/// As [`start`], with uploads that break off.
pub async fn start_cutting(cut: impl Fn(&Seen) -> Option<usize> + Send + Sync + 'static) -> (Server, Shared) {
    let state = Shared::default();
    let model = Arc::clone(&state);
    let server = Server::with_cuts(move |seen| model.lock().unwrap().answer(seen), cut).await;
    (server, state)
}

impl State {
    pub fn answer(&mut self, seen: &Seen) -> Reply {
        let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
        let Some(rest) = path.strip_prefix("/v2/") else { return Reply::status(404) };
        if rest.is_empty() {
            return Reply::body(200, "application/json", "{}");
        }
        let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        if let Some((repository, _)) = rest.split_once("/blobs/uploads/") {
            return self.upload(seen, repository, &query);
        }
        if let Some((repository, digest)) = rest.split_once("/blobs/") {
            return self.blob(seen, (repository.to_owned(), digest.to_owned()));
        }
        if let Some(repository) = rest.strip_suffix("/tags/list") {
            return self.tags(repository);
        }
        match rest.split_once("/manifests/") {
            Some((repository, name)) => self.manifest(seen, repository, name),
            None => Reply::status(404),
        }
    }

    fn tags(&self, repository: &str) -> Reply {
        let mine: Vec<_> = self.manifests.keys().filter(|(own, _)| own == repository).map(|(_, name)| name).collect();
        if mine.is_empty() {
            return Reply::status(404);
        }
        let tags: Vec<_> = mine.into_iter().filter(|name| !name.contains(':')).collect();
        Reply::body(200, "application/json", serde_json::json!({"name": repository, "tags": tags}).to_string())
    }

    fn blob(&self, seen: &Seen, key: (String, String)) -> Reply {
        let Some(bytes) = self.blobs.get(&key) else { return Reply::status(404) };
        match seen.method.as_str() {
            "HEAD" => Reply::status(200).with("content-length", bytes.len().to_string()),
            _ => Reply::body(200, "application/octet-stream", bytes.clone()),
        }
    }

    fn upload(&mut self, seen: &Seen, repository: &str, query: &BTreeMap<String, String>) -> Reply {
        if seen.method == "POST" {
            if let (Some(digest), Some(from), true) = (query.get("mount"), query.get("from"), self.mounts)
                && let Some(bytes) = self.blobs.get(&(from.clone(), digest.clone())).cloned()
            {
                self.blobs.insert((repository.to_owned(), digest.clone()), bytes);
                return Reply::status(201);
            }
            self.uploads += 1;
            let location = format!("/v2/{repository}/blobs/uploads/{}?_state=a%2Fb", self.uploads);
            return Reply::status(202).with("location", location);
        }
        let Some(digest) = query.get("digest") else { return Reply::status(400) };
        if query.get("_state").map(String::as_str) != Some("a/b") || *digest != Digest::sha256(&seen.body).to_string() {
            return Reply::status(400);
        }
        self.blobs.insert((repository.to_owned(), digest.clone()), seen.body.clone());
        Reply::status(201).with("docker-content-digest", digest)
    }

    fn manifest(&mut self, seen: &Seen, repository: &str, name: &str) -> Reply {
        let key = (repository.to_owned(), name.to_owned());
        if seen.method == "PUT" {
            if !self.complete(repository, &seen.body) {
                return Reply::body(404, "application/json", r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#);
            }
            let present = self.manifests.get(&key).map(|(_, bytes)| format!("\"{}\"", Digest::sha256(bytes)));
            let wrong = match (seen.header("if-match"), seen.header("if-none-match")) {
                (Some(want), _) => present.as_deref() != Some(want),
                (None, Some(_)) => present.is_some(),
                (None, None) => false,
            };
            if self.etags && wrong {
                return Reply::status(412);
            }
            let digest = Digest::sha256(&seen.body).to_string();
            let stored = (seen.header("content-type").unwrap_or_default().to_owned(), seen.body.clone());
            self.manifests.insert((repository.to_owned(), digest.clone()), stored.clone());
            self.manifests.insert(key, stored);
            let reply = Reply::status(201).with("docker-content-digest", digest);
            let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
            return match body["subject"]["digest"].as_str().filter(|_| self.echoes_subject) {
                Some(subject) => reply.with("oci-subject", subject),
                None => reply,
            };
        }
        let Some((media_type, bytes)) = self.manifests.get(&key) else { return Reply::status(404) };
        let digest = Digest::sha256(bytes).to_string();
        let reply = Reply::body(200, media_type, bytes.clone()).with("docker-content-digest", &digest);
        if self.etags { reply.with("etag", format!("\"{digest}\"")) } else { reply }
    }

    /// Everything a manifest names must be in the repository already.
    fn complete(&self, repository: &str, bytes: &[u8]) -> bool {
        let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let list = |name: &str| manifest[name].as_array().cloned().unwrap_or_default();
        let key = |entry: &serde_json::Value| {
            (repository.to_owned(), entry["digest"].as_str().unwrap_or_default().to_owned())
        };
        let children = list("manifests").iter().all(|entry| self.manifests.contains_key(&key(entry)));
        children && list("layers").iter().all(|entry| self.blobs.contains_key(&key(entry)))
    }

    pub fn tag(&self, repository: &str, tag: &str) -> Option<Bytes> {
        self.manifests.get(&(repository.to_owned(), tag.to_owned())).map(|(_, bytes)| bytes.clone())
    }
}
