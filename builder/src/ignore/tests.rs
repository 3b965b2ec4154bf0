//! The behaviour moby's patternmatcher documents by its own tables, restated.

use proptest::prelude::*;

use super::regex::{Kind, translate};
use super::*;

/// What a pattern does to a path.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Want {
    No,
    Itself,
    ByParent,
}
use Want::{ByParent, Itself, No};

const SINGLE: &[(&str, &str, Want)] = &[
    ("**", "file", Itself),
    ("**", "file/", Itself),
    ("**/", "file", Itself),
    ("**", "/", Itself),
    ("**", "dir/file", Itself),
    ("**/", "dir/file/", Itself),
    ("**/**", "dir/file", Itself),
    ("dir/**", "dir/file", Itself),
    ("dir/**", "dir/dir2/file/", Itself),
    ("**/dir", "dir", Itself),
    ("**/dir", "dir/file", ByParent),
    ("**/dir2/*", "dir/dir2/file", Itself),
    ("**/dir2/*", "dir/dir2/file/", ByParent),
    ("**/dir2/**", "dir/dir2/dir3/file", Itself),
    ("**file", "file", Itself),
    ("**file", "dir/dir/file", Itself),
    ("**/file", "dir/dir/file", Itself),
    ("**/file*", "dir/dir/file.txt", Itself),
    ("**/file*txt", "dir/dir/file.txt", Itself),
    ("**/file*.txt*", "dir/dir/file.txt", Itself),
    ("**/**/*.txt", "dir/dir/file.txt", Itself),
    ("**/**/*.txt2", "dir/dir/file.txt", No),
    ("**/*.txt", "file.txt", Itself),
    ("**/**/*.txt", "file.txt", Itself),
    ("a**/*.txt", "a/file.txt", Itself),
    ("a**/*.txt", "a/dir/dir/file.txt", Itself),
    ("a/*.txt", "a/dir/file.txt", No),
    ("a/*.txt", "a/file.txt", Itself),
    ("a/*.txt**", "a/file.txt", Itself),
    ("a[b-d]e", "ae", No),
    ("a[b-d]e", "ace", Itself),
    ("a[b-d]e", "aae", No),
    ("a[^b-d]e", "aze", Itself),
    (".*", ".foo", Itself),
    (".*", "foo", No),
    ("abc.def", "abcdef", No),
    ("abc.def", "abc.def", Itself),
    ("abc.def", "abcZdef", No),
    ("abc?def", "abcZdef", Itself),
    ("abc?def", "abcdef", No),
    ("**/foo/bar", "foo/bar", Itself),
    ("**/foo/bar", "dir/dir2/foo/bar", Itself),
    ("abc/**", "abc", No),
    ("abc/**", "abc/def/ghi", Itself),
    ("**/.foo", ".foo", Itself),
    ("**/.foo", "bar.foo", No),
    ("a(b)c/def", "a(b)c/def", Itself),
    ("a(b)c/def", "a(b)c/xyz", No),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", Itself),
    ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", Itself),
    ("a\\\\", "a\\", Itself),
    ("a\\*b", "a*b", Itself),
    ("a\\*b", "ab", No),
    ("a*b?c*x", "abxbbxdbxebxczzx", Itself),
    ("a*b?c*x", "abxbbxdbxebxczzy", No),
    ("a?b", "a☺b", Itself),
    ("a[^a]b", "a☺b", Itself),
    ("a???b", "a☺b", No),
    ("[a-ζ]*", "α", Itself),
    ("*[a-ζ]", "A", No),
    ("a?b", "a/b", No),
    ("a*b", "a/b", No),
    ("[\\]a]", "]", Itself),
    ("[\\-x]", "-", Itself),
    ("[\\-x]", "a", No),
    ("*x", "xxx", Itself),
    // The regular expression shows through: these are what moby does, not what a glob would do.
    ("[a*]", "aa]", Itself),
    ("a\\d*", "a7", Itself),
    ("^a*", "ab", Itself),
    ("b^a*", "b^a", No),
    ("docs/", "docs/a", ByParent),
    ("./docs//x/..", "docs/y/z", ByParent),
    ("  docs  ", "docs", Itself),
];

#[test]
fn matches_paths_and_parents() {
    for &(pattern, path, want) in SINGLE {
        let set = PatternSet::new(&[pattern]).unwrap();
        assert_eq!(set.matches_exact(path), want == Itself, "exact {pattern:?} {path:?}");
        assert_eq!(set.matches_or_parent(path), want != No, "with parents {pattern:?} {path:?}");
        assert_eq!(below(&set, path), want != No, "walking {pattern:?} {path:?}");
    }
}

