//! The server seen from the wire: raw sockets against a handler that shows every kind of answer.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use transport::server::{Exchange, Handler, Listener, ResponseHead, Server, accept_websocket};

/// A head has to be complete within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers by path.
struct Show {
    gone: mpsc::SyncSender<()>,
}

impl Handler for Show {
    fn handle(&self, exchange: &mut Exchange<'_>) {
        let ok = ResponseHead::new(200).content_type("text/plain");
        let path = exchange.head.path.clone();
        match path.as_str() {
            "/echo" => {
                let body = exchange.body().and_then(|mut body| body.read_all(1000));
                let _ = match body {
                    Ok(body) => exchange.respond(&ok, &body),
                    Err(error) => {
                        exchange.close_after();
                        exchange.respond(&ResponseHead::new(413), error.to_string().as_bytes())
                    }
                };
            }
            "/ignore" => drop(exchange.respond(&ok, b"ignored")),
            "/empty" => drop(exchange.respond(&ResponseHead::new(204), b"")),
            "/stream" => {
                let mut stream = exchange.stream(&ok).unwrap();
                stream.write_all(b"one").unwrap();
                stream.write_all(b"twotwo").unwrap();
                stream.finish().unwrap();
            }
            "/file" => {
                let path = std::env::temp_dir().join(format!("wharf-sendfile-{}", std::process::id()));
                std::fs::write(&path, "0123456789").unwrap();
                let file = std::fs::File::open(&path).unwrap();
                std::fs::remove_file(&path).unwrap();
                let range = if exchange.head.query == "part" { 3..7 } else { 0..10 };
                let range = if exchange.head.query == "short" { 5..15 } else { range };
                let _ = exchange.respond_file(&ok, &file, range);
            }
            "/sized" => {
                let mut stream = exchange.stream_sized(&ok, 5).unwrap();
                stream.write_all(b"one").unwrap();
                stream.write_all(b"xy").unwrap();
                assert!(stream.write_all(b"more than was promised").is_err());
                stream.finish().unwrap();
            }
            "/cut" => exchange.stream(&ok).unwrap().write_all(b"one").unwrap(),
            "/duplex" => {
                let (mut body, mut stream) = exchange.duplex(&ok).unwrap();
                let mut byte = [0u8; 1];
                while body.read(&mut byte).unwrap() == 1 {
                    stream.write_all(&byte).unwrap();
                }
                stream.finish().unwrap();
            }
            "*" if exchange.head.is_preface() => {
                let taken = exchange.surrender().unwrap();
                let mut socket = &taken.socket;
                socket.write_all(&taken.early).unwrap();
            }
            "/hang" => {
                let gone = self.gone.clone();
                let (ended, end) = mpsc::channel();
                let watch = exchange.watch_disconnect(move || {
                    gone.send(()).unwrap();
                    ended.send(()).unwrap();
                });
                let _ = end.recv_timeout(Duration::from_secs(5));
                drop(watch);
            }
            "/hijack" => {
                let taken = exchange.hijack("application/vnd.docker.raw-stream", &[]).unwrap();
                let mut socket = taken.socket;
                let mut input = taken.early;
                socket.read_to_end(&mut input).unwrap();
                socket.write_all(&input).unwrap();
            }
            "/ws" => match accept_websocket(exchange) {
                Ok(mut plain) => {
                    let mut bytes = [0u8; 5];
                    plain.read_exact(&mut bytes).unwrap();
                    plain.write_all(&bytes).unwrap();
                }
                Err(error) => drop(exchange.respond(&ResponseHead::new(400), error.to_string().as_bytes())),
            },
            _ => {}
        }
    }
}

struct Fixture {
    path: PathBuf,
    gone: mpsc::Receiver<()>,
    server: Option<Server>,
}

impl Fixture {
    fn start() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wharf-transport-{}-{number}.sock", std::process::id()));
        let (gone, receiver) = mpsc::sync_channel(1);
        let listener = Listener::unix(&path, None).unwrap();
        let server = Server::start(vec![listener], Arc::new(Show { gone })).unwrap();
        Self { path, gone: receiver, server: Some(server) }
    }

    fn connect(&self) -> UnixStream {
        let socket = UnixStream::connect(&self.path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }

    /// Sends bytes, closes our writing side, and reads everything.
    fn ask(&self, request: &[u8]) -> String {
        let mut socket = self.connect();
        socket.write_all(request).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8(answer).unwrap();
        text.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.take().unwrap().stop();
        assert!(!self.path.exists());
    }
}

