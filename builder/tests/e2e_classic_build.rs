//! Real builds on the classic store, out of the daemon and checked: the whole way of one platform.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod bed;
mod node_bed;

use polyarch_builder::buildkit::Export;
use polyarch_builder::classic::{SaveSpec, TemporaryTag, save};
use polyarch_builder::event::{EventKind, TransferHow};
use polyarch_builder::node::docker::DockerApi;
use polyarch_builder::node::endpoint::HostEnv;
use polyarch_registry::oci::media_type::LayerCompression;
use polyarch_registry::oci::{Digest, Format, ImageBuilder, ImageConfig, validate_image};
use polyarch_registry::store::BlobStoreExt;
use polyarch_registry::store::layout::{LayerForm, LayoutStore};

const FORMS: [LayerForm; 3] = [
    LayerForm { compression: LayerCompression::Gzip, level: None },
    LayerForm { compression: LayerCompression::Zstd, level: None },
    LayerForm { compression: LayerCompression::None, level: None },
];

async fn images(docker: &DockerApi) -> Vec<String> {
    let mut tags = docker.references_of("polyarch.invalid/tmp").await.unwrap();
    // Other tests of this process group have tags of their own at the same time; this build's are told apart by owner.
    tags.retain(|tag| tag.contains(&format!(":{}-", std::process::id())));
    tags
}

#[tokio::test]
async fn builds_saves_and_checks_an_image_per_platform() {
    let Some(base) = bed::base() else { return };
    for name in ["BED_DOCKER20", "BED_DOCKER28_CLASSIC"] {
        let Some(address) = node_bed::address(name) else { return };
        let docker = node_bed::reach(&address, &HostEnv::default()).await.unwrap().docker.unwrap().api;
        let worker = bed::connect(name).await.unwrap();
        let file = format!(
            "FROM {base}\nRUN uname -m >/machine && echo {} >/fresh\nENV A=b\nHEALTHCHECK CMD true\n",
            bed::unique()
        );
        let build = bed::Build::new(worker, &file);
        let session = build.session().await;
        let dir = tempfile::tempdir().unwrap();
        let store = LayoutStore::open(dir.path()).await.unwrap();
        let cache = store.diff_ids().unwrap();
        for platform in [bed::amd64(), bed::arm64()] {
            for form in FORMS {
                let tag = TemporaryTag::new(&docker);
                let export = Export::Moby { tag: tag.reference().to_owned() };
                let outcome = build.solve(&session, &platform, export).await.unwrap();
                // On the classic store this key names the configuration.
                let config: Digest = outcome.digest.unwrap();
                let spec = SaveSpec {
                    store: &store,
                    cache: Some(&cache),
                    form,
                    threads: 2,
                    document_limit: 4 << 20,
                    config: Some(&config),
                    events: &build.sink,
                };
                let image = save(&docker, tag.reference(), &spec).await.unwrap();
                tag.remove().await.unwrap();
                let bytes = store.read_bytes(&image.config.digest, 4 << 20).await.unwrap();
                let parsed = ImageConfig::parse(&bytes).unwrap();
                assert!(parsed.platform().same_as(&platform), "{name}: {}", parsed.platform());
                assert!(String::from_utf8_lossy(&bytes).contains("Healthcheck"), "what no model knows is kept");
                let mut builder = ImageBuilder::new(Format::Oci, image.config.digest.clone(), image.config.size);
                for layer in image.layers {
                    builder = builder.layer(layer);
                }
                let manifest = builder.build().unwrap();
                let polyarch_registry::oci::Manifest::Image(view) = manifest.view().unwrap() else {
                    panic!("an index")
                };
                assert_eq!(validate_image(&platform, &parsed, &view), []);
            }
        }
        assert_eq!(images(&docker).await, Vec::<String>::new(), "{name}");
    }
}

/// What became of the layers of one build of a large file and a small one.
async fn transfers(name: &str, store: &LayoutStore, file: &str) -> Option<(Vec<(Digest, TransferHow)>, Vec<Digest>)> {
    let address = node_bed::address(name)?;
    let docker = node_bed::reach(&address, &HostEnv::default()).await.unwrap().docker.unwrap().api;
    let mut build = bed::Build::new(bed::connect(name).await.unwrap(), file).file("large", vec![b'x'; 3 << 20]);
    let session = build.session().await;
    let tag = TemporaryTag::new(&docker);
    let export = Export::Moby { tag: tag.reference().to_owned() };
    build.solve(&session, &bed::amd64(), export).await.unwrap();
    let cache = store.diff_ids().unwrap();
    build.events();
    let spec = SaveSpec {
        store,
        cache: Some(&cache),
        form: FORMS[0],
        threads: 2,
        document_limit: 4 << 20,
        config: None,
        events: &build.sink,
    };
    let image = save(&docker, tag.reference(), &spec).await.unwrap();
    tag.remove().await.unwrap();
    let hows = build.events().into_iter().filter_map(|event| match event {
        EventKind::TransferDone { digest, how, .. } => Some((digest, how)),
        _ => None,
    });
    Some((hows.collect(), image.layers.into_iter().map(|layer| layer.digest).collect()))
}

#[tokio::test]
async fn a_layer_compressed_before_is_not_compressed_again() {
    for name in ["BED_DOCKER20", "BED_DOCKER28_CLASSIC"] {
        let dir = tempfile::tempdir().unwrap();
        let store = LayoutStore::open(dir.path()).await.unwrap();
        let file = |more: &str| format!("FROM scratch\nCOPY large /large\nCOPY Dockerfile /{more}\nLABEL a={more}\n");
        let Some((first, before)) = transfers(name, &store, &file(&bed::unique())).await else { return };
        assert!(first.iter().all(|(_, how)| *how == TransferHow::Sent), "{name}: {first:?}");
        let (second, after) = transfers(name, &store, &file(&bed::unique())).await.unwrap();
        assert_eq!(before[0], after[0], "{name}");
        assert!(second.contains(&(after[0].clone(), TransferHow::Present)), "{name}: {second:?}");
        assert!(second.contains(&(after[1].clone(), TransferHow::Sent)), "{name}: {second:?}");
    }
}
