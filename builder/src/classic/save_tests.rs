use polyarch_registry::oci::media_type::{LayerCompression, OCI_LAYER_GZIP};
use polyarch_registry::oci::{Digest, Hasher};
use polyarch_registry::store::layout::{LayerForm, LayoutStore};
use polyarch_registry::store::{BlobStore, BlobStoreExt, MemoryStore};
use serde_json::json;

use super::save::take;
use super::{ClassicError, ClassicImage, SaveSpec, save_tar};
use crate::event::{EventKind, TransferHow};
use crate::event_sink::EventSink;

const GZIP: LayerForm = LayerForm { compression: LayerCompression::Gzip, level: None };

/// One entry of a tar to be made: a file, or a link to a path.
enum Item {
    File(String, Vec<u8>),
    Link(String, String),
}

fn file(path: impl Into<String>, bytes: impl AsRef<[u8]>) -> Item {
    Item::File(path.into(), bytes.as_ref().to_vec())
}

fn archive(items: &[Item]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        match item {
            Item::File(path, bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, path, bytes.as_slice()).unwrap();
            }
            Item::Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

fn layer(name: &str) -> Vec<u8> {
    archive(&[file(name, name.repeat(400))])
}

fn config(diff_ids: &[Digest]) -> Vec<u8> {
    // Unknown keys and odd spacing must survive.
    format!(
        r#"{{"os":"linux", "architecture":"arm64","x":{{}},"rootfs":{{"type":"layers","diff_ids":{}}}}}"#,
        json!(diff_ids)
    )
    .into_bytes()
}

fn manifest(config: &str, layers: &[String]) -> Item {
    file("manifest.json", json!([{"Config": config, "RepoTags": ["t:1"], "Layers": layers}]).to_string())
}

/// As Docker 25 and later write it.
fn modern(layers: &[Vec<u8>]) -> Vec<Item> {
    let ids: Vec<Digest> = layers.iter().map(Digest::sha256).collect();
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.encoded());
    let config = config(&ids);
    let config_path = blob(&Digest::sha256(&config));
    let mut items: Vec<Item> = layers.iter().zip(&ids).map(|(bytes, id)| file(blob(id), bytes)).collect();
    items.push(file(&config_path, &config));
    items.push(file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#));
    items.push(manifest(&config_path, &ids.iter().map(blob).collect::<Vec<_>>()));
    items
}

/// As Docker 20.10 writes it: the third layer is the first again, as a link.
fn legacy(layers: &[Vec<u8>; 2]) -> Vec<Item> {
    let ids: Vec<Digest> = [&layers[0], &layers[1], &layers[0]].map(Digest::sha256).to_vec();
    let config = config(&ids);
    let name = format!("{}.json", Digest::sha256(&config).encoded());
    vec![
        Item::Link("c/layer.tar".into(), "../a/layer.tar".into()),
        file("a/VERSION", "1.0"),
        file("a/json", "{}"),
        file("a/layer.tar", &layers[0]),
        file("b/layer.tar", &layers[1]),
        file(&name, &config),
        manifest(&name, &["a/layer.tar".into(), "b/layer.tar".into(), "c/layer.tar".into()]),
        file("repositories", "{}"),
    ]
}

async fn save(items: &[Item], store: &dyn BlobStore) -> Result<ClassicImage, ClassicError> {
    save_as(items, store, None).await
}

async fn save_as(items: &[Item], store: &dyn BlobStore, config: Option<&Digest>) -> Result<ClassicImage, ClassicError> {
    let (events, _told) = EventSink::channel();
    let spec =
        SaveSpec { store, cache: None, form: GZIP, threads: 2, document_limit: 1 << 20, config, events: &events };
    save_tar(archive(items).as_slice(), &spec).await
}

async fn inflated(store: &dyn BlobStore, digest: &Digest) -> Digest {
    let bytes = store.read_bytes(digest, 1 << 20).await.unwrap();
    let (mut hasher, mut plain) = (Hasher::sha256(), Vec::new());
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes.as_ref()), &mut plain).unwrap();
    hasher.update(&plain);
    hasher.finish()
}

#[tokio::test]
async fn reads_both_forms_in_any_order() {
    let layers = [layer("one"), layer("two")];
    for mut items in [modern(&layers), legacy(&layers)] {
        for _ in 0..items.len() {
            items.rotate_left(1);
            let store = MemoryStore::default();
            let image = save(&items, &store).await.unwrap();
            assert_eq!(image.layers.len(), image.diff_ids.len());
            for (layer, diff_id) in image.layers.iter().zip(&image.diff_ids) {
                assert_eq!(layer.media_type, OCI_LAYER_GZIP);
                assert_eq!(store.stat(&layer.digest).await.unwrap(), Some(layer.size));
                assert_eq!(&inflated(&store, &layer.digest).await, diff_id);
            }
            let kept = store.read_bytes(&image.config.digest, 1 << 20).await.unwrap();
            assert_eq!(kept.as_ref(), config(&image.diff_ids), "the configuration's bytes are untouched");
        }
    }
}

#[tokio::test]
async fn compresses_the_same_layer_to_the_same_blob() {
    let layers = [layer("one"), layer("two")];
    let store = MemoryStore::default();
    let (a, b) = (save(&modern(&layers), &store).await.unwrap(), save(&legacy(&layers), &store).await.unwrap());
    assert_eq!(a.layers[0], b.layers[0]);
    assert_eq!(b.layers[0], b.layers[2]);
}

