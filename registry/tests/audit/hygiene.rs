//! What costs space, time or trust: layers that are empty, twice or elsewhere; descriptors that say too much; size.

use base64::Engine as _;
use polyarch_registry::audit::{Expectations, Finding};
use polyarch_registry::oci::{Digest, media_type};
use polyarch_testkit::Specimen;
use polyarch_testkit::layer::Layer;
use polyarch_testkit::specimen::Part;
use serde_json::{Value, json};

use crate::specimens::Case;
use crate::{BOTH, audit, audit_with, brief};

pub(crate) fn specimens() -> Vec<Case> {
    let plain = |id, specimen| (id, specimen, Expectations::default());
    let wanted = |change: fn(&mut Expectations)| {
        let mut wanted = Expectations::default();
        change(&mut wanted);
        wanted
    };
    vec![
        plain("manifest-too-large", padded(4 << 20)),
        plain("layer-too-large", both(|part| sized(part, 1, 10_000_000_001))),
        plain("too-many-layers", both(|part| repeated(part, 124, 1))),
        plain("foreign-layer", foreign()),
        plain("empty-layer", both(empty)),
        plain("duplicate-layer", both(|part| repeated(part, 1, 5000))),
        plain("artifact-type", artifact(Value::Null)),
        plain("embedded-data", embedded("bm90IGl0")),
        plain("descriptor-urls", manifest(|manifest| manifest["layers"][0]["urls"] = json!(["http://10.0.0.1/x"]))),
        ("image-too-large", Specimen::healthy(&BOTH), wanted(|wanted| wanted.max_image_bytes = Some(100))),
    ]
}

/// Changes both platforms alike.
fn both(change: impl Fn(Part) -> Part) -> Specimen {
    Specimen::healthy(&BOTH).part(0, &change).part(1, &change)
}

