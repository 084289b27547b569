//! Sending a request and getting its answer, or the bare connection after an upgrade.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::body::{BodyReader, Connection, Framing};
use super::send::{FileBody, write_chunks};
use super::{Endpoint, Head, Socket};

/// An exchange failed below the level of documents.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection to the engine.
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    /// The connection broke.
    #[error("connection broken")]
    Broken(#[source] std::io::Error),
    /// The answer is no HTTP.
    #[error("{0}")]
    Malformed(String),
    /// The source of the request's body failed.
    #[error("{0}")]
    Source(String),
}

impl model::Kinded for HttpError {
    fn kind(&self) -> model::ErrorKind {
        model::ErrorKind::Unavailable
    }
}

/// What a request carries.
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes of a known length.
    Bytes(Vec<u8>),
    /// A stream, sent in chunks by a thread of its own so that output may come before its end.
    Stream(Box<dyn Read + Send>),
    /// A part of a file, sent by the kernel where it can.
    File(FileBody),
    /// The same, sent by a thread of its own as a stream is.
    FileAlong(FileBody),
}

/// One request; the path holds the query.
pub struct Request<'a> {
    /// GET, HEAD, POST, PUT or DELETE.
    pub method: &'a str,
    /// Path and query, escaped.
    pub path: &'a str,
    /// Headers besides Host and those that describe the body.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Body,
}

/// An answer whose body is yet to be read.
#[derive(Debug)]
pub struct Response {
    /// Status and headers.
    pub head: Head,
    /// The body.
    pub body: BodyReader,
}

/// A connection that stopped being HTTP.
#[derive(Debug)]
pub struct Upgraded {
    /// Status and headers of the answer.
    pub head: Head,
    /// The raw connection.
    pub socket: Socket,
    /// Bytes that came right behind the head.
    pub early: Vec<u8>,
}

/// Connections kept at most.
const KEPT: usize = 16;
/// Preliminary answers taken before the real one.
const PRELIMINARY: usize = 16;

/// Connections that wait for their next request.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Connection>>);

impl Pool {
    pub(super) fn put(&self, connection: Connection) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.pending().is_empty() && kept.len() < KEPT {
            kept.push(connection);
        }
    }

    fn take(&self) -> Option<Connection> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = kept.pop() {
            if !connection.socket.is_stale() {
                return Some(connection);
            }
        }
        None
    }
}

/// Speaks HTTP with one endpoint; shared by threads through a reference.
#[derive(Debug)]
pub struct HttpClient {
    endpoint: Endpoint,
    pool: Arc<Pool>,
}

