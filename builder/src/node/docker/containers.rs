//! Containers: create, start, look at, read logs, run a command, remove.

use std::collections::{BTreeMap, HashMap};

use bollard::exec::CreateExecOptions;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, ListContainersOptions, LogsOptions, RemoveContainerOptions,
    StartContainerOptions,
};
use futures::StreamExt;

use super::{DockerApi, DockerError};

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    /// It runs.
    pub running: bool,
    /// Its exit code, once it has ended.
    pub exit_code: Option<i64>,
    /// Why it could not start, in the daemon's words.
    pub error: String,
}

/// A container found by label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledContainer {
    /// Its id.
    pub id: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
}

impl DockerApi {
    /// Creates a container and returns its id.
    ///
    /// # Errors
    /// [`DockerError`]; `is_not_found` when the image is missing.
    pub async fn create_container(&self, name: &str, body: ContainerCreateBody) -> Result<String, DockerError> {
        let options = CreateContainerOptions { name: Some(name.to_owned()), platform: String::new() };
        let answer = self.docker.create_container(Some(options), body).await;
        Ok(answer.map_err(|error| DockerError::new("create a container", error))?.id)
    }

    /// Starts a container.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn start_container(&self, id: &str) -> Result<(), DockerError> {
        let answer = self.docker.start_container(id, None::<StartContainerOptions>).await;
        answer.map_err(|error| DockerError::new("start a container", error))
    }

    /// Looks a container up.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn container_state(&self, id: &str) -> Result<ContainerState, DockerError> {
        let answer = self.docker.inspect_container(id, None::<InspectContainerOptions>).await;
        let state = answer.map_err(|error| DockerError::new("look a container up", error))?.state.unwrap_or_default();
        let running = state.running.unwrap_or(false);
        let exit_code = state.exit_code.filter(|_| !running);
        Ok(ContainerState { running, exit_code, error: state.error.unwrap_or_default() })
    }

    /// Returns the last `lines` lines of a container's output.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn container_log(&self, id: &str, lines: usize) -> Result<String, DockerError> {
        let options = LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), ..Default::default() };
        let mut output = self.docker.logs(id, Some(options));
        let mut text = String::new();
        while let Some(part) = output.next().await {
            let part = part.map_err(|error| DockerError::new("read a container's log", error))?;
            text.push_str(&String::from_utf8_lossy(part.as_ref()));
            if text.len() > self.limits.log_tail_bytes {
                break;
            }
        }
        Ok(text)
    }

    /// Lists containers, running or not, that have `label`.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn labelled_containers(&self, label: &str) -> Result<Vec<LabelledContainer>, DockerError> {
        let filters = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let answer = self.docker.list_containers(Some(options)).await;
        let found = answer.map_err(|error| DockerError::new("list containers", error))?;
        let labelled = |container: bollard::models::ContainerSummary| {
            let labels = container.labels.unwrap_or_default().into_iter().collect();
            Some(LabelledContainer { id: container.id?, labels })
        };
        Ok(found.into_iter().filter_map(labelled).collect())
    }

    /// Kills and removes a container with its anonymous volumes. An absent one is not an error.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn remove_container(&self, id: &str) -> Result<(), DockerError> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        let answer = self.docker.remove_container(id, Some(options)).await;
        match answer.map_err(|error| DockerError::new("remove a container", error)) {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    /// Prepares a command in a running container, all three streams attached, and returns the exec's id.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn create_exec(&self, container: &str, command: Vec<String>) -> Result<String, DockerError> {
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            cmd: Some(command),
            ..Default::default()
        };
        let answer = self.docker.create_exec(container, options).await;
        Ok(answer.map_err(|error| DockerError::new("run a command in the container", error))?.id)
    }
}
