use std::os::unix::fs::PermissionsExt as _;

use super::*;

const LONG: Duration = Duration::from_secs(20);

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        Self { dir }
    }

    fn helper(self, name: &str, script: &str) -> Self {
        let path = self.dir.path().join(format!("docker-credential-{name}"));
        // Through a copy by `cp`: a file this process had open for writing may be "busy" when started.
        let draft = self.dir.path().join("draft");
        std::fs::write(&draft, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(std::process::Command::new("cp").arg(&draft).arg(&path).status().unwrap().success());
        self
    }

    fn sources(&self) -> CredentialSources {
        let dir = self.dir.path().to_owned();
        CredentialSources { docker_config_dir: Some(dir.clone()), helper_dirs: vec![dir], ..Default::default() }
    }

    async fn find(&self, host: &str) -> Result<Option<Credential>, CredentialError> {
        self.sources().find(host, "x", LONG).await
    }
}

fn password(username: &str, password: &str) -> Option<Credential> {
    Some(Credential::Password { username: username.into(), password: Secret::new(password) })
}

#[tokio::test]
async fn a_helper_is_asked_with_the_servers_address() {
    let script = r#"read -r server; [ "$1" = get ] && printf '{"ServerURL":"%s","Username":"u","Secret":"%s"}' "$server" "$server""#;
    let place = Place::new(r#"{"credsStore":"echo"}"#).helper("echo", script);
    assert_eq!(place.find("r.example.com:5000").await.unwrap(), password("u", "r.example.com:5000"));
    assert_eq!(place.find("docker.io").await.unwrap(), password("u", "https://index.docker.io/v1/"));
}

#[tokio::test]
async fn a_token_user_means_an_identity_token() {
    let place = Place::new(r#"{"credHelpers":{"h":"t"}}"#)
        .helper("t", r#"cat >/dev/null; printf '{"Username":"<token>","Secret":"s"}'"#);
    assert_eq!(place.find("h").await.unwrap(), Some(Credential::Identity(Secret::new("s"))));
}

#[tokio::test]
async fn an_unknown_server_falls_back_to_the_files() {
    let config = r#"{"credsStore":"none","auths":{"h":{"auth":"dTpw"}}}"#;
    let place = Place::new(config).helper("none", "echo credentials not found in native keychain; exit 1");
    assert_eq!(place.find("h").await.unwrap(), password("u", "p"));

    let auth_file = place.dir.path().join("auth.json");
    std::fs::write(&auth_file, r#"{"auths":{"other/team":{"auth":"YTpi"}}}"#).unwrap();
    let sources = CredentialSources { auth_files: vec!["/nonexistent/auth.json".into(), auth_file], ..place.sources() };
    assert_eq!(sources.find("other", "team/x", LONG).await.unwrap(), password("a", "b"));
    assert_eq!(sources.find("other", "teamx", LONG).await.unwrap(), None);
}

#[tokio::test]
async fn helpers_that_misbehave_are_bounded_and_not_quoted() {
    let secret = "echo '{\"Secret\": hunter2' ; echo hunter2 >&2; exit 3";
    let place = Place::new(r#"{"credHelpers":{"a":"fails","b":"floods","c":"garbage","d":"gone","e":"../x"}}"#)
        .helper("fails", secret)
        .helper("floods", "exec yes hunter2")
        .helper("garbage", "echo hunter2");
    for host in ["a", "b", "c"] {
        let error = place.find(host).await.unwrap_err();
        assert!(matches!(error, CredentialError::HelperFailed { .. }), "{host}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{host}");
    }
    assert!(matches!(place.find("d").await, Err(CredentialError::HelperStart { .. })));
    assert!(matches!(place.find("e").await, Err(CredentialError::HelperName { .. })));
}

#[tokio::test]
async fn a_helper_that_hangs_is_stopped() {
    let place = Place::new(r#"{"credsStore":"hangs"}"#).helper("hangs", "exec sleep 1000");
    let found = place.sources().find("h", "x", Duration::from_millis(50)).await;
    assert!(matches!(found, Err(CredentialError::HelperTimeout { .. })), "{found:?}");
}

#[tokio::test]
async fn a_broken_file_is_named() {
    let place = Place::new("{");
    let error = place.find("h").await.unwrap_err();
    assert!(matches!(&error, CredentialError::Parse { path, .. } if path.ends_with("config.json")), "{error}");
}
