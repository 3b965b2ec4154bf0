//! Images: pull, inspect, save, load, remove.

use std::collections::HashMap;
use std::io;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptions, ImportImageOptions, ListImagesOptions, RemoveImageOptions};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use polyarch_registry::client::{Credential, Secret};
use polyarch_registry::oci::Digest;

use super::{DockerApi, DockerError};

/// An image a daemon has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// Its id: the config's digest in the classic store, the manifest's or index's in containerd's.
    pub id: String,
    /// Digests of its uncompressed layers, base first; those polyarch cannot read are left out.
    pub diff_ids: Vec<Digest>,
}

/// What a daemon pulls an image with.
#[derive(Debug, Clone)]
pub struct PullCredential {
    /// The registry, as in a reference.
    pub host: String,
    /// The credential.
    pub credential: Credential,
}

impl DockerApi {
    /// Looks an image up by reference or id; `None` if the daemon does not have it.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn image(&self, reference: &str) -> Result<Option<LocalImage>, DockerError> {
        let answer = self.docker.inspect_image(reference).await;
        match answer.map_err(|error| DockerError::new("look an image up", error)) {
            Ok(image) => {
                let layers = image.root_fs.and_then(|fs| fs.layers).unwrap_or_default();
                let diff_ids = layers.iter().filter_map(|text| text.parse().ok()).collect();
                Ok(Some(LocalImage { id: image.id.unwrap_or_default(), diff_ids }))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists the tags a repository has on the daemon, as whole references.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn references_of(&self, repository: &str) -> Result<Vec<String>, DockerError> {
        let filters = HashMap::from([("reference".to_owned(), vec![repository.to_owned()])]);
        let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
        let answer = self.docker.list_images(Some(options)).await;
        let images = answer.map_err(|error| DockerError::new("list images", error))?;
        let prefix = format!("{repository}:");
        Ok(images.into_iter().flat_map(|image| image.repo_tags).filter(|tag| tag.starts_with(&prefix)).collect())
    }

    /// Pulls an image with the daemon's own means. It gets the credential itself (`X-Registry-Auth`).
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn pull(&self, reference: &str, credential: Option<PullCredential>) -> Result<(), DockerError> {
        let options = CreateImageOptions { from_image: Some(with_tag(reference)), ..Default::default() };
        let wrap = |error| DockerError::new("pull an image", error);
        let mut answers = std::pin::pin!(self.patient.create_image(Some(options), None, credential.map(for_daemon)));
        while let Some(answer) = answers.next().await {
            if let Some(message) = answer.map_err(wrap)?.error_detail.and_then(|detail| detail.message) {
                return Err(DockerError::Failed { action: "pull an image", message });
            }
        }
        Ok(())
    }

    /// Streams `GET /images/{reference}/get`.
    pub fn save(&self, reference: &str) -> impl Stream<Item = Result<Bytes, DockerError>> + Send + Unpin + use<> {
        self.patient.export_image(reference).map_err(|error| DockerError::new("save an image", error))
    }

    /// Streams a tar into `POST /images/load` and returns what the daemon said it loaded.
    ///
    /// # Errors
    /// [`DockerError`], also for an error of `tar`.
    pub async fn load<S>(&self, tar: S) -> Result<Vec<String>, DockerError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let options = ImportImageOptions { quiet: true, platform: None };
        let mut answers = std::pin::pin!(self.patient.import_image_stream(options, tar, None));
        let mut said = Vec::new();
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|error| DockerError::new("load an image", error))?;
            said.extend(answer.stream.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()));
        }
        Ok(said)
    }

    /// Removes one reference; the image goes with its last one, its parents stay. Absent references are not an error.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn untag(&self, reference: &str) -> Result<(), DockerError> {
        match self.remove_reference(reference, false).await {
            // Some container of the user's runs from it: the reference goes, the image stays.
            Err(error) if error.is_conflict() => self.remove_reference(reference, true).await,
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    async fn remove_reference(&self, reference: &str, force: bool) -> Result<(), DockerError> {
        let options = RemoveImageOptions { force, noprune: true, platforms: None };
        let answer = self.docker.remove_image(reference, Some(options), None).await;
        answer.map(drop).map_err(|error| DockerError::new("remove a reference", error))
    }
}

/// The form of docker/cli (`cli/command/registry.go`): Docker Hub has an address of its own.
fn for_daemon(PullCredential { host, credential }: PullCredential) -> DockerCredentials {
    let serveraddress = Some(match host.as_str() {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        _ => host,
    });
    let text = |secret: Secret| Some(secret.expose().to_owned());
    match credential {
        Credential::Password { username, password } => DockerCredentials {
            username: Some(username),
            password: text(password),
            serveraddress,
            ..DockerCredentials::default()
        },
        Credential::Identity(token) => {
            DockerCredentials { identitytoken: text(token), serveraddress, ..DockerCredentials::default() }
        }
        Credential::Registry(token) => {
            DockerCredentials { registrytoken: text(token), serveraddress, ..DockerCredentials::default() }
        }
    }
}

/// Without a tag the API would pull every tag there is.
fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains([':', '@']) { reference.to_owned() } else { format!("{reference}:latest") }
}

#[cfg(test)]
mod tests {
    use super::with_tag;

    #[test]
    fn pulls_one_tag() {
        for (text, want) in [
            ("docker", "docker:latest"),
            ("docker:dind", "docker:dind"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("localhost:5000/a@sha256:00", "localhost:5000/a@sha256:00"),
        ] {
            assert_eq!(with_tag(text), want);
        }
    }
}
