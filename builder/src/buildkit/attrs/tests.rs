use std::path::PathBuf;

use super::*;
use crate::request::{CacheSpec, ContextSource, DockerfileSource};

fn request() -> BuildRequest {
    BuildRequest::of(ContextSource::Dir("/src".into()), DockerfileSource::File("/src/Dockerfile".into()))
}

fn arm() -> Platform {
    Platform::new("linux", "arm", Some("v7"))
}

fn digest() -> Digest {
    Digest::sha256(b"x")
}

/// Asserts the attributes besides `platform` and `filename`.
fn check(request: &BuildRequest, names: &SessionNames, expected: &[(&str, &str)]) {
    let mut attrs = frontend_attrs(request, &arm(), names).unwrap();
    assert_eq!(attrs.remove("platform").as_deref(), Some("linux/arm/v7"));
    let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    assert_eq!(attrs, expected);
}

fn map(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn a_plain_request_names_the_file_only() {
    check(&request(), &SessionNames::default(), &[("filename", "Dockerfile")]);
}

#[test]
fn every_option_has_buildx_s_spelling() {
    let request = BuildRequest {
        target: Some("final".into()),
        build_args: map(&[("VERSION", "1"), ("SOURCE_DATE_EPOCH", "0")]),
        labels: map(&[("a.b", "c")]),
        no_cache: NoCache::Stages(vec!["one".into(), "two".into()]),
        pull: true,
        attestations: IndexMap::from([
            (AttestationKind::Provenance, "mode=max".to_owned()),
            (AttestationKind::Sbom, String::new()),
        ]),
        add_hosts: vec![("db".into(), "10.0.0.1".into()), ("v6".into(), "::1".into())],
        network: Network::Host,
        shm_size: Some(128 << 20),
        ulimits: vec!["nofile=1024:2048".into(), "core=0".into()],
        ..request()
    };
    let expected = [
        ("add-hosts", "db=10.0.0.1,v6=::1"),
        ("attest:provenance", "mode=max"),
        ("attest:sbom", ""),
        ("build-arg:SOURCE_DATE_EPOCH", "0"),
        ("build-arg:VERSION", "1"),
        ("filename", "Dockerfile"),
        ("force-network-mode", "host"),
        ("image-resolve-mode", "pull"),
        ("label:a.b", "c"),
        ("no-cache", "one,two"),
        ("shm-size", "134217728"),
        ("target", "final"),
        ("ulimit", "nofile=1024:2048,core=0"),
    ];
    check(&request, &SessionNames::default(), &expected);
}

#[test]
fn no_cache_for_everything_is_an_empty_value() {
    let request = BuildRequest { no_cache: NoCache::All, network: Network::None, ..request() };
    let expected = [("filename", "Dockerfile"), ("force-network-mode", "none"), ("no-cache", "")];
    check(&request, &SessionNames::default(), &expected);
}

#[test]
fn a_pinned_frontend_is_the_gateways() {
    let request = BuildRequest { frontend: Some("docker/dockerfile:1@sha256:00".into()), ..request() };
    let expected = [
        ("cmdline", "docker/dockerfile:1@sha256:00"),
        ("filename", "Dockerfile"),
        ("source", "docker/dockerfile:1@sha256:00"),
    ];
    check(&request, &SessionNames::default(), &expected);
}

#[test]
fn entitlements_are_sorted_and_host_network_implies_its_own() {
    let allow = vec!["security.insecure".to_owned(), "network.host".to_owned()];
    let request = BuildRequest { network: Network::Host, allow, ..request() };
    assert_eq!(entitlements(&request), ["network.host", "security.insecure"]);
}

#[test]
fn the_dockerfile_of_a_fetched_context_is_in_it_unless_given() {
    let git = ContextSource::Git("https://example.com/a.git#main".into());
    let names = SessionNames { context_upload: Some("u1".into()), ..SessionNames::default() };
    let inside = DockerfileSource::InContext("docker/Dockerfile".into());
    let with = |context: &ContextSource, dockerfile| BuildRequest { context: context.clone(), dockerfile, ..request() };
    check(
        &with(&git, inside),
        &names,
        &[("context", "https://example.com/a.git#main"), ("filename", "docker/Dockerfile")],
    );
    let tar = ContextSource::Tar("/spool".into());
    let expected =
        [("context", "http://buildkit-session/u1"), ("dockerfilekey", "dockerfile"), ("filename", "Dockerfile")];
    check(&with(&tar, DockerfileSource::Text(vec![])), &names, &expected);
}

#[test]
fn named_contexts_of_every_kind() {
    let layout = |reference: Option<&str>| ContextSource::OciLayout {
        path: PathBuf::from("/l"),
        reference: reference.map(str::to_owned),
    };
    let digest = digest();
    let key = |key: &str| LayoutName { key: key.into(), digest: digest.clone() };
    let names = SessionNames {
        layouts: BTreeMap::from([("tagged".into(), key("k1")), ("plain".into(), key("k2"))]),
        ..SessionNames::default()
    };
    let request = BuildRequest {
        build_contexts: IndexMap::from([
            ("docs".into(), ContextSource::Dir("/docs".into())),
            ("context".into(), ContextSource::Dir("/c".into())),
            ("alpine".into(), ContextSource::Image("alpine:3.20".into())),
            ("busybox".into(), ContextSource::Image("docker-image://busybox".into())),
            ("src".into(), ContextSource::Git("https://example.com/a.git".into())),
            ("tagged".into(), layout(Some("v1@sha256:00"))),
            ("plain".into(), layout(None)),
            ("base".into(), ContextSource::Verbatim("target:base".into())),
        ]),
        ..request()
    };
    let (tagged, plain) = (format!("oci-layout://k1:v1@{digest}"), format!("oci-layout://k2@{digest}"));
    let expected = [
        ("filename", "Dockerfile"),
        ("context:alpine", "docker-image://alpine:3.20"),
        ("context:base", "target:base"),
        ("context:busybox", "docker-image://busybox"),
        ("context:context", "local:_context"),
        ("context:docs", "local:docs"),
        ("context:plain", plain.as_str()),
        ("context:src", "https://example.com/a.git"),
        ("context:tagged", tagged.as_str()),
    ];
    check(&request, &names, &expected);
}

#[test]
fn local_cache_imports_get_the_digest_the_caller_found() {
    let names = SessionNames { local_caches: BTreeMap::from([("/cache".into(), digest())]), ..SessionNames::default() };
    let spec = |kind: &str, attrs| CacheSpec { kind: kind.into(), attrs: map(attrs) };
    let specs = [spec("registry", &[("ref", "a/b")]), spec("local", &[("src", "/cache")])];
    let json = cache_imports(&specs, &names).unwrap().unwrap();
    let expected = format!(
        r#"[{{"Type":"registry","Attrs":{{"ref":"a/b"}}}},{{"Type":"local","Attrs":{{"digest":"{}","src":"/cache"}}}}]"#,
        digest()
    );
    assert_eq!(json, expected);
    assert_eq!(cache_imports(&[], &names), Ok(None));
}

#[test]
fn what_the_caller_left_unresolved_is_an_error() {
    let none = SessionNames::default();
    let with = |context| BuildRequest { context, ..request() };
    let fails = |request: &BuildRequest| frontend_attrs(request, &arm(), &none).unwrap_err();
    assert_eq!(fails(&with(ContextSource::Tar("/t".into()))), AttrsError::NoUpload);
    assert_eq!(fails(&with(ContextSource::Image("a".into()))), AttrsError::MainContext);
    let layout = ContextSource::OciLayout { path: "/l".into(), reference: None };
    let named = BuildRequest { build_contexts: IndexMap::from([("l".into(), layout)]), ..request() };
    assert_eq!(fails(&named), AttrsError::NoLayout("l".into()));
    let spec = CacheSpec { kind: "local".into(), attrs: map(&[("src", "/c")]) };
    let cached = BuildRequest { cache_from: vec![spec], ..request() };
    assert_eq!(fails(&cached), AttrsError::NoCacheDigest("/c".into()));
}
