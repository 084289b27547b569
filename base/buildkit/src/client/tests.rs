//! A client's offer against the builder's side of a session.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use grpc::{Cancellation, Client, Code, Limits, Metadata};
use linux::root::RootDir;
use model::error::{ErrorKind, Kinded as _};
use oci::Digest;
use oci::image::{Descriptor, media};

use super::{Layout, Offer, Output, Secret};
use crate::services::{ReadContentRequest, ReadContentResponse, method};
use crate::session::auth::Credentials;
use crate::session::sync::{SyncLimits, Wanted};
use crate::session::{Session, SessionInfo};

/// A folder that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wharf-offer-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    fn root(&self) -> RootDir {
        RootDir::open(&self.0).expect("opens")
    }

    fn with(self, files: &[&str]) -> Self {
        for path in files {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(&path, path.file_name().expect("a name").as_encoded_bytes()).expect("written");
        }
        self
    }

    fn link(self, to: &str, path: &str) -> Self {
        std::os::unix::fs::symlink(to, self.0.join(path)).expect("linked");
        self
    }

    /// All that is in it, sorted.
    fn list(&self) -> Vec<String> {
        let mut list = Vec::new();
        let mut open = vec![self.0.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("reads") {
                let path = entry.expect("an entry").path();
                list.push(path.strip_prefix(&self.0).expect("below").display().to_string());
                if path.is_dir() && !path.is_symlink() {
                    open.push(path);
                }
            }
        }
        list.sort();
        list
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The builder's side of a session with this offer.
fn session(offer: Offer) -> Arc<Session> {
    let (here, there) = UnixStream::pair().expect("sockets");
    let info = SessionInfo {
        id: "s".into(),
        methods: offer.methods().iter().map(|method| (*method).to_owned()).collect(),
        ..SessionInfo::default()
    };
    thread::spawn(move || grpc::serve(here.into(), Vec::new(), Arc::new(offer), Limits::DEFAULT));
    Arc::new(Session::new(info, there.into(), Vec::new()).expect("a session"))
}

/// A connection on which calls of any kind can be made.
fn client(offer: Offer) -> Client {
    let (here, there) = UnixStream::pair().expect("sockets");
    thread::spawn(move || grpc::serve(here.into(), Vec::new(), Arc::new(offer), Limits::DEFAULT));
    Client::new(there.into(), Vec::new(), Limits::DEFAULT).expect("a client")
}

/// What a builder gets of a folder that wants this.
fn synced(folder: &Scratch, follow: &[&str], include: &[&str], exclude: &[&str]) -> Vec<String> {
    let mut offer = Offer::default();
    offer.folder("context", folder.root());
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    let wanted = Wanted {
        name: "context".into(),
        include: texts(include),
        exclude: texts(exclude),
        follow: texts(follow),
    };
    let into = Scratch::new();
    let session = session(offer);
    session
        .sync(&wanted, &into.root(), SyncLimits::default(), &Cancellation::new(), &mut |_| {})
        .expect("synced");
    into.list()
}

#[test]
fn a_builder_sees_what_it_asks_for() {
    let folder = Scratch::new()
        .with(&["Dockerfile", "a/b/c.rs", "a/b/d.txt", "a-x", "node/deep/x", "node/deep/keep/y", "z/e"])
        .link("../a/b", "z/link")
        .link("/z/link/c.rs", "abs");
    assert_eq!(
        synced(&folder, &[], &[], &["node/deep", "!node/deep/keep", "**/*.txt"]),
        [
            "Dockerfile",
            "a",
            "a-x",
            "a/b",
            "a/b/c.rs",
            "abs",
            "node",
            "node/deep",
            "node/deep/keep",
            "node/deep/keep/y",
            "z",
            "z/e",
            "z/link",
        ]
    );
    assert_eq!(synced(&folder, &[], &["Dockerfile", "missing"], &[]), ["Dockerfile"]);
    assert_eq!(synced(&folder, &[], &["a/*/*.rs"], &[]), ["a", "a/b", "a/b/c.rs"]);
    assert_eq!(synced(&folder, &["a/b"], &[], &[]), ["a", "a/b", "a/b/c.rs", "a/b/d.txt"]);
    assert_eq!(
        synced(&folder, &["abs"], &[], &[]),
        ["a", "a/b", "a/b/c.rs", "abs", "z", "z/link"],
        "links are followed inside of the folder"
    );
    assert_eq!(synced(&folder, &["../../z/e", "no/where"], &[], &[]), ["z", "z/e"]);
    assert_eq!(
        synced(&folder, &["z/*"], &[], &[]),
        ["a", "a/b", "a/b/c.rs", "a/b/d.txt", "z", "z/e", "z/link"]
    );
}

#[test]
fn a_link_to_itself_ends() {
    let folder = Scratch::new().with(&["f"]).link("loop", "loop");
    let mut offer = Offer::default();
    offer.folder("context", folder.root());
    let wanted = Wanted { name: "context".into(), follow: vec!["loop/x".into()], ..Wanted::default() };
    let into = Scratch::new();
    let outcome =
        session(offer).sync(&wanted, &into.root(), SyncLimits::default(), &Cancellation::new(), &mut |_| {});
    assert!(outcome.is_err_and(|error| error.to_string().contains("too many links")));
}

#[test]
fn many_files_and_hard_links_arrive() {
    let names: Vec<String> = (0..3000).map(|number| format!("d{}/f{number}", number % 7)).collect();
    let folder = Scratch::new().with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    fs::hard_link(folder.0.join("d0/f0"), folder.0.join("d6/z")).expect("linked");
    let mut offer = Offer::default();
    offer.folder("context", folder.root());
    let wanted = Wanted { name: "context".into(), ..Wanted::default() };
    let into = Scratch::new();
    session(offer)
        .sync(&wanted, &into.root(), SyncLimits::default(), &Cancellation::new(), &mut |_| {})
        .expect("synced");
    assert_eq!(into.list(), folder.list());
    let inode =
        |path: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(into.0.join(path)).expect("is there"));
    assert_eq!(inode("d0/f0"), inode("d6/z"));
    assert_eq!(fs::read_to_string(into.0.join("d3/f3")).expect("reads"), "f3");
}

