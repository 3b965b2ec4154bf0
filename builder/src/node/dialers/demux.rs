//! The framed output of a process inside a container.
//!
//! Owns: Docker's stream format (moby, `api/types/container`: one byte of stream, three zero bytes, four of length).
//! Standard output becomes the bytes read; standard error is kept for messages. Input is not framed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Error output kept for messages, in bytes.
const STDERR_KEPT: usize = 4 << 10;

/// Where the reader is.
#[derive(Debug)]
enum State {
    /// Inside a header, with so many bytes of it.
    Header([u8; 8], usize),
    /// So many bytes of standard output are left in the frame.
    Stdout(u32),
    /// So many bytes of standard error are left in the frame.
    Stderr(u32),
}

/// A connection to a process in a container.
#[derive(Debug)]
pub(super) struct Demux<S> {
    inner: S,
    state: State,
    complaint: Vec<u8>,
    output: Output,
    what: String,
}

/// What is known about the process's output. A runtime that cannot start the process says so on standard output, where
/// the protocol should be; its first byte tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// Nothing came; the protocol would begin with this byte.
    Awaited(u8),
    /// The protocol.
    Protocol,
    /// Something else: all of it is a complaint.
    Complaint,
}

impl<S> Demux<S> {
    /// Wraps a hijacked connection to a process whose output begins with `first`; `what` begins the error of one that
    /// only complains.
    pub(super) fn new(inner: S, first: u8, what: String) -> Self {
        Self { inner, state: State::Header([0; 8], 0), complaint: Vec::new(), output: Output::Awaited(first), what }
    }

    fn expects(&mut self, first: u8) -> bool {
        if let Output::Awaited(want) = self.output {
            self.output = if first == want { Output::Protocol } else { Output::Complaint };
        }
        self.output == Output::Protocol
    }

    fn frame(&self, header: [u8; 8]) -> io::Result<State> {
        match frame(header)? {
            State::Stdout(length) if self.output == Output::Complaint => Ok(State::Stderr(length)),
            state => Ok(state),
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.complaint.extend_from_slice(bytes);
        let excess = self.complaint.len().saturating_sub(STDERR_KEPT);
        self.complaint.drain(..excess);
    }

    /// A process that ends without one byte of output did not connect; its complaint says why.
    fn end(&self) -> io::Result<()> {
        let said = String::from_utf8_lossy(&self.complaint);
        match said.trim() {
            "" => Ok(()),
            _ if self.output == Output::Protocol => Ok(()),
            said => Err(io::Error::new(io::ErrorKind::ConnectionAborted, format!("{}: {said}", self.what))),
        }
    }
}

impl<S: AsyncRead + Unpin> Demux<S> {
    fn poll_some(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Demux<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.state {
                State::Header(header, 8) => this.state = this.frame(header)?,
                State::Header(mut header, have) => {
                    let read = ready!(this.poll_some(cx, &mut header[have..]))?;
                    if read == 0 {
                        return Poll::Ready(if have == 0 {
                            this.end()
                        } else {
                            Err(io::ErrorKind::UnexpectedEof.into())
                        });
                    }
                    this.state = State::Header(header, have + read);
                }
                State::Stdout(0) | State::Stderr(0) => this.state = State::Header([0; 8], 0),
                State::Stdout(left) => {
                    let room = buf.remaining().min(left as usize);
                    if room == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    let read = ready!(this.poll_some(cx, &mut buf.initialize_unfilled()[..room]))?;
                    if read == 0 {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    let left = left - read as u32;
                    let bytes = &buf.initialize_unfilled()[..read];
                    if this.expects(bytes[0]) {
                        buf.advance(read);
                        this.state = State::Stdout(left);
                        return Poll::Ready(Ok(()));
                    }
                    this.keep(bytes);
                    this.state = State::Stderr(left);
                }
                State::Stderr(left) => {
                    let mut chunk = [0; 512];
                    let room = chunk.len().min(left as usize);
                    let read = ready!(this.poll_some(cx, &mut chunk[..room]))?;
                    if read == 0 {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    this.keep(&chunk[..read]);
                    this.state = State::Stderr(left - read as u32);
                }
            }
        }
    }
}

fn frame(header: [u8; 8]) -> io::Result<State> {
    let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    match (header[0], &header[1..4]) {
        (0 | 1, [0, 0, 0]) => Ok(State::Stdout(length)),
        // 3 is an error of the daemon itself (moby, pkg/stdcopy: Systemerr).
        (2 | 3, [0, 0, 0]) => Ok(State::Stderr(length)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the output of a container is not framed as expected")),
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Demux<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn framed(stream: u8, bytes: &[u8]) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        frame.extend_from_slice(bytes);
        frame
    }

    fn read_all(first: u8, wire: Vec<Vec<u8>>) -> io::Result<Vec<u8>> {
        let mut builder = tokio_util::io::StreamReader::new(futures::stream::iter(
            wire.into_iter().filter(|part| !part.is_empty()).map(|part| Ok::<_, io::Error>(bytes::Bytes::from(part))),
        ));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut got = Vec::new();
            Demux::new(&mut builder, first, "exec".into()).read_to_end(&mut got).await?;
            Ok(got)
        })
    }

    proptest! {
        #[test]
        fn joins_output_however_it_is_framed_and_cut(
            frames in prop::collection::vec((0u8..4, prop::collection::vec(any::<u8>(), 0..600)), 0..12),
            cut in 1usize..40,
        ) {
            let wire: Vec<u8> = frames.iter().flat_map(|(stream, bytes)| framed(*stream, bytes)).collect();
            let want: Vec<u8> =
                frames.iter().filter(|(stream, _)| *stream < 2).flat_map(|(_, bytes)| bytes.clone()).collect();
            if !want.is_empty() {
                let got = read_all(want[0], wire.chunks(cut).map(<[u8]>::to_vec).collect()).unwrap();
                prop_assert_eq!(got, want);
            }
        }
    }

    #[test]
    fn turns_a_complaint_into_an_error() {
        let error = read_all(b'x', vec![framed(2, b"sh: buildctl: not found\n")]).unwrap_err();
        assert_eq!(error.to_string(), "exec: sh: buildctl: not found");
        assert_eq!(read_all(b'x', vec![framed(2, b"warning"), framed(1, b"x")]).unwrap(), b"x");
    }

    #[test]
    fn takes_output_that_is_not_the_protocol_for_a_complaint() {
        let wire =
            vec![framed(1, b"OCI runtime exec failed: "), framed(2, b"no buildctl"), framed(1, b" in $PATH\r\n")];
        let error = read_all(0, wire).unwrap_err();
        assert_eq!(error.to_string(), "exec: OCI runtime exec failed: no buildctl in $PATH");
    }

    #[test]
    fn refuses_garbage_and_cut_frames() {
        assert_eq!(read_all(b'h', vec![b"HTTP/1.1 200".to_vec()]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut cut = framed(1, b"hello");
        cut.pop();
        assert_eq!(read_all(b'h', vec![cut]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read_all(b'h', vec![vec![1, 0, 0]]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
