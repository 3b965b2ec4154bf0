//! Every way to a daemon, on real daemons.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failing helper is a failing test, and skips are told")]

mod node_bed;

use polyarch_builder::node::dial::Transport;
use polyarch_builder::node::endpoint::HostEnv;
use polyarch_builder::node::reach::ReachError;

/// Reaches a builder and returns version and image store as `28.5 containerd`.
async fn describe(builder: &str, env: &HostEnv) -> String {
    let reached = node_bed::reach(builder, env).await.unwrap();
    assert!(matches!(reached.transport, Transport::DockerApi(_)));
    let docker = reached.docker.unwrap();
    let version: Vec<&str> = docker.version.version.split('.').take(2).collect();
    let store = if docker.info.containerd_store { "containerd" } else { "classic" };
    assert_eq!(docker.info.os, "linux");
    format!("{} {store}", version.join("."))
}

#[tokio::test]
async fn reaches_each_kind_of_daemon_by_its_socket() {
    for (name, want) in [
        ("BED_DOCKER20", "20.10 classic"),
        ("BED_DOCKER28", "28.5 containerd"),
        ("BED_DOCKER28_CLASSIC", "28.5 classic"),
    ] {
        let Some(address) = node_bed::address(name) else { return };
        assert_eq!(describe(&address, &HostEnv::default()).await, want, "{name}");
        let env = HostEnv { docker_host: Some(address), ..HostEnv::default() };
        assert_eq!(describe("docker", &env).await, want, "{name} as DOCKER_HOST");
    }
}

#[tokio::test]
async fn reaches_a_daemon_over_tls_and_checks_it() {
    let (Some(address), Some(certs)) = (node_bed::address("BED_DOCKER28_TLS"), node_bed::address("BED_TLS_DIR")) else {
        return;
    };
    let plain = HostEnv { docker_cert_path: Some(certs.into()), ..HostEnv::default() };
    let env = HostEnv { docker_tls_verify: Some("1".into()), ..plain.clone() };
    assert_eq!(describe(&address, &env).await, "28.5 containerd");

    let error = node_bed::reach(&address, &plain).await.unwrap_err();
    assert!(matches!(error, ReachError::Docker { .. }), "a TLS port answers no plain request: {error:?}");

    let dir = tempfile::tempdir().unwrap();
    let without = HostEnv { docker_cert_path: Some(dir.path().to_owned()), ..env };
    let error = node_bed::reach(&address, &without).await.unwrap_err();
    assert!(matches!(error, ReachError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn reaches_a_daemon_through_a_context_with_certificates() {
    let (Some(address), Some(certs)) = (node_bed::address("BED_DOCKER28_TLS"), node_bed::address("BED_TLS_DIR")) else {
        return;
    };
    let files = [("ca.pem", "ca.pem"), ("cert.pem", "cert.pem"), ("key.pem", "key.pem")];
    let (_dir, env) = context(&address, certs.as_ref(), &files, false);
    assert_eq!(describe("docker", &env).await, "28.5 containerd");
    assert_eq!(describe("far", &env).await, "28.5 containerd");
}

/// Makes the context `far`, current, with these certificate files under these names.
fn context(
    address: &str,
    certs: &std::path::Path,
    files: &[(&str, &str)],
    skip_verify: bool,
) -> (tempfile::TempDir, HostEnv) {
    let dir = tempfile::tempdir().unwrap();
    let id = polyarch_registry::oci::Digest::sha256("far").encoded().to_owned();
    let (meta, tls) =
        (dir.path().join("contexts/meta").join(&id), dir.path().join("contexts/tls").join(&id).join("docker"));
    std::fs::create_dir_all(&meta).unwrap();
    std::fs::create_dir_all(&tls).unwrap();
    let docker = format!(r#"{{"Host":"{address}","SkipTLSVerify":{skip_verify}}}"#);
    std::fs::write(meta.join("meta.json"), format!(r#"{{"Name":"far","Endpoints":{{"docker":{docker}}}}}"#)).unwrap();
    std::fs::write(dir.path().join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
    for (from, to) in files {
        std::fs::copy(certs.join(from), tls.join(to)).unwrap();
    }
    let env = HostEnv { docker_config: Some(dir.path().to_owned()), ..HostEnv::default() };
    (dir, env)
}

#[tokio::test]
async fn a_context_that_skips_the_check_of_the_certificate_is_used_with_a_warning() {
    let (Some(address), Some(certs)) = (node_bed::address("BED_DOCKER28_TLS"), node_bed::address("BED_TLS_DIR")) else {
        return;
    };
    // The client's own certificate is no authority for the daemon's.
    let files = [("cert.pem", "ca.pem"), ("cert.pem", "cert.pem"), ("key.pem", "key.pem")];
    let (_checked, env) = context(&address, certs.as_ref(), &files, false);
    let error = node_bed::reach("far", &env).await.unwrap_err();
    assert!(matches!(error, ReachError::Docker { .. }), "{error:?}");

    let (_unchecked, env) = context(&address, certs.as_ref(), &files, true);
    let (reached, mut told) = node_bed::reach_with_events("far", &env).await;
    assert!(reached.unwrap().docker.is_some());
    let polyarch_builder::event::EventKind::Notice { message } = told.try_recv().unwrap().kind else { panic!() };
    assert!(message.contains("is not checked") && message.contains("far says (SkipTLSVerify)"), "{message}");
}

#[tokio::test]
async fn reaches_a_daemon_over_ssh_and_passes_its_complaint_on() {
    let (Some(address), Some(config)) = (node_bed::address("BED_SSH"), node_bed::address("BED_SSH_CONFIG")) else {
        return;
    };
    let env = HostEnv::default();
    assert_eq!(describe(&format!("{address}?config={config}"), &env).await, "28.5 containerd");

    let dir = tempfile::tempdir().unwrap();
    let strict = dir.path().join("config");
    std::fs::write(&strict, "BatchMode yes\nStrictHostKeyChecking yes\nUserKnownHostsFile /dev/null\n").unwrap();
    let error = node_bed::reach(&format!("{address}?config={}", strict.display()), &env).await.unwrap_err();
    let cause = std::error::Error::source(&error).and_then(std::error::Error::source).unwrap().to_string();
    assert!(cause.contains("Host key verification failed"), "{cause}");
}
