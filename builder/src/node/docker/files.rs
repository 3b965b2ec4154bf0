//! Single files in a container, running or not.

use bollard::query_parameters::{ContainerArchiveInfoOptions, UploadToContainerOptions};

use super::{DockerApi, DockerError};

impl DockerApi {
    /// Returns whether a container has something at this path.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn has_file(&self, container: &str, path: &str) -> Result<bool, DockerError> {
        let options = ContainerArchiveInfoOptions { path: path.to_owned() };
        let answer = self.docker.get_container_archive_info(container, Some(options)).await;
        match answer.map_err(|error| DockerError::new("look for a file in the container", error)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a small file that all may read; its folders are made.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn put_file(&self, container: &str, path: &str, content: &[u8]) -> Result<(), DockerError> {
        const ACTION: &str = "write a file into the container";
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let written = tar.append_data(&mut header, path.trim_start_matches('/'), content);
        let tar = written.and_then(|()| tar.into_inner());
        let tar = tar.map_err(|source| DockerError::Failed { action: ACTION, message: source.to_string() })?;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
        let answer = self.docker.upload_to_container(container, Some(options), bollard::body_full(tar.into())).await;
        answer.map_err(|error| DockerError::new(ACTION, error))
    }
}
