//! A registry made of a function: whatever a test wants it to answer, lies included.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, ...
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, if it had a length.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header, named in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    /// The first byte of the asked range.
    pub fn range_start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers besides the length.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Vec<u8>,
    /// The length that is claimed, when it is not the true one; `None` within sends no length at all.
    pub claimed: Option<Option<u64>>,
    /// So many bytes go out, then the connection is cut.
    pub cut_after: Option<usize>,
    /// Before the connection ends nothing happens for so long.
    pub stall: Option<Duration>,
    /// The body goes out in single bytes with such pauses.
    pub drip: Option<Duration>,
    /// The body is sent again and again.
    pub endless: bool,
}

impl Reply {
    /// A plain answer.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            claimed: None,
            cut_after: None,
            stall: None,
            drip: None,
            endless: false,
        }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A part of some bytes, as the request's range wants it.
    pub fn ranged(request: &Request, bytes: &[u8]) -> Self {
        match request.range_start().filter(|start| *start < bytes.len()) {
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Self::new(206, &bytes[start..]).with("Content-Range", &range)
            }
            None => Self::new(200, bytes),
        }
    }
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

/// A registry on a port of this machine; gone when dropped.
pub struct Registry {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Box<Answer>,
    requests: Mutex<Vec<Request>>,
    body_bytes: AtomicU64,
    closed: AtomicBool,
}

impl Registry {
    /// Starts it.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            requests: Mutex::default(),
            body_bytes: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if served.closed.load(Ordering::SeqCst) {
                    return;
                }
                let served = Arc::clone(&served);
                std::thread::spawn(move || {
                    // A client that goes away is part of the play.
                    let _ = serve(&stream, &served);
                });
            }
        });
        Self { address, shared }
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes of bodies that went out.
    pub fn body_bytes(&self) -> u64 {
        self.shared.body_bytes.load(Ordering::SeqCst)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it sees that it is over.
        let _ = TcpStream::connect(&self.address);
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(crate::patience(30)))?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // A greeting in TLS is no request: the client is told so by the end of the connection.
    if !method.bytes().all(|byte| byte.is_ascii_uppercase()) || method.is_empty() {
        return Ok(());
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    request.body.resize(length.min(1 << 28), 0);
    let whole = reader.read_exact(&mut request.body);
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    whole?;
    send(stream, shared, &request, &(shared.answer)(&request))
}

fn send(mut stream: &TcpStream, shared: &Shared, request: &Request, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let usual = if reply.endless { None } else { Some(reply.body.len() as u64) };
    if let Some(length) = reply.claimed.unwrap_or(usual) {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let body = &reply.body[..reply.cut_after.unwrap_or(reply.body.len()).min(reply.body.len())];
    let piece = if reply.drip.is_some() { 1 } else { 64 * 1024 };
    loop {
        for piece in body.chunks(piece) {
            stream.write_all(piece)?;
            shared.body_bytes.fetch_add(piece.len() as u64, Ordering::SeqCst);
            if let Some(pause) = reply.drip {
                std::thread::sleep(pause);
            }
        }
        if !reply.endless || shared.closed.load(Ordering::SeqCst) {
            std::thread::sleep(reply.stall.unwrap_or_default());
            return Ok(());
        }
    }
}
