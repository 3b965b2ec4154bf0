use proptest::prelude::*;

use super::*;
use crate::audit::finding::Unchecked;
use crate::oci::Digest;

fn report(tag: &str, reason: Option<&str>) -> ImageReport {
    let unchecked =
        reason.map(|reason| Unchecked { what: "image".to_owned(), digest: None, reason: reason.to_owned() });
    ImageReport {
        repository: "r.example.com/app".to_owned(),
        tag: Some(tag.to_owned()),
        digest: Some(Digest::sha256(tag)),
        platforms: Vec::new(),
        attestations: 0,
        findings: Vec::new(),
        unchecked: unchecked.into_iter().collect(),
    }
}

fn checkpoint(dir: &Path, resume: bool) -> Checkpoint {
    Checkpoint { dir: dir.to_owned(), asked: "r.example.com/app".to_owned(), resume }
}

fn tags(images: &[ImageReport]) -> Vec<&str> {
    images.iter().filter_map(|image| image.tag.as_deref()).collect()
}

#[test]
fn an_interrupted_run_goes_on_with_what_could_be_checked() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Spool::open(Some(&checkpoint(dir.path(), false)));
    first.image(report("1", None));
    first.image(report("2", Some("no answer")));
    drop(first);
    assert_eq!(checkpoint(dir.path(), true).unfinished().map(|(_, done)| done), Some(2));
    let mut again = Spool::open(Some(&checkpoint(dir.path(), true)));
    let done = |tag| again.is_done("r.example.com/app", tag);
    assert_eq!([done("1"), done("2"), done("3")], [true, false, false]);
    again.image(report("2", None));
    again.image(report("3", None));
    let (images, _) = again.finish();
    assert_eq!(tags(&images), ["1", "2", "3"]);
    assert!(images.iter().all(|image| image.unchecked.is_empty()), "the later report counts");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a finished run leaves nothing");
}

#[test]
fn another_question_or_a_run_that_goes_on_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Spool::open(Some(&checkpoint(dir.path(), false)));
    running.image(report("1", None));
    assert!(!Spool::open(Some(&checkpoint(dir.path(), true))).is_done("r.example.com/app", "1"));
    drop(running);
    let other = Checkpoint { asked: "r.example.com/app --deep".to_owned(), ..checkpoint(dir.path(), true) };
    assert!(!Spool::open(Some(&other)).is_done("r.example.com/app", "1"));
    assert_eq!(other.unfinished(), None);
    assert!(Spool::open(Some(&checkpoint(dir.path(), true))).is_done("r.example.com/app", "1"));
}

#[test]
fn a_run_that_only_began_does_not_hide_one_that_got_further() {
    let dir = tempfile::tempdir().unwrap();
    let mut far = Spool::open(Some(&checkpoint(dir.path(), false)));
    (0..10).for_each(|tag| far.image(report(&tag.to_string(), None)));
    drop(far);
    Spool::open(Some(&checkpoint(dir.path(), false))).image(report("0", None));
    assert!(Spool::open(Some(&checkpoint(dir.path(), true))).is_done("r.example.com/app", "9"));
}

#[test]
fn without_a_place_reports_are_in_memory() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for mut spool in [Spool::open(Some(&checkpoint(&file.path().join("x"), true))), Spool::open(None)] {
        spool.image(report("1", None));
        assert_eq!(tags(&spool.finish().0), ["1"]);
    }
}

proptest! {
    /// Whatever became of the file: a report that comes out of it is one that went in.
    #[test]
    fn damage_costs_time_only(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<proptest::sample::Index>(),
        tail in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Spool::open(Some(&checkpoint(dir.path(), false)));
        (0..6).for_each(|tag| first.image(report(&tag.to_string(), None)));
        let path = first.path.clone().unwrap();
        drop(first);
        let mut bytes = fs::read(&path).unwrap();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        bytes.extend(tail);
        fs::write(&path, &bytes).unwrap();
        let mut again = Spool::open(Some(&checkpoint(dir.path(), true)));
        let wanted: Vec<String> = (0..6).map(|tag| tag.to_string()).collect();
        let missing: Vec<&String> = wanted.iter().filter(|tag| !again.is_done("r.example.com/app", tag)).collect();
        missing.iter().for_each(|tag| again.image(report(tag, None)));
        let (mut images, _) = again.finish();
        images.sort_by(|a, b| a.tag.cmp(&b.tag));
        let want: Vec<ImageReport> = wanted.iter().map(|tag| report(tag, None)).collect();
        prop_assert_eq!(images, want);
    }
}