#[test]
fn secrets_credentials_and_bytes_are_lent() {
    let folder = Scratch::new().with(&["key"]);
    let mut offer = Offer::default();
    offer.secret("file", Secret::File(folder.0.join("key")));
    offer.secret("value", Secret::Value(b"v".to_vec()));
    offer.secret("gone", Secret::File(folder.0.join("gone")));
    offer
        .keyring(|host| (host == "r.test").then(|| Credentials { username: "u".into(), secret: "p".into() }));
    assert_eq!(offer.upload("up", &b"bytes"[..]), "http://buildkit-session/up");
    assert!(!format!("{offer:?}").contains("bytes"));
    let session = session(offer);
    let secret = |id: &str| session.secret(id).map(|secret| secret.map(|secret| secret.bytes().to_vec()));
    assert_eq!(secret("file").expect("answers").as_deref(), Some(&b"key"[..]));
    assert_eq!(secret("value").expect("answers").as_deref(), Some(&b"v"[..]));
    assert_eq!(secret("other").expect("answers"), None);
    assert!(secret("gone").is_err_and(|status| status.message.contains("failed to read secret gone")));
    let found = session.credentials("r.test").expect("answers").expect("has some");
    assert_eq!((found.username.as_str(), found.secret.as_str()), ("u", "p"));
    assert_eq!(session.credentials("other.test").expect("answers"), None);
    let mut text = String::new();
    let until = Cancellation::new();
    session.upload("/up", &until).expect("starts").read_to_string(&mut text).expect("reads");
    assert_eq!(text, "bytes");
    assert!(session.upload("/up", &until).expect("starts").read_to_string(&mut text).is_err(), "only once");
    assert_eq!(session.check_agent("default").expect_err("none").code, Code::Unimplemented);
}

