//! Every fault profile of the scripted registry, and exactly what the client does about it: a typed error, bounded
//! time and memory, nothing secret sent where it does not belong, no tag written.

#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in test functions; these are their helpers")]

mod auth;
mod content;
mod lists;
mod places;

use std::collections::BTreeSet;

use polyarch_registry::client::{Config, CredentialSources, Registry};
use polyarch_testkit::hostile::{PROFILES, Script, script};
use polyarch_testkit::script::{Server, quick};

/// What each file of tests consists of, to see that no profile is left out.
const TESTS: [&str; 4] =
    [include_str!("auth.rs"), include_str!("content.rs"), include_str!("lists.rs"), include_str!("places.rs")];

/// Starts a server with a profile that needs nothing else.
async fn start(profile: &str) -> Server {
    serve(script(profile)).await
}

async fn serve(script: Script) -> Server {
    Server::start(move |seen| script(seen)).await
}

/// Credentials of one host.
struct Files(tempfile::TempDir);

impl Files {
    fn of(host: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // ada:secret
        let text = format!(r#"{{"auths":{{"{host}":{{"auth":"YWRhOnNlY3JldA=="}}}}}}"#);
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        Self(dir)
    }

    fn config(&self) -> Config {
        let docker_config_dir = Some(self.0.path().to_owned());
        Config { credentials: CredentialSources { docker_config_dir, ..Default::default() }, ..quick() }
    }

    fn client(&self) -> Registry {
        Registry::new(self.config())
    }
}

/// Returns whether anything secret of [`Files`] was sent to a server.
fn leaked(server: &Server) -> bool {
    server.seen().iter().any(|seen| seen.headers.contains_key("authorization") || seen.headers.contains_key("cookie"))
}

#[test]
fn no_profile_is_left_out() {
    let tested: String = TESTS.concat();
    let missing: Vec<_> = PROFILES.iter().filter(|(_, name)| !tested.contains(&format!("{name:?}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let names: BTreeSet<_> = PROFILES.iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), PROFILES.len());
}
