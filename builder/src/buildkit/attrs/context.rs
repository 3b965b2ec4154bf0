//! Where the Dockerfile and the contexts come from.

use super::{Attrs, AttrsError, SessionNames};
use crate::request::{BuildRequest, ContextSource, DockerfileSource};

/// Name under which the Dockerfile's directory is served.
const DOCKERFILE: &str = "dockerfile";
/// Name under which the main context is served.
const CONTEXT: &str = "context";

/// Returns the name under which the session serves a named local context; it must not hide the two fixed names.
pub fn local_name(context: &str) -> String {
    if context == CONTEXT || context == DOCKERFILE { format!("_{context}") } else { context.to_owned() }
}

pub(super) fn put(attrs: &mut Attrs, request: &BuildRequest, names: &SessionNames) -> Result<(), AttrsError> {
    let local = match &request.context {
        ContextSource::Dir(_) => true,
        ContextSource::Git(url) | ContextSource::Http(url) => {
            attrs.put(CONTEXT, url);
            false
        }
        ContextSource::Tar(_) => {
            let id = names.context_upload.as_ref().ok_or(AttrsError::NoUpload)?;
            attrs.put(CONTEXT, format!("http://buildkit-session/{id}"));
            false
        }
        ContextSource::Image(_) | ContextSource::OciLayout { .. } | ContextSource::Verbatim(_) => {
            return Err(AttrsError::MainContext);
        }
    };
    dockerfile(attrs, &request.dockerfile, local);
    for (name, source) in &request.build_contexts {
        attrs.put(format!("context:{name}"), named(name, source, names)?);
    }
    Ok(())
}

fn dockerfile(attrs: &mut Attrs, source: &DockerfileSource, local_context: bool) {
    let from_session = match source {
        DockerfileSource::File(path) => {
            let name = path.file_name().unwrap_or(path.as_os_str());
            attrs.put("filename", name.to_string_lossy());
            true
        }
        DockerfileSource::Text(_) => {
            attrs.put("filename", "Dockerfile");
            true
        }
        DockerfileSource::InContext(path) => {
            attrs.put("filename", path);
            false
        }
    };
    // A daemon that fetches the context itself looks for the Dockerfile in it, unless told otherwise.
    if from_session && !local_context {
        attrs.put("dockerfilekey", DOCKERFILE);
    }
}

fn named(name: &str, source: &ContextSource, names: &SessionNames) -> Result<String, AttrsError> {
    Ok(match source {
        ContextSource::Dir(_) => format!("local:{}", local_name(name)),
        ContextSource::Git(url) | ContextSource::Http(url) | ContextSource::Verbatim(url) => url.clone(),
        ContextSource::Image(reference) => format!("docker-image://{}", bare(reference)),
        ContextSource::OciLayout { reference, .. } => {
            let layout = names.layouts.get(name).ok_or_else(|| AttrsError::NoLayout(name.to_owned()))?;
            let tag = reference.as_deref().and_then(tag_of).map(|tag| format!(":{tag}")).unwrap_or_default();
            format!("oci-layout://{}{tag}@{}", layout.key, layout.digest)
        }
        ContextSource::Tar(_) => return Err(AttrsError::NoUpload),
    })
}

fn bare(reference: &str) -> &str {
    reference.strip_prefix("docker-image://").unwrap_or(reference)
}

/// The tag of `TAG`, `:TAG`, `@DIGEST` or `TAG@DIGEST`.
fn tag_of(reference: &str) -> Option<&str> {
    let tag = reference.split('@').next().unwrap_or_default().trim_start_matches(':');
    (!tag.is_empty()).then_some(tag)
}
