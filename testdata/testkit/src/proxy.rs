//! A scripted HTTP/1.1 proxy in front of a server: faults where the script wants them, bytes untouched elsewhere.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request as the script sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Requests before it, over all connections.
    pub number: usize,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// It reaches the server, and its answer the client.
    Pass,
    /// The proxy answers with this status and these header lines; the server never sees it.
    Answer(u16, &'static [&'static str]),
    /// The server gets the head and this many bytes of the body; then both connections break.
    CutBody(u64),
    /// The client gets this many bytes of the answer, its head included; then both connections break.
    CutAnswer(u64),
    /// Nobody answers until the client hangs up.
    Hang,
}

type Script = Arc<dyn Fn(&Seen) -> Act + Send + Sync>;

/// A running proxy; each request has a connection of its own. Dropping it ends it.
pub struct Proxy {
    addr: SocketAddr,
    log: Arc<Mutex<Vec<Seen>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy in front of `server`.
    pub fn start(server: SocketAddr, script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let (log, ended) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<AtomicBool>::default());
        let exchange = Exchange { server, script: Arc::new(script), log: Arc::clone(&log) };
        let until = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if until.load(Ordering::SeqCst) {
                    break;
                }
                let exchange = exchange.clone();
                // A broken connection is what this is for.
                std::thread::spawn(move || exchange.serve(client?));
            }
        });
        Self { addr, log, ended, thread: Some(thread) }
    }

    /// Returns `host:port/rest`, for image references.
    pub fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.addr)
    }

    /// Returns the requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(self.addr));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Clone)]
struct Exchange {
    server: SocketAddr,
    script: Script,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Exchange {
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(Duration::from_secs(120)))?;
        let mut reader = BufReader::new(client.try_clone()?);
        let head = Head::read(&mut reader)?;
        let seen = self.note(&head);
        match (self.script)(&seen) {
            Act::Pass => self.pass(&head, reader, client, (u64::MAX, u64::MAX)),
            Act::CutBody(bytes) => self.pass(&head, reader, client, (bytes, u64::MAX)),
            Act::CutAnswer(bytes) => self.pass(&head, reader, client, (u64::MAX, bytes)),
            Act::Answer(status, headers) => answer(&head, reader, client, status, headers),
            Act::Hang => io::copy(&mut reader, &mut io::sink()).map(drop),
        }
    }

    fn note(&self, head: &Head) -> Seen {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words = head.lines[0].split(' ').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        let seen = Seen { method: next(), path: next(), number: log.len() };
        log.push(seen.clone());
        seen
    }

    /// Up to `limits` bytes of the request's body and of the answer.
    fn pass(
        &self,
        head: &Head,
        body: BufReader<TcpStream>,
        mut client: TcpStream,
        limits: (u64, u64),
    ) -> io::Result<()> {
        let server = TcpStream::connect(self.server)?;
        (&server).write_all(head.for_one_request().as_bytes())?;
        let (mut to, whole) = (server.try_clone()?, limits.0 == u64::MAX);
        let upward = std::thread::spawn(move || {
            let sent = io::copy(&mut body.take(limits.0), &mut to);
            if !whole {
                let _ = to.shutdown(Shutdown::Both);
            }
            sent
        });
        let _ = io::copy(&mut (&server).take(limits.1), &mut client);
        for stream in [&client, &server] {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = upward.join();
        Ok(())
    }
}

/// Reads the body first: an unread one turns the answer into a connection reset.
fn answer(
    head: &Head,
    body: BufReader<TcpStream>,
    mut client: TcpStream,
    status: u16,
    headers: &[&str],
) -> io::Result<()> {
    io::copy(&mut body.take(head.content_length()), &mut io::sink())?;
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    write!(client, "HTTP/1.1 {status} Scripted\r\nConnection: close\r\nContent-Length: 0\r\n{lines}\r\n")?;
    client.shutdown(Shutdown::Write)
}

/// The request line and the header lines.
struct Head {
    lines: Vec<String>,
}

impl Head {
    fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end() {
                "" if lines.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                "" => return Ok(Self { lines }),
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// The same head, for a connection that carries nothing after it.
    fn for_one_request(&self) -> String {
        let is_connection = |line: &&String| line.to_ascii_lowercase().starts_with("connection:");
        let lines: String = self.lines.iter().filter(|line| !is_connection(line)).map(|l| format!("{l}\r\n")).collect();
        format!("{lines}Connection: close\r\n\r\n")
    }

    fn content_length(&self) -> u64 {
        let value = self.lines.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        value.unwrap_or(0)
    }
}
