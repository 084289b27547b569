//! Registries behind client certificates of `certs.d`, behind proxies, and behind both.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use registry_client::{Access, Client, Credentials, Proxies, RegistryError, Settings, Target};
use transport::server::{Exchange, Handler, Listener, ResponseHead, Server};
use transport::tls::TlsAcceptor;

const MANIFEST: &[u8] = br#"{"schemaVersion":2,"layers":[]}"#;
const MEDIA: &str = "application/vnd.oci.image.manifest.v1+json";
/// A name that nothing resolves: only a proxy knows where it is.
const NAME: &str = "registry.invalid";

/// A registry with one manifest.
struct Answer;

impl Handler for Answer {
    fn handle(&self, exchange: &mut Exchange<'_>) {
        // A proxy is asked with whole URLs, and here plays the registry.
        let path = exchange.head.path.clone();
        let head = ResponseHead::new(200).content_type(MEDIA);
        let body = if path.contains("/manifests/") { MANIFEST } else { b"{}" };
        let _ = exchange.respond(&head, body);
    }
}

/// A folder of a test's own, with an authority.
struct Place {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Place {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("wharf-reaching-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        let place = Self { dir, issuer: Issuer::new(params, key) };
        place.issue("server");
        place.issue("client");
        place
    }

    /// Writes `name.cert` and `name.key`.
    fn issue(&self, name: &str) {
        let names = [NAME, "127.0.0.1"].map(str::to_owned).to_vec();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.dir.join(format!("{name}.cert")), certificate.pem()).unwrap();
        std::fs::write(self.dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// Serves; with `known`, only clients of this authority. Answers the address.
    fn serve(&self, known: bool) -> String {
        let file = |name: &str| self.dir.join(name);
        let authority = known.then(|| file("ca.crt"));
        let acceptor = TlsAcceptor::load(&file("server.cert"), &file("server.key"), authority.as_deref());
        let acceptor = Some(Arc::new(acceptor.unwrap()));
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap(), acceptor).unwrap();
        let address = listener.local_address().unwrap().to_string();
        // Served until the process ends.
        std::mem::forget(Server::start(vec![listener], Arc::new(Answer)).unwrap());
        address
    }

    /// The folder of certificates, with these files for a host.
    fn certificates(&self, host: &str, files: &[&str]) -> PathBuf {
        let folder = self.dir.join("certs.d").join(host);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for file in files {
            std::fs::copy(self.dir.join(file), folder.join(file)).unwrap();
        }
        self.dir.join("certs.d")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn fetch(settings: Settings, registry: &str) -> Result<Vec<u8>, RegistryError> {
    let reference = format!("{registry}/app:1").parse().unwrap();
    let repository = Client::new(settings).repository(&reference, &Credentials::Anonymous, Access::Pull)?;
    Ok(repository.manifest(&Target::Tag("1".to_owned()))?.bytes)
}

fn trusting(folder: &Path) -> Settings {
    Settings { certificates: vec![folder.to_owned()], ..Settings::default() }
}

#[track_caller]
fn fails(result: Result<Vec<u8>, RegistryError>, expected: &str) {
    let text = model::error::chain(&result.expect_err(expected));
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_client_certificate_of_its_folder_is_shown() {
    let place = Place::new("certificates");
    let address = place.serve(true);
    let with = |files: &[&str]| fetch(trusting(&place.certificates(&address, files)), &address);
    assert_eq!(with(&["ca.crt", "client.cert", "client.key"]).unwrap(), MANIFEST);
    // This machine may be spoken to without TLS, which such a registry does not take.
    fails(with(&["ca.crt"]), "400 Bad Request");
    fails(with(&["ca.crt", "client.cert"]), "missing key client.key for client.cert");
    fails(with(&["ca.crt", "client.key"]), "missing client certificate client.cert for client.key");
    // Certificates are for the host whose folder they lie in.
    let elsewhere = place.certificates("127.0.0.1:1", &["ca.crt", "client.cert", "client.key"]);
    place.certificates(&address, &["ca.crt"]);
    fails(fetch(trusting(&elsewhere), &address), "400 Bad Request");
}

/// What a proxy was asked: first lines, and its header of authorization.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A proxy that leads every tunnel to one address, for whoever knows the password.
fn proxy(target: String) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Asked::default();
    let told = Arc::clone(&asked);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (target, told) = (target.clone(), Arc::clone(&told));
            // A client that goes away ends its thread.
            std::thread::spawn(move || tunnel(client, &target, &told));
        }
    });
    (address, asked)
}

