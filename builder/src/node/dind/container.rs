//! The request that creates the container.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig};

use super::options::{DindOptions, DindStore};
use crate::node::owner::Owner;

/// Where dockerd and containerd keep images; overlay file systems do not stack, so each gets an anonymous volume.
const VOLUMES: [&str; 2] = ["/var/lib/docker", "/var/lib/containerd"];

/// Where dockerd reads its configuration.
pub(super) const DAEMON_FILE: &str = "/etc/docker/daemon.json";
/// Returns that configuration. A version that does not know the feature passes over it.
pub(super) fn daemon_file(store: DindStore) -> String {
    format!("{{\"features\": {{\"containerd-snapshotter\": {}}}}}\n", store == DindStore::Containerd)
}

/// Returns the request; the same a `docker run` with these options would send.
pub(super) fn body(options: &DindOptions, owner: &Owner) -> ContainerCreateBody {
    let list = |values: &[String]| Some(values.to_vec()).filter(|values| !values.is_empty());
    let host = HostConfig {
        privileged: Some(options.is_privileged()),
        cap_add: list(&options.cap_add),
        cap_drop: list(&options.cap_drop),
        network_mode: options.network.clone(),
        binds: list(&options.volumes),
        tmpfs: Some(options.tmpfs.iter().cloned().collect::<HashMap<_, _>>()).filter(|map| !map.is_empty()),
        memory: options.memory,
        ..security(options)
    };
    ContainerCreateBody {
        image: Some(options.image.clone()),
        cmd: list(&options.args),
        env: list(&options.env),
        labels: Some(owner.labels()),
        volumes: Some(volumes(options)),
        host_config: Some(host),
        ..Default::default()
    }
}

/// The user's own volume at such a place stays what it is.
fn volumes(options: &DindOptions) -> Vec<String> {
    let named = |path: &&str| options.volumes.iter().any(|volume| volume.split(':').nth(1) == Some(path));
    VOLUMES.iter().filter(|path| !named(path)).map(|path| (*path).to_owned()).collect()
}

/// `systempaths=unconfined` is not known to the API: Docker's client turns it into two empty lists.
fn security(options: &DindOptions) -> HostConfig {
    let (paths, others): (Vec<_>, Vec<_>) =
        options.security_opt.iter().cloned().partition(|option| option == "systempaths=unconfined");
    let unmasked = (!paths.is_empty()).then(Vec::new);
    HostConfig {
        security_opt: Some(others).filter(|others| !others.is_empty()),
        masked_paths: unmasked.clone(),
        readonly_paths: unmasked,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_what_docker_run_would() {
        let options = DindOptions {
            image: "d:1".into(),
            cap_add: vec!["ALL".into()],
            security_opt: vec!["seccomp=unconfined".into(), "systempaths=unconfined".into()],
            tmpfs: vec![("/run".into(), String::new())],
            volumes: vec!["cache:/var/lib/docker".into()],
            args: vec!["--mtu=1400".into()],
            ..DindOptions::default()
        };
        let body = serde_json::to_value(body(&options, &Owner::default())).unwrap();
        assert_eq!(body["Image"], "d:1");
        assert_eq!(body["Cmd"], serde_json::json!(["--mtu=1400"]));
        assert_eq!(body["Volumes"], serde_json::json!({"/var/lib/containerd": {}}));
        assert_eq!(body["Labels"]["io.polyarch.dind"], "1");
        let host = &body["HostConfig"];
        assert_eq!(host["Privileged"], false);
        assert_eq!(host["SecurityOpt"], serde_json::json!(["seccomp=unconfined"]));
        assert_eq!(host["MaskedPaths"], serde_json::json!([]));
        assert_eq!(host["ReadonlyPaths"], serde_json::json!([]));
        assert_eq!(host["Tmpfs"], serde_json::json!({"/run": ""}));
        assert_eq!(host["Binds"], serde_json::json!(["cache:/var/lib/docker"]));
    }

    #[test]
    fn the_daemons_file_names_the_store() {
        for (store, want) in [(DindStore::Containerd, true), (DindStore::Classic, false)] {
            let file: serde_json::Value = serde_json::from_str(&daemon_file(store)).unwrap();
            assert_eq!(file, serde_json::json!({"features": {"containerd-snapshotter": want}}));
        }
    }

    #[test]
    fn is_privileged_by_default() {
        let body = serde_json::to_value(body(&DindOptions::default(), &Owner::default())).unwrap();
        assert_eq!(body["HostConfig"]["Privileged"], true);
        assert_eq!(body["Image"], "docker:dind");
        assert_eq!(body["Volumes"], serde_json::json!({"/var/lib/containerd": {}, "/var/lib/docker": {}}));
    }
}
