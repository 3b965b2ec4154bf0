//! What a registry has, read over plain HTTP and by skopeo, never by our own client.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;

use polyarch_registry::oci::Digest;
use polyarch_testkit::{Http, bed};
use serde_json::Value;

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A repository of a registry without TLS or passwords.
pub struct Published {
    http: Http,
    repository: String,
    runtime: tokio::runtime::Runtime,
}

/// An image's config and files.
#[derive(Debug)]
pub struct Image {
    /// Its config.
    pub config: Value,
    /// Regular files by path, in the last layer that has them.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// Returns a file's text without the line end.
    #[track_caller]
    pub fn text(&self, path: &str) -> String {
        let bytes = self.files.get(path).unwrap_or_else(|| panic!("no {path} in {:?}", self.files.keys()));
        String::from_utf8(bytes.clone()).unwrap().trim_end().to_owned()
    }

    /// Returns the files under a folder.
    pub fn names_under(&self, folder: &str) -> Vec<&str> {
        self.files.keys().filter_map(|path| path.strip_prefix(folder)).collect()
    }
}

impl Published {
    /// Looks at a repository.
    pub fn new(addr: SocketAddr, repository: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { http: Http::new(addr), repository: repository.to_owned(), runtime }
    }

    /// Returns a manifest's bytes by tag or digest, if there is one.
    pub fn manifest(&self, reference: &str) -> Option<Vec<u8>> {
        let path = format!("/v2/{}/manifests/{reference}", self.repository);
        let call = self.http.call(http::Method::GET, &path, &[("accept", ACCEPT)], "");
        let reply = self.runtime.block_on(call);
        assert!([200, 404].contains(&reply.status()), "{reply:?}");
        (reply.status() == 200).then(|| reply.body.to_vec())
    }

    /// Returns a blob; its digest is checked.
    #[track_caller]
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        let reply = self.runtime.block_on(self.http.get(&format!("/v2/{}/blobs/{digest}", self.repository)));
        assert_eq!(reply.status(), 200, "{digest}");
        assert_eq!(Digest::sha256(&reply.body).to_string(), digest);
        reply.body.to_vec()
    }

    /// Returns the repository's tags.
    pub fn tags(&self) -> Vec<String> {
        let reply = self.runtime.block_on(self.http.get(&format!("/v2/{}/tags/list", self.repository)));
        let tags = reply.json()["tags"].as_array().cloned().unwrap_or_default();
        tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
    }

    /// Returns every platform's image behind a tag; panics if anything is missing or not what its digest says.
    #[track_caller]
    pub fn images(&self, tag: &str) -> BTreeMap<String, Image> {
        let index = self.json(tag);
        let children = index["manifests"].as_array().unwrap_or_else(|| panic!("no index: {index}"));
        children.iter().map(|child| (platform(&child["platform"]), self.image(child))).collect()
    }

    #[track_caller]
    fn image(&self, child: &Value) -> Image {
        let digest = child["digest"].as_str().unwrap();
        let bytes = self.manifest(digest).unwrap_or_else(|| panic!("no manifest {digest}"));
        assert_eq!(
            (Digest::sha256(&bytes).to_string().as_str(), Some(bytes.len() as u64)),
            (digest, child["size"].as_u64())
        );
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        let config = serde_json::from_slice(&self.blob(manifest["config"]["digest"].as_str().unwrap())).unwrap();
        let mut files = BTreeMap::new();
        for layer in manifest["layers"].as_array().unwrap() {
            unpack(&self.blob(layer["digest"].as_str().unwrap()), &mut files);
        }
        Image { config, files }
    }

    #[track_caller]
    fn json(&self, reference: &str) -> Value {
        let bytes = self.manifest(reference).unwrap_or_else(|| panic!("no {reference} in {}", self.repository));
        serde_json::from_slice(&bytes).unwrap()
    }
}

fn platform(value: &Value) -> String {
    let parts = ["os", "architecture", "variant"].map(|key| value[key].as_str());
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

fn unpack(layer: &[u8], files: &mut BTreeMap<String, Vec<u8>>) {
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(layer));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let path = format!("/{}", entry.path().unwrap().display());
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path, bytes);
        }
    }
}

/// Runs `skopeo inspect` on a reference.
#[track_caller]
pub fn skopeo_inspect(reference: &str, args: &[&str]) -> String {
    let mut command = Command::new("skopeo");
    command.args(["inspect"]).args(args).arg(format!("docker://{reference}"));
    bed::run(&mut command)
}

/// Returns the architecture skopeo finds behind a reference for `--override-arch`.
#[track_caller]
pub fn skopeo_architecture(reference: &str, architecture: &str, args: &[&str]) -> String {
    let mut command = Command::new("skopeo");
    command.args(["--override-os", "linux", "--override-arch", architecture, "inspect"]).args(args);
    let found: Value = serde_json::from_str(&bed::run(command.arg(format!("docker://{reference}")))).unwrap();
    found["Architecture"].as_str().unwrap_or_default().to_owned()
}
