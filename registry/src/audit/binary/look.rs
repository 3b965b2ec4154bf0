//! Reading as much of an image's layers as tells what it starts.
//!
//! Owns: which layer is read next, and how far. Never: judges, or reads a layer that cannot matter.
//!
//! A program that runs on its platform ends the reading where it was found: what may follow in that layer, or in others, does
//! not matter to it. One that does not run is only believed once nothing can replace it any more, so that the rest of its
//! layer is read (an archive may hold a path twice, and the last one counts) and the layers of earlier search directories.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{StreamExt as _, iter};
use tokio::sync::SemaphorePermit;

use super::facts::{BinaryFacts, Census, ProgramFacts};
use super::find::{Search, Started, started};
use super::header::Fit;
use super::others::others;
use crate::audit::facts::{Config, ImageFacts, PlatformImage};
use crate::audit::finding::Unchecked;
use crate::audit::layer::LayerFacts;
use crate::audit::layer::library::{Library, Wanted};
use crate::audit::layer::read::{Unread, Watch};
use crate::audit::layer::stack::{Stack, Trust};
use crate::audit::layer::tree::Tree;
use crate::audit::run::Scope;
use crate::oci::{Descriptor, Digest, Platform, media_type};
use crate::verify::ContentSource;

/// Most layers of one image; overlayfs takes no more than 500, Docker 127.
const MOST_LAYERS: usize = 512;
/// Layers of one image that are waited for at once; how many are read at once the library knows.
const PARALLEL: usize = 4;

/// Reads what the scope asks for of an image's layers, and adds to its facts what is in them and what could not be read.
/// What is returned is to be dropped after the facts: it bounds how many images have their layers in memory.
pub(in crate::audit) async fn at_layers<'l>(
    library: &'l Library,
    scope: Scope,
    source: &dyn ContentSource,
    facts: &mut ImageFacts,
) -> Option<SemaphorePermit<'l>> {
    if !scope.binaries && !scope.layers {
        return None;
    }
    let turn = library.turn().await;
    let repository = facts.name.repository.clone();
    let looker = Looker { library, repository: &repository, source, is_deep: scope.layers };
    let unchecked = Mutex::new(Vec::new());
    if scope.layers {
        looker.scan(facts, &unchecked).await;
    }
    if scope.binaries {
        looker.look(facts, &unchecked).await;
    }
    facts.unchecked.append(&mut unchecked.into_inner().unwrap_or_else(PoisonError::into_inner));
    facts.unchecked.sort_by(|a, b| (&a.what, &a.digest).cmp(&(&b.what, &b.digest)));
    turn
}

struct Looker<'a> {
    library: &'a Library,
    repository: &'a str,
    source: &'a dyn ContentSource,
    /// Whether layers are read whole anyway.
    is_deep: bool,
}

impl Looker<'_> {
    /// Reads every layer of every platform, each once.
    async fn scan(&self, facts: &mut ImageFacts, unchecked: &Mutex<Vec<Unchecked>>) {
        let mut layers: Vec<Descriptor> = Vec::new();
        for image in facts.platforms() {
            let own = image.manifest.view.layers.iter().take(MOST_LAYERS);
            layers.extend(own.filter(|layer| !media_type::is_nondistributable(&layer.media_type)).cloned());
        }
        layers.sort_by(|a, b| a.digest.cmp(&b.digest));
        layers.dedup_by(|a, b| a.digest == b.digest);
        let work = layers.into_iter().map(|layer| async move {
            let read = self.library.layer((self.repository, self.source), &layer, Wanted::Whole).await;
            read.map(|read| (layer.digest.clone(), read)).map_err(|error| note(unchecked, &layer.digest, error)).ok()
        });
        let read: Vec<_> = iter(work).buffer_unordered(PARALLEL).filter_map(std::future::ready).collect().await;
        facts.layers = Some(read.into_iter().collect());
    }

    /// Looks at the programs of every platform of an image.
    async fn look(&self, facts: &mut ImageFacts, unchecked: &Mutex<Vec<Unchecked>>) {
        let shared = shared_layers(facts);
        let mut all = HashMap::new();
        for image in facts.platforms() {
            if !all.contains_key(&image.descriptor.digest) {
                let found = self.image(&image, &shared, unchecked).await;
                all.insert(image.descriptor.digest.clone(), found);
            }
        }
        facts.binaries = Some(all);
    }

    async fn image(
        &self,
        image: &PlatformImage<'_>,
        shared: &HashSet<Digest>,
        unchecked: &Mutex<Vec<Unchecked>>,
    ) -> BinaryFacts {
        let (Some(config), layers) = (image.config, &image.manifest.view.layers) else { return BinaryFacts::default() };
        let mut read: Vec<Option<Arc<LayerFacts>>> = vec![None; layers.len()];
        if layers.len() > MOST_LAYERS || !self.prepare(layers, shared, &mut read, unchecked).await {
            return BinaryFacts::default();
        }
        let platform = image.platform();
        let started = self.search(config, &platform, layers, &mut read).await.unwrap_or_else(|(layer, error)| {
            note(unchecked, &layers[layer].digest, error);
            Vec::new()
        });
        let started = started.into_iter().map(|one| ProgramFacts {
            role: one.role,
            path: one.path,
            layer: one.layer.map(|layer| layers[layer].digest.clone()),
            program: one.program,
        });
        let whole = |(layer, facts): (&Descriptor, &Option<Arc<LayerFacts>>)| {
            let tree = facts.as_ref().map(|facts| &facts.tree).filter(|tree| tree.is_whole)?;
            Some((layer.digest.clone(), Census::of(tree)))
        };
        let trees: Vec<Option<&Tree>> = read.iter().map(|facts| facts.as_deref().map(|facts| &facts.tree)).collect();
        BinaryFacts {
            started: started.collect(),
            layers: layers.iter().zip(&read).filter_map(whole).collect(),
            others: self.is_deep.then(|| others(&config.run, &platform, &trees)),
        }
    }

    /// Reads the layers that are wanted whole whatever the image starts: all, or those that other architectures have, too.
    async fn prepare(
        &self,
        layers: &[Descriptor],
        shared: &HashSet<Digest>,
        read: &mut [Option<Arc<LayerFacts>>],
        unchecked: &Mutex<Vec<Unchecked>>,
    ) -> bool {
        for (layer, slot) in layers.iter().zip(read) {
            if media_type::is_nondistributable(&layer.media_type) {
                *slot = Some(Arc::new(nothing()));
            } else if self.is_deep || shared.contains(&layer.digest) {
                match self.layer(layer, Wanted::Whole).await {
                    Ok(facts) => *slot = Some(facts),
                    Err(error) => {
                        note(unchecked, &layer.digest, error);
                        return false;
                    }
                }
            }
        }
        true
    }

    async fn search(
        &self,
        config: &Config,
        platform: &Platform,
        layers: &[Descriptor],
        read: &mut [Option<Arc<LayerFacts>>],
    ) -> Result<Vec<Started>, (usize, Unread)> {
        let mut trust = Trust::SoFar;
        loop {
            let search = {
                let trees: Vec<Option<&Tree>> =
                    read.iter().map(|facts| facts.as_deref().map(|facts| &facts.tree)).collect();
                started(&config.run, platform, &Stack::new(&trees, trust))
            };
            match search {
                Search::Done(list) if trust == Trust::WholeOnly || all_run(&list, platform) => return Ok(list),
                Search::Done(_) => trust = Trust::WholeOnly,
                Search::Unread { layer, paths } => {
                    let wanted = match trust {
                        Trust::SoFar => until(config, platform, read, layer, paths),
                        Trust::WholeOnly => Wanted::Whole,
                    };
                    let facts = self.layer(&layers[layer], wanted).await.map_err(|error| (layer, error))?;
                    read[layer] = Some(facts);
                }
            }
        }
    }

    /// Reads a layer that can be unpacked.
    async fn layer(&self, layer: &Descriptor, wanted: Wanted) -> Result<Arc<LayerFacts>, Unread> {
        let facts = self.library.layer((self.repository, self.source), layer, wanted).await?;
        let altered = facts.digest.as_ref().filter(|got| **got != layer.digest);
        let altered = altered.map(|got| format!("its bytes have another digest, {got}"));
        match altered.or_else(|| facts.fault()) {
            // Rules about layers say it.
            Some(_) if self.is_deep => Err(Unread::Told),
            Some(fault) => Err(Unread::Failed(fault)),
            None => Ok(facts),
        }
    }
}

