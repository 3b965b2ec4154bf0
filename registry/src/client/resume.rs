//! An upload until it is done: what is sent next, from where, and when it is given up.
//!
//! Owns: one count of failures for the whole upload, which begins anew only with real progress; asking a session where
//! it stands after a failure; changing from one PUT to pieces where a registry refuses the size.
//! Never: believes that bytes arrived because they were sent.

use http::{Method, StatusCode, header};
use tokio::time::Instant;

use super::Registry;
use super::auth::Access;
use super::call::{Answered, Call};
use super::error::{ClientError, ErrorKind, Fault};
use super::payload::Upload;
use super::quirks::{Quirks, UploadStyle};
use super::upload::Session;

/// Where an upload is.
enum Place {
    /// No session.
    Nowhere,
    /// The registry has this many bytes.
    At(Session, u64),
    /// Something failed; the registry knows how much it has.
    Unknown(Session),
}

/// How the upload goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    /// Bytes per PATCH; `None` is the whole blob in the closing PUT.
    piece: Option<u64>,
    /// Whether a session that broke off is asked where it stands.
    resumes: bool,
}

impl Plan {
    fn of(quirks: Quirks, size: u64, (chunk, chunk_above): (u64, u64)) -> Self {
        match quirks.upload {
            UploadStyle::Whole => Self { piece: None, resumes: false },
            UploadStyle::Pieces(most) if size > most => Self { piece: Some(chunk.min(most)), resumes: true },
            UploadStyle::Resume if size > chunk_above => Self { piece: Some(chunk), resumes: true },
            UploadStyle::Pieces(_) | UploadStyle::Resume => Self { piece: None, resumes: true },
        }
    }
}

impl Registry {
    /// Sends a blob, into `session` if one is open already.
    pub(super) async fn send_blob(&self, upload: &Upload<'_>, session: Option<Session>) -> Result<(), ClientError> {
        let (config, size) = (&self.inner.config, upload.descriptor.size);
        let (limits, host) = (&config.limits, upload.reference.host());
        let quirks = Quirks::of(host, config.host(host));
        let mut plan = Plan::of(quirks, size, (limits.chunk_bytes, limits.chunk_above));
        let mut place = session.map_or(Place::Nowhere, |session| Place::At(session, 0));
        let mut tries = Tries::new();
        loop {
            let Err(error) = self.advance(upload, plan, &mut place, &mut tries).await else { return Ok(()) };
            let in_session = !matches!(place, Place::Nowhere);
            if in_session && rejects_size(&error) && plan.piece.is_none() && size > 0 {
                tracing::debug!(host, size, "registry refuses the blob in one piece");
                plan = Plan { piece: Some(limits.chunk_bytes), resumes: true };
                place = Place::Nowhere;
                tries.closed = false;
                continue;
            }
            // A session that is gone, or elsewhere than this side thought, is asked or opened anew.
            let lost = in_session && matches!(error.kind(), ErrorKind::NotFound);
            let mixed_up = error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE);
            // A registry that went on wrongly has other bytes than were sent; its next upload begins anew, and does not
            // go on if that breaks, too.
            let spoilt = tries.resumed && error.status() == Some(StatusCode::BAD_REQUEST);
            if !(error.is_retryable() || lost || mixed_up || spoilt) {
                return Err(error);
            }
            plan.resumes &= !spoilt;
            tries.resumed &= !spoilt;
            tries.failures += 1;
            let since = *tries.since.get_or_insert_with(Instant::now);
            let Some(delay) = self.delay(&error, tries.failures, since.elapsed()) else { return Err(error) };
            self.notice(&error, tries.failures, delay);
            tokio::time::sleep(delay).await;
            place = match place {
                Place::At(session, _) | Place::Unknown(session) if plan.resumes && !lost => Place::Unknown(session),
                _ => Place::Nowhere,
            };
        }
    }

    /// Goes on from `place` to the end, or to the first failure, which leaves `place` where it happened.
    async fn advance(
        &self,
        upload: &Upload<'_>,
        plan: Plan,
        place: &mut Place,
        tries: &mut Tries,
    ) -> Result<(), ClientError> {
        let size = upload.descriptor.size;
        let stands = match std::mem::replace(place, Place::Nowhere) {
            Place::At(session, offset) => Some((session, offset)),
            Place::Nowhere => None,
            Place::Unknown(session) => match self.where_it_stands(upload, &session).await {
                Err(error) if error.is_retryable() => {
                    *place = Place::Unknown(session);
                    return Err(error);
                }
                // It has nothing, or does not say: a fresh session is certain to be empty.
                stands => stands.ok().flatten().inspect(|_| tries.resumed = true),
            },
        };
        // The answer may be all that was lost.
        if stands.is_none() && tries.closed {
            let there = self.without_mirrors().blob_exists(upload.reference, upload.descriptor).await?;
            if there.is_some() {
                return Ok(());
            }
        }
        let (mut session, mut offset) = match stands {
            Some(stands) => stands,
            None => (self.open_session(upload).await?, 0),
        };
        let piece = plan.piece.map_or(size, |piece| piece.max(session.min_chunk).max(1));
        tries.reached(offset, piece.min(self.inner.config.limits.progress_bytes));
        *place = Place::At(session.clone(), offset);
        if plan.piece.is_none() && offset == 0 {
            tries.closed = true;
            return self.put_whole(upload, &session).await;
        }
        while offset < size {
            let length = piece.min(size - offset);
            session = self.patch(upload, &session, (offset, length)).await?;
            offset += length;
            tries.reached(offset, piece);
            *place = Place::At(session.clone(), offset);
        }
        tries.closed = true;
        self.close(upload, &session).await
    }

    /// Asks the registry how much it has: `Range: 0-N` means N+1 bytes. `None` where it has nothing, or has no answer
    /// to this.
    async fn where_it_stands(
        &self,
        upload: &Upload<'_>,
        session: &Session,
    ) -> Result<Option<(Session, u64)>, ClientError> {
        let call = Call::new(upload.reference, Access::Push, Method::GET, "").at(session.location.clone());
        let answered = self.attempt(&call).await?;
        let offset = received(&answered, upload.descriptor.size);
        let offset = offset.map_err(|fault| answered.fault(upload.reference, &Method::GET, fault))?;
        if offset == 0 {
            return Ok(None);
        }
        let next = match answered.reply.header(header::LOCATION) {
            Some(_) => self.session(upload.reference, &answered, &Method::GET)?,
            None => session.clone(),
        };
        Ok(Some((Session { min_chunk: session.min_chunk, ..next }, offset)))
    }
}

