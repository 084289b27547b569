//! TLS with client certificates, our client against our server, hijack and half-close included.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use transport::client::{Body, Endpoint, HttpClient, Request, TlsFiles};
use transport::server::{Exchange, Handler, Listener, ResponseHead, Server};
use transport::tls::TlsAcceptor;

struct Answer;

impl Handler for Answer {
    fn handle(&self, exchange: &mut Exchange<'_>) {
        if exchange.head.path == "/hijack" {
            let mut taken = exchange.hijack("application/vnd.docker.raw-stream", &[]).unwrap();
            let mut input = taken.early;
            taken.socket.read_to_end(&mut input).unwrap();
            taken.socket.write_all(&input).unwrap();
            return;
        }
        let body = vec![b'x'; 300_000];
        exchange.respond(&ResponseHead::new(200), &body).unwrap();
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder: folder.to_owned() }
    }

    /// Writes `name.pem` and `name-key.pem`.
    fn issue(&self, name: &str) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.folder.join(format!("{name}-key.pem")), key.serialize_pem()).unwrap();
    }
}

fn client(address: SocketAddr, files: TlsFiles) -> HttpClient {
    HttpClient::new(Endpoint::parse(&format!("tcp://{address}"), Some(&files)).unwrap())
}

fn request(path: &str) -> Request<'_> {
    Request { method: "GET", path, headers: &[], body: Body::Empty }
}

#[test]
fn only_known_clients_come_in() {
    let folder = std::env::temp_dir().join(format!("wharf-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name);
    let ours = Authority::new(&folder, "ca");
    ours.issue("server");
    ours.issue("client");
    Authority::new(&folder, "other").issue("stranger");
    let acceptor =
        TlsAcceptor::load(&file("server.pem"), &file("server-key.pem"), Some(&file("ca.pem"))).unwrap();
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap(), Some(Arc::new(acceptor))).unwrap();
    let address = listener.local_address().unwrap();
    let server = Server::start(vec![listener], Arc::new(Answer)).unwrap();

    let identity = |name: &str| TlsFiles {
        ca: Some(file("ca.pem")),
        cert: Some(file(&format!("{name}.pem"))),
        key: Some(file(&format!("{name}-key.pem"))),
        skip_verify: false,
    };
    let known = client(address, identity("client"));
    for _ in 0..2 {
        let mut response = known.send(request("/")).unwrap();
        let mut body = Vec::new();
        response.body.read_to_end(&mut body).unwrap();
        assert_eq!(body.len(), 300_000);
    }
    let nobody = TlsFiles { ca: Some(file("ca.pem")), ..TlsFiles::default() };
    for files in [identity("stranger"), nobody] {
        assert!(client(address, files).send(request("/")).is_err());
    }

    let endpoint = Endpoint::parse(&format!("tcp://{address}"), Some(&identity("client"))).unwrap();
    let mut socket = endpoint.connect().unwrap();
    socket.write_all(b"POST /hijack HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello").unwrap();
    socket.close_write().unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 UPGRADED") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// Reads nothing of a request.
struct Deaf;

impl Handler for Deaf {
    fn handle(&self, _: &mut Exchange<'_>) {
        std::thread::sleep(Duration::from_secs(20));
    }
}

/// What a handler does not take stays with the client, but for a bounded part.
#[test]
fn unread_bodies_are_not_kept() {
    let folder = std::env::temp_dir().join(format!("wharf-tls-unread-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    Authority::new(&folder, "ca").issue("server");
    let file = |name: &str| folder.join(name);
    let acceptor = TlsAcceptor::load(&file("server.pem"), &file("server-key.pem"), None).unwrap();
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap(), Some(Arc::new(acceptor))).unwrap();
    let address = listener.local_address().unwrap();
    let _server = Server::start(vec![listener], Arc::new(Deaf)).unwrap();
    let files = TlsFiles { ca: Some(file("ca.pem")), ..TlsFiles::default() };
    let endpoint = Endpoint::parse(&format!("tcp://{address}"), Some(&files)).unwrap();
    let mut socket = endpoint.connect().unwrap();
    socket.write_all(b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    std::thread::spawn(move || {
        while socket.write_all(&[0; 1 << 16]).is_ok() {
            counter.fetch_add(1 << 16, Ordering::Relaxed);
        }
    });
    std::thread::sleep(Duration::from_secs(5));
    // The kernel's own buffers of both connections come on top of ours.
    let taken = sent.load(Ordering::Relaxed);
    assert!(taken > 0 && taken < 32 << 20, "{taken} bytes were taken");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn handshakes_that_never_end_are_given_up() {
    const PATIENCE: Duration = Duration::from_secs(30);
    let folder = std::env::temp_dir().join(format!("wharf-tls-slow-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    Authority::new(&folder, "ca").issue("server");
    let file = |name: &str| folder.join(name);
    let acceptor = TlsAcceptor::load(&file("server.pem"), &file("server-key.pem"), None).unwrap();
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap(), Some(Arc::new(acceptor))).unwrap();
    let mut socket = std::net::TcpStream::connect(listener.local_address().unwrap()).unwrap();
    let server = Server::start(vec![listener], Arc::new(Answer)).unwrap();
    let begin = Instant::now();
    // A record of a handshake that announces many bytes; they come one at a time.
    let mut drip = socket.try_clone().unwrap();
    drip.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252]).unwrap();
    let dripping = std::thread::spawn(move || {
        while drip.write_all(&[3]).is_ok() && begin.elapsed() < PATIENCE * 2 {
            std::thread::sleep(Duration::from_secs(2));
        }
    });
    let _ = socket.read_to_end(&mut Vec::new());
    assert!((PATIENCE..PATIENCE * 2).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    drop(socket);
    dripping.join().unwrap();
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn missing_files_are_named() {
    let missing = Path::new("/nonexistent/cert.pem");
    let error = TlsAcceptor::load(missing, missing, None).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/cert.pem"), "{error}");
}
