//! A registry that lies never gets a wrong byte into the store, and what is not a lie comes through.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use distribution::{
    Content, ContentError, DistributionError, Fetch, Gate, Limits, Resolved, Sources, Step, Take, Taking,
    Wish,
};
use oci::image::{Descriptor, media};
use oci::{Digest, Platform, Reference};
use registry_client::{Client, Credentials, Settings, Slowest, Stop, Target};
use testkit::lying::{Registry, Reply, Request};

/// A store in memory.
#[derive(Default, Clone)]
struct Memory(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    blobs: HashMap<Digest, Vec<u8>>,
    parts: HashMap<Digest, Vec<u8>>,
}

/// The bytes so far, and whether they ended well.
type Track = (Mutex<(Vec<u8>, Option<bool>)>, Condvar);

struct Incoming {
    memory: Memory,
    blob: Descriptor,
    shared: Arc<Track>,
}

impl Content for Memory {
    fn has(&self, blob: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.0.lock().unwrap().blobs.contains_key(&blob.digest))
    }

    fn read(&self, digest: &Digest) -> Result<Vec<u8>, ContentError> {
        let found = self.0.lock().unwrap().blobs.get(digest).cloned();
        found.ok_or_else(|| ContentError::Failed {
            kind: model::ErrorKind::NotFound,
            message: "none".to_owned(),
        })
    }

    fn open(&self, digest: &Digest) -> Result<File, ContentError> {
        let path = std::env::temp_dir().join(format!("lying-{}-{}", std::process::id(), digest.short()));
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file.write_all(&self.read(digest)?).unwrap();
        file.rewind().unwrap();
        Ok(file)
    }

    fn take(&self, blob: &Descriptor, _patience: Duration) -> Result<Take, ContentError> {
        if self.has(blob)? {
            return Ok(Take::Present);
        }
        let part = self.0.lock().unwrap().parts.remove(&blob.digest).unwrap_or_default();
        let shared = Arc::new((Mutex::new((part, None)), Condvar::new()));
        Ok(Take::Ours(Box::new(Incoming { memory: self.clone(), blob: blob.clone(), shared })))
    }
}

impl Incoming {
    fn end(&self, whole: bool) {
        self.shared.0.lock().unwrap().1.get_or_insert(whole);
        self.shared.1.notify_all();
    }
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut held = self.shared.0.lock().unwrap();
        assert!((held.0.len() + bytes.len()) as u64 <= self.blob.size, "more bytes than the descriptor says");
        held.0.extend_from_slice(bytes);
        self.shared.1.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Taking for Incoming {
    fn size(&self) -> u64 {
        self.shared.0.lock().unwrap().0.len() as u64
    }

    fn restart(&mut self) -> Result<(), ContentError> {
        self.end(false);
        self.shared = Arc::default();
        Ok(())
    }

    fn follow(&self) -> Box<dyn Read + Send> {
        Box::new(Follow(Arc::clone(&self.shared), 0))
    }

    fn finish(self: Box<Self>) -> Result<(), ContentError> {
        let bytes = std::mem::take(&mut self.shared.0.lock().unwrap().0);
        if Digest::of(&bytes) != self.blob.digest {
            return Err(ContentError::Mismatch("another digest".to_owned()));
        }
        self.shared.0.lock().unwrap().0.clone_from(&bytes);
        self.end(true);
        self.memory.0.lock().unwrap().blobs.insert(self.blob.digest.clone(), bytes);
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.end(false);
        let part = self.shared.0.lock().unwrap().0.clone();
        self.memory.0.lock().unwrap().parts.insert(self.blob.digest.clone(), part);
    }
}

struct Follow(Arc<Track>, usize);

impl Read for Follow {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let mut held = self.0.0.lock().unwrap();
        loop {
            if held.1 == Some(false) {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if held.0.len() > self.1 || held.1.is_some() {
                let count = out.len().min(held.0.len() - self.1);
                out[..count].copy_from_slice(&held.0[self.1..self.1 + count]);
                self.1 += count;
                return Ok(count);
            }
            held = self.0.1.wait(held).unwrap();
        }
    }
}

/// An honest image: its documents by what they are asked for by.
struct Fixture {
    layer: Vec<u8>,
    blobs: HashMap<String, Vec<u8>>,
    manifest: Vec<u8>,
}

fn fixture() -> Fixture {
    let layer: Vec<u8> =
        (0..2_000_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let digest = Digest::of(&layer);
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","rootfs":{{"type":"layers","diff_ids":["{digest}"]}}}}"#,
        Platform::host().architecture
    );
    let part = |kind: &str, bytes: &[u8]| serde_json::to_string(&Descriptor::of(kind, bytes)).unwrap();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
        media::OCI_MANIFEST,
        part(media::OCI_CONFIG, config.as_bytes()),
        part(media::OCI_LAYER, &layer)
    );
    let blobs = [config.into_bytes(), layer.clone()].map(|bytes| (Digest::of(&bytes).to_string(), bytes));
    Fixture { layer, blobs: blobs.into(), manifest: manifest.into_bytes() }
}

