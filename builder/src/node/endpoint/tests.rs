use super::*;

fn env() -> HostEnv {
    HostEnv { home: Some("/home/ann".into()), ..HostEnv::default() }
}

fn parse(text: &str) -> Endpoint {
    Endpoint::parse(text, &env()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn plain(address: &str) -> TcpTarget {
    TcpTarget { address: address.to_owned(), tls: None }
}

fn ssh_target(user: Option<&str>, host: &str, port: Option<u16>) -> SshTarget {
    SshTarget { user: user.map(str::to_owned), host: host.to_owned(), port, socket: None, config: None }
}

#[test]
fn reads_every_form() {
    let dir = PathBuf::from;
    for (text, want) in [
        ("docker", Endpoint::Docker),
        ("desktop-linux", Endpoint::Context("desktop-linux".into())),
        ("context://prod.eu", Endpoint::Context("prod.eu".into())),
        ("unix:///var/run/docker.sock", Endpoint::Unix(dir("/var/run/docker.sock"))),
        ("tcp://10.0.0.1:1234", Endpoint::Tcp(plain("10.0.0.1:1234"))),
        ("tcp://box", Endpoint::Tcp(plain("box:2375"))),
        ("tcp://[::1]:99/", Endpoint::Tcp(plain("[::1]:99"))),
        ("ssh://box", Endpoint::Ssh(ssh_target(None, "box", None))),
        ("ssh://ann@box:22", Endpoint::Ssh(ssh_target(Some("ann"), "box", Some(22)))),
        (
            "ssh://ann@box/run/d.sock?config=/etc/my%20ssh",
            Endpoint::Ssh(SshTarget {
                socket: Some("/run/d.sock".into()),
                config: Some(dir("/etc/my ssh")),
                ..ssh_target(Some("ann"), "box", None)
            }),
        ),
        ("buildkit+unix:///run/buildkitd.sock", Endpoint::BuildkitUnix(dir("/run/buildkitd.sock"))),
        ("buildkit+tcp://box", Endpoint::BuildkitTcp(plain("box:1234"))),
        (
            "docker-container://buildx_buildkit_b0",
            Endpoint::Container { name: "buildx_buildkit_b0".into(), host: Box::new(Endpoint::Docker) },
        ),
        (
            "docker-container://bk?host=unix:///d.sock",
            Endpoint::Container { name: "bk".into(), host: Box::new(Endpoint::Unix(dir("/d.sock"))) },
        ),
        ("dind", Endpoint::Dind { options: Box::default(), host: Box::new(Endpoint::Docker) }),
        ("dind://", Endpoint::Dind { options: Box::default(), host: Box::new(Endpoint::Docker) }),
    ] {
        assert_eq!(parse(text), want, "{text}");
    }
}

#[test]
fn reads_certificates_of_a_buildkit_address() {
    let Endpoint::BuildkitTcp(target) = parse("buildkit+tcp://h:1?ca=/ca&cert=/c&key=/k&servername=n") else {
        panic!("not a BuildKit address")
    };
    let files = TlsFiles {
        ca: "/ca".into(),
        client: Some(("/c".into(), "/k".into())),
        server_name: Some("n".into()),
        skip_verify: false,
    };
    assert_eq!(target, TcpTarget { address: "h:1".into(), tls: Some(files) });
}

#[test]
fn takes_tls_from_the_environment_for_docker_only() {
    let env = HostEnv { docker_tls_verify: Some("1".into()), ..env() };
    let Ok(Endpoint::Tcp(target)) = Endpoint::parse("tcp://box", &env) else { panic!("not tcp") };
    assert_eq!(target.address, "box:2376");
    assert_eq!(target.tls.map(|tls| tls.ca), Some("/home/ann/.docker/ca.pem".into()));
    assert_eq!(Endpoint::parse("buildkit+tcp://box", &env), Ok(Endpoint::BuildkitTcp(plain("box:1234"))));
    let off = HostEnv { docker_tls_verify: Some(String::new()), ..env };
    assert_eq!(Endpoint::parse("tcp://box", &off), Ok(Endpoint::Tcp(plain("box:2375"))));
}

#[test]
fn refuses_what_is_no_builder() {
    for (text, want) in [
        ("", "builder is empty"),
        ("npipe:////./pipe/docker", "has the unknown scheme \"npipe\""),
        ("/var/run/docker.sock", "write unix:///var/run/docker.sock"),
        ("unix://", "does not name a socket"),
        ("tcp://", "does not name a host and a port"),
        ("tcp://h:0", "does not name a host and a port"),
        ("tcp://h:1:2", "does not name a host and a port"),
        ("tcp://h/path", "does not name a host and a port"),
        ("ssh://", "does not name a machine"),
        ("ssh://-oProxyCommand=x", "does not name a machine"),
        ("ssh://-x@h", "does not name a machine"),
        ("ssh://h?x=1", "has a bad query"),
        ("docker-container://", "does not name a container"),
        ("docker-container://a/../b", "does not name a container"),
        ("docker-container://a?host=dind", "does not name a Docker host"),
        ("dind://x", "options after a question mark"),
        ("dind://?nonsense=1", "has a bad query"),
        ("a b", "does not name a builder"),
        ("buildkit+tcp://h?cert=/c", "has a bad query"),
        ("buildkit+tcp://h?servername=/c", "has a bad query"),
    ] {
        let error = Endpoint::parse(text, &env()).expect_err(text);
        assert!(error.to_string().contains(want), "{text}: {error}");
    }
}
