//! Docker-in-Docker on a real Docker host: start, use, remove; what a killed process leaves is swept.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod bed;
mod node_bed;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use polyarch_builder::buildkit::{Export, Worker};
use polyarch_builder::event::EventKind;
use polyarch_builder::event_sink::EventSink;
use polyarch_builder::limits::Limits;
use polyarch_builder::node::dialers::UnixDialer;
use polyarch_builder::node::dind::DindError;
use polyarch_builder::node::docker::DockerApi;
use polyarch_builder::node::endpoint::HostEnv;
use polyarch_builder::node::reach::{Reach, ReachError};
use polyarch_registry::client::CredentialSources;
use tokio::io::{AsyncBufReadExt, BufReader};

struct Host {
    env: HostEnv,
    builder: String,
    socket: String,
}

/// The outer Docker host and the options its machine needs.
fn host() -> Option<Host> {
    let socket = node_bed::address("BED_DOCKER20")?;
    let image = node_bed::address("BED_DIND_IMAGE")?;
    let options = std::env::var("BED_DIND_OPTS").unwrap_or_default();
    let env = HostEnv { docker_host: Some(socket.clone()), ..HostEnv::default() };
    Some(Host { env, builder: format!("dind://?image={image}&{options}"), socket })
}

impl Host {
    fn api(&self) -> DockerApi {
        let dialer = UnixDialer::new(self.socket.trim_start_matches("unix://"));
        DockerApi::new(Arc::new(dialer), &Limits::default()).unwrap()
    }

    /// Returns the volumes a container uses, through the daemon's own client.
    fn volumes(&self, container: &str) -> Vec<String> {
        let format = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}} {{end}}{{end}}";
        let out = self.docker(&["inspect", "-f", format, container]);
        out.split_whitespace().map(str::to_owned).collect()
    }

    fn docker(&self, args: &[&str]) -> String {
        let out = std::process::Command::new("docker").args(["-H", &self.socket]).args(args).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn has_volume(&self, name: &str) -> bool {
        self.docker(&["volume", "ls", "-q"]).lines().any(|line| line == name)
    }

    async fn is_there(&self, container: &str) -> bool {
        self.api().container_state(container).await.is_ok()
    }
}

#[tokio::test]
async fn starts_a_daemon_and_removes_it_with_its_volumes() {
    let Some(host) = host() else { return };
    let reached = node_bed::reach(&host.builder, &host.env).await.unwrap();
    assert_eq!(reached.name, "dind");
    let docker = reached.docker.unwrap();
    assert!(docker.version.version.starts_with("28."), "{}", docker.version.version);
    let dind = reached.dind.unwrap();
    let (id, volumes) = (dind.id().to_owned(), host.volumes(dind.id()));
    assert_eq!(volumes.len(), 2, "{volumes:?}");

    // An image goes in and out: requests and streams work in both directions.
    let loaded = docker.api.load(node_bed::tiny_image("in-dind:1")).await.unwrap();
    assert!(loaded.iter().any(|line| line.contains("in-dind:1")), "{loaded:?}");
    let mut saved = docker.api.save("in-dind:1");
    let mut bytes = 0;
    while let Some(chunk) = saved.next().await {
        bytes += chunk.unwrap().len();
    }
    assert!(bytes > 1024, "{bytes}");

    dind.shutdown().await.unwrap();
    assert!(!host.is_there(&id).await);
    assert!(volumes.iter().all(|name| !host.has_volume(name)), "{volumes:?}");
}

/// Which store the daemon in the container has, and what was told about it.
async fn store_of(host: &Host, more: &str) -> (bool, Vec<String>) {
    let (reached, mut told) = node_bed::reach_with_events(&format!("{}{more}", host.builder), &host.env).await;
    let reached = reached.unwrap();
    reached.dind.unwrap().shutdown().await.unwrap();
    let notices = std::iter::from_fn(|| told.try_recv().ok()).filter_map(|event| match event.kind {
        EventKind::Notice { message } if message.contains("classic") => Some(message),
        _ => None,
    });
    (reached.docker.unwrap().info.containerd_store, notices.collect())
}