impl Fixture {
    fn answer(&self, request: &Request) -> Reply {
        let path = request.path.split('?').next().unwrap_or_default();
        match path.rsplit('/').next().unwrap_or_default() {
            "" => Reply::new(200, "{}"),
            _ if path.contains("/manifests/") => {
                Reply::new(200, self.manifest.clone()).with("Content-Type", media::OCI_MANIFEST)
            }
            digest => match self.blobs.get(digest) {
                Some(bytes) => Reply::ranged(request, bytes),
                None => Reply::new(404, r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"none"}]}"#),
            },
        }
    }

    fn is_layer(&self, request: &Request) -> bool {
        request.path.ends_with(Digest::of(&self.layer).as_str())
    }
}

fn settings() -> Settings {
    Settings { slowest: Slowest { window: Duration::from_millis(300), bytes: 4096 }, ..Settings::default() }
}

struct Outcome {
    result: Result<(), DistributionError>,
    memory: Memory,
    steps: Vec<Step>,
}

fn pull_with(settings: Settings, registry: &str, credentials: &Credentials, memory: &Memory) -> Outcome {
    let reference: Reference = format!("{registry}/some/thing:tag").parse().unwrap();
    let steps = Mutex::new(Vec::new());
    let stop = Stop::default();
    let limits = Limits { attempts: 3, first_wait: Duration::from_millis(10) };
    let result = (|| {
        let sources = Sources::new(&Client::new(settings), &reference, credentials)?;
        let wish = Wish {
            target: Target::of(&reference),
            platform: Platform::host(),
            explicit: false,
            name: reference.familiar(),
        };
        let found = Resolved::find(&sources, memory, &wish, &limits, &stop, &|| ())?;
        let told = |_: usize, step: Step| steps.lock().unwrap().push(step);
        let gate = Gate::new(3);
        let fetch = Fetch::new(&sources, memory, &found.layers, &limits, &gate, &stop, &told);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut bytes = Vec::new();
                fetch.open(0).and_then(|mut reader| reader.read_to_end(&mut bytes)).map(|_| bytes)
            });
            fetch.run()?;
            if let Ok(bytes) = reader.join().unwrap() {
                assert_eq!(
                    Digest::of(&bytes),
                    found.layers[0].digest,
                    "a reader that ends has read the blob"
                );
            }
            Ok(())
        })
    })();
    for (digest, bytes) in &memory.0.lock().unwrap().blobs {
        assert_eq!(Digest::of(bytes), *digest, "every blob of the store has its digest");
    }
    Outcome { result, memory: memory.clone(), steps: steps.into_inner().unwrap() }
}

fn pull(registry: &Registry) -> Outcome {
    pull_with(settings(), registry.address(), &Credentials::Anonymous, &Memory::default())
}

#[track_caller]
fn refused(outcome: &Outcome, words: &str, layer: &[u8]) {
    let text = model::error::chain(outcome.result.as_ref().unwrap_err());
    assert!(text.contains(words), "{text:?} has {words:?}");
    assert!(!outcome.memory.0.lock().unwrap().blobs.contains_key(&Digest::of(layer)));
}

