//! Client and server against each other, and against peers that break the rules.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::status::Any;
use crate::*;

/// Longest time a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, PartialEq, prost::Message)]
struct Bytes {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
}

fn bytes(data: &[u8]) -> Bytes {
    Bytes { data: data.to_vec() }
}

/// A service with one method of each kind and some that misbehave.
struct Example {
    told: Mutex<Sender<&'static str>>,
    taken: AtomicUsize,
}

impl Example {
    fn tell(&self, word: &'static str) {
        let _ = self.told.lock().expect("not poisoned").send(word);
    }
}

impl Service for Example {
    fn call(&self, mut call: Call) -> Result<(), Status> {
        match call.path.as_str() {
            "/e/Echo" => call.unary(|call, mut request: Bytes| {
                if let Some(more) = call.metadata.values("more-bin").next() {
                    request.data.extend_from_slice(more);
                }
                Ok(request)
            }),
            "/e/Count" => {
                let request: Bytes = call.request()?;
                for number in 0..request.data[0] {
                    call.outbound.send(&bytes(&[number]))?;
                }
                Ok(())
            }
            "/e/Sum" => {
                let mut sum = 0u8;
                while let Some(message) = call.inbound.recv::<Bytes>()? {
                    sum = sum.wrapping_add(message.data[0]);
                }
                call.outbound.send(&bytes(&[sum]))
            }
            "/e/Talk" => {
                while let Some(message) = call.inbound.recv::<Bytes>()? {
                    call.outbound.send(&message)?;
                }
                Ok(())
            }
            "/e/Fail" => Err(Status::new(Code::NotFound, "no such\nthing ü")
                .with_detail(Any::pack("e.Bytes", &bytes(b"detail")))),
            "/e/Panic" => panic!("a handler that panics, on purpose"),
            "/e/Wait" => {
                let (sender, receiver) = channel();
                let _hook = call.cancellation.on_cancel(move || {
                    let _ = sender.send(());
                });
                self.tell("waiting");
                receiver.recv_timeout(PATIENCE).expect("the handler hears of the cancellation");
                self.tell("cancelled");
                Ok(())
            }
            "/e/Read" => {
                self.tell("reading");
                let outcome = call.inbound.recv::<Bytes>();
                let cancelled = outcome.is_err_and(|status| status.code == Code::Cancelled);
                self.tell(if cancelled { "read failed" } else { "read" });
                Ok(())
            }
            "/e/Dust" => {
                for _ in 0..DUST {
                    call.outbound.send(&bytes(&[]))?;
                }
                Ok(())
            }
            "/e/Late" => {
                self.tell("late");
                thread::sleep(Duration::from_millis(300));
                let mut count = 0;
                while call.inbound.recv::<Bytes>()?.is_some() {
                    count += 1;
                }
                call.outbound.send(&bytes(&u32::to_be_bytes(count)))
            }
            "/e/Flood" => loop {
                call.outbound.send(&bytes(&[0; 4096]))?;
                self.taken.fetch_add(1, Ordering::SeqCst);
            },
            path => Err(Status::unimplemented(path)),
        }
    }
}

struct Pair {
    client: Client,
    server: JoinHandle<std::io::Result<()>>,
    service: Arc<Example>,
    told: Receiver<&'static str>,
}

impl Pair {
    fn new() -> Self {
        Self::with(Limits::DEFAULT)
    }

    fn with(limits: Limits) -> Self {
        let (server, socket, service, told) = example(limits);
        let client = Client::new(socket.into(), Vec::new(), Limits::DEFAULT).expect("a client");
        Self { client, server, service, told }
    }

    fn echo(&self, data: &[u8]) -> Result<Bytes, Status> {
        self.client.unary("/e/Echo", Metadata::new(), None, &bytes(data))
    }

    fn hear(&self, word: &str) {
        assert_eq!(self.told.recv_timeout(PATIENCE), Ok(word));
    }
}

fn example(
    limits: Limits,
) -> (JoinHandle<std::io::Result<()>>, UnixStream, Arc<Example>, Receiver<&'static str>) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let (sender, told) = channel();
    let service = Arc::new(Example { told: Mutex::new(sender), taken: AtomicUsize::new(0) });
    let served = Arc::clone(&service);
    let server = thread::spawn(move || serve(theirs.into(), Vec::new(), served, limits));
    (server, ours, service, told)
}