/// Reads until the given end has been seen.
fn read_until(socket: &mut UnixStream, end: &str) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0u8; 1];
    while !bytes.ends_with(end.as_bytes()) {
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&bytes));
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn connections_are_reused() {
    let fixture = Fixture::start();
    let answer = fixture.ask(
        b"POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\r\n\
          GET /empty HTTP/1.1\r\n\r\n\
          POST /ignore HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n\
          HEAD /ignore HTTP/1.1\r\nConnection: close\r\n\r\nGET /echo HTTP/1.1\r\n\r\n",
    );
    assert_eq!(
        answer,
        "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 3\n\nabcHTTP/1.1 204 No Content\n\n\
         HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 7\n\nignored\
         HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 7\nConnection: close\n"
    );
}

#[test]
fn files_and_streams_of_known_length_keep_the_connection() {
    let fixture = Fixture::start();
    let answer = fixture.ask(
        b"GET /file HTTP/1.1\r\n\r\nGET /file?part HTTP/1.1\r\n\r\nHEAD /file HTTP/1.1\r\n\r\n\
          GET /sized HTTP/1.1\r\n\r\nGET /empty HTTP/1.1\r\n\r\n",
    );
    let ok = "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length:";
    assert_eq!(
        answer,
        format!("{ok} 10\n\n0123456789{ok} 4\n\n3456{ok} 10\n\n{ok} 5\n\nonexyHTTP/1.1 204 No Content\n")
    );
    // A file that is shorter than was promised ends the connection, so that the client sees that it lacks something.
    let short = fixture.ask(b"GET /file?short HTTP/1.1\r\n\r\nGET /empty HTTP/1.1\r\n\r\n");
    assert_eq!(short, format!("{ok} 10\n\n56789"));
}

#[test]
fn streams_are_chunked_per_record() {
    let fixture = Fixture::start();
    let answer = fixture.ask(b"GET /stream HTTP/1.1\r\n\r\nGET /empty HTTP/1.1\r\n\r\n");
    assert_eq!(
        answer,
        "HTTP/1.1 200 OK\nContent-Type: text/plain\nTransfer-Encoding: chunked\n\n\
         3\none\n6\ntwotwo\n0\n\nHTTP/1.1 204 No Content\n"
    );
    let old = fixture.ask(b"GET /stream HTTP/1.0\r\n\r\n");
    assert_eq!(old, "HTTP/1.1 200 OK\nContent-Type: text/plain\nConnection: close\n\nonetwotwo");
}

#[test]
fn a_cut_stream_has_no_end() {
    let fixture = Fixture::start();
    assert!(fixture.ask(b"GET /cut HTTP/1.1\r\n\r\n").ends_with("\n3\none"));
}

#[test]
fn duplex_answers_before_the_body_ends() {
    let fixture = Fixture::start();
    let mut socket = fixture.connect();
    socket.write_all(b"POST /duplex HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").unwrap();
    assert!(read_until(&mut socket, "1\r\na\r\n").starts_with("HTTP/1.1 200"));
    socket.write_all(b"1\r\nb\r\n0\r\n\r\n").unwrap();
    assert_eq!(read_until(&mut socket, "0\r\n\r\n"), "1\r\nb\r\n0\r\n\r\n");
}

#[test]
fn clients_may_wait_for_a_go_ahead() {
    let fixture = Fixture::start();
    let mut socket = fixture.connect();
    socket.write_all(b"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").unwrap();
    assert_eq!(read_until(&mut socket, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"ok").unwrap();
    assert!(read_until(&mut socket, "\r\n\r\nok").starts_with("HTTP/1.1 200 OK"));
    // Not asked for, so never sent: the connection has to close.
    socket.write_all(b"POST /ignore HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").unwrap();
    assert!(read_until(&mut socket, "ignored").contains("Connection: close"));
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}

#[test]
fn oversized_bodies_are_refused_unread() {
    let fixture = Fixture::start();
    for request in [
        "POST /echo HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\nabc".to_owned(),
        format!("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{}\r\n", "x".repeat(2000)),
    ] {
        let answer = fixture.ask(request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("Connection: close"), "{answer}");
    }
    let unread = fixture.ask(b"POST /ignore HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n");
    assert!(unread.contains("Connection: close"), "{unread}");
}

#[test]
fn bad_requests_get_an_answer_and_a_close() {
    let fixture = Fixture::start();
    for (request, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "501"),
        (&format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(300_000)), "431"),
    ] {
        let answer = fixture.ask(request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("Connection: close"), "{answer}");
    }
}

#[test]
fn slow_heads_are_put_together() {
    let fixture = Fixture::start();
    let mut socket = fixture.connect();
    for byte in b"GET /empty HTTP/1.1\r\nA: b\r\n\r\n" {
        socket.write_all(&[*byte]).unwrap();
    }
    assert!(read_until(&mut socket, "\r\n\r\n").starts_with("HTTP/1.1 204"));
}