#[test]
fn an_honest_registry_is_believed() {
    let fixture = fixture();
    let registry = Registry::start(move |request| fixture.answer(request));
    let outcome = pull(&registry);
    outcome.result.unwrap();
    assert_eq!(outcome.steps.last(), Some(&Step::Complete));
    // What is there is not fetched again.
    let before = registry.body_bytes();
    pull_with(settings(), registry.address(), &Credentials::Anonymous, &outcome.memory).result.unwrap();
    assert!(registry.body_bytes() - before < 10_000, "only documents came");
}

#[test]
fn wrong_bytes_are_refused() {
    let (fixture, layer) = (fixture(), fixture().layer);
    let registry = Registry::start(move |request| {
        let mut reply = fixture.answer(request);
        if fixture.is_layer(request) {
            reply.body[77] ^= 1;
        }
        reply
    });
    refused(&pull(&registry), "another digest", &layer);
}

#[test]
fn wrong_sizes_are_refused() {
    for change in [-1i64, 1] {
        let (fixture, layer) = (fixture(), fixture().layer);
        let registry = Registry::start(move |request| {
            let mut reply = fixture.answer(request);
            if fixture.is_layer(request) {
                reply.body.resize((reply.body.len() as i64 + change) as usize, 0);
            }
            reply
        });
        refused(&pull(&registry), "where its manifest says", &layer);
    }
}

#[test]
fn endless_bodies_end() {
    for part in ["manifests", "blobs"] {
        let (fixture, layer) = (fixture(), fixture().layer);
        let registry = Registry::start(move |request| {
            let mut reply = fixture.answer(request);
            if request.method == "GET" && request.path.contains(part) {
                reply = Reply { endless: true, ..Reply::new(200, vec![b' '; 1 << 16]) };
            }
            reply
        });
        let outcome = pull(&registry);
        assert!(outcome.result.is_err(), "{part}");
        assert!(registry.body_bytes() < 64 << 20, "{part}: {}", registry.body_bytes());
        assert!(!outcome.memory.0.lock().unwrap().blobs.contains_key(&Digest::of(&layer)));
    }
}

#[test]
fn cut_connections_go_on_where_they_broke() {
    let (fixture, layer) = (fixture(), fixture().layer);
    let registry = Registry::start(move |request| {
        let reply = fixture.answer(request);
        if fixture.is_layer(request) { Reply { cut_after: Some(600_000), ..reply } } else { reply }
    });
    let outcome = pull(&registry);
    outcome.result.unwrap();
    assert!(outcome.steps.iter().any(|step| matches!(step, Step::Retrying { .. })));
    // Four connections, but each byte once.
    let extra = registry.body_bytes() - layer.len() as u64;
    assert!(extra < 10_000, "{extra} bytes more than the layer has");
}

#[test]
fn a_pull_that_failed_is_taken_up_again() {
    let (fixture, layer) = (fixture(), fixture().layer);
    let failing = std::sync::atomic::AtomicUsize::new(0);
    let registry = Registry::start(move |request| {
        let reply = fixture.answer(request);
        match fixture.is_layer(request) {
            true => match failing.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Reply { cut_after: Some(1_500_000), ..reply },
                1..=3 => Reply::new(500, "no"),
                _ => reply,
            },
            false => reply,
        }
    });
    let first = pull(&registry);
    assert!(first.result.is_err());
    pull_with(settings(), registry.address(), &Credentials::Anonymous, &first.memory).result.unwrap();
    assert!(registry.body_bytes() < layer.len() as u64 + 20_000, "{}", registry.body_bytes());
}

#[test]
fn a_registry_without_ranges_starts_anew() {
    let fixture = fixture();
    let cut = std::sync::atomic::AtomicBool::new(true);
    let registry = Registry::start(move |request| {
        let mut whole = request.clone();
        whole.headers.retain(|(name, _)| name != "range");
        let reply = fixture.answer(&whole);
        let first = fixture.is_layer(request) && cut.swap(false, std::sync::atomic::Ordering::SeqCst);
        if first { Reply { cut_after: Some(700_000), ..reply } } else { reply }
    });
    pull(&registry).result.unwrap();
}

