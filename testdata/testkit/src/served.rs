//! Specimens in a registry that writes down what it is asked, loses what a test takes away, and fails where a test says so.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use polyarch_registry::oci::Digest;
use polyarch_registry::store::BlobStoreExt as _;
use serde_json::json;

use crate::Specimen;
use crate::script::{Reply, Seen, Server};
use crate::specimen::Built;

type Fault = Box<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

/// A registry of specimens. Clones are the same one.
#[derive(Clone, Default)]
pub struct Served {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    repositories: HashMap<String, Repository>,
    fault: Option<Fault>,
}

#[derive(Default)]
struct Repository {
    tags: BTreeMap<String, Digest>,
    manifests: HashMap<Digest, (String, Bytes)>,
    blobs: HashMap<Digest, Bytes>,
}

/// An image of two platforms that shares nothing but layers with those of other numbers.
pub fn numbered(number: usize) -> Specimen {
    let label = move |config: &mut serde_json::Value| {
        config["config"]["Labels"]["com.example.number"] = json!(number.to_string());
    };
    let specimen = Specimen::healthy(&["linux/amd64", "linux/arm64"]);
    specimen.part(0, |part| part.config(label)).part(1, |part| part.config(label))
}

impl Served {
    /// Returns a registry whose repository `app` has as many [`numbered`] images, each under its number as its tag.
    pub async fn numbered(images: usize) -> Self {
        let served = Self::default();
        for number in 0..images {
            served.put("app", &number.to_string(), &numbered(number).build().await).await;
        }
        served
    }

    /// Adds an image, or moves a tag to it.
    pub async fn put(&self, repository: &str, tag: &str, built: &Built) {
        let mut blobs = Vec::new();
        for digest in built.store.digests() {
            let bytes = built.store.read_bytes(&digest, u64::MAX).await.unwrap();
            blobs.push((digest, bytes));
        }
        let mut state = self.state();
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        for manifest in built.parts.iter().chain([&built.root]) {
            if blobs.iter().any(|(digest, _)| digest == manifest.digest()) {
                let known = (manifest.media_type().to_owned(), manifest.bytes().clone());
                repository.manifests.insert(manifest.digest().clone(), known);
            }
        }
        repository.blobs.extend(blobs);
        repository.tags.insert(tag.to_owned(), built.root.digest().clone());
    }

    /// Takes a manifest or blob away.
    pub fn lose(&self, repository: &str, digest: &Digest) {
        let mut state = self.state();
        let repository = state.repositories.get_mut(repository).unwrap();
        assert!(repository.blobs.remove(digest).is_some(), "{digest} is not there");
        repository.manifests.remove(digest);
    }

    /// Takes a tag away.
    pub fn untag(&self, repository: &str, tag: &str) {
        assert!(self.state().repositories.get_mut(repository).unwrap().tags.remove(tag).is_some());
    }

    /// Answers some requests otherwise from here on.
    pub fn fail(&self, fault: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
        self.state().fault = Some(Box::new(fault));
    }

    /// Answers everything as a sound registry does from here on.
    pub fn heal(&self) {
        self.state().fault = None;
    }

    /// Starts a server for it.
    pub async fn start(&self) -> Server {
        let served = self.clone();
        Server::start(move |seen| served.answer(seen)).await
    }

    /// Answers one request.
    pub fn answer(&self, seen: &Seen) -> Reply {
        let state = self.state();
        if let Some(reply) = state.fault.as_ref().and_then(|fault| fault(seen)) {
            return reply;
        }
        if seen.path == "/v2/" {
            return Reply::status(200);
        }
        state.find(&seen.path).unwrap_or_else(|| Reply::status(404))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn find(&self, path: &str) -> Option<Reply> {
        let path = path.strip_prefix("/v2/")?;
        if let Some(name) = path.strip_suffix("/tags/list") {
            let tags: Vec<&String> = self.repositories.get(name)?.tags.keys().collect();
            return Some(Reply::body(200, "application/json", json!({ "name": name, "tags": tags }).to_string()));
        }
        if let Some((name, digest)) = path.split_once("/blobs/") {
            let bytes = self.repositories.get(name)?.blobs.get(&digest.parse().ok()?)?.clone();
            return Some(Reply::body(200, "application/octet-stream", bytes));
        }
        let (name, wanted) = path.split_once("/manifests/")?;
        let repository = self.repositories.get(name)?;
        let digest = repository.tags.get(wanted).cloned().or_else(|| wanted.parse().ok())?;
        let (media_type, bytes) = repository.manifests.get(&digest)?.clone();
        Some(Reply::body(200, &media_type, bytes).with("docker-content-digest", digest.to_string()))
    }
}