fn tunnel(mut client: TcpStream, target: &str, asked: &Asked) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let first = head.lines().next().unwrap_or_default().to_owned();
    let proof = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: ")).unwrap_or_default();
    asked.lock().unwrap().push((first.clone(), proof.to_owned()));
    if proof != "Basic bWU6Y2FuYXJ5" {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    }
    if !first.starts_with("CONNECT ") {
        let length = if first.contains("/manifests/") { MANIFEST } else { b"{}" };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {MEDIA}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            length.len()
        );
        client.write_all(head.as_bytes())?;
        return client.write_all(length);
    }
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut down, &mut up);
        let _ = up.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Write);
    let _ = back.join();
    Ok(())
}

#[test]
fn a_registry_behind_a_proxy_is_spoken_to_through_a_tunnel() {
    let place = Place::new("tunnel");
    let (address, asked) = proxy(place.serve(true));
    let folder = place.certificates(&format!("{NAME}:443"), &["ca.crt", "client.cert", "client.key"]);
    let through = |login: &str| {
        let proxies = Proxies { https: format!("http://{login}{address}"), ..Proxies::default() };
        Settings { proxies, ..trusting(&folder) }
    };
    assert_eq!(fetch(through("me:canary@"), NAME).unwrap(), MANIFEST);
    let all = std::mem::take(&mut *asked.lock().unwrap());
    assert!(!all.is_empty());
    for (first, proof) in all {
        // The proxy learns where to, and nothing else.
        assert_eq!(first, format!("CONNECT {NAME}:443 HTTP/1.1"));
        assert_eq!(proof, "Basic bWU6Y2FuYXJ5");
    }
    fails(fetch(through(""), NAME), "proxyconnect tcp: the proxy answered 407");
    place.certificates(NAME, &[]);
    place.certificates(&format!("{NAME}:443"), &["ca.crt"]);
    fails(fetch(through("me:canary@"), NAME), "certificate required");
    // The folder of a host without its port is for the usual port.
    place.certificates(NAME, &["client.cert", "client.key"]);
    assert_eq!(fetch(through("me:canary@"), NAME).unwrap(), MANIFEST);
    place.certificates(&format!("{NAME}:443"), &[]);
    fails(fetch(through("me:canary@"), NAME), "x509: certificate signed by unknown authority");
    // Who is not to be reached through it is looked for without it.
    asked.lock().unwrap().clear();
    let mut direct = through("me:canary@");
    direct.proxies.except = ".invalid".to_owned();
    fails(fetch(direct, NAME), "no such host");
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn a_registry_without_tls_is_asked_for_by_its_whole_address() {
    let (address, asked) = proxy(String::new());
    let proxies = Proxies { http: format!("me:canary@{address}"), ..Proxies::default() };
    let registry = format!("{NAME}:5000");
    let settings = Settings { proxies, insecure: vec![registry.clone()], ..Settings::default() };
    assert_eq!(fetch(settings, &registry).unwrap(), MANIFEST);
    let all = asked.lock().unwrap();
    assert!(all.contains(&(
        format!("GET http://{registry}/v2/app/manifests/1 HTTP/1.1"),
        "Basic bWU6Y2FuYXJ5".to_owned()
    )));
}