#[tokio::test]
async fn images_are_kept_in_containerd_unless_told_otherwise() {
    let Some(host) = host() else { return };
    assert_eq!(store_of(&host, "").await, (true, vec![]));
    assert_eq!(store_of(&host, "&store=classic").await, (false, vec![]));
    // The user's own words win, in an argument or in a file, which is left as it is.
    let (containerd, notices) = store_of(&host, "&arg=--feature=containerd-snapshotter=false").await;
    assert!(!containerd && notices.len() == 1, "{notices:?}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("daemon.json");
    // Docker 20.10 has no such feature; a name nobody knows stands for it.
    std::fs::write(&file, r#"{"features":{"no-such-feature":true}}"#).unwrap();
    let (containerd, notices) = store_of(&host, &format!("&volume={}:/etc/docker/daemon.json", file.display())).await;
    assert!(!containerd && notices[0].contains("Docker 23"), "{notices:?}");
}

/// Docker's own client pulls through the API with a header; a daemon answers a refusal with what it was told.
#[tokio::test]
async fn the_image_is_pulled_with_the_users_credentials() {
    let Some(host) = host() else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry = listener.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    // me:>>>???, whose JSON needs both characters in which the alphabets of base64 differ.
    let config = format!(r#"{{"auths":{{"{registry}/team":{{"auth":"bWU6Pj4+Pz8/"}}}}}}"#);
    std::fs::write(dir.path().join("config.json"), config).unwrap();
    let credentials = CredentialSources { docker_config_dir: Some(dir.path().into()), ..Default::default() };
    let (events, limits) = (EventSink::channel().0, Limits::default());
    let reach = Reach { env: &host.env, limits: &limits, events: &events, credentials: &credentials };
    let builder = format!("dind://?image={registry}/team/dind:1");
    let seen = std::sync::Mutex::new(Vec::new());
    let error = tokio::select! {
        reached = reach.builder(&builder) => reached.unwrap_err(),
        () = basic_registry(&listener, &seen) => unreachable!("it serves for ever"),
    };
    assert!(matches!(&error, ReachError::Dind(error) if matches!(**error, DindError::Image { .. })), "{error:?}");
    let seen = seen.into_inner().unwrap();
    assert!(seen.contains(&"Basic bWU6Pj4+Pz8/".to_owned()), "{seen:?}");
}

/// A plain HTTP registry that wants a password and has nothing.
async fn basic_registry(listener: &tokio::net::TcpListener, seen: &std::sync::Mutex<Vec<String>>) {
    use tokio::io::AsyncWriteExt;
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0];
        let _ = stream.peek(&mut first).await;
        let mut head = Vec::new();
        // A TLS handshake is answered as by any HTTP server.
        if first != [22] {
            let mut lines = BufReader::new(&mut stream).lines();
            while let Ok(Some(line)) = lines.next_line().await
                && !line.is_empty()
            {
                head.push(line);
            }
        }
        let authorization = head.iter().find_map(|line| line.strip_prefix("Authorization: ").map(str::to_owned));
        let answer = match (&authorization, first) {
            (_, [22]) => "400 Bad Request\r\n",
            (None, _) => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"\r\n",
            (Some(_), _) => "404 Not Found\r\n",
        };
        seen.lock().unwrap().extend(authorization);
        let _ = stream
            .write_all(format!("HTTP/1.1 {answer}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
            .await;
    }
}

#[tokio::test]
async fn removes_the_container_when_the_guard_is_dropped() {
    let Some(host) = host() else { return };
    let reached = node_bed::reach(&host.builder, &host.env).await.unwrap();
    let dind = reached.dind.unwrap();
    let (id, volumes) = (dind.id().to_owned(), host.volumes(dind.id()));
    drop(dind);
    assert!(!host.is_there(&id).await);
    assert!(volumes.iter().all(|name| !host.has_volume(name)));
}

#[tokio::test]
async fn says_why_the_daemon_ended_and_removes_the_container() {
    let Some(host) = host() else { return };
    let error =
        node_bed::reach(&format!("{}&arg=--data-root=/proc/nowhere", host.builder), &host.env).await.unwrap_err();
    let ReachError::Dind(error) = error else { panic!("{error:?}") };
    let DindError::Ended { exit_code, log, .. } = *error else { panic!("{error:?}") };
    assert_ne!(exit_code, 0);
    assert!(log.contains("/proc/nowhere"), "{log}");
}

#[tokio::test]
async fn says_which_image_is_missing_and_how_to_name_another() {
    let Some(host) = host() else { return };
    let error = node_bed::reach("dind://?image=127.0.0.1:1/none:1", &host.env).await.unwrap_err();
    let ReachError::Dind(error) = error else { panic!("{error:?}") };
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1/none:1") && text.contains("dind://?image="), "{text}");
    let error = node_bed::reach("dind://?image=127.0.0.1:1/none:1&pull=never", &host.env).await.unwrap_err();
    assert!(matches!(error, ReachError::Dind(error) if matches!(*error, DindError::ImageMissing { .. })));
}

/// Not a test of its own: the process [`sweeps_what_a_killed_process_left`] kills.
#[tokio::test]
#[ignore = "run by another test, which kills it"]
async fn victim() {
    let host = host().unwrap();
    let reached = node_bed::reach(&host.builder, &host.env).await.unwrap();
    println!("container {}", reached.dind.as_ref().unwrap().id());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn sweeps_what_a_killed_process_left() {
    let Some(host) = host() else { return };
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["victim", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let id = loop {
        let line = lines.next_line().await.unwrap().expect("the victim ended early");
        // The harness may print the test's name before it on the same line.
        if let Some((_, id)) = line.split_once("container ") {
            break id.to_owned();
        }
    };
    let volumes = host.volumes(&id);
    assert_eq!(volumes.len(), 2);
    child.kill().await.unwrap();
    assert!(host.is_there(&id).await, "a killed process cannot clean up");

    let (reached, mut told) = node_bed::reach_with_events(&host.builder, &host.env).await;
    let first = tokio::time::timeout(Duration::from_secs(5), told.recv()).await.unwrap().unwrap();
    let EventKind::Notice { message } = first.kind else { panic!("{first:?}") };
    assert!(message.contains(&id[..12]), "{message}");
    assert!(!host.is_there(&id).await);
    assert!(volumes.iter().all(|name| !host.has_volume(name)));
    reached.unwrap().dind.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn builds_inside_and_through_a_command_in_the_container() {
    let Some(host) = host() else { return };
    let reached = node_bed::reach(&host.builder, &host.env).await.unwrap();
    let dind = reached.dind.unwrap();
    // The same bytes as `buildctl dial-stdio`: BuildKit's own API on the standard streams.
    let line = "exec docker -H unix:///var/run/docker.sock buildx dial-stdio";
    let script = format!("printf '#!/bin/sh\\n{line}\\n' >/usr/bin/buildctl && chmod 755 /usr/bin/buildctl");
    host.docker(&["exec", dind.id(), "sh", "-c", &script]);
    let inner = format!("docker-container://{}", dind.id());
    let standalone = node_bed::reach(&inner, &host.env).await.unwrap();
    assert!(standalone.docker.is_none());
    for transport in [reached.transport, standalone.transport] {
        let worker = Worker::connect(transport, &Limits::default()).await.unwrap();
        let build = bed::Build::new(worker, "FROM scratch\nCOPY Dockerfile /\n");
        let session = build.session().await;
        let options = polyarch_builder::buildkit::export::ImageOptions::default();
        let outcome = build.solve(&session, &bed::amd64(), Export::OciDirectory(options)).await.unwrap();
        let manifest = bed::json(&build.store, &outcome.digest.unwrap()).await;
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    }

    host.docker(&["exec", dind.id(), "rm", "/usr/bin/buildctl"]);
    let (events, limits, credentials) = (EventSink::channel().0, Limits::default(), CredentialSources::default());
    let reach = Reach { env: &host.env, limits: &limits, events: &events, credentials: &credentials };
    let error = reach.node(&inner).await.unwrap_err();
    let mut chain = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        chain.push_str(&format!("{error}: "));
        cause = error.source();
    }

    assert!(chain.contains("buildctl"), "{chain}");
    dind.shutdown().await.unwrap();
}
