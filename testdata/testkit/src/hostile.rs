//! A registry that means harm, or is merely broken: named fault profiles for the scripted [`Server`](crate::script::Server).
//!
//! Each profile answers like a sound registry except for one thing. A test names the profile, talks to it, and asserts
//! exactly what a client must do; the numbers are those of the project's list of faults.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use polyarch_registry::oci::{Descriptor, Digest, RawManifest, media_type};
use serde_json::json;

use crate::script::{Reply, Seen};

/// Number and name of every profile.
pub const PROFILES: &[(u8, &str)] = &[
    (1, "realm-without-tls"),
    (2, "realm-at-cloud-metadata"),
    (3, "realm-at-an-address-in-disguise"),
    (6, "realm-on-another-host"),
    (7, "challenge-for-a-wider-scope"),
    (8, "token-without-end"),
    (10, "redirect-to-another-host"),
    (12, "redirect-in-circles"),
    (13, "redirect-to-link-local"),
    (14, "upload-on-another-host"),
    (15, "upload-locations-of-every-form"),
    (16, "upload-that-moves"),
    (17, "link-to-another-host"),
    (18, "link-in-circles"),
    (19, "manifest-without-end"),
    (21, "manifest-of-other-bytes"),
    (22, "digest-header-that-lies"),
    (23, "tag-that-moves"),
    (24, "index-that-is-an-image"),
    (25, "index-and-image-in-one"),
    (27, "indexes-in-indexes"),
    (29, "digests-that-are-none"),
    (30, "embedded-data-that-lies"),
    (31, "captive-portal"),
    (32, "retry-after-of-every-form"),
    (33, "byte-by-byte"),
    (35, "encoded-bodies"),
    (36, "layer-bomb"),
    (38, "gzip-with-a-tail"),
    (39, "layer-elsewhere"),
    (40, "errors-with-control-characters"),
    (41, "names-with-control-characters"),
    (42, "warnings-without-end"),
    (43, "subject-echoed-without-the-api"),
    (44, "referrers-tag-of-something-else"),
    (45, "referrers-of-something-else"),
    (47, "manifest-rewritten"),
    (49, "children-dropped"),
    (51, "config-of-two-gibibytes"),
];

/// Answers requests.
pub type Script = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// Returns a manifest with a note in it, and nothing else.
pub fn manifest(note: &str) -> RawManifest {
    let empty = Descriptor::new(media_type::OCI_EMPTY, Digest::sha256("{}"), 2);
    let body = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": empty, "layers": [],
        "annotations": { "note": note },
    });
    RawManifest::new(media_type::OCI_MANIFEST, body.to_string())
}

/// Returns an answer with a manifest.
pub fn with_manifest(manifest: &RawManifest) -> Reply {
    Reply::body(200, manifest.media_type(), manifest.bytes().clone())
}

fn with_type(media_type: &str, body: impl Into<Bytes>) -> Reply {
    Reply::body(200, media_type, body)
}

