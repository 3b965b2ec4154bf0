//! The targets: bytes in, a number out that stands for the kind of outcome. They panic where a promise is broken.

use std::hash::{DefaultHasher, Hasher as _};

use polyarch_registry::client::{Challenge, pages, select_challenge};
use polyarch_registry::oci::{Digest, ImageConfig, Manifest, RawManifest, Reference, media_type};
use polyarch_registry::verify;
use serde_json::json;

/// Something that is fuzzed.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the format.
    pub words: &'static [&'static str],
    /// Executes one input and returns what stands for the kind of outcome.
    pub run: fn(&[u8]) -> u64,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "reference", seeds: reference_seeds, words: REFERENCE_WORDS, run: reference },
    Target { name: "digest", seeds: digest_seeds, words: &["sha256:", "sha512:", "+b64u"], run: digest },
    Target { name: "challenge", seeds: challenge_seeds, words: CHALLENGE_WORDS, run: challenge },
    Target { name: "link", seeds: link_seeds, words: &["<", ">", "; rel=\"next\"", "rel=next", ", "], run: link },
    Target { name: "manifest", seeds: manifest_seeds, words: JSON_WORDS, run: manifest },
    Target { name: "index", seeds: index_seeds, words: JSON_WORDS, run: index },
    Target { name: "config", seeds: config_seeds, words: JSON_WORDS, run: config },
    Target { name: "tar", seeds: tar_seeds, words: TAR_WORDS, run: tar },
];

const REFERENCE_WORDS: &[&str] = &["docker.io/", "localhost:5000/", "[::1]:5000/", "@sha256:", ":latest", "__", "//"];
const CHALLENGE_WORDS: &[&str] = &["Bearer ", "Basic ", "realm=", "service=", "scope=", "\"", ", ", "\\"];
const JSON_WORDS: &[&str] = &[
    "null",
    "[]",
    "{}",
    "\"\"",
    "\"digest\":",
    "\"size\":",
    "\"mediaType\":",
    "\"manifests\":",
    "\"layers\":",
    "\"config\":",
    "\"subject\":",
    "\"platform\":",
    "\"annotations\":",
    "\"rootfs\":",
    "\"diff_ids\":",
    "[[[[[[[[",
    "\\u0000",
    "\\ud800",
];
const TAR_WORDS: &[&str] =
    &["ustar\0", "ustar  \0", "11 path=x\n", "19 size=8589934592\n", "././@LongLink", "00000000000\0"];
