//! The engine behind TLS with client certificates, from flags, environment and context.

use std::io::{Read as _, Write as _};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use testkit::Engine;
use testkit::engine::{Output, has_docker_cli, run};

use super::folder::Folder;

/// Writes an authority and what it signed: `ca.pem`, `cert.pem` and `key.pem` as clients expect them, and `server*.pem`.
fn certificates(folder: &Path) {
    let mut parameters = CertificateParams::new(Vec::new()).expect("describe an authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("make a key");
    let authority = parameters.self_signed(&key).expect("sign an authority");
    let issuer = Issuer::new(parameters, key);
    std::fs::create_dir_all(folder).expect("make a folder");
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("write a file");
    write("ca.pem", authority.pem());
    for (certificate, secret) in [("cert.pem", "key.pem"), ("server.pem", "server-key.pem")] {
        let key = KeyPair::generate().expect("make a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let signed = CertificateParams::new(names).and_then(|what| what.signed_by(&key, &issuer));
        write(certificate, signed.expect("sign a certificate").pem());
        write(secret, key.serialize_pem());
    }
}

struct Guarded {
    engine: Engine,
    folder: Folder,
    address: String,
}

/// An engine that lets in only clients its authority signed.
fn guarded() -> Guarded {
    let folder = Folder::new();
    certificates(folder.path());
    // Free a moment ago; nobody else of the tests asks for a given port of this range.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("find a free port")
        .port();
    let address = format!("tcp://localhost:{port}");
    let engine = Engine::start_with(&[
        "-H",
        &format!("tcp://127.0.0.1:{port}"),
        "--tlsverify",
        "--tlscacert",
        &folder.file("ca.pem"),
        "--tlscert",
        &folder.file("server.pem"),
        "--tlskey",
        &folder.file("server-key.pem"),
    ]);
    engine.import_busybox();
    Guarded { engine, folder, address }
}

fn wharf(empty: &Folder, arguments: &[&str]) -> Output {
    empty.wharf(arguments)
}

#[test]
fn only_clients_with_a_certificate_come_in() {
    let guarded = guarded();
    let (folder, empty) = (&guarded.folder, Folder::new());
    let (ca, cert, key) = (folder.file("ca.pem"), folder.file("cert.pem"), folder.file("key.pem"));
    let known =
        ["-H", &guarded.address, "--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key];
    let mut words = known.to_vec();
    words.extend(["images", "--format", "{{.Repository}}"]);
    assert_eq!(wharf(&empty, &words).ok(), "busybox");

    let stranger = wharf(&empty, &["-H", &guarded.address, "--tlsverify", "--tlscacert", &ca, "ps"]);
    assert!(stranger.fails_with(1).contains("remote error: tls: certificate required"), "{stranger:?}");

    let others = Folder::new();
    certificates(others.path());
    let (cert, key) = (others.file("cert.pem"), others.file("key.pem"));
    let forged = [
        "-H",
        &guarded.address,
        "--tlsverify",
        "--tlscacert",
        &ca,
        "--tlscert",
        &cert,
        "--tlskey",
        &key,
        "ps",
    ];
    assert!(wharf(&empty, &forged).fails_with(1).to_lowercase().contains("tls"));

    // Our authority did not sign this engine.
    let ca = others.file("ca.pem");
    let wary = [
        "-H",
        &guarded.address,
        "--tlsverify",
        "--tlscacert",
        &ca,
        "--tlscert",
        &cert,
        "--tlskey",
        &key,
        "ps",
    ];
    let refused = wharf(&empty, &wary);
    assert!(refused.fails_with(1).contains("x509: certificate signed by unknown authority"), "{refused:?}");

    let plain = wharf(&empty, &["-H", &guarded.address, "ps"]);
    assert!(plain.fails_with(1).contains("Client sent an HTTP request to an HTTPS server"), "{plain:?}");
}

#[test]
fn environment_and_contexts_bring_certificates() {
    let guarded = guarded();
    let (folder, empty) = (&guarded.folder, Folder::new());
    let mut by_environment =
        empty.client(&testkit::engine::binary_dir().join("wharf"), &["run", "--rm", "busybox", "echo", "hi"]);
    by_environment.env("DOCKER_HOST", &guarded.address);
    by_environment.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", folder.path());
    assert_eq!(run(&mut by_environment, None).ok(), "hi");

    let endpoint = format!(
        "host={},ca={},cert={},key={}",
        guarded.address,
        folder.file("ca.pem"),
        folder.file("cert.pem"),
        folder.file("key.pem")
    );
    empty.wharf(&["context", "create", "guarded", "--docker", &endpoint]).ok();
    assert_eq!(empty.wharf(&["-c", "guarded", "images", "--format", "{{.Repository}}"]).ok(), "busybox");
    let files = empty.wharf(&["context", "inspect", "guarded", "-f", "{{json .TLSMaterial}}"]);
    assert_eq!(files.ok(), r#"{"docker":["ca.pem","cert.pem","key.pem"]}"#);

    let exported = empty.file("guarded.tar");
    empty.wharf(&["context", "export", "guarded", &exported]).ok();
    let fresh = Folder::new();
    fresh.wharf(&["context", "import", "copied", &exported]).ok();
    fresh.wharf(&["context", "use", "copied"]).ok();
    assert_eq!(fresh.wharf(&["images", "--format", "{{.Repository}}"]).ok(), "busybox");
}

#[test]
fn streams_are_half_closed_over_tls() {
    let guarded = guarded();
    let input = vec![b'x'; 300_000];
    let clients = [testkit::engine::binary_dir().join("wharf"), "docker".into()];
    for program in clients.iter().take(if has_docker_cli() { 2 } else { 1 }) {
        let empty = Folder::new();
        let client = |arguments: &[&str], input: Option<&[u8]>| {
            let mut command = empty.client(program, arguments);
            command.env("DOCKER_HOST", &guarded.address);
            command.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", guarded.folder.path());
            run(&mut command, input)
        };
        assert_eq!(client(&["run", "-i", "--rm", "busybox", "wc", "-c"], Some(&input)).ok(), "300000");
        client(&["run", "-d", "--name", "box", "busybox", "sleep", "600"], None).ok();
        assert_eq!(client(&["exec", "-i", "box", "wc", "-c"], Some(&input)).ok(), "300000");
        assert_eq!(client(&["exec", "box", "sh", "-c", "echo out; echo err >&2; exit 5"], None).code, 5);
        let long = client(&["exec", "box", "sh", "-c", "seq 1 50000"], None);
        assert_eq!(long.ok().lines().count(), 50_000);
        client(&["rm", "-f", "box"], None).ok();
    }
    drop(guarded.engine);
}

#[test]
fn nonsense_at_the_door_harms_nobody() {
    let guarded = guarded();
    let door = guarded.address.trim_start_matches("tcp://").to_owned();
    let mut silent = Vec::new();
    for text in [&b""[..], b"\x16\x03\x01\xff\xff", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 5000]] {
        let mut socket = std::net::TcpStream::connect(&door).expect("knock");
        // The engine may hang up while we still write.
        let _ = socket.write_all(text);
        if !text.is_empty() {
            let _ = socket.shutdown(std::net::Shutdown::Write);
            socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("set a timeout");
            let ended = socket.read_to_end(&mut Vec::new());
            let kind = ended.err().map(|error| error.kind());
            assert_ne!(kind, Some(std::io::ErrorKind::WouldBlock), "the engine held on to {text:?}");
        }
        silent.push(socket);
    }
    assert_eq!(guarded.engine.wharf(&["run", "--rm", "busybox", "echo", "alive"]).ok(), "alive");
}