#[test]
fn busy_registries_are_waited_for() {
    for status in [429, 503] {
        let fixture = fixture();
        let count = std::sync::atomic::AtomicUsize::new(0);
        let registry = Registry::start(move |request| {
            if request.path != "/v2/"
                && count.fetch_add(1, std::sync::atomic::Ordering::SeqCst).is_multiple_of(2)
            {
                return Reply::new(status, "").with("Retry-After", "0");
            }
            fixture.answer(request)
        });
        pull(&registry).result.unwrap();
    }
    let always = Registry::start(|request| {
        if request.path == "/v2/" {
            Reply::new(200, "")
        } else {
            Reply::new(429, "").with("Retry-After", "0")
        }
    });
    let outcome = pull(&always);
    assert!(outcome.result.unwrap_err().to_string().contains("toomanyrequests"));
    assert!(always.requests().len() < 20, "{} requests", always.requests().len());
}

#[test]
fn a_slow_drip_is_given_up() {
    let (fixture, layer) = (fixture(), fixture().layer);
    let registry = Registry::start(move |request| {
        let reply = fixture.answer(request);
        if fixture.is_layer(request) {
            Reply { drip: Some(Duration::from_millis(50)), ..reply }
        } else {
            reply
        }
    });
    let begun = std::time::Instant::now();
    let outcome = pull(&registry);
    // Each connection brings some bytes, so that it is the attempts without any that count; the drip never ends.
    let text = outcome.result.as_ref().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains("too slowly"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(!outcome.memory.0.lock().unwrap().blobs.contains_key(&Digest::of(&layer)));
}

#[test]
fn documents_that_are_two_things_are_refused() {
    for (document, words) in [
        (r#"{"schemaVersion":2,"manifests":[],"config":{},"layers":[]}"#, "both a manifest and an index"),
        (r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
        ("not json", "invalid manifest"),
        (r#"{"schemaVersion":2,"layers":[],"layers":[],"config":{}}"#, "stands twice"),
    ] {
        let registry = Registry::start(move |request| {
            if request.path == "/v2/" { Reply::new(200, "") } else { Reply::new(200, document) }
        });
        refused(&pull(&registry), words, b"");
    }
}

#[test]
fn a_digest_the_registry_names_is_compared() {
    let fixture = fixture();
    let registry = Registry::start(move |request| {
        fixture.answer(request).with("Docker-Content-Digest", Digest::of(b"another").as_str())
    });
    refused(&pull(&registry), "content has digest", b"");
}

const CANARY: &str = "canary-password";

fn has_canary(request: &Request) -> bool {
    // `me:canary-password` in base64 begins so.
    let texts = request.headers.iter().map(|(_, value)| value.as_str()).chain([request.path.as_str()]);
    texts
        .chain(std::str::from_utf8(&request.body))
        .any(|text| text.contains("bWU6Y2FuYXJ5") || text.contains("canary"))
}

#[test]
fn credentials_do_not_follow_a_redirect() {
    let (fixture, layer) = (Arc::new(fixture()), fixture().layer);
    let elsewhere = {
        let fixture = Arc::clone(&fixture);
        Registry::start(move |request| Reply::ranged(request, &fixture.layer))
    };
    let target = format!("http://{}/storage", elsewhere.address());
    let registry = Registry::start(move |request| {
        if request.header("authorization").is_none() {
            return Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\"");
        }
        match fixture.is_layer(request) {
            true => Reply::new(307, "").with("Location", &target),
            false => fixture.answer(request),
        }
    });
    let credentials = Credentials::password("me", CANARY);
    let outcome = pull_with(settings(), registry.address(), &credentials, &Memory::default());
    outcome.result.unwrap();
    assert!(outcome.memory.0.lock().unwrap().blobs.contains_key(&Digest::of(&layer)));
    assert!(registry.requests().iter().any(has_canary), "the registry itself is shown them");
    assert!(!elsewhere.requests().is_empty() && !elsewhere.requests().iter().any(has_canary));
}

#[test]
fn tokens_are_fetched_and_used() {
    let fixture = fixture();
    let tokens = Registry::start(|request| {
        if !has_canary(request) {
            return Reply::new(401, r#"{"details":"incorrect username or password"}"#);
        }
        Reply::new(200, r#"{"access_token":"the-token","expires_in":300}"#)
    });
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"us\"", tokens.address());
    let registry = Registry::start(move |request| match request.header("authorization") {
        Some("Bearer the-token") => fixture.answer(request),
        _ => Reply::new(401, "").with("WWW-Authenticate", &challenge),
    });
    let credentials = Credentials::password("me", CANARY);
    pull_with(settings(), registry.address(), &credentials, &Memory::default()).result.unwrap();
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1, "one token serves the whole pull");
    assert!(
        asked[0].path.contains("scope=repository%3Asome%2Fthing%3Apull")
            && asked[0].path.contains("service=us")
    );
    assert!(!registry.requests().iter().any(has_canary), "a registry with tokens does not see the password");
    let wrong =
        pull_with(settings(), registry.address(), &Credentials::password("me", "x"), &Memory::default());
    assert!(wrong.result.unwrap_err().to_string().contains("incorrect username or password"));
}

#[test]
fn an_identity_token_is_traded() {
    let fixture = fixture();
    let tokens = Registry::start(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let fits = request.method == "POST"
            && body.contains("grant_type=refresh_token")
            && body.contains("refresh_token=canary-identity");
        if fits { Reply::new(200, r#"{"access_token":"the-token"}"#) } else { Reply::new(404, "") }
    });
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"us\"", tokens.address());
    let registry = Registry::start(move |request| match request.header("authorization") {
        Some("Bearer the-token") => fixture.answer(request),
        _ => Reply::new(401, "").with("WWW-Authenticate", &challenge),
    });
    let credentials =
        Credentials::Identity { user: String::new(), token: registry_client::Secret::new("canary-identity") };
    pull_with(settings(), registry.address(), &credentials, &Memory::default()).result.unwrap();
}

#[test]
fn evil_realms_get_nothing() {
    let evil = Registry::start(|_| Reply::new(200, r#"{"token":"x"}"#));
    // A redirect to another registry, which then asks for a token of its own: nobody said that one may.
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"us\"", evil.address());
    let elsewhere = Registry::start(move |_| Reply::new(401, "").with("WWW-Authenticate", &challenge));
    let target = format!("http://{}/v2/some/thing/manifests/tag", elsewhere.address());
    let registry = Registry::start(move |request| match request.path.as_str() {
        "/v2/" => Reply::new(200, ""),
        _ => Reply::new(307, "").with("Location", &target),
    });
    let credentials = Credentials::password("me", CANARY);
    let outcome = pull_with(settings(), registry.address(), &credentials, &Memory::default());
    assert!(outcome.result.is_err());
    assert!(evil.requests().is_empty(), "{:?}", evil.requests());
    // Realms that are no addresses, or lie where nobody should be sent.
    for realm in ["file:///etc/passwd", "http://example.invalid/token", "http://u:p@127.0.0.1/", ""] {
        let registry = Registry::start(move |_| {
            Reply::new(401, "").with("WWW-Authenticate", &format!("Bearer realm=\"{realm}\",service=\"us\""))
        });
        let outcome = pull_with(settings(), registry.address(), &credentials, &Memory::default());
        let text = outcome.result.unwrap_err().to_string();
        assert!(text.contains("is refused") && !text.contains("canary"), "{realm}: {text}");
    }
}

#[test]
fn mirrors_see_no_credentials_and_are_not_relied_on() {
    let fixture = Arc::new(fixture());
    let mirror =
        {
            let fixture = Arc::clone(&fixture);
            Registry::start(move |request| {
                if fixture.is_layer(request) { Reply::new(500, "") } else { fixture.answer(request) }
            })
        };
    let registry = Registry::start(move |request| {
        if request.header("authorization").is_none() {
            return Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\"");
        }
        fixture.answer(request)
    });
    let mirrors = [(registry.address().to_owned(), vec![format!("http://{}", mirror.address())])];
    let settings = Settings { mirrors: mirrors.into(), ..settings() };
    let credentials = Credentials::password("me", CANARY);
    pull_with(settings, registry.address(), &credentials, &Memory::default()).result.unwrap();
    assert!(mirror.requests().len() >= 3, "the mirror was asked first");
    assert!(!mirror.requests().iter().any(has_canary));
}
