//! What daemons get of the user's credentials for a base image: a token for one repository, and a password only where
//! a registry takes nothing else.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use polyarch_testkit::TestRegistry;
use support::project::{Finished, finish};
use support::{Builder, Cell, Project, Published};

/// `me:pass`.
const PASSWORD: &str = "Basic bWU6cGFzcw==";

/// First byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 22;

/// A request for a token or of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    path: String,
    authorization: String,
    is_ours: bool,
}

/// A registry that wants to be logged in to, and then has no image, or what is in another registry.
struct Guarded {
    addr: SocketAddr,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Guarded {
    /// `basic` takes the password itself; otherwise a token from this realm, or from its own host.
    fn start(basic: bool, realm: Option<String>) -> Self {
        Self::before(basic, realm, None)
    }

    fn before(basic: bool, realm: Option<String>, backend: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, log) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<Seen>>>::default());
        let seen = Arc::clone(&log);
        // It ends with the test's process.
        std::thread::spawn(move || {
            let realm = realm.unwrap_or_else(|| format!("http://{addr}/token"));
            let challenge = match basic {
                true => "Basic realm=\"r\"".to_owned(),
                false => format!("Bearer realm=\"{realm}\",service=\"s\""),
            };
            for client in listener.incoming() {
                let (challenge, seen) = (challenge.clone(), Arc::clone(&seen));
                std::thread::spawn(move || serve(client.unwrap(), &challenge, &seen, backend));
            }
        });
        Self { addr, log }
    }

    fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, challenge: &str, log: &Mutex<Vec<Seen>>, backend: Option<SocketAddr>) -> Option<()> {
    let mut first = [0];
    client.peek(&mut first).ok()?;
    if first == [TLS_HANDSHAKE] {
        // What tells a Go client that this is plain HTTP.
        return write!(client, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").ok();
    }
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut lines = reader.by_ref().lines();
    let first = lines.next()?.ok()?;
    let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let header = |name: &str| {
        let found = head.iter().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        found.unwrap_or_default()
    };
    let path = first.split(' ').nth(1)?.to_owned();
    let is_ours = header("user-agent").starts_with("polyarch");
    let authorization = header("authorization");
    let (status, extra, body) = match (path.starts_with("/token"), authorization.as_str()) {
        (true, _) => ("200 OK", String::new(), r#"{"token":"good","expires_in":300}"#),
        (false, "Bearer good") => ("404 Not Found", String::new(), ""),
        (false, PASSWORD) if challenge.starts_with("Basic") => ("404 Not Found", String::new(), ""),
        _ => ("401 Unauthorized", format!("WWW-Authenticate: {challenge}\r\n"), ""),
    };
    log.lock().unwrap().push(Seen { path, authorization, is_ours });
    if let (Some(backend), "404 Not Found") = (backend, status) {
        return pass((&first, &head), reader, client, backend);
    }
    let length = body.len();
    let json = "Content-Type: application/json\r\nConnection: close\r\n";
    write!(client, "HTTP/1.1 {status}\r\n{extra}{json}Content-Length: {length}\r\n\r\n{body}").ok()
}

/// Carries one request to the other registry, and its answer back.
fn pass(
    (first, head): (&str, &[String]),
    mut body: BufReader<TcpStream>,
    mut client: TcpStream,
    backend: SocketAddr,
) -> Option<()> {
    let mut server = TcpStream::connect(backend).ok()?;
    let kept = head.iter().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let lines: String = kept.map(|line| format!("{line}\r\n")).collect();
    write!(server, "{first}\r\n{lines}Connection: close\r\n\r\n").ok()?;
    let mut up = server.try_clone().ok()?;
    let upward = std::thread::spawn(move || std::io::copy(&mut body, &mut up));
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upward.join();
    Some(())
}

/// Builds from the registry's image, with a password for `key` in Docker's configuration.
fn build(cell: Cell, host: SocketAddr, key: &str) -> Option<Finished> {
    let builder = Builder::of(cell)?;
    let project = Project::new(&format!("FROM {host}/team/private:@\n"));
    let config = format!(r#"{{"auths":{{"{key}":{{"auth":"bWU6cGFzcw=="}}}}}}"#);
    let project = project.file("home/.docker/config.json", config);
    // The daemon is to ask, not polyarch.
    Some(finish(project.build(&builder, &["--platform", "linux/amd64", "--no-resolve"])))
}

/// The daemon's requests of the image, as far as they were authorized.
fn authorized(registry: &Guarded) -> Vec<String> {
    let of_daemon = registry.seen().into_iter().filter(|seen| !seen.is_ours && seen.path.contains("/manifests/"));
    of_daemon.map(|seen| seen.authorization).filter(|authorization| !authorization.is_empty()).collect()
}

fn a_token_keeps_the_password_here(cell: Cell) {
    for path in ["", "/team"] {
        let registry = Guarded::start(false, None);
        let Some(finished) = build(cell, registry.addr, &format!("{}{path}", registry.addr)) else { return };
        finished.check(4).says(&["not found"]);
        let tokens: Vec<Seen> = registry.seen().into_iter().filter(|seen| seen.path.starts_with("/token")).collect();
        assert!(!tokens.is_empty() && tokens.iter().all(|seen| seen.is_ours), "{tokens:?}");
        assert_eq!(tokens[0].authorization, PASSWORD);
        assert_eq!(tokens[0].path, "/token?service=s&scope=repository%3Ateam%2Fprivate%3Apull");
        let daemon = authorized(&registry);
        assert!(!daemon.is_empty() && daemon.iter().all(|value| value == "Bearer good"), "{daemon:?}");
    }
}

fn basic_alone_needs_the_password(cell: Cell) {
    let registry = Guarded::start(true, None);
    let Some(finished) = build(cell, registry.addr, &registry.addr.to_string()) else { return };
    finished.check(4).says(&["not found"]);
    let daemon = authorized(&registry);
    assert!(!daemon.is_empty() && daemon.iter().all(|value| value == PASSWORD), "{daemon:?}");
}

#[test]
fn docker20_gets_a_token() {
    a_token_keeps_the_password_here(Cell::Docker20);
}

#[test]
fn docker28_gets_a_token() {
    a_token_keeps_the_password_here(Cell::Docker28);
}

#[test]
fn docker28_classic_gets_a_token() {
    a_token_keeps_the_password_here(Cell::Docker28Classic);
}

#[test]
fn buildkit_gets_a_token() {
    a_token_keeps_the_password_here(Cell::Buildkit);
}

#[test]
fn docker20_gets_the_password_for_basic() {
    basic_alone_needs_the_password(Cell::Docker20);
}

#[test]
fn buildkit_gets_the_password_for_basic() {
    basic_alone_needs_the_password(Cell::Buildkit);
}

#[test]
fn a_realm_that_is_unsafe_gets_nothing() {
    let registry = Guarded::start(false, Some("http://169.254.169.254/token".to_owned()));
    let Some(finished) = build(Cell::Docker28, registry.addr, &registry.addr.to_string()) else { return };
    finished.check(4).says(&["refused to follow http://169.254.169.254/token"]);
    assert!(registry.seen().iter().all(|seen| seen.authorization.is_empty()), "{:?}", registry.seen());
}

#[test]
fn a_daemon_that_pushes_gets_a_token_for_it_and_for_nothing_else() {
    let Some(builder) = Builder::of(Cell::Buildkit) else { return };
    let backend = TestRegistry::start();
    let registry = Guarded::before(false, None, Some(backend.addr()));
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6cGFzcw=="}}}}}}"#, registry.addr);
    let project = Project::new("FROM scratch\nCOPY Dockerfile /@\n").file("home/.docker/config.json", config);
    let (app, cache) = (format!("{}/team/app:1", registry.addr), format!("type=registry,ref={}/cache", registry.addr));
    let args = ["--platform", "linux/amd64,linux/arm64", "-t", &app, "--push", "--transfer", "daemon"];
    let mut command = project.build(&builder, &args);
    finish({
        command.args(["--cache-to", &cache]);
        command
    })
    .check(0);
    assert_eq!(Published::new(backend.addr(), "team/app").images("1").len(), 2);
    let seen = registry.seen();
    let daemon = seen.iter().filter(|seen| !seen.is_ours && !seen.authorization.is_empty());
    assert!(daemon.clone().count() > 0 && daemon.clone().all(|seen| seen.authorization == "Bearer good"), "{seen:?}");
    let tokens: Vec<&str> =
        seen.iter().map(|seen| seen.path.as_str()).filter(|path| path.starts_with("/token")).collect();
    let scopes = |path: &&str| path.contains("team%2Fapp%3Apull") || path.contains("cache%3Apull");
    assert!(tokens.iter().all(scopes), "{tokens:?}");
    assert!(tokens.iter().any(|path| path.contains("repository%3Acache%3Apull%2Cpush")), "{tokens:?}");
}
