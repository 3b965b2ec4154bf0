//! Everything a build may take from the session, on real daemons.

#![allow(clippy::unwrap_used)]

mod bed;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bed::{Build, amd64, base, connect, json, log_text, unique};
use futures::FutureExt;
use futures::future::BoxFuture;
use polyarch_builder::buildkit::attrs::{LayoutName, frontend_attrs};
use polyarch_builder::buildkit::export::ImageOptions;
use polyarch_builder::buildkit::filesync::LocalDir;
use polyarch_builder::buildkit::session::{ContentStores, Credentials, RegistryAuth};
use polyarch_builder::buildkit::solve::new_ref;
use polyarch_builder::buildkit::{CallAnswer, CallSpec, Export, Session, SolveError};
use polyarch_builder::event::EventKind;
use polyarch_builder::request::{ContextSource, DockerfileSource, SecretSource, SshSource};
use polyarch_builder::secret::Secret;
use polyarch_registry::oci::Digest;

const DAEMONS: [&str; 4] = ["BED_DOCKER28", "BED_DOCKER28_CLASSIC", "BED_DOCKER20", "BED_BUILDKIT"];

#[tokio::test]
async fn secrets_of_both_kinds_reach_the_step_and_nothing_else() {
    for daemon in DAEMONS {
        let (Some(worker), Some(base)) = (connect(daemon).await, base()) else { continue };
        let mount = |id: &str| format!("--mount=type=secret,id={id}");
        let run = format!("RUN {} {} {}", mount("file"), mount("value"), mount("absent"));
        let script = "cat /run/secrets/file /run/secrets/value | sha256sum; test ! -e /run/secrets/absent";
        let mut build = Build::new(worker, &format!("FROM {base}\n{run} : {}; {script}\n", unique())).file("s", "one");
        let secrets = &mut build.request.secrets;
        secrets.insert("file".into(), SecretSource::File(build.dir.path().join("s")));
        secrets.insert("value".into(), SecretSource::Value(Secret::new("two")));
        let session = build.session().await;
        build.solve(&session, &amd64(), Export::CacheOnly).await.unwrap();
        let events = build.events();
        assert!(log_text(&events).contains(Digest::sha256("onetwo").encoded()), "{daemon}: {events:#?}");
    }
}

#[tokio::test]
async fn an_agent_is_forwarded() {
    let (Some(worker), Some(base)) = (connect("BED_DOCKER28").await, base()) else { return };
    let mut build =
        Build::new(worker, &format!("FROM {base}\nRUN --mount=type=ssh : {}; test -S $SSH_AUTH_SOCK\n", unique()));
    let key = build.dir.path().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    build.request.ssh.insert("default".into(), SshSource::Keys(vec![key]));
    let session = build.session().await;
    build.solve(&session, &amd64(), Export::CacheOnly).await.unwrap();
}

