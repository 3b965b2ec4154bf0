//! `relay FROM TO`: passes connections on and counts their bytes, for the benchmark.
//!
//! An address with a slash is a unix socket, any other a TCP address. Runs until standard input ends, then prints the
//! bytes towards TO and the bytes back, separated by a space.

use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Bytes passed on.
#[derive(Default)]
struct Counts {
    there: AtomicU64,
    back: AtomicU64,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn bind(address: &str) -> io::Result<Self> {
        match address.contains('/') {
            true => UnixListener::bind(address).map(Self::Unix),
            false => TcpListener::bind(address).map(Self::Tcp),
        }
    }

    fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            Self::Unix(listener) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

impl Stream {
    fn connect(address: &str) -> io::Result<Self> {
        match address.contains('/') {
            true => UnixStream::connect(address).map(Self::Unix),
            false => TcpStream::connect(address).map(Self::Tcp),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }

    fn end(&self) {
        // The other side may have closed it already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(out),
            Self::Unix(stream) => stream.read(out),
        }
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies until the source ends, counting what arrived even if the copy then fails.
fn copy(mut from: Stream, mut to: Stream, count: &AtomicU64) {
    let mut buffer = vec![0; 128 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        count.fetch_add(n as u64, Ordering::Relaxed);
        if io::Write::write_all(&mut to, &buffer[..n]).is_err() {
            break;
        }
    }
    to.end();
}

fn pass_on(near: Stream, target: &str, counts: &Arc<Counts>) -> io::Result<()> {
    let far = Stream::connect(target)?;
    let (from, to, there) = (near.try_clone()?, far.try_clone()?, Arc::clone(counts));
    thread::spawn(move || copy(from, to, &there.there));
    let back = Arc::clone(counts);
    thread::spawn(move || copy(far, near, &back.back));
    Ok(())
}

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = args.as_slice() else { return Err(io::Error::other("usage: relay FROM TO")) };
    let (listener, counts, target) = (Listener::bind(from)?, Arc::new(Counts::default()), to.clone());
    let shared = Arc::clone(&counts);
    thread::spawn(move || {
        while let Ok(near) = listener.accept() {
            // The near side sees its connection close.
            let _ = pass_on(near, &target, &shared);
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let line = format!("{} {}\n", counts.there.load(Ordering::Relaxed), counts.back.load(Ordering::Relaxed));
    io::Write::write_all(&mut io::stdout(), line.as_bytes())
}
