//! Audits that are interrupted, and go on.

use std::path::Path;

use polyarch_registry::audit::{Checkpoint, Options, Report};
use polyarch_testkit::Served;
use polyarch_testkit::script::{Reply, Server};
use tokio::sync::Notify;

use crate::requests::{all_of, auditor};

const TAGS: usize = 100;

fn options(dir: &Path, resume: bool) -> Options {
    let checkpoint = Checkpoint { dir: dir.join("runs"), asked: "app".to_owned(), resume };
    Options { checkpoint: Some(checkpoint), ..Options::default() }
}

/// Runs an audit, and gives it up once some images are done.
async fn interrupted(dir: &Path, server: &Server, after: u64) {
    let enough = Notify::new();
    let tell = |progress: polyarch_registry::audit::Progress| {
        if progress.done >= after {
            enough.notify_one();
        }
    };
    let auditor = auditor(dir, options(dir, false));
    tokio::select! {
        biased;
        () = enough.notified() => {}
        _ = auditor.run(vec![all_of(server, "app")], &tell) => panic!("it ended"),
    }
}

async fn resumed(dir: &Path, server: &Server, resume: bool) -> Report {
    auditor(dir, options(dir, resume)).run(vec![all_of(server, "app")], &|_| ()).await
}

#[tokio::test]
async fn what_is_done_is_not_done_again() {
    let served = Served::numbered(TAGS).await;
    let server = served.start().await;
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = resumed(other.path(), &server, false).await;
    interrupted(dir.path(), &server, 40).await;
    let (_, done) = auditor(dir.path(), options(dir.path(), true)).unfinished().unwrap();
    assert!((40..TAGS).contains(&done), "{done}");
    let before = server.lines().len();
    let report = resumed(dir.path(), &server, true).await;
    assert_eq!(report.images, whole.images);
    assert_eq!(report.stats.resumed, done as u64);
    let tags = server.lines().split_off(before).into_iter().filter(|line| !line.contains("sha256:"));
    assert_eq!(tags.count(), 1 + TAGS - done, "the list, and the tags that were left");
    assert_eq!(std::fs::read_dir(dir.path().join("runs")).unwrap().count(), 0);
}

#[tokio::test]
async fn another_audit_is_not_gone_on_with() {
    let served = Served::numbered(TAGS).await;
    let server = served.start().await;
    let dir = tempfile::tempdir().unwrap();
    interrupted(dir.path(), &server, 10).await;
    assert_eq!(resumed(dir.path(), &server, false).await.stats.resumed, 0, "unless it is asked for");
    interrupted(dir.path(), &server, 10).await;
    let checkpoint = Checkpoint { asked: "app --deep".to_owned(), ..options(dir.path(), true).checkpoint.unwrap() };
    let options = Options { checkpoint: Some(checkpoint), ..Options::default() };
    let report = auditor(dir.path(), options).run(vec![all_of(&server, "app")], &|_| ()).await;
    assert_eq!((report.stats.resumed, report.images.len()), (0, TAGS));
}

#[tokio::test]
async fn what_could_not_be_checked_is_tried_again() {
    let served = Served::numbered(TAGS).await;
    let server = served.start().await;
    let dir = tempfile::tempdir().unwrap();
    served.fail(|seen| seen.path.starts_with("/v2/app/manifests/1").then(|| Reply::status(503)));
    interrupted(dir.path(), &server, 95).await;
    served.heal();
    let report = resumed(dir.path(), &server, true).await;
    assert_eq!((report.images.len(), report.unchecked()), (TAGS, 0));
    assert!(report.stats.resumed >= 80, "{}", report.stats.resumed);
}
