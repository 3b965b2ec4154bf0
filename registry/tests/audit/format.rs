//! Whether clients can read it.

use polyarch_registry::audit::{Expectations, Finding};
use polyarch_registry::oci::index_builder::{ATTESTATION_MANIFEST, REFERENCE_DIGEST, REFERENCE_TYPE};
use polyarch_registry::oci::media_type;
use polyarch_registry::store::BlobStoreExt as _;
use polyarch_testkit::Specimen;
use polyarch_testkit::layer::Layer;
use serde_json::{Value, json};

use crate::specimens::Case;
use crate::{BOTH, audit, audit_with, brief};

pub(crate) fn specimens() -> Vec<Case> {
    let plain = |id, specimen| (id, specimen, Expectations::default());
    vec![
        plain("mixed-media-types", docker_child()),
        plain("ambiguous-manifest", manifest(|manifest| manifest["manifests"] = json!([]))),
        plain("media-type-mismatch", listed_as(media_type::OCI_INDEX)),
        plain("unreadable-manifest", manifest(|manifest| manifest["layers"] = json!("none"))),
        plain("unreadable-config", config(|config| config["rootfs"]["type"] = json!("vm"))),
        plain("schema1-manifest", schema1_child()),
        plain("unknown-manifest-type", listed_as("application/vnd.example.thing+json")),
        plain("nested-index", nested()),
        plain("too-many-manifests", crowded()),
        plain("docker-zstd-layer", docker_image(media_type::DOCKER_LAYER_ZSTD)),
        plain("unknown-layer-type", layer_type("application/vnd.oci.image.layer.v1.tar+bzip2")),
        plain("layer-count-mismatch", config(|config| pop(&mut config["rootfs"]["diff_ids"]))),
        plain("history-mismatch", config(|config| pop(&mut config["history"]))),
        plain("windows-os-version", windows(without_version)),
    ]
}

/// Spoils the manifest of arm64.
fn manifest(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Specimen {
    Specimen::healthy(&BOTH).part(1, |part| part.manifest(edit))
}

/// Spoils the configuration of arm64.
fn config(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Specimen {
    Specimen::healthy(&BOTH).part(1, |part| part.config(edit))
}

/// Lists arm64 as another type than it is.
fn listed_as(media_type: &'static str) -> Specimen {
    Specimen::healthy(&BOTH).part(1, |part| part.entry(move |entry| entry["mediaType"] = json!(media_type)))
}

fn layer_type(media_type: &'static str) -> Specimen {
    manifest(move |manifest| manifest["layers"][1]["mediaType"] = json!(media_type))
}

fn pop(list: &mut Value) {
    list.as_array_mut().unwrap().pop();
}

/// Makes a manifest and all it names Docker's.
fn docker(manifest: &mut Value) {
    manifest["mediaType"] = json!(media_type::DOCKER_MANIFEST);
    manifest["config"]["mediaType"] = json!(media_type::DOCKER_CONFIG);
    for layer in manifest["layers"].as_array_mut().unwrap() {
        layer["mediaType"] = json!(media_type::DOCKER_LAYER_GZIP);
    }
}

fn docker_child() -> Specimen {
    Specimen::healthy(&BOTH).part(1, |part| part.manifest(docker))
}

/// An image of Docker's types throughout, its last layer of this one.
fn docker_image(layer: &'static str) -> Specimen {
    let all = [0, 1].into_iter().fold(Specimen::healthy(&BOTH), |specimen, number| {
        specimen.part(number, |part| {
            part.manifest(move |manifest| {
                docker(manifest);
                if number == 1 {
                    manifest["layers"][1]["mediaType"] = json!(layer);
                }
            })
        })
    });
    all.index(|index| index["mediaType"] = json!(media_type::DOCKER_LIST))
}

fn schema1_child() -> Specimen {
    listed_as("application/vnd.docker.distribution.manifest.v1+prettyjws")
}

/// The place of arm64 is taken by an index.
fn nested() -> Specimen {
    manifest(|manifest| *manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []}))
}

fn crowded() -> Specimen {
    Specimen::healthy(&BOTH).index(|index| {
        let mut entry = index["manifests"][0].clone();
        // Attestations are no platforms, however many there are.
        entry["platform"] = json!({"architecture": "unknown", "os": "unknown"});
        entry["annotations"] = json!({REFERENCE_TYPE: ATTESTATION_MANIFEST, REFERENCE_DIGEST: entry["digest"]});
        entry["mediaType"] = json!(media_type::OCI_MANIFEST);
        let many = index["manifests"].as_array_mut().unwrap();
        many.extend(std::iter::repeat_n(entry, 2100));
    })
}