#[test]
fn later_patterns_override() {
    let cases: &[(&[&str], &str, bool)] = &[
        (&["**", "!util/docker/web"], "util/docker/web/foo", false),
        (&["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", true),
        (&["**", "!dist/*.whl"], "dist/a+b.whl", false),
        (&["!a.go", "*.go"], "a.go", true),
        (&["*.go", "!a.go"], "a.go", false),
        (&["docs", "!docs/README.md"], "docs/README.md", false),
        (&["docs/*", "!docs/README.md"], "docs/README.md", false),
        (&["docs", "  !docs/README.md  "], "docs/other", true),
        (&[], "any/path", false),
        (&["", " "], "any/path", false),
    ];
    for (patterns, path, want) in cases {
        let set = PatternSet::new(patterns).unwrap();
        assert_eq!(set.matches_or_parent(path), *want, "{patterns:?} {path:?}");
        assert_eq!(below(&set, path), *want, "walking {patterns:?} {path:?}");
        assert_eq!(set.matches_below(path, &ParentMatch::default()).0, *want, "no context {patterns:?} {path:?}");
    }
}

#[test]
fn refuses_malformed_patterns() {
    for bad in ["[", "[^", "[^bc", "a[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "\\", "[Local-Only]", "a\\pL*"] {
        assert!(matches!(PatternSet::new(&[bad]), Err(PatternError::Malformed(_))), "{bad}");
    }
    assert!(matches!(PatternSet::new(&["!"]), Err(PatternError::LoneExclamation)));
}

#[test]
fn translates_as_moby_does() {
    for (pattern, kind, regex) in [
        ("*", Kind::Regex, "[^/]*"),
        ("a*/b", Kind::Regex, "a[^/]*/b"),
        ("**", Kind::Suffix, ""),
        ("**/**", Kind::Regex, "(.*/)?.*"),
        ("dir/**", Kind::Prefix, "dir/"),
        ("**/dir", Kind::Suffix, "(.*/)?dir"),
        ("**/dir2/**", Kind::Regex, "(.*/)?dir2/.*"),
        ("**/**/*.txt", Kind::Regex, "(.*/)?(.*/)?[^/]*\\.txt"),
        ("a[b-d]e", Kind::Regex, "a[b-d]e"),
        ("abc.def", Kind::Exact, "abc\\.def"),
        ("**/foo/bar", Kind::Suffix, "(.*/)?foo/bar"),
    ] {
        assert_eq!(translate(pattern), (kind, regex.to_owned()), "{pattern}");
    }
}

#[test]
fn reads_ignore_files() {
    let text = "\u{feff}test1\r\n/test2\n/a/file/here/\n\n  lastfile \n# comment\n # not a comment\n! /inverted/abs\n!\n! \n/\n.//x";
    let want = ["test1", "test2", "a/file/here", "lastfile", "# not a comment", "!inverted/abs", "!", "!", "/", "x"];
    assert_eq!(parse_ignore_file(text.as_bytes()), want);
}

/// Matches the way a walk does, directory by directory.
fn below(set: &PatternSet, path: &str) -> bool {
    let mut parent = ParentMatch::default();
    for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
        parent = set.matches_below(&path[..at], &parent).1;
    }
    set.matches_below(path, &parent).0
}

#[test]
fn hostile_patterns_cost_linear_time_per_character() {
    let set = PatternSet::new(&[format!("{}b", "a*".repeat(2000)), "**/".repeat(2000) + "*x"]).unwrap();
    assert!(!set.matches_exact(&"a".repeat(2000)));
    assert!(!set.matches_exact(&"a/".repeat(1000)));
}

proptest! {
    #[test]
    fn never_panics(patterns in prop::collection::vec("\\PC{0,12}", 0..4), path in "\\PC{0,20}") {
        if let Ok(set) = PatternSet::new(&patterns) {
            set.matches_or_parent(&path);
            below(&set, &path);
        }
    }

    #[test]
    fn walking_agrees_with_asking_directly(
        patterns in prop::collection::vec("!?[ab*/?]{1,6}", 1..5),
        path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        // A walk sees a file that appears after an exception exactly as BuildKit's walk does: the two questions
        // differ only where an exception names a parent, so compare sets without exceptions.
        let plain: Vec<_> = patterns.iter().map(|p| p.trim_start_matches('!').to_owned()).collect();
        if let Ok(set) = PatternSet::new(&plain) {
            prop_assert_eq!(below(&set, &path), set.matches_or_parent(&path));
        }
    }

    #[test]
    fn literal_paths_match_themselves(path in "[a-z.+(){}]{1,8}(/[a-z]{1,4}){0,2}") {
        let cleaned = clean(&path);
        prop_assert!(PatternSet::new(&[&path]).unwrap().matches_exact(&cleaned));
    }

    #[test]
    fn ignore_files_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        parse_ignore_file(&bytes);
    }
}
