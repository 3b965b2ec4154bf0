use super::*;
use crate::node::context::ContextError;

fn machine(dir: &tempfile::TempDir) -> HostEnv {
    HostEnv {
        docker_config: Some(dir.path().join("config")),
        home: Some(dir.path().join("home")),
        xdg_runtime_dir: Some(dir.path().join("run")),
        ..HostEnv::default()
    }
}

async fn reach(env: &HostEnv, builder: &str) -> Result<Reached, ReachError> {
    let (events, _kept) = EventSink::channel();
    let (limits, credentials) = (Limits::default(), CredentialSources::default());
    Reach { env, limits: &limits, events: &events, credentials: &credentials }.builder(builder).await
}

#[test]
fn lists_the_usual_sockets_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let paths = usual_sockets(&machine(&dir));
    let tails: Vec<_> = paths.iter().map(|path| path.strip_prefix(dir.path()).unwrap_or(path)).collect();
    let want =
        ["/var/run/docker.sock", "run/docker.sock", "home/.docker/run/docker.sock", "home/.docker/desktop/docker.sock"];
    assert_eq!(tails, want.map(std::path::Path::new));
}

#[test]
fn tells_every_place_and_what_was_found() {
    let tried = |place: &str, found: &str, kind| Tried { place: place.into(), found: found.into(), kind };
    let error = ReachError::NotFound(vec![
        tried("unix:///a", "no such socket", io::ErrorKind::NotFound),
        tried("unix:///b", "permission denied", io::ErrorKind::PermissionDenied),
    ]);
    let want = "no Docker daemon found; looked at unix:///a (no such socket), unix:///b (permission denied)";
    assert_eq!(error.to_string(), want);
    assert!(error.advice().unwrap().contains("join its group"));
}

#[tokio::test]
async fn names_docker_host_when_nothing_answers_there() {
    let dir = tempfile::tempdir().unwrap();
    let env = HostEnv { docker_host: Some("unix:///nowhere.sock".into()), ..machine(&dir) };
    let error = reach(&env, "docker").await.unwrap_err();
    assert_eq!(error.to_string(), "builder docker (DOCKER_HOST=unix:///nowhere.sock) does not answer");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn names_the_context_that_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let env = HostEnv { docker_context: Some("prod".into()), ..machine(&dir) };
    for builder in ["docker", "prod", "context://prod"] {
        let error = reach(&env, builder).await.unwrap_err();
        assert!(matches!(&error, ReachError::Context(ContextError::Missing { name, .. }) if name == "prod"), "{error}");
    }
}

/// As Podman 4.3.1 answers, shortened.
const PODMAN: &str = r#"{"Platform":{"Name":"linux/amd64/debian-12"},"Components":[{"Name":"Podman Engine","Version":"4.3.1",
    "Details":{"APIVersion":"4.3.1","MinAPIVersion":"4.0.0"}}],"Version":"4.3.1","ApiVersion":"1.41"}"#;

#[tokio::test]
async fn tells_podman_from_docker() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("podman.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let read = stream.read(&mut request).await.unwrap();
        assert!(request[..read].starts_with(b"GET /version HTTP/1.1\r\n"));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{PODMAN}", PODMAN.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    let builder = format!("unix://{}", path.display());
    let env = machine(&dir);
    let (error, ()) = tokio::join!(reach(&env, &builder), serve);
    let error = error.unwrap_err();
    assert!(matches!(&error, ReachError::Podman { version, .. } if version == "4.3.1"), "{error}");
    assert!(error.to_string().contains("no BuildKit behind its Docker API"));
}
