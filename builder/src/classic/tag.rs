//! The temporary tag a `moby` export leaves in a daemon.
//!
//! Owns: its name, its removal, and the removal of tags a killed process left.

use crate::node::cleanup::block_briefly;
use crate::node::docker::{DockerApi, DockerError};
use crate::node::owner::{self, Owner};

/// The repository of all temporary tags; a name no registry can have (RFC 2606).
const REPOSITORY: &str = "polyarch.invalid/tmp";

/// A reference that exists from the export until the image is saved.
///
/// [`TemporaryTag::remove`] is the ordinary way. Dropping the guard makes one blocking attempt, bounded by
/// `Limits::grace`; what a killed process leaves, [`sweep`] removes in the next run.
#[derive(Debug)]
pub struct TemporaryTag {
    docker: DockerApi,
    reference: String,
    removed: bool,
}

impl TemporaryTag {
    /// Makes a unique reference up; the daemon does not know it yet.
    pub fn new(docker: &DockerApi) -> Self {
        let reference = format!("{REPOSITORY}:{}", Owner::this().tag(rand::random()));
        Self { docker: docker.clone(), reference, removed: false }
    }

    /// Returns the reference, for the exporter's `name`.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Removes the reference; the image goes too unless the user has it by another name. Absent is fine.
    ///
    /// # Errors
    /// [`DockerError`]; the guard then tries again when it is dropped.
    pub async fn remove(mut self) -> Result<(), DockerError> {
        self.docker.untag(&self.reference).await?;
        self.removed = true;
        Ok(())
    }
}

impl Drop for TemporaryTag {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let (docker, reference) = (self.docker.fresh(), std::mem::take(&mut self.reference));
        block_briefly("temporary tag", self.docker.limits().grace, async move {
            let removed = match docker {
                Ok(docker) => docker.untag(&reference).await,
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::warn!(%error, reference, "could not remove the temporary tag; the next run will");
            }
        });
    }
}

/// Removes temporary tags whose process is dead, and returns them.
///
/// # Errors
/// [`DockerError`].
pub async fn sweep(docker: &DockerApi) -> Result<Vec<String>, DockerError> {
    let observer = Owner::this().hashed();
    let mut removed = Vec::new();
    for reference in docker.references_of(REPOSITORY).await? {
        let owner = reference.rsplit_once(':').and_then(|(_, tag)| Owner::from_tag(tag));
        if owner.is_some_and(|owner| owner.is_dead(&observer, owner::look)) {
            docker.untag(&reference).await?;
            removed.push(reference);
        }
    }
    Ok(removed)
}
