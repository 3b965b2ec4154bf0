//! Sending verified blobs to the registries while other platforms still build.

use std::sync::{Arc, Mutex, PoisonError};

use polyarch_builder::run::BuiltImage;
use polyarch_registry::transfer::{BlobPusher, MountSources};

use super::execute::Means;
use crate::commands::publish;
use crate::settings::output::Output;

/// Blobs on their way before the index is known. Clones share the pusher.
#[derive(Clone)]
pub(super) struct Early(Arc<Mutex<Option<BlobPusher>>>);

impl Early {
    /// Starts a pusher for all tags, if the result is to be published.
    pub(super) fn start(means: &Means<'_>) -> Option<Self> {
        let publishes = means.settings.outputs.iter().any(|output| matches!(output, Output::Registry { .. }));
        publishes.then(|| {
            let registries = means.settings.registries.clone();
            let publisher = publish::publisher(registries, means.store.clone(), means.events.clone());
            let pusher = publisher.pusher(&means.settings.tags, &MountSources::new());
            Self(Arc::new(Mutex::new(Some(pusher))))
        })
    }

    /// Queues a verified image's blobs.
    pub(super) fn push(&self, image: &BuiltImage) {
        if let Some(pusher) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            for descriptor in image.layers.iter().chain([&image.config]) {
                pusher.push(descriptor);
            }
        }
    }

    /// Hands the pusher over to who publishes.
    pub(super) fn take(&self) -> Option<BlobPusher> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