#[test]
fn the_four_kinds_of_calls() {
    let pair = Pair::new();
    assert_eq!(pair.echo(b"hello"), Ok(bytes(b"hello")));
    assert_eq!(pair.echo(b""), Ok(bytes(b"")));

    let call = pair.client.start("/e/Count", Metadata::new(), None);
    call.outbound.send(&bytes(&[3])).expect("sent");
    let mut numbers = call.finish();
    for number in 0..3 {
        assert_eq!(numbers.recv::<Bytes>(), Ok(Some(bytes(&[number]))));
    }
    assert_eq!(numbers.recv::<Bytes>(), Ok(None));
    assert_eq!(numbers.recv::<Bytes>(), Ok(None), "the end stays the end");

    let call = pair.client.start("/e/Sum", Metadata::new(), None);
    for number in 1..=100 {
        call.outbound.send(&bytes(&[number])).expect("sent");
    }
    assert_eq!(call.finish().recv::<Bytes>(), Ok(Some(bytes(&[5050u16 as u8]))));

    let mut call = pair.client.start("/e/Talk", Metadata::new(), None);
    for word in [&b"one"[..], b"two", b"three"] {
        call.outbound.send(&bytes(word)).expect("sent");
        assert_eq!(call.inbound.recv::<Bytes>(), Ok(Some(bytes(word))));
    }
    assert_eq!(call.finish().recv::<Bytes>(), Ok(None));
}

#[test]
fn metadata_arrives_and_big_messages_pass_both_ways() {
    let pair = Pair::new();
    let metadata = Metadata::new().with("more-bin", vec![0, 1, 255]);
    let answer: Bytes = pair.client.unary("/e/Echo", metadata, None, &bytes(b"x")).expect("answered");
    assert_eq!(answer, bytes(&[b'x', 0, 1, 255]));
    let big: Vec<u8> = (0..9_000_000u32).map(|at| at.to_le_bytes()[1]).collect();
    assert_eq!(pair.echo(&big).expect("answered").data, big);
}

#[test]
fn a_failure_keeps_code_text_and_details() {
    let pair = Pair::new();
    let status =
        pair.client.unary::<Bytes>("/e/Fail", Metadata::new(), None, &bytes(b"")).expect_err("fails");
    assert_eq!((status.code, status.message.as_str()), (Code::NotFound, "no such\nthing ü"));
    assert_eq!(status.details, [Any::pack("e.Bytes", &bytes(b"detail"))]);
    let status =
        pair.client.unary::<Bytes>("/e/None", Metadata::new(), None, &bytes(b"")).expect_err("fails");
    assert_eq!(status.code, Code::Unimplemented);
    assert_eq!(pair.echo(b"still there"), Ok(bytes(b"still there")));
}

#[test]
fn a_handler_that_panics_ends_its_call_only() {
    let pair = Pair::new();
    let status =
        pair.client.unary::<Bytes>("/e/Panic", Metadata::new(), None, &bytes(b"")).expect_err("fails");
    assert_eq!(status.code, Code::Internal);
    assert_eq!(pair.echo(b"still there"), Ok(bytes(b"still there")));
}

#[test]
fn the_server_says_that_it_serves() {
    assert_eq!(Pair::new().client.check_health(Some(PATIENCE)), Ok(true));
}

#[test]
fn a_handler_hears_that_its_caller_gave_up() {
    let pair = Pair::new();
    let call = pair.client.start("/e/Wait", Metadata::new(), None);
    pair.hear("waiting");
    drop(call);
    pair.hear("cancelled");

    let call = pair.client.start("/e/Wait", Metadata::new(), None);
    pair.hear("waiting");
    call.cancellation.cancel();
    pair.hear("cancelled");
    let mut inbound = call.finish();
    assert_eq!(inbound.recv::<Bytes>().expect_err("cancelled").code, Code::Cancelled);

    let call = pair.client.start("/e/Read", Metadata::new(), None);
    pair.hear("reading");
    call.cancellation.cancel();
    pair.hear("read failed");
}

#[test]
fn a_handler_hears_that_the_connection_is_gone() {
    let (server, socket, _service, told) = example(Limits::DEFAULT);
    let closer = socket.try_clone().expect("a clone");
    let client = Client::new(socket.into(), Vec::new(), Limits::DEFAULT).expect("a client");
    let mut call = client.start("/e/Wait", Metadata::new(), None);
    assert_eq!(told.recv_timeout(PATIENCE), Ok("waiting"));
    closer.shutdown(std::net::Shutdown::Both).expect("shut down");
    assert_eq!(told.recv_timeout(PATIENCE), Ok("cancelled"));
    assert_eq!(call.inbound.recv::<Bytes>().expect_err("gone").code, Code::Unavailable);
    server.join().expect("no panic").expect("a peer that goes away is no error");
    let (sender, gone) = channel();
    let _hook = client.gone().on_cancel(move || sender.send(()).expect("heard"));
    gone.recv_timeout(PATIENCE).expect("the client knows");
    let status = client.unary::<Bytes>("/e/Echo", Metadata::new(), None, &bytes(b"")).expect_err("gone");
    assert_eq!(status.code, Code::Unavailable);
}