#[test]
fn an_agent_is_reached() {
    let folder = Scratch::new();
    let listener = UnixListener::bind(folder.0.join("agent")).expect("listens");
    thread::spawn(move || {
        let (mut visitor, _) = listener.accept().expect("a visitor");
        let mut word = [0; 4];
        visitor.read_exact(&mut word).expect("reads");
        visitor.write_all(b"pong").expect("writes");
    });
    let mut offer = Offer::default();
    let agent = folder.0.join("agent");
    offer.agent("default", move || UnixStream::connect(&agent));
    offer.agent("gone", || Err(std::io::Error::other("it is gone")));
    assert!(format!("{offer:?}").contains(r#"agents: ["default", "gone"]"#), "{offer:?}");
    let session = session(offer);
    session.check_agent("").expect("is there");
    assert!(session.check_agent("other").is_err());
    let step = folder.0.join("step");
    let forwarded = session.forward_agent("", UnixListener::bind(&step).expect("listens")).expect("forwards");
    let mut visitor = UnixStream::connect(&step).expect("connects");
    visitor.write_all(b"ping").expect("writes");
    let mut word = [0; 4];
    visitor.read_exact(&mut word).expect("reads");
    assert_eq!(&word, b"pong");
    drop(forwarded);
    let step = folder.0.join("other");
    let _forwarded =
        session.forward_agent("gone", UnixListener::bind(&step).expect("listens")).expect("forwards");
    let mut visitor = UnixStream::connect(&step).expect("connects");
    assert_eq!(visitor.read(&mut word).expect("an end"), 0, "nobody is behind it");
}

#[test]
fn results_come_back() {
    let result = Scratch::new().with(&["new", "sub/inner"]);
    let into = Scratch::new().with(&["old", "sub/stays", "new/was-a-folder"]);
    let written = Arc::new(Mutex::new(Vec::new()));
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("held").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut offer = Offer::default();
    let sink = Arc::clone(&written);
    offer.output(0, Output::bytes(move || Ok(Box::new(Sink(sink)))));
    offer.output(1, Output::Folder(into.root()));
    offer.output(2, Output::bytes(|| Err(std::io::Error::other("disk full"))));
    let session = session(offer);
    let until = Cancellation::new();
    let mut archive = session.send_archive(0, &[], &until).expect("starts");
    archive.write_all(b"an archive").expect("writes");
    archive.finish().expect("ends");
    assert_eq!(*written.lock().expect("held"), b"an archive");
    let from = result.root();
    let branches = [crate::session::send::Branch::whole(&from)];
    session.send_tree(1, &branches, None, &until).expect("sent");
    assert_eq!(into.list(), ["new", "old", "sub", "sub/inner", "sub/stays"]);
    assert_eq!(fs::read_to_string(into.0.join("new")).expect("reads"), "new");
    let failed = session.send_archive(2, &[], &until).expect("starts").finish().expect_err("fails");
    assert!(failed.message.contains("disk full"), "{failed:?}");
    let failed = session.send_archive(7, &[], &until).expect("starts").finish().expect_err("fails");
    assert!(failed.message.contains("no such output"), "{failed:?}");
}

/// A session with one folder to read and one to write.
fn stores(reads: &Scratch, writes: &Scratch) -> (Arc<Session>, Arc<Layout>) {
    let mut offer = Offer::default();
    offer.store("local:reads", Arc::new(Layout::open(&reads.0).expect("opens")));
    let layout = Arc::new(Layout::open(&writes.0).expect("opens"));
    offer.writable_store("local:writes", Arc::clone(&layout));
    (session(offer), layout)
}

/// Puts a blob where it belongs; its digest.
fn blob(folder: &Scratch, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    fs::create_dir_all(folder.0.join("blobs/sha256")).expect("made");
    fs::write(folder.0.join(digest.blob_path()), bytes).expect("written");
    digest
}

#[test]
fn blobs_are_lent_as_their_digests_say() {
    let (reads, writes) = (Scratch::new(), Scratch::new());
    let long: Vec<u8> = (0..3_000_000u32).map(|at| at.to_le_bytes()[1]).collect();
    let (digest, empty) = (blob(&reads, &long), blob(&reads, b""));
    let (session, _) = stores(&reads, &writes);
    let read = |store: &str, digest: &str, size: u64| {
        let mut bytes = Vec::new();
        let mut stream = session.read_blob(store, digest, size, &Cancellation::new()).expect("starts");
        stream.read_to_end(&mut bytes).map(|_| bytes).map_err(|error| error.to_string())
    };
    assert_eq!(session.blob_size("local:reads", digest.as_str()), Ok(Some(3_000_000)));
    assert!(read("local:reads", digest.as_str(), 3_000_000).is_ok_and(|bytes| bytes == long));
    assert_eq!(read("local:reads", empty.as_str(), 0), Ok(Vec::new()));
    let other = Digest::of(b"other");
    assert_eq!(session.blob_size("local:reads", other.as_str()), Ok(None));
    assert_eq!(session.blob_size("local:none", other.as_str()), Ok(None), "as BuildKit's clients answer");
    let shown = reads.0.display().to_string();
    assert!(read("local:reads", other.as_str(), 1).is_err_and(|error| error.contains(&shown)));
    for text in ["sha256:../../../../etc/passwd", "../../etc/passwd", "", "sha256:ab"] {
        let refused = session.blob_size("local:reads", text).expect_err(text);
        assert_eq!(refused.code, Code::InvalidArgument, "{text}");
    }
    // A link out of the folder leads nowhere.
    let outside = writes.with(&["secret"]);
    let linked = Digest::of(b"linked");
    std::os::unix::fs::symlink(outside.0.join("secret"), reads.0.join(linked.blob_path())).expect("linked");
    assert_eq!(session.blob_size("local:reads", linked.as_str()), Ok(None));
    // Other bytes of the same length: all but the last piece come, and then why that does not.
    let mut damaged = long.clone();
    damaged[7] ^= 1;
    fs::write(reads.0.join(digest.blob_path()), damaged).expect("written");
    let refused = read("local:reads", digest.as_str(), 3_000_000).expect_err("is damaged");
    assert!(refused.contains(&format!("{shown}/{} does not fit", digest.blob_path())), "{refused}");
}

#[test]
fn parts_of_blobs_are_within_them() {
    let reads = Scratch::new();
    let digest = blob(&reads, b"0123456789");
    let mut offer = Offer::default();
    offer.store("s", Arc::new(Layout::open(&reads.0).expect("opens")));
    assert!(!offer.methods().contains(&method::CONTENT_WRITE));
    let client = client(offer);
    let read = |offset: i64, size: i64| {
        let metadata = Metadata::new().with("buildkit-attachable-store-id", "s");
        let call = client.start(method::CONTENT_READ, metadata, None);
        let request = ReadContentRequest { digest: digest.to_string(), offset, size };
        call.outbound.send(&request).expect("sent");
        let mut inbound = call.finish();
        let mut bytes = Vec::new();
        loop {
            match inbound.recv::<ReadContentResponse>() {
                Ok(Some(piece)) => bytes.extend(piece.data),
                Ok(None) => return Ok(String::from_utf8(bytes).expect("text")),
                Err(status) => return Err(status.code),
            }
        }
    };
    assert_eq!(read(0, 0).as_deref(), Ok("0123456789"));
    assert_eq!(read(3, 0).as_deref(), Ok("3456789"));
    assert_eq!(read(3, 4).as_deref(), Ok("3456"));
    assert_eq!(read(10, 0).as_deref(), Ok(""));
    for (offset, size) in [(11, 0), (8, 3), (-1, 0), (0, -1), (i64::MAX, i64::MAX)] {
        assert_eq!(read(offset, size), Err(Code::OutOfRange), "{offset} {size}");
    }
}

#[test]
fn blobs_are_taken_when_they_are_right() {
    let (reads, writes) = (Scratch::new(), Scratch::new());
    let (session, layout) = stores(&reads, &writes);
    let write = |store: &str, digest: &Digest, size: u64, mut bytes: &[u8]| {
        session
            .write_blob(store, digest.as_str(), size, &mut bytes, &Cancellation::new())
            .map_err(|status| status.code)
    };
    let long: Vec<u8> = (0..2_500_000u32).map(|at| at.to_le_bytes()[1]).collect();
    let digest = Digest::of(&long);
    assert_eq!(write("local:writes", &digest, 2_500_000, &long), Ok(()));
    assert!(fs::read(writes.0.join(digest.blob_path())).is_ok_and(|bytes| bytes == long));
    assert_eq!(write("local:writes", &digest, 2_500_000, &long), Ok(()), "it is there already");
    let small = Digest::of(b"small");
    assert_eq!(write("local:reads", &small, 5, b"small"), Err(Code::PermissionDenied));
    assert_eq!(write("local:none", &small, 5, b"small"), Err(Code::NotFound));
    assert_eq!(write("local:writes", &small, 5, b"smell"), Err(Code::FailedPrecondition));
    assert_eq!(write("local:writes", &small, 9, b"small"), Err(Code::FailedPrecondition));
    assert_eq!(write("local:writes", &small, 4, b"small"), Err(Code::ResourceExhausted));
    assert_eq!(write("local:writes", &small, 1 << 60, b"small"), Err(Code::ResourceExhausted));
    let all = ["blobs".to_owned(), "blobs/sha256".to_owned(), digest.blob_path()];
    assert_eq!(writes.list(), all, "nothing is left of what failed");
    // What a crash has cut short is written anew.
    fs::write(writes.0.join(small.blob_path()), "sm").expect("written");
    assert_eq!(write("local:writes", &small, 5, b"small"), Ok(()));
    assert_eq!(fs::read_to_string(writes.0.join(small.blob_path())).expect("reads"), "small");
    assert!(reads.list().is_empty());
    let told = Descriptor::of("m", &long);
    assert_eq!(layout.taken(&told).expect("reads"), Some(told));
    assert_eq!(layout.taken(&Descriptor::of("m", b"elsewhere")).expect("reads"), None, "no document");
}

#[test]
fn what_different_exports_came_to_is_told_apart() {
    let (reads, writes) = (Scratch::new(), Scratch::new());
    let (session, layout) = stores(&reads, &writes);
    let elsewhere = Descriptor::of(media::OCI_MANIFEST, b"elsewhere");
    assert_eq!(layout.taken(&elsewhere).expect("reads"), None, "nothing came");
    let document = format!(r#"{{"mediaType":"{}"}}"#, media::OCI_MANIFEST);
    let ours = Descriptor::of(media::OCI_MANIFEST, document.as_bytes());
    let mut bytes = document.as_bytes();
    session
        .write_blob("local:writes", ours.digest.as_str(), ours.size, &mut bytes, &Cancellation::new())
        .expect("written");
    assert_eq!(layout.taken(&elsewhere).expect("reads"), Some(ours));
}

#[test]
fn an_index_keeps_what_it_is_told_and_what_it_knew() {
    let folder = Scratch::new();
    let missing = Layout::open(&folder.0.join("missing")).expect_err("is not there");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.to_string().contains(&folder.0.display().to_string()));
    let layout = Layout::make(&folder.0.join("deep/er")).expect("made");
    assert_eq!(layout.named("latest").expect_err("no index").kind(), ErrorKind::NotFound);
    let manifest = |text: &str| Descriptor::of(media::OCI_MANIFEST, text.as_bytes());
    layout.put(&manifest("1"), "latest").expect("put");
    assert_eq!(layout.only().expect("reads").map(|one| one.digest), Some(manifest("1").digest));
    layout.put(&manifest("2"), "other").expect("put");
    layout.put(&manifest("3"), "latest").expect("put");
    let named = |tag: &str| layout.named(tag).expect("reads").map(|one| one.digest);
    assert_eq!(named("latest"), Some(manifest("3").digest));
    assert_eq!(named("other"), Some(manifest("2").digest));
    assert_eq!((named("third"), layout.only().expect("reads")), (None, None));
    assert_eq!(folder.list(), ["deep", "deep/er", "deep/er/index.json", "deep/er/oci-layout"]);
    let path = folder.0.join("deep/er/index.json");
    let index = |more: &str| format!(r#"{{"schemaVersion":2,"x-new":7,"manifests":[{more}]}}"#);
    let image = format!(
        r#"{{"digest":"{}","data":"eA==","annotations":{{"io.containerd.image.name":"a:1","org.opencontainers.image.ref.name":"1"}}}}"#,
        manifest("4").digest
    );
    fs::write(&path, index(&image)).expect("written");
    layout.put(&manifest("5"), "1").expect("put");
    let text = fs::read_to_string(&path).expect("reads");
    assert!(text.starts_with(&index(&image).trim_end_matches("]}").to_owned()), "{text}");
    assert_eq!(named("a:1"), Some(manifest("4").digest));
    for (bytes, kind) in [("{", ErrorKind::Invalid), (&*" ".repeat(5 << 20), ErrorKind::Invalid)] {
        fs::write(&path, bytes).expect("written");
        let failed = layout.put(&manifest("6"), "1").expect_err("cannot be read");
        assert!(failed.kind() == kind && failed.to_string().contains("index.json"), "{failed}");
        assert_eq!(fs::read_to_string(&path).expect("reads"), bytes, "it is left as it is");
    }
}