#[tokio::test]
async fn a_tar_context_with_the_dockerfile_inside_or_apart() {
    for daemon in DAEMONS {
        let (Some(worker), Some(base)) = (connect(daemon).await, base()) else { continue };
        let unique = unique();
        let mut build = Build::new(worker, "");
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in
            [("Dockerfile", format!("FROM {base}\nRUN echo inside {unique}\n")), ("file", unique.clone())]
        {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        let spool = build.dir.path().join("context.tar");
        std::fs::write(&spool, tar.into_inner().unwrap()).unwrap();
        build.request.context = ContextSource::Tar(spool.clone());
        build.names.context_upload = Some("upload".into());
        let apart = format!("FROM {base}\nCOPY file /\nRUN echo apart $(cat /file)\n");
        let cases = [
            (DockerfileSource::InContext("Dockerfile".into()), String::new(), "inside"),
            (DockerfileSource::Text(apart.clone().into()), apart, "apart"),
        ];
        for (dockerfile, text, said) in cases {
            build.request.dockerfile = dockerfile;
            let mut services = build.services();
            services.dirs = [("dockerfile".to_owned(), LocalDir::single_file("Dockerfile", text.into()))].into();
            services.uploads = [("upload".to_owned(), spool.clone())].into();
            let session = Session::open(&build.worker, services, "e2e").await.unwrap();
            build.solve(&session, &amd64(), Export::CacheOnly).await.unwrap();
            let events = build.events();
            assert!(log_text(&events).contains(&format!("{said} {unique}")), "{daemon} {said}: {events:#?}");
        }
    }
}

#[tokio::test]
async fn named_directories_even_one_called_context() {
    for daemon in ["BED_DOCKER28", "BED_DOCKER28_CLASSIC", "BED_BUILDKIT"] {
        let (Some(worker), Some(base)) = (connect(daemon).await, base()) else { continue };
        let dockerfile = format!("FROM {base}\nCOPY --from=context a /a\nCOPY --from=docs a /b\nRUN cat /a /b\n");
        let (unique, mut build) = (unique(), Build::new(worker, &dockerfile));
        let mut services = build.services();
        for name in ["context", "docs"] {
            let dir = build.dir.path().join(name);
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join("a"), format!("{name} {unique}\n")).unwrap();
            build.request.build_contexts.insert(name.into(), ContextSource::Dir(dir.clone()));
            let local = polyarch_builder::buildkit::attrs::local_name(name);
            services.dirs.insert(local, LocalDir::Disk(dir));
        }
        let session = Session::open(&build.worker, services, "e2e").await.unwrap();
        build.solve(&session, &amd64(), Export::CacheOnly).await.unwrap();
        let events = build.events();
        assert!(log_text(&events).contains(&format!("context {unique}\ndocs {unique}\n")), "{daemon}: {events:#?}");
    }
}

#[tokio::test]
async fn an_oci_layout_is_a_base() {
    for daemon in ["BED_DOCKER28", "BED_BUILDKIT"] {
        let (Some(worker), Some(base)) = (connect(daemon).await, base()) else { continue };
        let unique = unique();
        let first = Build::new(worker.clone(), &format!("FROM {base}\nRUN echo {unique} > /from-layout\n"));
        let session = first.session().await;
        let image = first.solve(&session, &amd64(), Export::OciDirectory(ImageOptions::default())).await.unwrap();
        session.close().await;

        let mut build = Build::new(worker, "FROM mine\nRUN cat /from-layout\n");
        let layout = ContextSource::OciLayout { path: "/anywhere".into(), reference: None };
        build.request.build_contexts.insert("mine".into(), layout);
        let name = LayoutName { key: "layout".into(), digest: image.digest.unwrap() };
        build.names.layouts.insert("mine".into(), name);
        let mut services = build.services();
        services.content = ContentStores::default().export(build.store.clone()).layout("layout", first.store.clone());
        let session = Session::open(&build.worker, services, "e2e").await.unwrap();
        let outcome = build.solve(&session, &amd64(), Export::OciDirectory(ImageOptions::default())).await.unwrap();
        let events = build.events();
        assert!(log_text(&events).contains(&unique), "{daemon}: {events:#?}");
        let manifest = json(&build.store, &outcome.digest.unwrap()).await;
        let base = json(
            &first.store,
            &first.store.digests().into_iter().find(|d| *d == build.names.layouts["mine"].digest).unwrap(),
        )
        .await;
        assert_eq!(manifest["layers"][0], base["layers"][0]);
    }
}

/// The credentials of the bed's registry with passwords.
struct BedAuth {
    host: String,
}

impl RegistryAuth for BedAuth {
    fn credentials<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Option<Credentials>> {
        let known = host == self.host;
        async move {
            let username = bed::var("BED_REGISTRY_USER").filter(|_| known)?;
            Some(Credentials { username, secret: Secret::new(bed::var("BED_REGISTRY_PASSWORD")?) })
        }
        .boxed()
    }
}

#[tokio::test]
async fn credentials_open_a_registry_and_their_absence_does_not() {
    let (Some(worker), Some(base), Some(host)) = (connect("BED_DOCKER28").await, base(), bed::var("BED_REGISTRY_AUTH"))
    else {
        return;
    };
    let build = Build::new(worker, &format!("FROM {base}\nCOPY input /\n")).file("input", unique());
    let export = || Export::ImagePush {
        repositories: vec![format!("{host}/e2e/{}", unique())],
        options: ImageOptions::default(),
        insecure: true,
    };
    let mut services = build.services();
    services.auth = Arc::new(BedAuth { host: host.clone() });
    let session = Session::open(&build.worker, services, "e2e").await.unwrap();
    build.solve(&session, &amd64(), export()).await.unwrap();
    let anonymous = build.session().await;
    let error = build.solve(&anonymous, &amd64(), export()).await.unwrap_err();
    assert!(error.to_string().contains("401") || error.to_string().contains("auth"), "{error:?}");
}

