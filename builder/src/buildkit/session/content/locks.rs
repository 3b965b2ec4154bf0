//! One writer for each blob of a store at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Locks by name. Two solves that write the same blob use the same name: the second waits for the first.
#[derive(Default)]
pub(super) struct RefLocks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl RefLocks {
    /// Waits until no one else holds `name`.
    pub(super) async fn lock(&self, name: String) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Locks no one holds or waits for are forgotten here, so the map stays small.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(name).or_default().clone()
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn the_second_waits_and_unused_locks_are_forgotten() {
        let locks = RefLocks::default();
        let first = locks.lock("a".into()).await;
        assert!(locks.lock("a".into()).now_or_never().is_none());
        assert!(locks.lock("b".into()).now_or_never().is_some());
        drop(first);
        assert!(locks.lock("a".into()).now_or_never().is_some());
        assert_eq!(locks.0.lock().unwrap().len(), 1);
    }
}
