//! `tags FORM DIR COUNT`: fills the directory of a registry with a repository `app` of many tags, for the benchmark.
//!
//! FORM is `polyarch` (the embedded registry) or `docker` (distribution's). Each tag is an index of two platforms whose
//! manifests and configurations no other tag has; the layers are everybody's. Files are written as those registries keep
//! them: pushing would take minutes. Nothing may serve the directory meanwhile.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use polyarch_registry::oci::{Digest, RawManifest, media_type};
use polyarch_registry::store::BlobStoreExt as _;
use polyarch_testkit::Specimen;
use serde_json::{Value, json};

/// Where a registry keeps what.
enum Form {
    Polyarch(PathBuf),
    Docker(PathBuf),
}

impl Form {
    fn new(name: &str, dir: &Path) -> io::Result<Self> {
        match name {
            "polyarch" => {
                fs::create_dir_all(dir.join("content"))?;
                fs::write(dir.join("content/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
                Ok(Self::Polyarch(dir.to_owned()))
            }
            "docker" => Ok(Self::Docker(dir.join("docker/registry/v2"))),
            _ => Err(io::Error::other("FORM is polyarch or docker")),
        }
    }

    fn content(&self, bytes: &[u8]) -> io::Result<String> {
        let digest = Digest::sha256(bytes);
        let hex = digest.encoded();
        match self {
            Self::Polyarch(dir) => put(&dir.join("content/blobs/sha256").join(hex), bytes)?,
            Self::Docker(dir) => put(&dir.join("blobs/sha256").join(&hex[..2]).join(hex).join("data"), bytes)?,
        }
        Ok(hex.to_owned())
    }

    fn blob(&self, bytes: &[u8]) -> io::Result<()> {
        let hex = self.content(bytes)?;
        match self {
            Self::Polyarch(dir) => put(&dir.join("repositories/app/_blobs/sha256").join(hex), b""),
            Self::Docker(dir) => {
                put(&dir.join("repositories/app/_layers/sha256").join(&hex).join("link"), link(&hex).as_bytes())
            }
        }
    }

    fn manifest(&self, manifest: &RawManifest) -> io::Result<()> {
        let hex = self.content(manifest.bytes())?;
        match self {
            Self::Polyarch(dir) => {
                let record = json!({ "mediaType": manifest.media_type(), "size": manifest.bytes().len() });
                put(&dir.join("repositories/app/_manifests/sha256").join(hex), record.to_string().as_bytes())
            }
            Self::Docker(dir) => {
                let revisions = dir.join("repositories/app/_manifests/revisions/sha256");
                put(&revisions.join(&hex).join("link"), link(&hex).as_bytes())
            }
        }
    }

    fn tag(&self, tag: &str, digest: &Digest) -> io::Result<()> {
        let hex = digest.encoded();
        match self {
            Self::Polyarch(dir) => put(&dir.join("repositories/app/_tags").join(tag), digest.to_string().as_bytes()),
            Self::Docker(dir) => {
                let dir = dir.join("repositories/app/_manifests/tags").join(tag);
                put(&dir.join("current/link"), link(hex).as_bytes())?;
                put(&dir.join("index/sha256").join(hex).join("link"), link(hex).as_bytes())
            }
        }
    }
}

fn link(hex: &str) -> String {
    format!("sha256:{hex}")
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::write(path, bytes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            fs::write(path, bytes)
        }
        done => done,
    }
}

/// An index, the manifests of its platforms and their configurations, to be changed.
struct Pattern {
    index: Value,
    manifests: Vec<Value>,
    configs: Vec<Value>,
}

impl Pattern {
    fn write(&mut self, form: &Form, tag: usize) -> io::Result<()> {
        for (number, config) in self.configs.iter_mut().enumerate() {
            config["config"]["Labels"]["com.example.number"] = json!(tag.to_string());
            let config = config.to_string();
            form.blob(config.as_bytes())?;
            let manifest = &mut self.manifests[number];
            manifest["config"]["digest"] = json!(Digest::sha256(&config));
            manifest["config"]["size"] = json!(config.len());
            let raw = RawManifest::new(media_type::OCI_MANIFEST, manifest.to_string());
            form.manifest(&raw)?;
            let entry = &mut self.index["manifests"][number];
            entry["digest"] = json!(raw.digest());
            entry["size"] = json!(raw.bytes().len());
        }
        let index = RawManifest::new(media_type::OCI_INDEX, self.index.to_string());
        form.manifest(&index)?;
        form.tag(&format!("v{tag:05}"), index.digest())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [form, dir, count] = args.as_slice() else { return Err("usage: tags FORM DIR COUNT".into()) };
    let form = Form::new(form, Path::new(dir))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let built = runtime.block_on(Specimen::healthy(&["linux/amd64", "linux/arm64"]).build());
    let (mut manifests, mut configs) = (Vec::new(), Vec::new());
    for part in &built.parts {
        let manifest: Value = serde_json::from_slice(part.bytes())?;
        let digest = manifest["config"]["digest"].as_str().unwrap_or_default().parse()?;
        configs.push(serde_json::from_slice(&runtime.block_on(built.store.read_bytes(&digest, u64::MAX))?)?);
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            let digest = layer["digest"].as_str().unwrap_or_default().parse()?;
            form.blob(&runtime.block_on(built.store.read_bytes(&digest, u64::MAX))?)?;
        }
        manifests.push(manifest);
    }
    let mut pattern = Pattern { index: serde_json::from_slice(built.root.bytes())?, manifests, configs };
    for tag in 0..count.parse()? {
        pattern.write(&form, tag)?;
    }
    Ok(())
}
