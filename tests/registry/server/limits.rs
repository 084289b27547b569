//! Clients that are slow, asleep, or too many.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use registry_conformance::{assert_error, header};
use serde_json::json;

use crate::fixture::Server;

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A connection that sent something.
fn begun(server: &Server, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// Everything until the server closes the connection.
#[track_caller]
fn until_closed(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        // Closed with bytes of ours unread.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection stays open: {error}"),
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Sends a byte again and again, until the server has had enough.
#[track_caller]
fn drip(mut stream: TcpStream) -> String {
    let start = Instant::now();
    let mut reader = stream.try_clone().unwrap();
    reader.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut text = Vec::new();
    let mut block = [0; 1024];
    loop {
        assert!(start.elapsed() < DEADLINE, "the server never has enough");
        let sent = stream.write_all(b"x");
        match reader.read(&mut block) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && sent.is_ok() => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Threads of the registry that serve connections.
fn connections(server: &Server) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() == "connection").count()
}

#[track_caller]
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn slow_clients_are_let_go_and_keep_what_they_sent() {
    let server = Server::start(json!({"limits": {"patience": 5}}));
    let client = server.client().in_repository("slow/app");
    let (place, other) = (client.begin(), client.begin());
    let get = "GET /v2/ HTTP/1.1\r\nHost: x\r\n";
    let patch = |place: &str| format!("PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    std::thread::scope(|scope| {
        let asleep = scope.spawn(|| until_closed(begun(&server, &format!("{get}\r\n"))));
        let half_head = scope.spawn(|| until_closed(begun(&server, get)));
        let dripping_head = scope.spawn(|| drip(begun(&server, &format!("{get}X-Long: "))));
        let half_body = scope.spawn(|| until_closed(begun(&server, &format!("{}0123", patch(&place)))));
        let dripping_body = scope.spawn(|| drip(begun(&server, &patch(&other))));
        let answer = asleep.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("{}"), "{answer}");
        for slow in [half_head, dripping_head] {
            let answer = slow.join().unwrap();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
        }
        for slow in [half_body, dripping_body] {
            let answer = slow.join().unwrap();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
        }
    });
    wait_for("the end of every connection", || connections(&server) == 0);
    // What came is held, and the upload goes on.
    let asked = client.get(&place);
    assert_eq!((asked.status, header(&asked, "range").as_str()), (204, "0-3"));
    let digest = oci::digest::Digest::of(b"01234567");
    let put = client.send("PUT", &format!("{place}?digest={digest}"), &[("Content-Range", "4-7")], b"4567");
    assert_eq!(put.status, 201, "{}", put.text());
}

#[test]
fn who_takes_nothing_of_an_answer_is_let_go() {
    let server = Server::start(json!({"limits": {"patience": 5}}));
    let client = server.client().in_repository("slow/reader");
    // More than both ends of a connection hold.
    let digest = client.push_blob(&vec![7; 32 << 20]);
    wait_for("the end of the pusher's connection", || connections(&server) == 0);
    let path = client.path(&format!("blobs/{digest}"));
    let mut stream = begun(&server, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    stream.read_exact(&mut [0]).unwrap();
    wait_for("the end of it", || connections(&server) == 0);
    let mut rest = Vec::new();
    // Closed, with or without a reset.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 32 << 20, "it was cut off");
    assert_eq!(client.get(&path).body.len(), 32 << 20);
}

#[test]
fn clients_beyond_the_limit_are_told_to_come_again() {
    let server = Server::start(json!({"limits": {"connections": 2}}));
    let hold = || {
        let mut stream = begun(&server, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        (stream, answer == *b"HTTP/1.1 200")
    };
    let (first, second) = (hold(), hold());
    assert!(first.1 && second.1);
    for _ in 0..3 {
        let refused = server.client().get("/v2/");
        assert_error(&refused, &[429], "TOOMANYREQUESTS");
        assert_eq!(header(&refused, "retry-after"), "5");
    }
    drop(first);
    wait_for("a free place", || server.client().get("/v2/").status == 200);
    assert!(second.1);
}
