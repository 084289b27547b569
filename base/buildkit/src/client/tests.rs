//! A client's offer against the builder's side of a session.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use grpc::{Cancellation, Code, Limits};
use linux::root::RootDir;

use super::{Offer, Output, Secret};
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
    offer.agent("default", folder.0.join("agent"));
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
