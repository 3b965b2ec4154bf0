use proptest::prelude::*;

use super::*;

fn parts(text: &str) -> (String, String, Option<String>, Option<String>) {
    let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{error}"));
    let digest = reference.digest().map(ToString::to_string);
    (reference.host().to_owned(), reference.repository().to_owned(), reference.tag().map(str::to_owned), digest)
}

#[test]
fn expands_as_docker_does() {
    for (text, host, repository, tag) in [
        ("busybox", "docker.io", "library/busybox", None),
        ("docker.io/busybox:1", "docker.io", "library/busybox", Some("1")),
        ("index.docker.io/busybox", "docker.io", "library/busybox", None),
        ("index.docker.io/me/app", "docker.io", "me/app", None),
        ("me/app:V1", "docker.io", "me/app", Some("V1")),
        ("test.com:5000", "docker.io", "library/test.com", Some("5000")),
        ("localhost", "docker.io", "library/localhost", None),
        ("localhost/a", "localhost", "a", None),
        ("localhost:5000/a/b:_x", "localhost:5000", "a/b", Some("_x")),
        ("reg:5000/a", "reg:5000", "a", None),
        ("Reg.Example.COM/a__b/c---d.e", "Reg.Example.COM", "a__b/c---d.e", None),
        ("my_registry.local:5000/a", "my_registry.local:5000", "a", None),
        ("127.0.0.1:5000/a", "127.0.0.1:5000", "a", None),
        ("[::1]/a", "[::1]", "a", None),
        ("[fd00::1]:5000/a/b:t", "[fd00::1]:5000", "a/b", Some("t")),
    ] {
        let want = (host.to_owned(), repository.to_owned(), tag.map(str::to_owned), None);
        assert_eq!(parts(text), want, "{text}");
    }
}

#[test]
fn keeps_tag_and_digest() {
    let digest = Digest::sha256("x");
    let (_, _, tag, found) = parts(&format!("me/app:1@{digest}"));
    assert_eq!((tag.as_deref(), found), (Some("1"), Some(digest.to_string())));
    let reference: Reference = "me/app".parse().unwrap();
    assert_eq!(reference.or_latest().to_string(), "docker.io/me/app:latest");
    assert_eq!(reference.with_digest(digest.clone()).or_latest().to_string(), format!("docker.io/me/app@{digest}"));
}

#[test]
fn points_at_the_fault() {
    let long_tag = format!("a:{}", "t".repeat(129));
    let long_name = format!("h.io/{}", "a".repeat(256));
    let long_official = "a".repeat(248);
    for (text, at, part) in [
        ("", 0, "name is empty"),
        (":tag", 0, "name is empty"),
        ("h.io/", 5, "name is empty"),
        ("https://h.io/a", 5, "no scheme"),
        ("Hello", 0, "lower case"),
        ("me/aPp:1", 4, "lower case"),
        ("Me/app", 0, "lower case"),
        ("h.io/me/A", 8, "lower case"),
        ("a//b", 2, "is empty"),
        ("a b", 1, "' ' is not allowed"),
        ("me/caf\u{e9}", 6, "'\u{e9}' is not allowed"),
        ("-a", 0, "start and end"),
        ("me/a-", 5, "start and end"),
        ("a___b", 1, "may separate"),
        ("a..b", 1, "may separate"),
        ("a:", 2, "tag is empty"),
        ("a:.x", 2, "must start"),
        ("a:x!", 3, "a tag has"),
        (&long_tag, 130, "longer than 128"),
        (&long_name, 260, "longer than 255"),
        (&long_official, 247, "longer than 255"),
        ("h.io:x/a", 5, "digits only"),
        ("h.io:/a", 5, "port is empty"),
        ("h.io:65536/a", 5, "65535"),
        ("-h.io/a", 0, "part of the host"),
        ("h..io/a", 2, "part of the host"),
        ("h!.io/a", 1, "a host has"),
        ("[::1/a", 4, "missing `]`"),
        ("[::x]/a", 1, "IPv6"),
        ("[::1]5000/a", 5, "expected `:`"),
        ("a@", 2, "digest"),
        ("a:1@sha256:00", 4, "digest"),
    ] {
        let error = text.parse::<Reference>().unwrap_err();
        assert!(error.reason.contains(part), "{text:?}: {error}");
        assert_eq!(error.at, at, "{text:?}: {error}");
    }
}

/// What `oci_client` accepts and we do not; see the comment at `from_str`.
fn is_documented_difference(text: &str, theirs: &oci_client::Reference) -> bool {
    let digest_is_odd = theirs.digest().is_some_and(|digest| digest.parse::<Digest>().is_err());
    // Their `\w` is Unicode; the specification's is not.
    let tag_is_odd = theirs.tag().is_some_and(|tag| !tag.is_ascii());
    let upper_namespace = theirs.repository().contains(|c: char| c.is_ascii_uppercase());
    let port = theirs.registry().split_once(':').map(|(_, port)| port);
    digest_is_odd
        || tag_is_odd
        || upper_namespace
        || port.is_some_and(|port| port.parse::<u16>().is_err())
        || text.is_empty()
}

fn plausible() -> impl Strategy<Value = String> {
    let word =
        "[a-zA-Z0-9_.-]{1,6}|[a-z0-9]{1,4}(\\.|_|__|-{1,3})[a-z0-9]{1,4}|[a-z]{1,5}|localhost|index\\.docker\\.io";
    let host = "([a-zA-Z0-9.-]{1,8}(:[0-9]{1,6})?/)?";
    let tail = "(:[a-zA-Z0-9_.-]{0,9})?(@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128}|@sha384:[0-9a-f]{96})?";
    proptest::string::string_regex(&format!("{host}({word})(/({word})){{0,3}}{tail}")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_oci_client(text in prop_oneof![plausible(), "[a-zA-Z0-9./:@_-]{0,24}", "\\PC{0,20}"]) {
        let ours = text.parse::<Reference>();
        if let Ok(theirs) = text.parse::<oci_client::Reference>() {
            match &ours {
                Ok(ours) => {
                    prop_assert_eq!(ours.host(), theirs.registry());
                    prop_assert_eq!(ours.repository(), theirs.repository());
                    let (ours, digest) = (ours.or_latest(), ours.digest().map(ToString::to_string));
                    prop_assert_eq!(ours.tag(), theirs.tag());
                    prop_assert_eq!(digest.as_deref(), theirs.digest());
                }
                Err(error) => prop_assert!(is_documented_difference(&text, &theirs), "{}", error),
            }
        }
        match ours {
            Ok(reference) => {
                prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
            }
            Err(error) => prop_assert!(text.is_char_boundary(error.at), "{}", error),
        }
    }
}
