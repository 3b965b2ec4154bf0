//! From a build request to the Dockerfile frontend's attributes, as buildx and BuildKit spell them.
//!
//! Owns: the spelling (BuildKit `frontend/dockerui/config.go`, buildx `build/opt.go`). Pure.
//! Never: reads a file; what needs one (a layout's digest, a cache's digest) is resolved by the caller.

mod cache;
mod context;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use polyarch_registry::oci::{Digest, Platform};

use crate::request::{AttestationKind, BuildRequest, Network, NoCache};

pub use cache::cache_imports;
pub use context::local_name;

/// Stages to execute without the cache; empty for all (BuildKit `frontend/dockerui/config.go`).
pub(super) const NO_CACHE: &str = "no-cache";

/// The image that reads the Dockerfile, for BuildKit's gateway frontend.
pub(super) const SOURCE: &str = "source";

/// What the caller resolved on the session side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionNames {
    /// Upload id of a tar context ([`crate::buildkit::session::Uploads`]).
    pub context_upload: Option<String>,
    /// Key and digest of each `oci-layout` named context, by context name; the session serves store `oci:<key>`.
    pub layouts: BTreeMap<String, LayoutName>,
    /// Manifest digest of each `type=local` cache import, by its `src`.
    pub local_caches: BTreeMap<String, Digest>,
    /// `src` of each `type=local` cache import that is not there.
    pub absent_caches: BTreeSet<String>,
}

/// An OCI layout served by the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutName {
    /// Key of the store.
    pub key: String,
    /// Manifest or index to start from.
    pub digest: Digest,
}

/// What a request needs that [`SessionNames`] does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttrsError {
    /// The main context is a tar, but no upload was prepared.
    #[error("the tar context has no upload")]
    NoUpload,
    /// A layout context was not opened.
    #[error("named context {0:?} has no layout")]
    NoLayout(String),
    /// A main context cannot be this.
    #[error("an image, a layout or a target cannot be the main context")]
    MainContext,
    /// A local cache import was not opened.
    #[error("local cache {0:?} has no digest")]
    NoCacheDigest(String),
}

/// Returns the frontend's attributes for one platform.
///
/// # Errors
/// [`AttrsError`]: the caller left something unresolved.
pub fn frontend_attrs(
    request: &BuildRequest,
    platform: &Platform,
    names: &SessionNames,
) -> Result<BTreeMap<String, String>, AttrsError> {
    let mut attrs = Attrs(BTreeMap::new());
    attrs.put("platform", platform);
    if let Some(target) = &request.target {
        attrs.put("target", target);
    }
    if let Some(reference) = &request.frontend {
        // As BuildKit's own frontend hands over (`dockerfile/builder/build.go`, `forwardGateway`).
        attrs.put(SOURCE, reference);
        attrs.put("cmdline", reference);
    }
    attrs.prefixed("build-arg:", &request.build_args);
    attrs.prefixed("label:", &request.labels);
    for (kind, value) in &request.attestations {
        let name = match kind {
            AttestationKind::Provenance => "attest:provenance",
            AttestationKind::Sbom => "attest:sbom",
        };
        attrs.put(name, value);
    }
    attrs.run_options(request);
    context::put(&mut attrs, request, names)?;
    if let Some(imports) = cache_imports(&crate::cache::imports(&request.cache_from, platform), names)? {
        attrs.put("cache-imports", imports);
    }
    Ok(attrs.0)
}

/// Returns the entitlements a solve must name (buildx grants `network.host` with `--network host`).
pub fn entitlements(request: &BuildRequest) -> Vec<String> {
    let host = (request.network == Network::Host).then(|| "network.host".to_owned());
    let mut all: Vec<String> = request.allow.iter().cloned().chain(host).collect();
    all.sort();
    all.dedup();
    all
}

/// Attributes being collected.
struct Attrs(BTreeMap<String, String>);

impl Attrs {
    fn put(&mut self, key: impl Into<String>, value: impl ToString) {
        self.0.insert(key.into(), value.to_string());
    }

    fn prefixed(&mut self, prefix: &str, values: &IndexMap<String, String>) {
        for (key, value) in values {
            self.put(format!("{prefix}{key}"), value);
        }
    }

    fn run_options(&mut self, request: &BuildRequest) {
        match &request.no_cache {
            NoCache::Allow => {}
            NoCache::All => self.put(NO_CACHE, ""),
            NoCache::Stages(stages) => self.put(NO_CACHE, stages.join(",")),
        }
        if request.pull {
            self.put("image-resolve-mode", "pull");
        }
        match request.network {
            Network::Default => {}
            Network::Host => self.put("force-network-mode", "host"),
            Network::None => self.put("force-network-mode", "none"),
        }
        if !request.add_hosts.is_empty() {
            let hosts: Vec<_> = request.add_hosts.iter().map(|(name, address)| format!("{name}={address}")).collect();
            self.put("add-hosts", hosts.join(","));
        }
        if let Some(bytes) = request.shm_size {
            self.put("shm-size", bytes);
        }
        if !request.ulimits.is_empty() {
            self.put("ulimit", request.ulimits.join(","));
        }
    }
}

#[cfg(test)]
mod tests;
