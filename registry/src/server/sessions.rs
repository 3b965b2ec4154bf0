//! Upload sessions.
//!
//! Owns: the open uploads, each with a writer of the blob store, so that bytes go to their final file
//! once. Sessions end with the process; what they wrote is a temporary file of the store and never
//! visible. Never: two requests writing one session, or a session that lost bytes it acknowledged.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::name::{RepoName, UploadId};
use crate::store::BlobWriter;

/// Most uploads open at once; each may hold a file.
const SESSION_LIMIT: usize = 512;
/// An upload nobody touched for this long is given up when another one starts.
const IDLE_LIMIT: Duration = Duration::from_secs(60 * 60);

/// All open uploads.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<UploadId, Session>>,
}

struct Session {
    repo: RepoName,
    received: u64,
    touched: Instant,
    writer: Slot,
}

enum Slot {
    /// Nothing was written yet.
    Empty,
    /// Waiting for the next request.
    Waiting(Box<dyn BlobWriter>),
    /// A request is writing.
    Taken,
}

/// Why a session cannot be written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no such upload in this repository.
    #[error("no such upload")]
    Unknown,
    /// Another request is writing it.
    #[error("another request is writing this upload")]
    Busy,
    /// Too many uploads are being written.
    #[error("too many open uploads")]
    Full,
}

impl Sessions {
    /// Opens a session. When there is no room, the one longest untouched is given up for it.
    ///
    /// # Errors
    /// [`SessionError::Full`].
    pub fn start(&self, repo: RepoName) -> Result<UploadId, SessionError> {
        let mut open = self.lock();
        open.retain(|_, session| matches!(session.writer, Slot::Taken) || session.touched.elapsed() < IDLE_LIMIT);
        if open.len() >= SESSION_LIMIT {
            let waiting = open.iter().filter(|(_, session)| !matches!(session.writer, Slot::Taken));
            let oldest = waiting.min_by_key(|(_, session)| session.touched).map(|(id, _)| id.clone());
            open.remove(&oldest.ok_or(SessionError::Full)?);
        }
        let id = UploadId::random();
        open.insert(id.clone(), Session { repo, received: 0, touched: Instant::now(), writer: Slot::Empty });
        Ok(id)
    }

    /// Returns how many bytes a session has.
    ///
    /// # Errors
    /// [`SessionError::Unknown`].
    pub fn received(&self, repo: &RepoName, id: &UploadId) -> Result<u64, SessionError> {
        let open = self.lock();
        let session = open.get(id).filter(|session| session.repo == *repo);
        session.map(|session| session.received).ok_or(SessionError::Unknown)
    }

    /// Takes a session for writing. It comes back when the lease is dropped in one piece.
    ///
    /// # Errors
    /// [`SessionError::Unknown`], [`SessionError::Busy`].
    pub fn lease(self: &Arc<Self>, repo: &RepoName, id: &UploadId) -> Result<Lease, SessionError> {
        let mut open = self.lock();
        let session = open.get_mut(id).filter(|session| session.repo == *repo).ok_or(SessionError::Unknown)?;
        session.touched = Instant::now();
        let writer = match std::mem::replace(&mut session.writer, Slot::Taken) {
            Slot::Taken => return Err(SessionError::Busy),
            Slot::Empty => None,
            Slot::Waiting(writer) => Some(writer),
        };
        Ok(Lease { sessions: Arc::clone(self), id: id.clone(), received: session.received, writer, whole: true })
    }

    /// Gives up a session.
    ///
    /// # Errors
    /// [`SessionError::Unknown`].
    pub fn cancel(&self, repo: &RepoName, id: &UploadId) -> Result<(), SessionError> {
        match self.lock().entry(id.clone()) {
            Entry::Occupied(entry) if entry.get().repo == *repo => {
                entry.remove();
                Ok(())
            }
            _ => Err(SessionError::Unknown),
        }
    }

    /// Every change under the lock is a single step, so a poisoned map is still good.
    fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session taken for writing.
pub struct Lease {
    sessions: Arc<Sessions>,
    id: UploadId,
    received: u64,
    writer: Option<Box<dyn BlobWriter>>,
    /// False while bytes are on their way into the writer: if that is cut off, the session is gone.
    whole: bool,
}

impl Lease {
    /// Returns how many bytes the session has.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Returns whether nothing was written yet and a writer has to be [put](Self::put) first.
    pub fn is_empty(&self) -> bool {
        self.writer.is_none()
    }

    /// Gives an empty session its writer.
    pub fn put(&mut self, writer: Box<dyn BlobWriter>) {
        self.writer = Some(writer);
    }