fn windows(change: impl FnOnce(polyarch_testkit::specimen::Part) -> polyarch_testkit::specimen::Part) -> Specimen {
    Specimen::healthy(&["linux/amd64", "windows(10.0.20348.1)/amd64"]).part(1, |part| {
        change(part.layers(vec![Layer::new().file("Files/hello.exe", "MZ")]).config(|config| {
            config["config"]["User"] = json!("ContainerUser");
            config["config"]["Entrypoint"] = json!(["hello.exe"]);
        }))
    })
}

fn without_version(part: polyarch_testkit::specimen::Part) -> polyarch_testkit::specimen::Part {
    part.entry(|entry| {
        entry["platform"].as_object_mut().unwrap().remove("os.version");
    })
}

async fn findings(specimen: &Specimen) -> Vec<Finding> {
    audit(specimen).await.findings
}

#[tokio::test]
async fn one_family_of_media_types_is_healthy_whichever_it_is() {
    assert_eq!(brief(&findings(&docker_image(media_type::DOCKER_LAYER_GZIP)).await), []);
    assert_eq!(brief(&findings(&windows(|part| part)).await), []);
    assert_eq!(brief(&findings(&layer_type(media_type::OCI_LAYER_ZSTD)).await), []);
}

#[tokio::test]
async fn mixed_families_are_told_by_index_and_by_manifest() {
    let found = findings(&docker_child()).await;
    assert_eq!(brief(&found), [("mixed-media-types", "warning", "-")]);
    assert_eq!(found[0].message, "an OCI index with 1 Docker manifest");

    let layer = layer_type(media_type::DOCKER_LAYER_GZIP);
    let found = findings(&layer).await;
    assert_eq!(brief(&found), [("mixed-media-types", "warning", "linux/arm64")]);
    assert_eq!(found[0].message, "an OCI manifest with 1 Docker part");
}

#[tokio::test]
async fn documents_that_cannot_be_read_say_why() {
    let cases = [
        (manifest(|manifest| manifest["manifests"] = json!([])), "ambiguous-manifest", "both"),
        (manifest(|manifest| *manifest = json!([])), "unreadable-manifest", "not valid JSON of its type"),
        (listed_as(media_type::OCI_INDEX), "media-type-mismatch", "but came as"),
        (config(|config| *config = json!("none")), "unreadable-config", "not valid JSON of its type"),
        (config(|config| config["config"]["Env"] = json!(7)), "unreadable-config", "invalid type"),
        (config(|config| config["rootfs"]["type"] = json!("vm")), "unreadable-config", "\"vm\""),
    ];
    for (specimen, rule, words) in cases {
        let found = findings(&specimen).await;
        assert_eq!(brief(&found), [(rule, "error", "linux/arm64")], "{words}");
        assert!(found[0].message.contains(words), "{}", found[0].message);
    }
}

#[tokio::test]
async fn an_attestation_nobody_runs_may_not_be_a_configuration_either() {
    let specimen = Specimen::healthy(&BOTH).attested().part(3, |part| {
        part.manifest(|manifest| manifest["config"]["mediaType"] = json!(media_type::OCI_EMPTY))
            .manifest(|manifest| manifest["artifactType"] = json!("application/vnd.in-toto+json"))
    });
    assert_eq!(brief(&findings(&specimen).await), []);
}

#[tokio::test]
async fn schema_1_is_told_by_its_type_and_by_its_fields() {
    assert_eq!(brief(&findings(&schema1_child()).await), [("schema1-manifest", "error", "linux/arm64")]);
    let root = |media_type: &str| {
        let body = json!({"schemaVersion": 1, "name": "app", "tag": "1", "fsLayers": [], "history": []});
        let mut built = polyarch_testkit::specimen::Built {
            store: Default::default(),
            root: polyarch_registry::oci::RawManifest::new(media_type, body.to_string()),
            parts: Vec::new(),
        };
        built.parts.push(built.root.clone());
        built
    };
    for media_type in ["application/vnd.docker.distribution.manifest.v1+json", "", "application/json"] {
        let found = audit_with(&root(media_type), Expectations::default(), Default::default()).await.findings;
        assert_eq!(brief(&found), [("schema1-manifest", "error", "-")], "{media_type}");
    }
}

#[tokio::test]
async fn unknown_documents_are_an_error_only_where_a_tag_leads_to_them() {
    let child = findings(&listed_as("application/vnd.example.thing+json")).await;
    assert_eq!(brief(&child), [("unknown-manifest-type", "info", "linux/arm64")]);
    let mut built = Specimen::healthy(&BOTH).build().await;
    built.root = polyarch_registry::oci::RawManifest::new("application/vnd.example.thing+json", "{}");
    let root = audit_with(&built, Expectations::default(), Default::default()).await.findings;
    assert_eq!(brief(&root), [("unknown-manifest-type", "error", "-")]);
}

