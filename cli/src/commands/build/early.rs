//! Sending blobs whose digest is right to the registries while the rest still builds. Manifests wait until all is verified.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polyarch_builder::run::BuiltImage;
use polyarch_registry::oci::Descriptor;
use polyarch_registry::store::layout::Growing;
use polyarch_registry::transfer::BlobPusher;

use super::execute::Means;
use super::mounts;
use super::planning::Place;
use crate::commands::publish;
use crate::settings::output::Output;
use crate::settings::transfer::Way;

/// Blobs on their way before the index is known. Clones share the pusher.
#[derive(Clone)]
pub(super) struct Early(Arc<Mutex<State>>);

enum State {
    /// It is not known yet what can be mounted; these blobs wait for it.
    Waiting(Vec<(Descriptor, Option<Growing>)>),
    Pushing(BlobPusher),
    Taken,
}

impl Early {
    /// Returns a queue for the blobs, if the result is to be published.
    pub(super) fn new(means: &Means<'_>) -> Option<Self> {
        let publishes = means.settings.outputs.iter().any(|output| matches!(output, Output::Registry { .. }));
        publishes.then(|| Self(Arc::new(Mutex::new(State::Waiting(Vec::new())))))
    }

    /// Finds out what can be mounted, then starts a pusher for all tags with what has waited. Ends within seconds.
    pub(super) async fn start(&self, means: &Means<'_>, places: &[Place]) {
        // A daemon that pushes finds its own mounts.
        let mounts = match means.settings.transfer {
            Way::Store => mounts::sources(means, places).await,
            Way::Daemon { .. } => Default::default(),
        };
        let publisher = publish::publisher(means.registry.clone(), means.store.clone(), means.events.clone());
        let pusher = publisher.pusher(&means.settings.tags, &mounts);
        let mut state = self.state();
        if let State::Waiting(waiting) = &*state {
            waiting.iter().for_each(|(blob, growing)| push(&pusher, blob, growing.as_ref()));
            *state = State::Pushing(pusher);
        }
    }

    /// Queues a verified image's blobs.
    pub(super) fn push(&self, image: &BuiltImage) {
        image.layers.iter().chain([&image.config]).for_each(|blob| self.push_blob(blob, None));
    }

    /// Queues one blob that is complete in the store, or on its way there.
    pub(super) fn push_blob(&self, blob: &Descriptor, growing: Option<&Growing>) {
        match &mut *self.state() {
            State::Waiting(waiting) => waiting.push((blob.clone(), growing.cloned())),
            State::Pushing(pusher) => push(pusher, blob, growing),
            State::Taken => {}
        }
    }

    /// Hands the pusher over to who publishes.
    pub(super) fn take(&self) -> Option<BlobPusher> {
        match std::mem::replace(&mut *self.state(), State::Taken) {
            State::Pushing(pusher) => Some(pusher),
            State::Waiting(_) | State::Taken => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push(pusher: &BlobPusher, blob: &Descriptor, growing: Option<&Growing>) {
    match growing {
        Some(growing) => pusher.push_growing(blob, growing),
        None => pusher.push(blob),
    }
}