impl HttpClient {
    /// A client without any connection yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, pool: Arc::default() }
    }

    /// The endpoint spoken to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A new connection outside the pool.
    ///
    /// # Errors
    /// When the endpoint can't be reached.
    pub fn dial(&self) -> Result<Socket, HttpError> {
        self.endpoint.connect().map_err(HttpError::Connect)
    }

    /// Sends a request and reads the head of its answer.
    ///
    /// # Errors
    /// When there is no connection or it breaks.
    pub fn send(&self, request: Request<'_>) -> Result<Response, HttpError> {
        let Request { method, path, headers, body } = request;
        let head = self.request_head(method, path, headers, &body, false);
        let body = match body {
            Body::Stream(mut source) => {
                return self.send_along(method, head, move |socket| write_chunks(socket, &mut *source));
            }
            Body::FileAlong(file) => {
                // A file that became shorter is its own fault, a broken connection is not.
                let told = |error: std::io::Error| {
                    (error.kind() == std::io::ErrorKind::UnexpectedEof).then(|| error.to_string())
                };
                return self.send_along(method, head, move |socket| file.send(socket).map_err(told));
            }
            body => body,
        };
        let mut message = head.into_bytes();
        if let Body::Bytes(bytes) = &body {
            message.extend_from_slice(bytes);
        }
        if let Some(mut kept) = self.pool.take() {
            // A kept connection may have been closed meanwhile: then a new one is tried, once.
            if write_message(&kept.socket, &message, &body).is_ok()
                && let Ok(head) = self.read_head(&mut kept)
            {
                return Ok(self.answer(method, head, kept));
            }
        }
        let mut connection = Connection::new(self.dial()?);
        let sent = write_message(&connection.socket, &message, &body);
        match self.read_head(&mut connection) {
            Ok(head) => {
                let mut response = self.answer(method, head, connection);
                // After an answer that came before the body's end the connection is out of step.
                response.body.reusable &= sent.is_ok();
                Ok(response)
            }
            Err(error) => Err(sent.err().map_or(error, |cause| broken(&connection.socket, cause))),
        }
    }

    /// Sends a request that carries nothing over a connection that is kept; none when there is none that still serves. What
    /// `watch` gives is held until the answer's head is there.
    pub fn send_kept<W>(&self, request: &Request<'_>, watch: impl FnOnce(Socket) -> W) -> Option<Response> {
        let Request { method, path, headers, body: Body::Empty } = request else { return None };
        let mut kept = self.pool.take()?;
        let watched = watch(kept.socket.clone());
        let message = self.request_head(method, path, headers, &Body::Empty, false);
        write_message(&kept.socket, message.as_bytes(), &Body::Empty).ok()?;
        let head = self.read_head(&mut kept).ok()?;
        drop(watched);
        Some(self.answer(method, head, kept))
    }

    fn read_head(&self, connection: &mut Connection) -> Result<Head, HttpError> {
        read_head(connection, self.endpoint.patience().map(|patience| Instant::now() + patience.head))
    }

    /// Sends a request that turns the connection into a raw stream (attach, exec, session).
    ///
    /// A status of 400 and above leaves an ordinary answer, given as the error side.
    ///
    /// # Errors
    /// When there is no connection or it breaks.
    pub fn upgrade(
        &self,
        request: Request<'_>,
        protocol: &str,
    ) -> Result<Result<Upgraded, Response>, HttpError> {
        let Request { method, path, headers, body } = request;
        let mut all = vec![("Connection", "Upgrade"), ("Upgrade", protocol)];
        all.extend_from_slice(headers);
        let mut message = self.request_head(method, path, &all, &body, true).into_bytes();
        if let Body::Bytes(bytes) = &body {
            message.extend_from_slice(bytes);
        }
        // Once sent, it is not sent again: the engine may have begun already.
        let kept = self.pool.take().filter(|kept| (&kept.socket).write_all(&message).is_ok());
        let mut connection = match kept {
            Some(kept) => kept,
            None => {
                let connection = Connection::new(self.dial()?);
                let sent = (&connection.socket).write_all(&message);
                sent.map_err(|error| broken(&connection.socket, error))?;
                connection
            }
        };
        let head = self.read_head(&mut connection)?;
        if head.status >= 300 {
            return Ok(Err(self.answer(method, head, connection)));
        }
        let early = connection.pending().to_vec();
        Ok(Ok(Upgraded { head, socket: connection.socket, early }))
    }

    fn send_along(
        &self,
        method: &str,
        head: String,
        write: impl FnOnce(&Socket) -> Result<(), Option<String>> + Send + 'static,
    ) -> Result<Response, HttpError> {
        let mut connection = Connection::new(self.dial()?);
        let socket = connection.socket.clone();
        (&socket).write_all(head.as_bytes()).map_err(|error| broken(&socket, error))?;
        let failure = Arc::new(Mutex::new(None));
        let reported = Arc::clone(&failure);
        std::thread::spawn(move || {
            if let Err(error) = write(&socket) {
                *reported.lock().unwrap_or_else(PoisonError::into_inner) = error;
                // Without the last chunk the engine knows that the body is not whole.
                let _ = socket.close_write();
            }
        });
        match self.read_head(&mut connection) {
            Ok(head) => {
                let mut response = self.answer(method, head, connection);
                response.body.reusable = false;
                Ok(response)
            }
            Err(error) => {
                let source = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
                Err(source.map_or(error, HttpError::Source))
            }
        }
    }

    fn request_head(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Body,
        upgrade: bool,
    ) -> String {
        let prefix = self.endpoint.target_prefix();
        let host = self.endpoint.host_header();
        let mut head = format!("{method} {prefix}{path} HTTP/1.1\r\nHost: {host}\r\n");
        if let Some(value) = self.endpoint.proxy_header() {
            let _ = write!(head, "Proxy-Authorization: {value}\r\n");
        }
        for (name, value) in headers {
            let clean = |byte: char| byte != '\r' && byte != '\n';
            head.extend(name.chars().filter(|byte| clean(*byte)));
            head.push_str(": ");
            head.extend(value.chars().filter(|byte| clean(*byte)));
            head.push_str("\r\n");
        }
        match body {
            Body::Empty if matches!(method, "POST" | "PUT" | "PATCH") && !upgrade => {
                head.push_str("Content-Length: 0\r\n")
            }
            Body::Empty => {}
            Body::Bytes(bytes) => {
                let _ = write!(head, "Content-Length: {}\r\n", bytes.len());
            }
            Body::File(file) | Body::FileAlong(file) => {
                let _ = write!(head, "Content-Length: {}\r\n", file.length);
            }
            Body::Stream(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
        }
        head.push_str("\r\n");
        head
    }

    fn answer(&self, method: &str, head: Head, connection: Connection) -> Response {
        let length = head.header("Content-Length").and_then(|value| value.trim().parse().ok());
        let framing = if method == "HEAD" || head.status == 204 || head.status == 304 {
            Framing::Length(0)
        } else if head.is_chunked() {
            Framing::Chunked(None)
        } else {
            length.map_or(Framing::UntilClose, Framing::Length)
        };
        let reusable = !head.closes();
        let mut body = BodyReader {
            kept: None,
            connection: Some(connection),
            framing,
            pool: Arc::clone(&self.pool),
            reusable,
        };
        if framing == Framing::Length(0) {
            let _ = body.read(&mut [0]);
        }
        Response { head, body }
    }
}