    /// Appends bytes. If this fails or is dropped, the session is gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn write(&mut self, bytes: bytes::Bytes) -> Result<(), crate::store::StoreError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let len = bytes.len() as u64;
        self.whole = false;
        writer.write(bytes).await?;
        self.whole = true;
        self.received += len;
        // Visible at once: a client whose connection broke asks how far it got.
        if let Some(session) = self.sessions.lock().get_mut(&self.id) {
            session.received = self.received;
            session.touched = Instant::now();
        }
        Ok(())
    }

    /// Ends the session and hands out the writer.
    pub fn finish(mut self) -> Option<Box<dyn BlobWriter>> {
        self.whole = false;
        self.writer.take()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut open = self.sessions.lock();
        match open.get_mut(&self.id) {
            // Gone if it was cancelled meanwhile.
            None => {}
            Some(session) if self.whole => {
                session.writer = self.writer.take().map_or(Slot::Empty, Slot::Waiting);
                session.touched = Instant::now();
            }
            Some(_) => {
                open.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::future::BoxFuture;

    use super::*;
    use crate::oci::Digest;
    use crate::store::{BlobStore, Committed, Expect, MemoryStore, StoreError};

    fn repo() -> RepoName {
        RepoName::parse("a").unwrap()
    }

    async fn started() -> (Arc<Sessions>, UploadId) {
        let sessions = Arc::new(Sessions::default());
        let id = sessions.start(repo()).unwrap();
        let mut lease = sessions.lease(&repo(), &id).unwrap();
        lease.put(MemoryStore::new().writer(Expect::default()).await.unwrap());
        lease.write(Bytes::from_static(b"abc")).await.unwrap();
        (sessions, id)
    }

    #[tokio::test]
    async fn a_session_belongs_to_one_repository_and_one_writer() {
        let (sessions, id) = started().await;
        let other = RepoName::parse("b").unwrap();
        assert_eq!(sessions.lease(&other, &id).err(), Some(SessionError::Unknown));
        assert_eq!(sessions.received(&other, &id), Err(SessionError::Unknown));
        assert_eq!(sessions.cancel(&other, &id), Err(SessionError::Unknown));
        let lease = sessions.lease(&repo(), &id).unwrap();
        assert_eq!(lease.received(), 3);
        assert_eq!(sessions.lease(&repo(), &id).err(), Some(SessionError::Busy));
        drop(lease);
        assert!(sessions.lease(&repo(), &id).is_ok());
        sessions.cancel(&repo(), &id).unwrap();
        assert_eq!(sessions.received(&repo(), &id), Err(SessionError::Unknown));
    }

    #[tokio::test]
    async fn finishing_ends_the_session() {
        let (sessions, id) = started().await;
        let writer = sessions.lease(&repo(), &id).unwrap().finish().unwrap();
        assert_eq!(writer.commit().await.unwrap().digest, Digest::sha256("abc"));
        assert_eq!(sessions.received(&repo(), &id), Err(SessionError::Unknown));
    }

    struct Stuck;

    impl BlobWriter for Stuck {
        fn write(&mut self, _: Bytes) -> BoxFuture<'_, Result<(), StoreError>> {
            Box::pin(std::future::pending())
        }
        fn written(&self) -> u64 {
            0
        }
        fn promise(&mut self, _: Digest) -> BoxFuture<'_, Result<(), StoreError>> {
            Box::pin(std::future::pending())
        }
        fn commit(self: Box<Self>) -> BoxFuture<'static, Result<Committed, StoreError>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn a_write_that_is_cut_off_ends_the_session() {
        let sessions = Arc::new(Sessions::default());
        let id = sessions.start(repo()).unwrap();
        let mut lease = sessions.lease(&repo(), &id).unwrap();
        lease.put(Box::new(Stuck));
        assert!(futures::poll!(Box::pin(lease.write(Bytes::from_static(b"x")))).is_pending());
        drop(lease);
        assert_eq!(sessions.received(&repo(), &id), Err(SessionError::Unknown));
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let sessions = Arc::new(Sessions::default());
        let ids: Vec<_> = (0..SESSION_LIMIT).map(|_| sessions.start(repo()).unwrap()).collect();
        assert!(ids.iter().all(|id| sessions.lease(&repo(), id).is_ok()));
        // Touched last, so this one stays, and an idle one goes.
        drop(sessions.lease(&repo(), &ids[0]).unwrap());
        let new = sessions.start(repo()).unwrap();
        let gone = ids.iter().filter(|id| sessions.received(&repo(), id).is_err()).count();
        assert_eq!((gone, sessions.received(&repo(), &ids[0])), (1, Ok(0)));

        let mut leases: Vec<_> = ids.iter().filter_map(|id| sessions.lease(&repo(), id).ok()).collect();
        leases.push(sessions.lease(&repo(), &new).unwrap());
        assert_eq!(leases.len(), SESSION_LIMIT);
        assert_eq!(sessions.start(repo()).err(), Some(SessionError::Full), "all are being written");
        drop(leases);
        assert!(sessions.start(repo()).is_ok());
    }
}