async fn ask(build: &Build, method: &str) -> Result<CallAnswer, SolveError> {
    let session = build.session().await;
    let spec = CallSpec {
        reference: new_ref(),
        frontend_attrs: frontend_attrs(&build.request, &amd64(), &build.names).unwrap(),
        method: method.into(),
    };
    let call = build.worker.call(&session, spec, &build.sink);
    tokio::time::timeout(Duration::from_secs(60), call).await.unwrap()
}

#[tokio::test]
async fn the_frontend_answers_questions() {
    for daemon in ["BED_DOCKER28", "BED_DOCKER28_CLASSIC", "BED_BUILDKIT"] {
        let (Some(worker), Some(base)) = (connect(daemon).await, base()) else { continue };
        let build = Build::new(worker, &format!("FROM {base} AS First\nFROM {base} AS second\nRUN false\n"));
        let targets = ask(&build, "targets").await.unwrap();
        let targets: serde_json::Value = serde_json::from_str(&targets.json.unwrap()).unwrap();
        assert_eq!(targets["targets"][1]["name"], "second", "{daemon}: {targets:#}");
        let lint = ask(&build, "lint").await.unwrap();
        assert!(lint.json.as_ref().unwrap().contains("StageNameCasing"), "{daemon}: {lint:?}");
        assert!(lint.text.is_some());
        let error = ask(&build, "nonsense").await.unwrap_err();
        assert!(matches!(error, SolveError::Unsupported(_)), "{daemon}: {error:?}");
    }
}

#[tokio::test]
async fn a_broken_dockerfile_fails_a_question() {
    let (Some(worker), Some(base)) = (connect("BED_BUILDKIT").await, base()) else { return };
    let error = ask(&Build::new(worker, &format!("FROM {base}\nRUNN false\n")), "outline").await.unwrap_err();
    // BuildKit names the line only in the text here.
    assert!(matches!(&error, SolveError::Definition(failure) if failure.message.contains("line 2")), "{error:?}");
}

#[tokio::test]
async fn lint_warnings_of_a_build_are_told_with_their_line() {
    let (Some(worker), Some(base)) = (connect("BED_DOCKER28").await, base()) else { return };
    let mut build = Build::new(worker, &format!("FROM {base} AS First\n"));
    let session = build.session().await;
    build.solve(&session, &amd64(), Export::CacheOnly).await.unwrap();
    let events = build.events();
    let warned = |e: &EventKind| matches!(e, EventKind::Warning { message, line: Some(1), url: Some(_), .. } if message.contains("StageNameCasing"));
    assert!(events.iter().any(warned), "{events:#?}");
}

#[tokio::test]
async fn only_changed_files_are_sent_again() {
    let (Some(worker), Some(base)) = (connect("BED_DOCKER28").await, base()) else { return };
    let key = unique();
    let build = Build::new(worker, &format!("FROM {base}\nCOPY big small /\n"))
        .file("big", vec![7; 3 << 20])
        .file("small", "1");
    let transferred = async |build: &mut Build| {
        let session = Session::open(&build.worker, build.services(), &key).await.unwrap();
        build.solve(&session, &amd64(), Export::CacheOnly).await.unwrap();
        let context = |e: &EventKind| match e {
            EventKind::VertexProgress { id, current, .. } if id == "transferring context:" => *current,
            _ => 0,
        };
        build.events().iter().map(context).max().unwrap()
    };
    let mut build = build;
    assert!(transferred(&mut build).await > 3 << 20);
    std::fs::write(Path::new(build.dir.path()).join("small"), "22").unwrap();
    let second = transferred(&mut build).await;
    assert!(second < 4096, "{second} bytes");
}
