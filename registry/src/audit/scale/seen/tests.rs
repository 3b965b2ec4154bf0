use proptest::prelude::*;

use super::*;

const REPOSITORY: &str = "r.example.com/team/app";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn open(dir: &Path) -> Seen {
    Seen::open(dir, REPOSITORY, DAY)
}

fn digest(text: &str) -> Digest {
    Digest::sha256(text)
}

#[test]
fn remembers_for_one_repository_and_one_kind() {
    let dir = tempfile::tempdir().unwrap();
    let sha512: Digest = format!("sha512:{}", "ab".repeat(64)).parse().unwrap();
    let first = open(dir.path());
    first.saw(Kind::Manifest, &digest("a"));
    first.saw(Kind::Blob, &sha512);
    first.leads("1.4", &digest("a"));
    drop(first);
    let again = open(dir.path());
    assert!(again.is_there(Kind::Manifest, &digest("a")));
    assert!(again.is_there(Kind::Blob, &sha512));
    assert!(!again.is_there(Kind::Blob, &digest("a")), "a manifest is no blob");
    assert!(!again.is_there(Kind::Manifest, &sha512));
    assert_eq!((again.tag("1.4"), again.tag("1")), (Some(digest("a")), None));
    let other = Seen::open(dir.path(), "r.example.com/team/other", DAY);
    assert!(!other.is_there(Kind::Manifest, &digest("a")));
    assert_eq!(other.tag("1.4"), None);
}

#[test]
fn trust_ends_and_what_is_gone_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    for name in ["a", "b"] {
        first.saw(Kind::Manifest, &digest(name));
    }
    first.leads("1", &digest("a"));
    first.gone(&digest("b"));
    drop(first);
    assert!(!open(dir.path()).is_there(Kind::Manifest, &digest("b")));
    let unsure = Seen::open(dir.path(), REPOSITORY, Duration::ZERO);
    assert!(!unsure.is_there(Kind::Manifest, &digest("a")));
    assert_eq!(unsure.tag("1"), Some(digest("a")), "which is only a guess");
    unsure.saw(Kind::Manifest, &digest("a"));
    assert!(unsure.is_there(Kind::Manifest, &digest("a")), "what this run saw, it saw");
}

#[test]
fn only_the_past_counts_and_only_for_so_long() {
    for (age, want) in [(0_i64, true), (3600, true), (86_399, true), (86_400, false), (86_401, false), (-5, false)] {
        let mut state = State::default();
        let line = format!("m {} {}", 1_800_000_000 - age, digest("a"));
        state.take(&line, DAY, 1_800_000_000).unwrap_or_default();
        assert_eq!(state.manifests.contains(&key(&digest("a"))), want, "{age}");
    }
}

#[test]
fn a_file_of_another_repository_or_format_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).saw(Kind::Manifest, &digest("a"));
    let other = path(dir.path(), "r.example.com/other");
    fs::rename(path(dir.path(), REPOSITORY), &other).unwrap();
    assert!(!Seen::open(dir.path(), "r.example.com/other", DAY).is_there(Kind::Manifest, &digest("a")));
    fs::write(&other, "something else\n").unwrap();
    Seen::open(dir.path(), "r.example.com/other", DAY).saw(Kind::Blob, &digest("b"));
    assert!(Seen::open(dir.path(), "r.example.com/other", DAY).is_there(Kind::Blob, &digest("b")));
}

#[test]
fn a_large_file_loses_its_older_half() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let file = path(dir.path(), REPOSITORY);
    let mut journal = Journal::open(&file).unwrap();
    let lines: Vec<String> = (0..4).map(|n| format!("m {} {}", now(), digest(&n.to_string()))).collect();
    journal.add(lines[..2].iter().map(String::as_str)).unwrap();
    let filler = "x".repeat(1 << 20);
    (0..40).for_each(|_| journal.add([filler.as_str()]).unwrap());
    journal.add(lines[2..].iter().map(String::as_str)).unwrap();
    drop(journal);
    drop(open(dir.path()));
    assert!(fs::metadata(&file).unwrap().len() < FILE_BYTES);
    let seen = open(dir.path());
    let there: Vec<bool> = (0..4).map(|n| seen.is_there(Kind::Manifest, &digest(&n.to_string()))).collect();
    assert_eq!(there, [false, false, true, true]);
}

#[test]
fn without_a_directory_it_lasts_as_long_as_the_run() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let seen = Seen::open(&file.path().join("below"), REPOSITORY, DAY);
    seen.saw(Kind::Manifest, &digest("a"));
    assert!(seen.is_there(Kind::Manifest, &digest("a")));
}

proptest! {
    /// Whatever a file was turned into: nothing is there that no line of it, and no run, has said.
    #[test]
    fn damage_never_makes_something_present(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..20),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
        tail in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let seen = open(dir.path());
        (0..5).for_each(|n| seen.saw(Kind::Manifest, &digest(&n.to_string())));
        seen.gone(&digest("4"));
        drop(seen);
        let file = path(dir.path(), REPOSITORY);
        let mut bytes = fs::read(&file).unwrap();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = bytes.len();
        bytes.truncate(cut.map_or(whole, |cut| cut.index(whole + 1)));
        let is_cut = bytes.len() < whole;
        bytes.extend(tail);
        fs::write(&file, &bytes).unwrap();
        let seen = open(dir.path());
        for n in 5..50 {
            prop_assert!(!seen.is_there(Kind::Manifest, &digest(&n.to_string())));
        }
        let known = seen.state().manifests.len();
        prop_assert!(known <= 5, "{known}");
        prop_assert!(is_cut || !seen.is_there(Kind::Manifest, &digest("4")), "a damaged line may be the one that took it back");
    }

    #[test]
    fn lines_of_any_kind_are_taken_or_left(line in "[mbt-]? ?[0-9]{0,21} ?(sha256:)?[0-9a-f]{0,70} ?[ -~]{0,9}") {
        let mut state = State::default();
        let _ = state.take(&line, DAY, 1_800_000_000);
        prop_assert!(state.manifests.len() + state.blobs.len() + state.tags.len() <= 1);
    }
}