#[test]
fn the_end_of_a_client_is_noticed() {
    let fixture = Fixture::start();
    let mut socket = fixture.connect();
    socket.write_all(b"GET /hang HTTP/1.1\r\n\r\n").unwrap();
    assert!(fixture.gone.recv_timeout(Duration::from_millis(100)).is_err());
    drop(socket);
    fixture.gone.recv_timeout(Duration::from_secs(5)).unwrap();
}

#[test]
fn sockets_are_handed_over_with_what_was_sent_early() {
    let fixture = Fixture::start();
    for (headers, status) in
        [("Connection: Upgrade\r\nUpgrade: tcp\r\n", "HTTP/1.1 101 UPGRADED\n"), ("", "HTTP/1.1 200 OK\n")]
    {
        let answer = fixture.ask(format!("POST /hijack HTTP/1.1\r\n{headers}\r\nearly").as_bytes());
        assert!(answer.starts_with(status), "{answer}");
        assert!(answer.contains("Content-Type: application/vnd.docker.raw-stream"));
        assert!(answer.ends_with("\n\nearly"), "{answer}");
        assert_eq!(answer.contains("Upgrade: tcp"), !headers.is_empty());
    }
}

#[test]
fn http2_from_the_first_byte_is_handed_over_unread() {
    let fixture = Fixture::start();
    let mut socket = fixture.connect();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // In two pieces, neither of which is a request of HTTP/1.
    socket.write_all(&preface[..10]).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    socket.write_all(&preface[10..]).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, preface);
    // Almost that is nothing at all.
    let mut socket = fixture.connect();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").unwrap();
    assert!(read_until(&mut socket, "\r\n").starts_with("HTTP/1.1 400 "));
}

#[test]
fn websockets_carry_bytes_both_ways() {
    let fixture = Fixture::start();
    let mut socket = fixture.connect();
    socket
        .write_all(
            b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let head = read_until(&mut socket, "\r\n\r\n");
    // The key and its answer are the example of RFC 6455.
    assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    let mask = [1, 2, 3, 4];
    let masked =
        |text: &[u8]| -> Vec<u8> { text.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect() };
    let mut frames = vec![0x89, 0x82, 1, 2, 3, 4];
    frames.extend(masked(b"pi"));
    frames.extend([0x82, 0x85, 1, 2, 3, 4]);
    frames.extend(masked(b"hello"));
    socket.write_all(&frames).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"\x8a\x02pi\x82\x05hello\x88\x02\x03\xe8");
    let refused = fixture.ask(b"GET /ws HTTP/1.1\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever comes, the server answers or closes, and goes on serving others.
    #[test]
    fn random_bytes_do_no_harm(noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        thread_local! {
            static FIXTURE: Fixture = Fixture::start();
        }
        FIXTURE.with(|fixture| {
            let mut request = b"POST /echo HTTP/1.1\r\n".to_vec();
            request.extend_from_slice(&noise);
            for bytes in [&noise, &request] {
                let mut socket = fixture.connect();
                socket.write_all(bytes).unwrap();
                socket.shutdown(Shutdown::Write).unwrap();
                // A reset is a way to close, too.
                let _ = socket.read_to_end(&mut Vec::new());
            }
            assert!(fixture.ask(b"GET /empty HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 204"));
        });
    }
}

#[test]
fn heads_that_never_end_are_given_up() {
    let fixture = Fixture::start();
    let mut socket = UnixStream::connect(&fixture.path).unwrap();
    let begin = Instant::now();
    socket.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut drip = socket.try_clone().unwrap();
    // Something always comes, so that no single wait is long.
    let dripping = std::thread::spawn(move || {
        while drip.write_all(b"A: b\r\n").is_ok() && begin.elapsed() < PATIENCE * 2 {
            std::thread::sleep(Duration::from_secs(2));
        }
    });
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!((PATIENCE..PATIENCE * 2).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    drop(socket);
    dripping.join().unwrap();
}

#[test]
fn a_full_server_stops_at_once() {
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let fixture = Fixture::start();
    let most = usize::try_from(before.current.unwrap_or(u64::MAX) / 4).unwrap_or(usize::MAX).min(4096);
    let held: Vec<UnixStream> = (0..=most).map(|_| UnixStream::connect(&fixture.path).unwrap()).collect();
    let mut last = held.last().unwrap();
    last.write_all(b"GET /empty HTTP/1.1\r\n\r\n").unwrap();
    last.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(last.read(&mut [0; 12]).is_err(), "nobody serves one too many");
    let begin = Instant::now();
    drop(fixture);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
