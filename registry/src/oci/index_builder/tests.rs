use proptest::prelude::*;

use super::*;
use crate::oci::{ImageIndex, Manifest};

fn child(format: Format, text: &str) -> Descriptor {
    Descriptor::new(format.manifest(), Digest::sha256(text), text.len() as u64)
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn view(raw: &RawManifest) -> ImageIndex {
    match raw.view() {
        Ok(Manifest::Index(index)) => index,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_are_known() {
    let windows =
        Platform { os_version: Some("10.0.1".into()), os_features: vec!["win32k".into()], ..platform("windows/amd64") };
    let image = child(Format::Oci, "a");
    let raw = IndexBuilder::new(Format::Oci)
        .annotations([("z".into(), "1".into()), ("a".into(), "2".into())])
        .attestation(child(Format::Oci, "att"), &image.digest)
        .image(image.clone(), windows)
        .build()
        .unwrap();
    let (a, att) = (Digest::sha256("a"), Digest::sha256("att"));
    let want = format!(
        concat!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":["#,
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{a}","size":1,"#,
            r#""platform":{{"architecture":"amd64","os":"windows","os.version":"10.0.1","os.features":["win32k"]}}}},"#,
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{att}","size":3,"#,
            r#""platform":{{"architecture":"unknown","os":"unknown"}},"#,
            r#""annotations":{{"vnd.docker.reference.digest":"{a}","vnd.docker.reference.type":"attestation-manifest"}}}}],"#,
            r#""annotations":{{"a":"2","z":"1"}}}}"#
        ),
        a = a,
        att = att
    );
    assert_eq!(std::str::from_utf8(raw.bytes()).unwrap(), want);
}

#[test]
fn a_docker_list_says_everything_it_cannot_hold() {
    let mut annotated = child(Format::Docker, "a");
    annotated.annotations.insert("k".into(), "v".into());
    annotated.artifact_type = Some("x/y".into());
    let oci = child(Format::Oci, "b");
    let attestation = child(Format::Docker, "att");
    let problems = IndexBuilder::new(Format::Docker)
        .annotations([("title".into(), "x".into())])
        .image(annotated.clone(), platform("linux/amd64"))
        .image(oci.clone(), platform("linux/arm64"))
        .attestation(attestation.clone(), &oci.digest)
        .build()
        .unwrap_err();
    let want = [
        IndexProblem::ChildType { child: oci.digest, media_type: oci.media_type, index: media_type::DOCKER_LIST },
        IndexProblem::IndexAnnotation { key: "title".into() },
        IndexProblem::DescriptorAnnotation { child: annotated.digest.clone(), key: "k".into() },
        IndexProblem::Artifact { child: annotated.digest },
        IndexProblem::Artifact { child: attestation.digest },
    ];
    assert_eq!(problems, want);
}

#[test]
fn a_plain_docker_list_is_fine() {
    let list = IndexBuilder::new(Format::Docker)
        .image(child(Format::Docker, "a"), platform("linux/amd64"))
        .image(child(Format::Docker, "b"), platform("linux/arm/v6"))
        .build()
        .unwrap();
    assert_eq!(list.media_type(), media_type::DOCKER_LIST);
    let platforms: Vec<_> =
        view(&list).manifests.into_iter().map(|child| child.platform.unwrap().to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm/v6"]);
}

#[test]
fn refuses_nonsense() {
    let duplicate = IndexBuilder::new(Format::Oci)
        .image(child(Format::Oci, "a"), platform("linux/arm64"))
        .image(child(Format::Oci, "b"), Platform { variant: Some("v8".into()), ..platform("linux/arm64") })
        .build();
    let (first, second) = (Digest::sha256("a"), Digest::sha256("b"));
    assert_eq!(
        duplicate,
        Err(vec![IndexProblem::DuplicatePlatform { platform: platform("linux/arm64"), first, second }])
    );

    let gone = Digest::sha256("gone");
    let orphan = IndexBuilder::new(Format::Oci).attestation(child(Format::Oci, "a"), &gone).build();
    let want = IndexProblem::OrphanAttestation { child: Digest::sha256("a"), subject: Some(gone.to_string()) };
    assert_eq!(orphan, Err(vec![IndexProblem::Empty, want]));

    let nested = IndexBuilder::new(Format::Oci)
        .image(Descriptor::new(media_type::OCI_INDEX, Digest::sha256("i"), 1), platform("linux/amd64"))
        .build();
    assert!(matches!(nested.unwrap_err()[..], [IndexProblem::ChildType { .. }]));
}

#[test]
fn windows_versions_are_different_platforms() {
    let with = |version: &str| Platform { os_version: Some(version.into()), ..platform("windows/amd64") };
    let built = IndexBuilder::new(Format::Oci)
        .image(child(Format::Oci, "a"), with("10.0.1"))
        .image(child(Format::Oci, "b"), with("10.0.2"))
        .build();
    assert!(built.is_ok(), "{built:?}");
}

fn any_platform() -> impl Strategy<Value = Platform> {
    (
        "linux|windows|freebsd",
        "amd64|arm64|arm|386|riscv64|s390x",
        proptest::option::of("v[5-9]"),
        proptest::option::of("[0-9.]{1,6}"),
    )
        .prop_map(|(os, arch, variant, os_version)| Platform {
            os_version,
            ..Platform::new(&os, &arch, variant.as_deref())
        })
}

proptest! {
    /// Order and platforms survive, equal input gives equal bytes, and the order of annotations does not matter.
    #[test]
    fn is_deterministic(platforms in proptest::collection::btree_set(any_platform(), 1..8), keys in proptest::collection::btree_map("[a-z.]{1,8}", "\\PC{0,8}", 0..5)) {
        let platforms: Vec<Platform> = platforms.into_iter().map(|platform| platform.normalize()).collect();
        let build = |annotations: Vec<(String, String)>| {
            let start = IndexBuilder::new(Format::Oci).annotations(annotations);
            let add = |index: IndexBuilder, (i, platform): (usize, &Platform)| {
                let image = child(Format::Oci, &i.to_string());
                let attestation = child(Format::Oci, &format!("att{i}"));
                index.attestation(attestation, &image.digest).image(image, platform.clone())
            };
            platforms.iter().enumerate().fold(start, add).build()
        };
        let raw = build(keys.clone().into_iter().collect());
        prop_assert_eq!(&raw, &build(keys.clone().into_iter().rev().collect()));
        let raw = raw.unwrap();
        let index = view(&raw);
        prop_assert_eq!(&index.annotations, &keys);
        let (images, attestations) = index.manifests.split_at(platforms.len());
        let found: Vec<_> = images.iter().filter_map(|image| image.platform.clone()).collect();
        prop_assert_eq!(found, platforms);
        prop_assert!(attestations.iter().all(|child| child.platform.as_ref().is_some_and(Platform::is_unknown)));
    }
}