/// What bounds the attempts: a registry that forgets what it acknowledged must not be sent it for ever.
struct Tries {
    /// How far the upload was when `failures` and `since` last began anew.
    mark: u64,
    failures: u32,
    /// The first of those failures: an upload that goes well may take any time.
    since: Option<Instant>,
    /// Whether a request that closes the upload was sent.
    closed: bool,
    /// Whether the session went on after something broke.
    resumed: bool,
}

impl Tries {
    fn new() -> Self {
        Self { mark: 0, failures: 0, since: None, closed: false, resumed: false }
    }

    /// Begins anew when the upload went well past the furthest point so far; bytes sent again do not count.
    fn reached(&mut self, offset: u64, step: u64) {
        if offset >= self.mark.saturating_add(step.max(1)) {
            *self = Self { mark: offset, closed: self.closed, resumed: self.resumed, ..Self::new() };
        }
    }
}

/// The registry, or a proxy before it, does not take the blob in one PUT.
fn rejects_size(error: &ClientError) -> bool {
    matches!(
        error.status(),
        Some(StatusCode::PAYLOAD_TOO_LARGE | StatusCode::LENGTH_REQUIRED | StatusCode::METHOD_NOT_ALLOWED)
    )
}

fn received(answered: &Answered, size: u64) -> Result<u64, Fault> {
    let wrong = || Fault::Protocol("the upload's state has no usable Range".to_owned());
    let range = answered.reply.header(header::RANGE).ok_or_else(wrong)?;
    stands_at(range).filter(|offset| *offset <= size).ok_or_else(wrong)
}

/// Parses `0-N`, with or without the `bytes=` some add. `0-0` of an empty upload is what
/// distribution sends, so one byte is never taken for received.
fn stands_at(range: &str) -> Option<u64> {
    let (start, end) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    let end: u64 = end.trim().parse().ok()?;
    match (start.trim(), end) {
        ("0", 0) => Some(0),
        ("0", end) => end.checked_add(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_where_an_upload_stands() {
        for (range, want) in [
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("0-0", Some(0)),
            ("5-9", None),
            ("0--1", None),
            ("", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(stands_at(range), want, "{range:?}");
        }
    }

    #[test]
    fn one_put_unless_the_registry_or_the_size_wants_pieces() {
        let plan = |upload, size| Plan::of(Quirks { upload, per_minute: None }, size, (16, 1000));
        let whole = Plan { piece: None, resumes: false };
        assert_eq!(plan(UploadStyle::Whole, u64::MAX), whole);
        assert_eq!(plan(UploadStyle::Resume, 1000), Plan { resumes: true, ..whole });
        assert_eq!(plan(UploadStyle::Resume, 1001), Plan { piece: Some(16), resumes: true });
        assert_eq!(plan(UploadStyle::Pieces(10), 10).piece, None);
        assert_eq!(plan(UploadStyle::Pieces(10), 11).piece, Some(10));
        assert_eq!(plan(UploadStyle::Pieces(100), 101).piece, Some(16));
    }

    #[test]
    fn only_progress_past_the_furthest_point_counts() {
        let mut tries = Tries { failures: 2, ..Tries::new() };
        tries.reached(5, 10);
        assert_eq!(tries.failures, 2);
        tries.reached(10, 10);
        assert_eq!((tries.failures, tries.mark), (0, 10));
        tries.failures = 1;
        tries.reached(10, 10);
        assert_eq!(tries.failures, 1, "the same point again is no progress");
    }
}