/// A broken connection, for the reason its other end gave if it gave one.
fn broken(socket: &Socket, error: std::io::Error) -> HttpError {
    let why = socket.fault().map(|why| std::io::Error::new(error.kind(), why.to_owned()));
    HttpError::Broken(why.unwrap_or(error))
}

fn write_message(socket: &Socket, message: &[u8], body: &Body) -> std::io::Result<()> {
    let mut stream = socket;
    stream.write_all(message)?;
    match body {
        Body::File(file) => file.send(socket),
        _ => Ok(()),
    }
}

fn read_head(connection: &mut Connection, deadline: Option<Instant>) -> Result<Head, HttpError> {
    let mut preliminary = 0;
    loop {
        if let Some((head, length)) = Head::parse(connection.pending())? {
            connection.consume(length);
            if matches!(head.status, 100 | 102..200) {
                preliminary += 1;
                if preliminary > PRELIMINARY {
                    return Err(HttpError::Malformed("too many preliminary answers".to_owned()));
                }
                continue;
            }
            return Ok(head);
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "timeout awaiting response headers");
            return Err(HttpError::Broken(late));
        }
        if connection.fill().map_err(|error| broken(&connection.socket, error))? == 0 {
            let end = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "EOF");
            return Err(broken(&connection.socket, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn serve(answers: &'static [&'static str]) -> (HttpClient, std::thread::JoinHandle<String>) {
        let path = std::env::temp_dir().join(format!("wharf-http-{}-{:p}", std::process::id(), answers));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let client = HttpClient::new(Endpoint::Unix(path.clone()));
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            std::fs::remove_file(path).unwrap();
            let mut seen = Vec::new();
            for answer in answers {
                let mut piece = [0; 4096];
                let count = stream.read(&mut piece).unwrap();
                seen.extend_from_slice(&piece[..count]);
                stream.write_all(answer.as_bytes()).unwrap();
            }
            String::from_utf8(seen).unwrap()
        });
        (client, thread)
    }

    fn get(client: &HttpClient, path: &str) -> String {
        let request = Request { method: "GET", path, headers: &[], body: Body::Empty };
        let mut text = String::new();
        client.send(request).unwrap().body.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn one_connection_serves_several_requests() {
        let (client, server) = serve(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ]);
        assert_eq!(get(&client, "/a"), "hi");
        assert_eq!(get(&client, "/b"), "abcd");
        assert_eq!(get(&client, "/c"), "");
        assert_eq!(server.join().unwrap().matches("GET ").count(), 3);
    }

    #[test]
    fn a_cut_body_is_an_error() {
        let (client, server) = serve(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"]);
        let request = Request { method: "GET", path: "/", headers: &[], body: Body::Empty };
        let mut response = client.send(request).unwrap();
        server.join().unwrap();
        assert!(response.body.read_to_end(&mut Vec::new()).is_err());
    }

    #[test]
    fn an_upgrade_keeps_the_bytes_behind_the_head() {
        let (client, server) = serve(&["HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nearly"]);
        let request = Request { method: "POST", path: "/", headers: &[], body: Body::Empty };
        let upgraded = client.upgrade(request, "tcp").unwrap().unwrap();
        assert_eq!(upgraded.early, b"early");
        assert!(server.join().unwrap().contains("Upgrade: tcp\r\n"));
    }
}