const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Stands for an outcome by its parts.
fn kind(parts: impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// The first words of a message: what comes after them is the input again.
fn head(message: &str) -> String {
    message.split(['"', '`', '\'']).next().unwrap_or_default().chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn reference_seeds() -> Vec<Vec<u8>> {
    let long = format!("localhost:5000/a/b:tag@sha256:{HEX}");
    ["hello", "library/hello:1", "ghcr.io/Team/x", "[::1]:5000/x", long.as_str()].map(|s| s.as_bytes().to_vec()).into()
}

/// Image references.
pub fn reference(input: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    match text.parse::<Reference>() {
        Ok(parsed) => {
            let again: Reference = parsed.to_string().parse().expect("what was written is read");
            assert_eq!(again, parsed);
            assert!(!parsed.host().is_empty() && !parsed.host().contains(['/', '@']));
            assert!(!parsed.repository().split('/').any(|part| matches!(part, "" | "." | "..")));
            kind((parsed.tag().is_some(), parsed.digest().is_some(), parsed.repository().matches('/').count()))
        }
        Err(error) => {
            assert!(error.at <= text.len() && text.is_char_boundary(error.at), "{error:?}");
            kind(head(&error.reason))
        }
    }
}

fn digest_seeds() -> Vec<Vec<u8>> {
    vec![format!("sha256:{HEX}").into(), format!("sha512:{HEX}{HEX}").into(), b"x+y:abc=_-".to_vec()]
}

/// Digests.
pub fn digest(input: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    match text.parse::<Digest>() {
        Ok(digest) => {
            assert_eq!(digest.to_string(), text);
            assert!(!digest.encoded().contains(['/', '.', '\\', '\0']), "it is a file's name");
            kind((digest.algorithm().as_str().len(), digest.hasher().is_ok()))
        }
        Err(error) => kind(head(&error.to_string())),
    }
}

fn challenge_seeds() -> Vec<Vec<u8>> {
    [
        r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull""#,
        r#"Basic realm="x", Bearer realm="https://a/\"t""#,
        "Negotiate",
    ]
    .map(|s| s.as_bytes().to_vec())
    .into()
}

/// `WWW-Authenticate`, one value a line.
pub fn challenge(input: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    match select_challenge(text.lines()) {
        Some(Challenge::Bearer { realm, service }) => {
            assert!(!realm.is_empty() && realm.len() <= text.len() && !realm.chars().any(char::is_control));
            kind((1, realm.len().min(64), service.is_some()))
        }
        Some(Challenge::Basic) => 2,
        None => kind((3, text.matches('=').count().min(16), text.matches('"').count().min(16))),
    }
}

fn link_seeds() -> Vec<Vec<u8>> {
    [r#"</v2/x/tags/list?last=b&n=2>; rel="next""#, "</a>; rel=prev, </b>; rel=next"]
        .map(|s| s.as_bytes().to_vec())
        .into()
}

/// `Link`.
pub fn link(input: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    match pages::next_link(text) {
        Some(target) => {
            assert!(text.contains(target) && !target.contains('>'));
            kind((1, target.len().min(64), text.matches('<').count().min(16)))
        }
        None => kind((2, text.matches('<').count().min(16), text.matches('>').count().min(16))),
    }
}

fn descriptor(media_type: &str) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{HEX}"), "size": 7, "annotations": { "a": "b" } })
}

fn manifest_seeds() -> Vec<Vec<u8>> {
    [(media_type::OCI_MANIFEST, media_type::OCI_CONFIG), (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG)]
        .map(|(own, config)| {
            let layers = [descriptor(media_type::OCI_LAYER_GZIP)];
            let subject = descriptor(media_type::OCI_MANIFEST);
            let body = json!({
                "schemaVersion": 2, "mediaType": own, "config": descriptor(config), "layers": layers,
                "subject": subject, "artifactType": "a/b", "annotations": { "k": "v" },
            });
            body.to_string().into_bytes()
        })
        .into()
}

fn index_seeds() -> Vec<Vec<u8>> {
    [media_type::OCI_INDEX, media_type::DOCKER_LIST]
        .map(|own| {
            let mut child = descriptor(media_type::OCI_MANIFEST);
            child["platform"] = json!({ "os": "linux", "architecture": "arm", "variant": "v7", "os.features": ["x"] });
            json!({ "schemaVersion": 2, "mediaType": own, "manifests": [child] }).to_string().into_bytes()
        })
        .into()
}

fn parse_as(types: [&str; 2], input: &[u8]) -> u64 {
    let outcomes = types.map(|outer| match Manifest::parse(outer, input) {
        Ok(view) => {
            let raw = RawManifest::new(outer, input.to_vec());
            assert_eq!(&raw.bytes()[..], input);
            assert_eq!(raw.view().ok().as_ref(), Some(&view), "the same bytes are read the same");
            for reference in view.references() {
                assert_eq!(reference.digest.to_string().parse().ok().as_ref(), Some(&reference.digest));
            }
            kind((view.references().len().min(16), view.subject().is_some()))
        }
        Err(error) => kind((head(&error.to_string()), std::error::Error::source(&error).map(|e| head(&e.to_string())))),
    });
    kind(outcomes)
}

/// Image manifests of both formats.
pub fn manifest(input: &[u8]) -> u64 {
    parse_as([media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST], input)
}

/// Indexes and manifest lists.
pub fn index(input: &[u8]) -> u64 {
    parse_as([media_type::OCI_INDEX, media_type::DOCKER_LIST], input)
}

fn config_seeds() -> Vec<Vec<u8>> {
    let body = json!({
        "os": "linux", "architecture": "arm64", "variant": "v8", "os.version": "1", "created": "2024-01-01T00:00:00Z",
        "config": { "Env": ["A=b"], "Healthcheck": { "Test": ["NONE"] } }, "history": [{ "created_by": "x", "empty_layer": true }],
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{HEX}")] },
    });
    vec![body.to_string().into_bytes()]
}

/// Image configurations.
pub fn config(input: &[u8]) -> u64 {
    match ImageConfig::parse(input) {
        Ok(config) => kind(format!("{config:?}").len().min(2048)),
        Err(error) => kind(head(&error.to_string())),
    }
}

/// An archive of one file, by hand: the writer of archives is not what is tested.
fn tar_seeds() -> Vec<Vec<u8>> {
    let entry = |name: &str, kind: u8, content: &[u8]| {
        let mut block = [0_u8; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..108].copy_from_slice(b"0000644\0");
        block[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut bytes = block.to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    };
    let end = vec![0_u8; 1024];
    vec![
        [entry("file", b'0', b"hello"), end.clone()].concat(),
        [entry("pax", b'x', b"11 path=x\n"), entry("dir/", b'5', b""), end.clone()].concat(),
        [entry("././@LongLink", b'L', b"a/long/name\0"), entry("link", b'2', b""), end].concat(),
    ]
}

/// The walk over a layer's archive. Checksums are made right for half of the inputs, or few would get past them.
pub fn tar(input: &[u8]) -> u64 {
    let plain = verify::walk_tar(input);
    let mut mended = input.to_vec();
    for block in mended.chunks_exact_mut(512) {
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    let outcome = |walked: Result<u64, (u64, &'static str)>| match walked {
        Ok(headers) => {
            assert!(headers <= input.len() as u64 / 512, "{headers} headers in {} bytes", input.len());
            kind((1, headers))
        }
        Err((at, reason)) => {
            assert!(at <= input.len() as u64, "a fault at {at} of {} bytes", input.len());
            kind((2, reason))
        }
    };
    kind((outcome(plain), outcome(verify::walk_tar(&mended))))
}