/// An index that lists a child index of four thousand entries four thousand times.
#[tokio::test]
async fn an_index_that_is_named_often_is_opened_once() {
    let many = |entry: serde_json::Value, count: usize| {
        let list: Vec<_> = std::iter::repeat_n(entry, count).collect();
        let text = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": list}).to_string();
        polyarch_registry::oci::RawManifest::new(media_type::OCI_INDEX, text)
    };
    let mut built = Specimen::healthy(&BOTH).build().await;
    let inner = many(json!({"mediaType": "x/y", "digest": built.root.digest(), "size": 1}), 4000);
    built.store.put_bytes(inner.bytes().clone()).await.unwrap();
    built.root = many(serde_json::to_value(inner.descriptor()).unwrap(), 4000);
    let report = audit_with(&built, Expectations::default(), Default::default()).await;
    assert!(report.findings.iter().any(|one| one.rule == "too-many-manifests"), "{:?}", report.findings.len());
}

#[tokio::test]
async fn what_is_nested_or_too_much_is_reported_once() {
    let found = findings(&nested()).await;
    assert_eq!(brief(&found), [("nested-index", "warning", "linux/arm64")]);
    let found = findings(&crowded()).await;
    assert_eq!(brief(&found), [("too-many-manifests", "error", "-")]);
    assert!(found[0].message.starts_with("55 entries were not read"), "{}", found[0].message);
}

#[tokio::test]
async fn layers_clients_do_not_unpack_are_named_by_number() {
    let found = findings(&layer_type("application/vnd.oci.image.layer.v1.tar+bzip2")).await;
    assert_eq!(brief(&found), [("unknown-layer-type", "error", "linux/arm64")]);
    assert_eq!(found[0].message, "layer 2 is of the type \"application/vnd.oci.image.layer.v1.tar+bzip2\"");
    let found = findings(&layer_type("application/vnd.oci.image.layer.v1.tar+gzip+encrypted")).await;
    assert_eq!(brief(&found), [("unknown-layer-type", "info", "linux/arm64")]);
    let found = findings(&docker_image(media_type::DOCKER_LAYER_ZSTD)).await;
    assert_eq!(brief(&found), [("docker-zstd-layer", "warning", "linux/arm64")]);
}

#[tokio::test]
async fn layers_diff_ids_and_history_must_be_as_many() {
    let found = findings(&config(|config| pop(&mut config["rootfs"]["diff_ids"]))).await;
    assert_eq!(brief(&found), [("layer-count-mismatch", "error", "linux/arm64")]);
    assert_eq!(found[0].message, "2 layers, but 1 diff_id");
    let found = findings(&config(|config| pop(&mut config["history"]))).await;
    assert_eq!(brief(&found), [("history-mismatch", "warning", "linux/arm64")]);
    let found = findings(&config(|config| config["history"] = Value::Null)).await;
    assert_eq!(brief(&found), [("history-mismatch", "info", "linux/arm64")]);
    let empty = config(|config| {
        config["history"].as_array_mut().unwrap().push(json!({"created_by": "ENV A=b", "empty_layer": true}));
    });
    assert_eq!(brief(&findings(&empty).await), []);
}

#[tokio::test]
async fn a_windows_image_says_its_version_in_both_places() {
    let found = findings(&windows(without_version)).await;
    assert_eq!(brief(&found), [("windows-os-version", "warning", "windows/amd64")]);
    assert_eq!(found[0].message, "the index names no os.version; the configuration says 10.0.20348.1");
    let silent = windows(|part| part.config(|config| config["os.version"] = Value::Null));
    assert_eq!(brief(&findings(&silent).await), [("windows-os-version", "warning", "windows(10.0.20348.1)/amd64")]);
}

#[tokio::test]
async fn a_type_that_only_the_answer_lacks_is_taken_from_the_manifest() {
    let built = Specimen::healthy(&BOTH).lone().build().await;
    let body = built.root.bytes().clone();
    let server = polyarch_testkit::script::Server::start(move |_| {
        polyarch_testkit::script::Reply::body(200, "application/json", body.clone())
    });
    let server = server.await;
    let reference = server.reference("team/app:1");
    let job = polyarch_registry::audit::Job::Repository { repository: reference, tags: Some(vec!["1".to_owned()]) };
    let auditor = polyarch_registry::audit::Auditor::new(
        polyarch_testkit::script::client(),
        None,
        Default::default(),
        Default::default(),
    );
    let report = auditor.run(vec![job], &|_| ()).await;
    // The server answers every request with the manifest, so that only the configuration is wrong.
    let rules: Vec<&str> = report.images[0].findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert!(!rules.contains(&"media-type-mismatch") && !rules.contains(&"unknown-manifest-type"), "{rules:?}");
    assert_eq!(report.images[0].platforms.len(), 1);
}