/// Spoils the manifest of arm64.
fn manifest(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Specimen {
    Specimen::healthy(&BOTH).part(1, |part| part.manifest(edit))
}

/// Gives a layer another size.
fn sized(part: Part, layer: usize, size: u64) -> Part {
    part.manifest(move |manifest| manifest["layers"][layer]["size"] = json!(size))
}

/// Makes an index of so many bytes and some more.
fn padded(bytes: usize) -> Specimen {
    Specimen::healthy(&BOTH).index(move |index| index["annotations"] = json!({"padding": "x".repeat(bytes)}))
}

/// Names the last layer so many times more, each with this size.
fn repeated(part: Part, times: usize, size: u64) -> Part {
    let last = part.layers[1].build();
    let id = last.diff_id.clone();
    part.manifest(move |manifest| {
        manifest["layers"][1]["size"] = json!(size);
        let layer = manifest["layers"][1].clone();
        manifest["layers"].as_array_mut().unwrap().extend(std::iter::repeat_n(layer, times));
    })
    .config(move |config| {
        let ids = config["rootfs"]["diff_ids"].as_array_mut().unwrap();
        ids.extend(std::iter::repeat_n(json!(id), times));
        let steps = config["history"].as_array_mut().unwrap();
        steps.extend(std::iter::repeat_n(json!({"created_by": "COPY . /"}), times));
    })
}

fn empty(mut part: Part) -> Part {
    part.layers.push(Layer::new());
    part
}

fn foreign() -> Specimen {
    manifest(|manifest| {
        manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
        manifest["layers"][0]["urls"] = json!(["https://mcr.example.com/blob"]);
    })
}

/// An attestation kept as an artifact of this type.
fn artifact(kind: Value) -> Specimen {
    Specimen::healthy(&BOTH).attested().part(3, |part| {
        part.manifest(move |manifest| {
            manifest["config"] = json!({"mediaType": media_type::OCI_EMPTY, "digest": Digest::sha256("{}"), "size": 2});
            manifest["artifactType"] = kind.clone();
        })
    })
}

/// Eight bytes with these for their embedded content.
fn embedded(data: &'static str) -> Specimen {
    Specimen::healthy(&BOTH).attested().part(3, |part| {
        part.manifest(move |manifest| {
            let layer = &mut manifest["layers"][0];
            layer["data"] = json!(data);
            layer["size"] = json!(6);
        })
    })
}

async fn findings(specimen: &Specimen) -> Vec<Finding> {
    audit(specimen).await.findings
}

#[tokio::test]
async fn manifests_are_told_when_they_are_near_and_over_what_registries_take() {
    let found = findings(&padded(3_700_000)).await;
    assert_eq!(brief(&found), [("manifest-too-large", "warning", "-")]);
    assert!(found[0].message.ends_with("near the 4 MiB every registry takes"), "{}", found[0].message);
    let found = findings(&padded(4 << 20)).await;
    assert!(found[0].message.ends_with("more than the 4 MiB every registry takes"), "{}", found[0].message);
    assert_eq!(brief(&findings(&padded(3_600_000)).await), []);
}

#[tokio::test]
async fn a_child_too_large_to_be_read_is_told_by_what_the_index_says() {
    let large = manifest(|manifest| manifest["annotations"] = json!({"padding": "x".repeat(4 << 20)}));
    let report = audit(&large).await;
    assert_eq!(brief(&report.findings), [("manifest-too-large", "warning", "linux/arm64")]);
    assert_eq!(report.unchecked.len(), 1);
}

#[tokio::test]
async fn layers_and_images_have_limits_of_their_own_and_of_the_policy() {
    let found = findings(&both(|part| sized(part, 1, 10_000_000_001))).await;
    let place = |platform| ("layer-too-large", "warning", platform);
    assert_eq!(brief(&found), [place("linux/amd64"), place("linux/arm64")]);
    assert_eq!(found[0].message, "layer 2 is of 10.0 GB, more than 10.0 GB");
    assert_eq!(brief(&findings(&both(|part| sized(part, 1, 10_000_000_000))).await), []);

    let with = async |wanted: Expectations| {
        let built = Specimen::healthy(&BOTH).build().await;
        let report = audit_with(&built, wanted, Default::default()).await;
        report.findings.into_iter().map(|one| one.rule).collect::<Vec<_>>()
    };
    let base = Expectations::default;
    assert_eq!(with(Expectations { max_layer_bytes: Some(10), ..base() }).await, ["layer-too-large"; 2]);
    assert_eq!(with(Expectations { max_image_bytes: Some(100), ..base() }).await, ["image-too-large"; 2]);
    assert_eq!(with(Expectations { max_layers: Some(1), ..base() }).await, ["too-many-layers"; 2]);
    let enough =
        Expectations { max_layers: Some(2), max_layer_bytes: Some(9999), max_image_bytes: Some(9999), ..base() };
    assert_eq!(with(enough).await, Vec::<String>::new());
}

#[tokio::test]
async fn docker_stops_at_125_layers() {
    assert_eq!(brief(&findings(&both(|part| repeated(part, 123, 1))).await), []);
    let found = findings(&both(|part| repeated(part, 124, 1))).await;
    assert_eq!(found[0].message, "126 layers, more than 125");
}

#[tokio::test]
async fn empty_and_repeated_layers_are_worth_knowing() {
    let found = findings(&both(empty)).await;
    let info = |rule| [(rule, "info", "linux/amd64"), (rule, "info", "linux/arm64")];
    assert_eq!(brief(&found), info("empty-layer"));
    assert_eq!(found[0].message, "1 of 3 layers is empty");
    let found = findings(&both(|part| repeated(part, 1, 5000))).await;
    assert_eq!(brief(&found), info("duplicate-layer"));
    assert_eq!(found[0].message, "layer 3 is layer 2 again");
}

#[tokio::test]
async fn foreign_layers_are_told_once_and_other_urls_apart() {
    let found = findings(&foreign()).await;
    assert_eq!(brief(&found), [("foreign-layer", "warning", "linux/arm64")]);
    assert_eq!(found[0].message, "1 of 2 layers is foreign");
    let found = findings(&manifest(|manifest| manifest["config"]["urls"] = json!(["http://10.0.0.1/x"]))).await;
    assert_eq!(brief(&found), [("descriptor-urls", "warning", "linux/arm64")]);
    assert!(found[0].message.ends_with(" may be fetched from http://10.0.0.1/x"), "{}", found[0].message);
}

#[tokio::test]
async fn artifacts_say_their_type() {
    let cases = [
        (json!("application/vnd.in-toto+json"), None),
        (json!("application/spdx+json"), None),
        (Value::Null, Some("an empty configuration and no artifactType")),
        (json!(""), Some("an empty configuration and no artifactType")),
        (json!("sbom"), Some("the artifactType \"sbom\" is no media type")),
        (json!("a/b c"), Some("the artifactType \"a/b c\" is no media type")),
    ];
    for (kind, want) in cases {
        let found = findings(&artifact(kind.clone())).await;
        let got: Vec<(&str, &str)> = found.iter().map(|one| (&*one.rule, &*one.message)).collect();
        assert_eq!(got, want.map(|message| ("artifact-type", message)).into_iter().collect::<Vec<_>>(), "{kind}");
    }
}

#[tokio::test]
async fn embedded_content_must_be_what_its_descriptor_says() {
    for (data, want) in [
        ("bm90IGl0", "the embedded data has the digest"),
        ("bm90", "the embedded data has 3 bytes, the descriptor says 6"),
        ("*", "the embedded data is not base64"),
    ] {
        let found = findings(&embedded(data)).await;
        assert_eq!(brief(&found), [("embedded-data", "error", "-")], "{data}");
        assert!(found[0].message.contains(want), "{}", found[0].message);
    }
    let right = Specimen::healthy(&BOTH).attested().part(3, |part| {
        part.manifest(|manifest| {
            let content = base64::engine::general_purpose::STANDARD.encode("{}");
            let config =
                json!({"mediaType": media_type::OCI_EMPTY, "digest": Digest::sha256("{}"), "size": 2, "data": content});
            manifest["config"] = config;
            manifest["artifactType"] = json!("application/vnd.in-toto+json");
        })
    });
    assert_eq!(brief(&findings(&right).await), []);
}