/// The challenge of a registry whose tokens come from `realm`, for a scope nobody asked for.
pub fn challenge(realm: &str) -> Reply {
    let scope = "repository:other:push,pull,delete";
    Reply::status(401).with("www-authenticate", format!(r#"Bearer realm="{realm}",service="svc",scope="{scope}""#))
}

fn own_realm(seen: &Seen) -> Reply {
    challenge(&format!("http://{}/token", seen.header("host").unwrap_or_default()))
}

/// Answers the root as a sound registry does, and everything else by `rest`.
pub fn registry(rest: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Script {
    Box::new(move |seen| if seen.path == "/v2/" { Reply::status(200) } else { rest(seen) })
}

/// A registry that demands a token of `token`, and then has every manifest.
pub fn guarded(token: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Script {
    Box::new(move |seen| match seen.path.starts_with("/token") {
        true => token(seen),
        false if seen.header("authorization").is_some_and(|value| value.starts_with("Bearer ")) => {
            if seen.path == "/v2/" { Reply::status(200) } else { with_manifest(&manifest("x")) }
        }
        false => own_realm(seen),
    })
}

/// A registry whose tokens come from elsewhere.
pub fn realm_at(realm: String) -> Script {
    Box::new(move |seen| match seen.header("authorization") {
        Some(value) if value.starts_with("Bearer ") => with_manifest(&manifest("x")),
        _ => challenge(&realm),
    })
}

/// Returns the answer of a token endpoint.
pub fn token() -> Reply {
    with_type("application/json", r#"{"token":"t","expires_in":300}"#)
}

fn endless(media_type: &str) -> Reply {
    Reply::Endless(vec![("content-type".into(), media_type.into())])
}

fn tags(list: &str) -> Reply {
    with_type("application/json", format!(r#"{{"name":"x","tags":{list}}}"#))
}

/// Returns the script of a profile that needs nothing from its test.
///
/// # Panics
/// If there is no such profile, or its test has to give it something.
pub fn script(name: &str) -> Script {
    assert!(PROFILES.iter().any(|(_, known)| *known == name), "there is no profile {name}");
    match name {
        "challenge-for-a-wider-scope" => guarded(|_| token()),
        "token-without-end" => guarded(|_| endless("application/json")),
        "redirect-in-circles" => registry(|seen| Reply::status(307).with("location", seen.path.clone())),
        "redirect-to-link-local" => {
            registry(|_| Reply::status(307).with("location", "http://169.254.169.254/latest/meta-data"))
        }
        "link-to-another-host" => registry(|_| tags("[\"a\"]").with("link", "<http://127.0.0.2:1/x>; rel=\"next\"")),
        "link-in-circles" => registry(|seen| tags("[\"a\"]").with("link", format!("<{}>; rel=\"next\"", seen.path))),
        "manifest-without-end" => registry(|_| endless(media_type::OCI_MANIFEST)),
        "manifest-of-other-bytes" => registry(|_| with_manifest(&manifest("other"))),
        "digest-header-that-lies" => {
            registry(|_| with_manifest(&manifest("x")).with("docker-content-digest", Digest::sha256("lie").to_string()))
        }
        "tag-that-moves" => moving_tag(),
        "index-that-is-an-image" => registry(|_| with_type(media_type::OCI_INDEX, manifest("x").bytes().clone())),
        "index-and-image-in-one" => registry(|_| with_type(media_type::OCI_INDEX, both_in_one())),
        "captive-portal" => registry(|_| with_type("text/html", "<html>Sign in to \x1b[31mWiFi</html>")),
        "byte-by-byte" => registry(|_| Reply::Drip(vec![], Bytes::from(vec![b'x'; 100]))),
        "encoded-bodies" => registry(|_| with_manifest(&manifest("x")).with("content-encoding", "gzip")),
        "errors-with-control-characters" => registry(|_| {
            let message =
                format!("\u{1b}]52;c;x\u{7}\n::error::owned\r\n::set-output name=x::y{}", "A".repeat(10 << 20));
            let body = json!({ "errors": [{ "code": "DENIED\n::warning::", "message": message }] });
            Reply::body(403, "application/json", body.to_string())
        }),
        "names-with-control-characters" => {
            registry(|_| tags(r#"["good","bad\u001b[2J","new\nline","\u202eabc","../x"]"#))
        }
        "warnings-without-end" => registry(|seen| {
            let text = "w".repeat(8000);
            let reply = with_manifest(&manifest("x")).with("warning", format!("299 - \"{text}\""));
            (0..50).fold(reply, |reply, n| reply.with("warning", format!("299 - \"{n} {}\"", seen.path.len())))
        }),
        "config-of-two-gibibytes" => registry(|_| endless("application/octet-stream")),
        _ => panic!("profile {name} needs something from its test"),
    }
}

/// The tag points at something else each time it is asked for.
fn moving_tag() -> Script {
    let count = AtomicU32::new(0);
    registry(move |_| {
        let manifest = manifest(&count.fetch_add(1, Ordering::SeqCst).to_string());
        with_manifest(&manifest).with("docker-content-digest", manifest.digest().to_string())
    })
}

fn both_in_one() -> String {
    let mut body: serde_json::Value = serde_json::from_slice(manifest("x").bytes()).unwrap();
    body["mediaType"] = media_type::OCI_INDEX.into();
    body["manifests"] = json!([]);
    body.to_string()
}