#[test]
fn the_connection_ends_when_the_last_client_is_dropped() {
    let Pair { client, server, .. } = Pair::new();
    let other = client.clone();
    drop(client);
    let answer: Bytes = other.unary("/e/Echo", Metadata::new(), None, &bytes(b"x")).expect("answered");
    assert_eq!(answer, bytes(b"x"));
    drop(other);
    server.join().expect("no panic").expect("a clean end");
}

#[test]
fn a_deadline_ends_the_call_on_both_sides() {
    let pair = Pair::new();
    let before = Instant::now();
    let timeout = Some(Duration::from_millis(100));
    let status =
        pair.client.unary::<Bytes>("/e/Wait", Metadata::new(), timeout, &bytes(b"")).expect_err("late");
    assert_eq!(status.code, Code::DeadlineExceeded);
    assert!(before.elapsed() < PATIENCE / 2, "{:?}", before.elapsed());
    pair.hear("waiting");
    pair.hear("cancelled");
}

#[test]
fn a_reader_that_does_not_read_stops_the_writer() {
    let pair = Pair::new();
    let mut call = pair.client.start("/e/Flood", Metadata::new(), None);
    let settled = settle(&pair.service.taken);
    // What may be under way: the window, both channels, the bytes that may wait, the buffers of the socket.
    assert!(settled < 1000, "{settled} messages of 4 KiB were taken though nobody reads");
    for _ in 0..settled {
        call.inbound.recv::<Bytes>().expect("a message").expect("not the end");
    }
    assert!(settle(&pair.service.taken) > settled, "reading lets the writer go on");
}