/// Reads on until it is known what the image starts, and that it runs.
fn until(
    config: &Config,
    platform: &Platform,
    read: &[Option<Arc<LayerFacts>>],
    layer: usize,
    paths: Vec<Vec<u8>>,
) -> Wanted {
    let (run, platform) = (config.run.clone(), platform.clone());
    let above: Vec<Option<Arc<LayerFacts>>> = read.to_vec();
    // What is still needed of the layer; none if it has done its part.
    let needs = Arc::new(move |tree: &Tree| {
        let mut trees: Vec<Option<&Tree>> =
            above.iter().map(|facts| facts.as_deref().map(|facts| &facts.tree)).collect();
        trees[layer] = Some(tree);
        match started(&run, &platform, &Stack::new(&trees, Trust::SoFar)) {
            Search::Done(list) if all_run(&list, &platform) => None,
            Search::Unread { layer: asked, paths } if asked == layer => Some(paths),
            // It does not run, or something else is needed only if nothing more comes here.
            Search::Done(_) | Search::Unread { .. } => Some(Vec::new()),
        }
    });
    let known = Arc::clone(&needs);
    let is_enough = move |facts: &LayerFacts| known(&facts.tree).is_none();
    let watch = move || Watch { paths, ask: Box::new(move |tree| needs(tree)) };
    Wanted::Until(Box::new(is_enough), Box::new(watch))
}

fn all_run(list: &[Started], platform: &Platform) -> bool {
    let runs = |one: &Started| {
        one.program.as_ref().is_some_and(|program| matches!(program.fits(platform), Fit::Runs | Fit::Unknown))
    };
    !list.is_empty() && list.iter().all(runs)
}

/// Returns the layers that platforms of different architecture have in common.
fn shared_layers(facts: &ImageFacts) -> HashSet<Digest> {
    let mut users: HashMap<&Digest, HashSet<String>> = HashMap::new();
    for image in facts.platforms() {
        let architecture = image.platform().normalize().architecture;
        for layer in &image.manifest.view.layers {
            users.entry(&layer.digest).or_default().insert(architecture.clone());
        }
    }
    users.into_iter().filter(|(_, users)| users.len() > 1).map(|(layer, _)| layer.clone()).collect()
}

/// A layer that registries do not keep: the base of Windows.
fn nothing() -> LayerFacts {
    let mut facts = LayerFacts::empty();
    facts.tree.is_whole = true;
    facts
}

fn note(unchecked: &Mutex<Vec<Unchecked>>, digest: &Digest, error: Unread) {
    let reason = match error {
        Unread::Missing => "it is not there".to_owned(),
        Unread::Failed(reason) => reason,
        Unread::Told => return,
    };
    let one = Unchecked { what: "layer".to_owned(), digest: Some(digest.clone()), reason };
    let mut list = unchecked.lock().unwrap_or_else(PoisonError::into_inner);
    if !list.contains(&one) {
        list.push(one);
    }
}