#[tokio::test]
async fn does_not_compress_a_known_layer_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::open(dir.path()).await.unwrap();
    let cache = store.diff_ids().unwrap();
    let items = archive(&modern(&[layer("one"), layer("two")]));
    let mut images = Vec::new();
    for want in [TransferHow::Sent, TransferHow::Present] {
        let (events, mut told) = EventSink::channel();
        let spec = SaveSpec {
            store: &store,
            cache: Some(&cache),
            form: GZIP,
            threads: 1,
            document_limit: 1 << 20,
            config: None,
            events: &events,
        };
        images.push(save_tar(items.as_slice(), &spec).await.unwrap());
        for _ in 0..2 {
            let event = told.recv().await.unwrap().kind;
            assert!(matches!(event, EventKind::TransferDone { how, .. } if how == want), "{event:?}");
        }
    }
    assert_eq!(images[0], images[1]);
}

#[tokio::test]
async fn a_layer_of_a_known_size_is_hashed_and_must_be_the_known_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::open(dir.path()).await.unwrap();
    let cache = store.diff_ids().unwrap();
    let (one, two, other) = (layer("one"), layer("twoo"), layer("uno"));
    assert_eq!(one.len(), other.len());
    let (events, mut told) = EventSink::channel();
    let cached = Some(&cache);
    let spec = SaveSpec {
        store: &store,
        cache: cached,
        form: GZIP,
        threads: 1,
        document_limit: 1 << 20,
        config: None,
        events: &events,
    };
    let first = save_tar(archive(&legacy(&[one.clone(), two.clone()])).as_slice(), &spec).await.unwrap();
    while told.try_recv().is_ok() {}

    let known = [one.len() as u64].into();
    let again = take(archive(&legacy(&[one.clone(), layer("new")])).as_slice(), &spec, &known).await;
    // `new` is as long as `one`.
    assert!(matches!(again, Err(ClassicError::NotTheKnownLayer { size }) if size == one.len() as u64), "{again:?}");
    let again = take(archive(&legacy(&[one.clone(), two])).as_slice(), &spec, &known).await.unwrap();
    assert_eq!(again, first);
    let hows: Vec<TransferHow> = std::iter::from_fn(|| told.try_recv().ok())
        .filter_map(|event| match event.kind {
            EventKind::TransferDone { how, .. } => Some(how),
            _ => None,
        })
        .collect();
    assert_eq!(hows, [TransferHow::Present, TransferHow::Present, TransferHow::Sent]);
    let error = take(archive(&legacy(&[other, one])).as_slice(), &spec, &known).await.unwrap_err();
    assert!(matches!(error, ClassicError::NotTheKnownLayer { .. }), "{error}");
}

#[tokio::test]
async fn refuses_layers_that_are_not_the_configurations() {
    let store = MemoryStore::default();
    let (one, two) = (layer("one"), layer("two"));
    let mut swapped = modern(&[one.clone(), two.clone()]);
    let ids = [Digest::sha256(&one), Digest::sha256(&two)];
    // The second layer's file holds the first layer's bytes.
    swapped[1] = file(format!("blobs/sha256/{}", ids[1].encoded()), &one);
    let error = save(&swapped, &store).await.unwrap_err();
    let ClassicError::LayerMismatch { index: 1, want, got } = &error else { panic!("{error}") };
    assert_eq!((want, got), (&ids[1].to_string(), &ids[0].to_string()));

    let mut short = modern(&[one.clone(), two]);
    short.pop();
    let config_path = format!("blobs/sha256/{}", Digest::sha256(config(&ids)).encoded());
    short.push(manifest(&config_path, &[format!("blobs/sha256/{}", ids[0].encoded())]));
    let error = save(&short, &store).await.unwrap_err();
    assert!(matches!(&error, ClassicError::LayerMismatch { index: 1, got, .. } if got == "missing"), "{error}");
}

#[tokio::test]
async fn refuses_another_image_than_the_one_built() {
    let store = MemoryStore::default();
    let want = Digest::sha256("another");
    let error = save_as(&modern(&[layer("one")]), &store, Some(&want)).await.unwrap_err();
    assert!(matches!(error, ClassicError::ConfigMismatch { want: w, .. } if w == want));
}

#[tokio::test]
async fn refuses_what_is_no_image() {
    let store = MemoryStore::default();
    let error = save(&[file("oci-layout", "{}")], &store).await.unwrap_err();
    assert!(matches!(&error, ClassicError::FileMissing { path } if path == "manifest.json"), "{error}");
    for (text, want) in [("[]", 0), ("[{\"Config\":\"a\"},{\"Config\":\"b\"}]", 2)] {
        let error = save(&[file("manifest.json", text)], &store).await.unwrap_err();
        assert!(matches!(error, ClassicError::NotOneImage(count) if count == want), "{text}");
    }
    let circle = [Item::Link("a".into(), "b".into()), Item::Link("b".into(), "a".into()), manifest("a", &[])];
    assert!(matches!(save(&circle, &store).await, Err(ClassicError::FileMissing { .. })));
    let error = save(&[file("manifest.json", vec![b' '; (1 << 20) + 1])], &store).await.unwrap_err();
    assert!(matches!(error, ClassicError::TooMuchMetadata { .. }));
}

#[tokio::test]
async fn refuses_more_names_than_the_budget() {
    let store = MemoryStore::default();
    // 4 documents' worth of names: 4 MiB.
    let links: Vec<Item> = (0..600).map(|i| Item::Link(format!("{i}{}", "x".repeat(4000)), "y".repeat(4000))).collect();
    let error = save(&links, &store).await.unwrap_err();
    assert!(matches!(error, ClassicError::TooMuchMetadata { .. }), "{error}");
}