#[test]
fn a_handler_that_does_not_read_stops_its_caller() {
    let pair = Pair::new();
    let call = pair.client.start("/e/Wait", Metadata::new(), None);
    pair.hear("waiting");
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let outbound = call.outbound.clone();
    let writer = thread::spawn(move || {
        while outbound.send(&bytes(&[0; 4096])).is_ok() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let settled = settle(&sent);
    assert!(settled < 1000, "{settled} messages of 4 KiB were taken though nobody reads");
    // Another call on the same connection is not held up.
    assert_eq!(pair.echo(b"beside"), Ok(bytes(b"beside")));
    drop(call);
    writer.join().expect("the writer ends with the call");
    pair.hear("cancelled");
}

/// The count when it has stopped growing.
fn settle(count: &AtomicUsize) -> usize {
    let mut last = count.load(Ordering::SeqCst);
    for _ in 0..200 {
        thread::sleep(Duration::from_millis(100));
        let now = count.load(Ordering::SeqCst);
        if now == last && now > 0 {
            return now;
        }
        last = now;
    }
    panic!("never settles: {last}");
}

/// More of the shortest messages than any window holds.
const DUST: u32 = 120_000;

#[test]
fn many_short_messages_that_wait_are_no_attack() {
    let pair = Pair::new();
    let mut call = pair.client.start("/e/Dust", Metadata::new(), None);
    thread::sleep(Duration::from_millis(300));
    for _ in 0..DUST {
        assert_eq!(call.inbound.recv::<Bytes>(), Ok(Some(bytes(&[]))));
    }
    assert_eq!(call.inbound.recv::<Bytes>(), Ok(None));
    let call = pair.client.start("/e/Late", Metadata::new(), None);
    pair.hear("late");
    for _ in 0..DUST {
        call.outbound.send(&bytes(&[])).expect("sent");
    }
    assert_eq!(call.finish().recv::<Bytes>(), Ok(Some(bytes(&DUST.to_be_bytes()))));
}

#[test]
fn a_message_beyond_the_limit_ends_the_call() {
    let pair = Pair::with(Limits { message: 1000, ..Limits::DEFAULT });
    assert_eq!(pair.echo(&[7; 900]), Ok(bytes(&[7; 900])));
    assert_eq!(pair.echo(&[7; 2000]).expect_err("too long").code, Code::ResourceExhausted);
    assert_eq!(pair.echo(b"still there"), Ok(bytes(b"still there")));
}

#[test]
fn handlers_are_bounded_those_of_given_up_calls_included() {
    let pair = Pair::with(Limits { handlers: 1, ..Limits::DEFAULT });
    let call = pair.client.start("/e/Wait", Metadata::new(), None);
    pair.hear("waiting");
    assert_eq!(pair.echo(b"").expect_err("no place").code, Code::ResourceExhausted);
    drop(call);
    pair.hear("cancelled");
    let until = Instant::now() + PATIENCE;
    while pair.echo(b"").is_err() {
        assert!(Instant::now() < until, "the place never becomes free");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn many_calls_at_once() {
    let pair = Pair::new();
    thread::scope(|scope| {
        for number in 0..20u8 {
            let client = pair.client.clone();
            scope.spawn(move || {
                let message = bytes(&[number; 1000]);
                for _ in 0..20 {
                    let answer: Result<Bytes, _> = client.unary("/e/Echo", Metadata::new(), None, &message);
                    assert_eq!(answer.as_ref(), Ok(&message));
                }
            });
        }
    });
}

/// HTTP/2 by hand: a frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A head without compression.
fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEAD: [(&str, &str); 5] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "x"),
    (":path", "/e/Wait"),
    ("content-type", "application/grpc"),
];

#[test]
fn opening_and_giving_up_in_a_row_ends_the_connection_not_the_server() {
    let (server, mut socket, _service, _told) = example(Limits::DEFAULT);
    socket.write_all(GREETING).expect("written");
    let mut sent = 0u32;
    for number in 0..200_000u32 {
        let stream = number * 2 + 1;
        let mut both = frame(1, 4, stream, &headers(&HEAD));
        both.extend_from_slice(&frame(3, 0, stream, &8u32.to_be_bytes()));
        if socket.write_all(&both).is_err() {
            break;
        }
        sent = number;
    }
    let ended = server.join().expect("no panic");
    assert!(ended.is_err(), "the connection was ended for it");
    assert!(sent < 199_999, "the connection outlived {sent} of them");
}

#[test]
fn what_is_not_grpc_gets_an_answer_of_http() {
    for (at, value, expected) in
        [(0, "GET", &b"405"[..]), (4, "text/plain", b"415"), (4, "application/grpcx", b"415")]
    {
        let (server, mut socket, _service, _told) = example(Limits::DEFAULT);
        let mut head = HEAD;
        head[at].1 = value;
        socket.write_all(GREETING).expect("written");
        socket.write_all(&frame(1, 5, 1, &headers(&head))).expect("written");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.windows(3).any(|three| three == expected) && !huffman(&seen, expected) {
            let count = socket.read(&mut buffer).expect("an answer");
            assert_ne!(count, 0, "no {expected:?} in {seen:?}");
            seen.extend_from_slice(&buffer[..count]);
        }
        drop(socket);
        server.join().expect("no panic").expect("a clean end");
    }
}

/// Whether a status stands in bytes in HPACK's letters: digits are 0-2 in five bits, 3-9 in six.
fn huffman(bytes: &[u8], digits: &[u8]) -> bool {
    let (mut bits, mut count) = (0u32, 0);
    for digit in digits {
        let digit = u32::from(digit - b'0');
        let (code, length) = if digit < 3 { (digit, 5) } else { (0x19 + digit - 3, 6) };
        bits = (bits << length) | code;
        count += length;
    }
    let padding = (8 - count % 8) % 8;
    bits = (bits << padding) | ((1 << padding) - 1);
    let coded = &bits.to_be_bytes()[4 - (count + padding) / 8..];
    bytes.windows(coded.len()).any(|window| window == coded)
}

#[test]
fn noise_and_silence_end_the_connection() {
    let (server, mut socket, _service, _told) = example(Limits::DEFAULT);
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
    assert!(server.join().expect("no panic").is_err());
    let limits = Limits { greeting: Duration::from_millis(50), ..Limits::DEFAULT };
    let (server, _socket, _service, _told) = example(limits);
    let error = server.join().expect("no panic").expect_err("a silent peer");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn what_came_early_is_read_first() {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    let mut early = GREETING.to_vec();
    early.extend_from_slice(&frame(1, 5, 1, &headers(&HEAD))[..20]);
    ours.write_all(&frame(1, 5, 1, &headers(&HEAD))[20..]).expect("written");
    let (sender, told) = channel();
    let service = Arc::new(Example { told: Mutex::new(sender), taken: AtomicUsize::new(0) });
    let server = thread::spawn(move || serve(theirs.into(), early, service, Limits::DEFAULT));
    assert_eq!(told.recv_timeout(PATIENCE), Ok("waiting"));
    drop(ours);
    assert_eq!(told.recv_timeout(PATIENCE), Ok("cancelled"));
    server.join().expect("no panic").expect("a clean end");
}
