//! Keyed work that is done once and shared.
//!
//! Owns: [`OnceMap`]. Concurrent callers of one key wait for the first; a failure is not kept.
//! Dropping the first caller lets the next one start over. Never: holds its lock while waiting.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

type Cells<K, V> = HashMap<K, Arc<OnceCell<V>>>;

/// Values computed at most once per key.
pub(crate) struct OnceMap<K, V> {
    cells: Mutex<Cells<K, V>>,
}

impl<K, V> Default for OnceMap<K, V> {
    fn default() -> Self {
        Self { cells: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> OnceMap<K, V> {
    /// Returns the value, computing it if no one has. `init` is dropped unpolled if someone has.
    pub(crate) async fn get_or_try_init<E>(&self, key: &K, init: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let cell = Arc::clone(self.lock().entry(key.clone()).or_default());
        cell.get_or_try_init(|| init).await.cloned()
    }

    /// Returns the value if it is there.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key).and_then(|cell| cell.get().cloned())
    }

    /// Forgets the value if `is_stale` says so of what is there now.
    pub(crate) fn forget_if(&self, key: &K, is_stale: impl FnOnce(&V) -> bool) {
        let mut cells = self.lock();
        if cells.get(key).and_then(|cell| cell.get()).is_some_and(is_stale) {
            cells.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cells<K, V>> {
        // A panic elsewhere cannot leave a map half changed.
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn shares_success_and_forgets_failure() {
        let map = OnceMap::<&str, u32>::default();
        let calls = AtomicU32::new(0);
        let work = async || {
            tokio::task::yield_now().await;
            match calls.fetch_add(1, Ordering::Relaxed) {
                0 => Err("first"),
                n => Ok(n),
            }
        };
        assert_eq!(map.get_or_try_init(&"k", work()).await, Err("first"));
        let both = tokio::join!(map.get_or_try_init(&"k", work()), map.get_or_try_init(&"k", work()));
        assert_eq!(both, (Ok(1), Ok(1)));
        map.forget_if(&"k", |v| *v == 7);
        assert_eq!(map.get(&"k"), Some(1));
        map.forget_if(&"k", |v| *v == 1);
        assert_eq!(map.get(&"k"), None);
    }
}
