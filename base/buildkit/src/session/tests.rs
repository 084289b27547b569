//! A session against a client that stands in for buildx, and against clients that break the rules.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use grpc::{Call, Cancellation, Code, Limits, Service, Status};
use linux::root::RootDir;

use super::auth::{Credentials, TokenWish};
use super::sync::{SyncError, SyncLimits, Synced, Wanted, receive_packets};
use super::{Session, SessionInfo, Sessions, send};
use crate::fsutil::{Packet, PacketType, Stat, mode};
use crate::services::*;

/// A folder that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wharf-session-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    fn root(&self) -> RootDir {
        RootDir::open(&self.0).expect("opens")
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).expect("read")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a client offers.
#[derive(Default)]
struct Desk {
    folder: PathBuf,
    /// The metadata of the last transfer.
    asked: Mutex<Vec<(String, String)>>,
    /// What came as an archive.
    archive: Mutex<Vec<u8>>,
    /// Packets to send whatever is asked, instead of the folder.
    rude: Option<Vec<Packet>>,
}

impl Service for Desk {
    fn call(&self, mut call: Call) -> Result<(), Status> {
        let asked = call
            .metadata
            .iter()
            .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()));
        *self.asked.lock().expect("not poisoned") =
            asked.filter(|(name, _)| !matches!(name.as_str(), "user-agent")).collect();
        match call.path.clone().as_str() {
            method::FILE_SYNC => self.files(&mut call),
            method::FILE_SEND => {
                while let Some(message) = call.inbound.recv::<BytesMessage>()? {
                    self.archive.lock().expect("not poisoned").extend_from_slice(&message.data);
                }
                Ok(())
            }
            method::GET_SECRET => call.unary(|_, request: GetSecretRequest| match request.id.as_str() {
                "token" => Ok(GetSecretResponse { data: b"s3cret".to_vec() }),
                "long" => Ok(GetSecretResponse { data: vec![0; 600 << 10] }),
                id => Err(Status::new(Code::NotFound, format!("secret {id} not found"))),
            }),
            method::CREDENTIALS => call.unary(|_, request: CredentialsRequest| {
                let known = request.host == "example.test";
                let (username, secret) = if known { ("me", "pass") } else { ("", "") };
                Ok(CredentialsResponse { username: username.into(), secret: secret.into() })
            }),
            method::FETCH_TOKEN => call.unary(|_, request: FetchTokenRequest| {
                let token = format!("{} {} {}", request.realm, request.service, request.scopes.join(" "));
                Ok(FetchTokenResponse { token, expires_in: 60, issued_at: 7 })
            }),
            method::CHECK_AGENT => call.unary(|_, request: CheckAgentRequest| match request.id.as_str() {
                "default" => Ok(CheckAgentResponse {}),
                id => Err(Status::new(Code::Unknown, format!("unset ssh forward key {id}"))),
            }),
            method::FORWARD_AGENT => {
                while let Some(mut message) = call.inbound.recv::<BytesMessage>()? {
                    message.data.make_ascii_uppercase();
                    call.outbound.send(&message)?;
                }
                Ok(())
            }
            method::PULL => {
                let path = call.metadata.text("urlpath").unwrap_or_default().to_owned();
                if path != "/abc" {
                    return Err(Status::new(
                        Code::Unknown,
                        format!("no http response from session for {path}"),
                    ));
                }
                for piece in [&b"FROM "[..], b"", b"scratch\n"] {
                    call.outbound.send(&BytesMessage { data: piece.to_vec() })?;
                }
                Ok(())
            }
            path => Err(Status::unimplemented(path)),
        }
    }
}

impl Desk {
    fn files(&self, call: &mut Call) -> Result<(), Status> {
        if call.metadata.text("dir-name") != Some("context") {
            return Err(Status::new(Code::NotFound, "no access allowed to dir"));
        }
        if let Some(packets) = &self.rude {
            for packet in packets {
                call.outbound.send(packet)?;
            }
            while call.inbound.recv_bytes()?.is_some() {}
            return Ok(());
        }
        let root =
            RootDir::open(&self.folder).map_err(|error| Status::new(Code::Unknown, error.to_string()))?;
        send::send_packets(&mut call.inbound, &call.outbound, &[send::Branch::whole(&root)], None)
            .map_err(|error| Status::new(Code::Unknown, error.to_string()))
    }
}

fn everything() -> SessionInfo {
    let methods = [
        method::FILE_SYNC,
        method::FILE_SEND,
        method::GET_SECRET,
        method::CREDENTIALS,
        method::FETCH_TOKEN,
        method::CHECK_AGENT,
        method::FORWARD_AGENT,
        method::PULL,
    ];
    SessionInfo {
        id: "one".into(),
        name: "test".into(),
        shared_key: "key".into(),
        methods: methods.map(str::to_lowercase).to_vec(),
    }
}

fn session(desk: Desk) -> (Session, Arc<Desk>) {
    session_of(desk, everything())
}

fn session_of(desk: Desk, info: SessionInfo) -> (Session, Arc<Desk>) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let desk = Arc::new(desk);
    let serving = Arc::clone(&desk);
    thread::spawn(move || grpc::serve(theirs.into(), Vec::new(), serving, Limits::DEFAULT));
    (Session::new(info, ours.into(), Vec::new()).expect("a session"), desk)
}

fn context() -> Wanted {
    Wanted { name: "context".into(), ..Wanted::default() }
}

fn sync(session: &Session, into: &Scratch) -> Result<Synced, SyncError> {
    session.sync(&context(), &into.root(), SyncLimits::default(), &Cancellation::new(), &mut |_| {})
}

/// All there is in a folder: path, kind and permissions, size, time, link or content.
fn picture(folder: &Path) -> BTreeMap<String, String> {
    fn add(folder: &Path, below: &str, picture: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("read").flatten() {
            let path = format!("{below}{}", entry.file_name().to_string_lossy());
            let found = fs::symlink_metadata(entry.path()).expect("looked at");
            let what = if found.is_symlink() {
                fs::read_link(entry.path()).expect("read").display().to_string()
            } else if found.is_file() {
                fs::read_to_string(entry.path()).expect("read")
            } else {
                String::new()
            };
            let text = format!("{:o} {}.{} {what}", found.mode(), found.mtime(), found.mtime_nsec());
            if found.is_dir() {
                add(&entry.path(), &format!("{path}/"), picture);
            }
            picture.insert(path, text);
        }
    }
    let mut all = BTreeMap::new();
    add(folder, "", &mut all);
    all
}

fn example() -> Scratch {
    let folder = Scratch::new();
    folder.write("Dockerfile", "FROM scratch\n");
    folder.write("src/main.rs", "fn main() {}\n");
    folder.write("src.rs", "// sorts after src/ here\n");
    folder.write("empty/.keep", "");
    folder.write("big", &"0123456789abcdef".repeat(20_000));
    folder.write("set", "uid");
    fs::set_permissions(folder.0.join("set"), fs::Permissions::from_mode(0o4755)).expect("set");
    fs::set_permissions(folder.0.join("src"), fs::Permissions::from_mode(0o750)).expect("set");
    std::os::unix::fs::symlink("../../outside", folder.0.join("src/link")).expect("linked");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.0.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from(0o600),
        0,
    )
    .expect("a pipe");
    folder
}

#[test]
fn a_folder_comes_whole_and_then_only_what_changed() {
    let (folder, into) = (example(), Scratch::new());
    let (session, _desk) = session(Desk { folder: folder.0.clone(), ..Desk::default() });
    let first = sync(&session, &into).expect("comes");
    assert_eq!(picture(&into.0), picture(&folder.0));
    assert_eq!((first.entries, first.sent_files, first.removed), (10, 6, 0));

    let second = sync(&session, &into).expect("comes");
    assert_eq!(second, Synced { entries: 10, ..Synced::default() }, "nothing is sent twice");

    let kept = fs::File::open(into.0.join("src/main.rs")).expect("opens");
    folder.write("src/main.rs", "fn main() { changed() }\n");
    folder.write("src/new.rs", "// new\n");
    fs::remove_file(folder.0.join("src.rs")).expect("removed");
    fs::remove_dir_all(folder.0.join("empty")).expect("removed");
    folder.write("empty", "a file now");
    fs::remove_file(folder.0.join("src/link")).expect("removed");
    std::os::unix::fs::symlink("main.rs", folder.0.join("src/link")).expect("linked");
    let third = sync(&session, &into).expect("comes");
    assert_eq!(picture(&into.0), picture(&folder.0));
    assert_eq!((third.sent_files, third.removed), (3, 1));
    let mut old = String::new();
    (&kept).read_to_string(&mut old).expect("read");
    assert_eq!(old, "fn main() {}\n", "whoever holds the old file keeps the old bytes");
}

#[test]
fn the_directory_is_set_right_whatever_was_in_it() {
    let (folder, into, outside) = (example(), Scratch::new(), Scratch::new());
    outside.write("main.rs", "not yours\n");
    // A link where a directory comes, a directory where a file comes, deep things nobody announced.
    std::os::unix::fs::symlink(&outside.0, into.0.join("src")).expect("linked");
    into.write("Dockerfile/a/b/c/d", "x");
    into.write("old/deep/er", "x");
    let (session, _desk) = session(Desk { folder: folder.0.clone(), ..Desk::default() });
    let synced = sync(&session, &into).expect("comes");
    assert_eq!(picture(&into.0), picture(&folder.0));
    assert_eq!(synced.removed, 1);
    assert_eq!(outside.read("main.rs"), "not yours\n");
}

#[test]
fn many_files_do_not_block_each_other() {
    let (folder, into) = (Scratch::new(), Scratch::new());
    for number in 0..3000 {
        folder.write(&format!("d{}/f{number}", number % 7), &format!("{number}").repeat(50));
    }
    let (session, _desk) = session(Desk { folder: folder.0.clone(), ..Desk::default() });
    let mut last = 0;
    let synced = session
        .sync(&context(), &into.root(), SyncLimits::default(), &Cancellation::new(), &mut |bytes| {
            assert!(bytes > last, "progress goes on");
            last = bytes;
        })
        .expect("comes");
    assert_eq!((synced.sent_files, synced.sent_bytes), (3000, last));
    assert_eq!(picture(&into.0), picture(&folder.0));
}

#[test]
fn what_is_wanted_travels_as_metadata() {
    let (folder, into) = (example(), Scratch::new());
    let (session, desk) = session(Desk { folder: folder.0.clone(), ..Desk::default() });
    let wanted = Wanted { include: vec!["Dockerfile".into(), ".dockerignore".into()], ..context() };
    session
        .sync(&wanted, &into.root(), SyncLimits::default(), &Cancellation::new(), &mut |_| {})
        .expect("comes");
    let asked = desk.asked.lock().expect("not poisoned").clone();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        asked,
        [
            pair("dir-name", "context"),
            pair("include-patterns", "Dockerfile"),
            pair("include-patterns", ".dockerignore"),
        ]
    );
    let wanted = Wanted { name: "other".into(), ..Wanted::default() };
    let error = session
        .sync(&wanted, &into.root(), SyncLimits::default(), &Cancellation::new(), &mut |_| {})
        .expect_err("no such folder");
    assert!(matches!(error, SyncError::Peer(Status { code: Code::NotFound, .. })), "{error:?}");
}

fn stat(path: &str, bits: u32) -> Packet {
    let stat = Stat { path: path.into(), mode: bits, ..Stat::default() };
    Packet { stat: Some(stat), ..Packet::default() }
}

fn with(packet: Packet, change: impl FnOnce(&mut Stat)) -> Packet {
    let mut packet = packet;
    change(packet.stat.as_mut().expect("a file"));
    packet
}

fn kind(kind: PacketType, id: u32, data: &[u8]) -> Packet {
    Packet { r#type: kind as i32, id, data: data.to_vec(), stat: None }
}

const FILE: u32 = 0o644;
const DIR: u32 = mode::DIR | 0o755;

#[test]
fn rude_clients_are_refused_and_write_nothing_outside() {
    let end = Packet::default;
    let link =
        |path: &str, to: &str| with(stat(path, mode::SYMLINK | 0o777), |stat| stat.linkname = to.into());
    let hard = |path: &str, to: &str| with(stat(path, FILE), |stat| stat.linkname = to.into());
    let cases: Vec<(&str, Vec<Packet>)> = vec![
        ("climbs out", vec![stat("../evil", FILE)]),
        ("climbs out below", vec![stat("a", DIR), stat("a/../../evil", FILE)]),
        ("absolute", vec![stat("/evil", FILE)]),
        ("through a link", vec![link("a", ".."), stat("a/evil", FILE)]),
        ("through a link that became a directory's", vec![link("a", ".."), stat("a", DIR)]),
        ("a directory nobody announced", vec![stat("a/evil", FILE)]),
        ("out of order", vec![stat("b", FILE), stat("a", FILE)]),
        ("twice", vec![stat("a", FILE), stat("a", FILE)]),
        ("a hard link out", vec![hard("a", "../evil")]),
        ("a hard link to a root", vec![hard("a", "/etc/passwd")]),
        ("a hard link through a link", vec![link("a", ".."), hard("b", "a/evil")]),
        ("a hard link to a directory", vec![stat("a", DIR), hard("b", "a")]),
        ("a hard link to nothing", vec![hard("a", "b")]),
        ("a link to nowhere", vec![link("a", "")]),
        ("no known kind", vec![stat("a", mode::IRREGULAR)]),
        ("two kinds", vec![stat("a", mode::DIR | mode::SYMLINK)]),
        ("negative size", vec![with(stat("a", FILE), |stat| stat.size = -1)]),
        ("a device of no number", vec![with(stat("a", mode::DEVICE), |stat| stat.devmajor = -1)]),
        ("bytes nobody asked for", vec![stat("a", FILE), kind(PacketType::Data, 7, b"x")]),
        ("bytes of a directory", vec![stat("a", DIR), kind(PacketType::Data, 0, b"x")]),
        (
            "bytes after their end",
            vec![stat("a", FILE), kind(PacketType::Data, 0, b""), kind(PacketType::Data, 0, b"x")],
        ),
        ("a file after the last", vec![end(), stat("a", FILE)]),
        ("an end before the end", vec![stat("a", FILE), end(), kind(PacketType::Fin, 0, b"")]),
        ("a request", vec![kind(PacketType::Req, 0, b"")]),
        ("no packet", vec![Packet { r#type: 99, ..Packet::default() }]),
        ("an end of the call", vec![stat("a", FILE)]),
        ("too deep", (1..200).map(|depth| stat(&["d"; 200][..depth].join("/"), DIR)).collect()),
    ];
    for (name, packets) in cases {
        let outside = Scratch::new();
        outside.write("evil", "untouched");
        fs::create_dir(outside.0.join("inside")).expect("made");
        let root = RootDir::open(&outside.0.join("inside")).expect("opens");
        let outcome = receive_packets(&root, SyncLimits::default(), packets);
        assert!(outcome.is_err(), "{name} was taken: {outcome:?}");
        assert_eq!(outside.read("evil"), "untouched", "{name}");
        assert_eq!(fs::read_dir(&outside.0).expect("read").count(), 2, "{name}");
    }
}

#[test]
fn limits_count_what_is_said_and_what_is_sent() {
    let limits = SyncLimits { entries: 3, bytes: 10, depth: 4 };
    let into = Scratch::new();
    let root = into.root();
    let many = (0..4).map(|number| stat(&format!("f{number}"), DIR));
    assert!(matches!(
        receive_packets(&root, limits, many),
        Err(SyncError::TooMuch { what: "files", limit: 3 })
    ));
    let big = [with(stat("a", FILE), |stat| stat.size = 11)];
    assert!(matches!(receive_packets(&root, limits, big), Err(SyncError::TooMuch { what: "bytes", .. })));
    let liar = [stat("a", FILE), kind(PacketType::Data, 0, b"12345"), kind(PacketType::Data, 0, b"123456")];
    assert!(matches!(receive_packets(&root, limits, liar), Err(SyncError::TooMuch { what: "bytes", .. })));
}

#[test]
fn a_good_transfer_by_hand() {
    let into = Scratch::new();
    let packets = [
        stat("a", FILE),
        stat("b", DIR),
        with(stat("b/hard", FILE), |stat| stat.linkname = "a".into()),
        kind(PacketType::Data, 0, b"by"),
        with(stat("socket", mode::SOCKET | 0o755), |_| {}),
        kind(PacketType::Data, 0, b"tes"),
        Packet::default(),
        kind(PacketType::Data, 0, b""),
        kind(PacketType::Fin, 0, b""),
    ];
    let synced = receive_packets(&into.root(), SyncLimits::default(), packets).expect("taken");
    assert_eq!(synced, Synced { entries: 4, sent_files: 1, sent_bytes: 5, removed: 0 });
    assert_eq!((into.read("a"), into.read("b/hard")), ("bytes".into(), "bytes".into()));
    let ino = |path: &str| fs::metadata(into.0.join(path)).expect("looked at").ino();
    assert_eq!(ino("a"), ino("b/hard"));
    assert!(!into.0.join("socket").exists());
}

#[test]
fn a_rude_client_is_told_why_and_a_failing_one_is_heard() {
    let into = Scratch::new();
    let rude = |packets| session(Desk { rude: Some(packets), ..Desk::default() });
    let (session, _desk) = rude(vec![stat("../x", FILE)]);
    assert!(matches!(sync(&session, &into), Err(SyncError::Refused { .. })));
    let (session, _desk) = rude(vec![kind(PacketType::Err, 0, b"disk on fire")]);
    let error = sync(&session, &into).expect_err("fails");
    assert_eq!(error.to_string(), "error from sender: disk on fire");
}

#[test]
fn a_transfer_ends_when_its_build_is_cancelled_or_its_client_gone() {
    let into = Scratch::new();
    // A file that never comes.
    let (session, _desk) = session(Desk { rude: Some(vec![stat("a", FILE)]), ..Desk::default() });
    let until = Cancellation::new();
    let canceller = until.clone();
    let waiting = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        canceller.cancel();
    });
    let error = session
        .sync(&context(), &into.root(), SyncLimits::default(), &until, &mut |_| {})
        .expect_err("cancelled");
    assert!(matches!(error, SyncError::Peer(Status { code: Code::Cancelled, .. })), "{error:?}");
    waiting.join().expect("no panic");
}

#[test]
fn secrets_credentials_and_tokens() {
    let (session, _desk) = session(Desk::default());
    let secret = session.secret("token").expect("answers").expect("is there");
    assert_eq!((secret.bytes(), format!("{secret:?}").as_str()), (&b"s3cret"[..], "Secret(6 bytes)"));
    assert_eq!(session.secret("none"), Ok(None));
    assert_eq!(session.secret("long").expect_err("too long").code, Code::ResourceExhausted);
    let credentials = session.credentials("example.test").expect("answers");
    assert_eq!(credentials, Some(Credentials { username: "me".into(), secret: "pass".into() }));
    assert!(!format!("{credentials:?}").contains("pass"));
    assert_eq!(session.credentials("other.test"), Ok(None));
    let wish = TokenWish {
        host: "example.test".into(),
        realm: "https://auth.test/token".into(),
        service: "s".into(),
        scopes: vec!["repository:a:pull".into()],
    };
    let token = session.token(wish).expect("answers").expect("is there");
    assert_eq!(token.token, "https://auth.test/token s repository:a:pull");
    assert_eq!((token.expires_in, token.issued_at), (60, 7));
}

#[test]
fn a_method_that_is_not_offered_is_not_called() {
    let info = SessionInfo { id: "x".into(), ..SessionInfo::default() };
    let (session, desk) = session_of(Desk::default(), info);
    assert_eq!(session.secret("token"), Ok(None));
    assert_eq!(session.check_agent("default").expect_err("not offered").code, Code::Unimplemented);
    assert!(desk.asked.lock().expect("not poisoned").is_empty());
}

#[test]
fn bytes_the_client_holds() {
    let (session, _desk) = session(Desk::default());
    let read = |path| -> std::io::Result<String> {
        let mut text = String::new();
        session.upload(path, &Cancellation::new()).expect("offered").read_to_string(&mut text)?;
        Ok(text)
    };
    assert_eq!(read("/abc").expect("read"), "FROM scratch\n");
    assert!(read("/other").expect_err("not there").to_string().contains("no http response"));
}

#[test]
fn an_agent_is_forwarded_until_it_is_dropped() {
    let (session, desk) = session(Desk::default());
    let session = Arc::new(session);
    assert_eq!(session.check_agent("default"), Ok(()));
    assert!(session.check_agent("other").is_err());
    let folder = Scratch::new();
    let path = folder.0.join("agent");
    let forward =
        session.forward_agent("default", UnixListener::bind(&path).expect("bound")).expect("forwards");
    let mut visitors: Vec<UnixStream> =
        (0..3).map(|_| UnixStream::connect(&path).expect("connected")).collect();
    for (number, visitor) in visitors.iter_mut().enumerate() {
        let word = format!("hello {number}");
        visitor.write_all(word.as_bytes()).expect("written");
        let mut answer = vec![0; word.len()];
        visitor.read_exact(&mut answer).expect("answered");
        assert_eq!(answer, word.to_ascii_uppercase().as_bytes());
    }
    let asked = desk.asked.lock().expect("not poisoned").clone();
    assert_eq!(asked, [("buildkit.ssh.id".to_owned(), "default".to_owned())]);
    let mut first = visitors.remove(0);
    first.shutdown(std::net::Shutdown::Write).expect("shut down");
    assert_eq!(first.read_to_end(&mut Vec::new()).expect("an end"), 0);
    drop(forward);
    for mut visitor in visitors {
        assert_eq!(visitor.read_to_end(&mut Vec::new()).expect("an end"), 0);
    }
}

#[test]
fn archives_and_trees_reach_the_client() {
    let (session, desk) = session(Desk::default());
    let facts = [("containerimage.digest".to_owned(), "sha256:ab".to_owned())];
    let mut archive = session.send_archive(1, &facts, &Cancellation::new()).expect("starts");
    let bytes: Vec<u8> = (0..100_000u32).map(|at| at.to_le_bytes()[0]).collect();
    archive.write_all(&bytes).expect("written");
    archive.finish().expect("kept");
    assert_eq!(*desk.archive.lock().expect("not poisoned"), bytes);
    let asked = desk.asked.lock().expect("not poisoned").clone();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        asked,
        [
            pair("buildkit-attachable-exporter-id", "1"),
            pair("exporter-md-containerimage.digest", "sha256:ab"),
        ]
    );
}

#[test]
fn sessions_are_found_while_they_last() {
    let sessions = Arc::new(Sessions::default());
    assert!(sessions.get("one", Duration::ZERO).is_none());
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let late = Arc::clone(&sessions);
    let server = thread::spawn(move || {
        thread::sleep(Duration::from_millis(30));
        let session = Session::new(everything(), ours.into(), Vec::new()).expect("a session");
        let listed = late.add(session);
        listed.wait();
    });
    let found = sessions.get("one", Duration::from_secs(20)).expect("comes a moment later");
    assert_eq!(found.info().shared_key, "key");
    assert!(found.supports(method::GET_SECRET) && !found.supports("/x/Y"));
    drop(theirs);
    server.join().expect("the wait ends with the client");
    assert!(sessions.get("one", Duration::ZERO).is_none());
}

#[test]
fn a_client_that_can_wait_hears_nothing_until_it_is_asked() {
    let sessions = Arc::new(Sessions::default());
    // One that is never asked, one that is, and one whose client breaks off in the middle.
    for (asks, breaks) in [(false, false), (true, false), (true, true)] {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let session = Session::when_asked(everything(), ours.into(), Vec::new()).expect("a session");
        let listed = sessions.add(session);
        let session = Arc::clone(listed.session());
        let watch = thread::spawn(move || listed.wait());
        theirs.set_read_timeout(Some(Duration::from_millis(50))).expect("set");
        theirs.read(&mut [0]).expect_err("nobody has said anything");
        theirs.set_read_timeout(None).expect("set");
        if breaks {
            let asking = thread::spawn(move || session.secret("token"));
            theirs.read_exact(&mut [0; 24]).expect("a preface");
            theirs.write_all(b"no HTTP/2 at all, but long enough to be a frame").expect("written");
            asking.join().expect("ends").expect_err("nobody answers");
            watch.join().expect("whoever breaks off is gone");
            theirs.read_to_end(&mut Vec::new()).expect("the connection ends");
        } else if asks {
            let kept = theirs.try_clone().expect("a descriptor");
            let desk = Arc::new(Desk::default());
            let server = thread::spawn(move || grpc::serve(theirs.into(), Vec::new(), desk, Limits::DEFAULT));
            assert!(session.secret("token").expect("answers").is_some());
            assert!(session.secret("token").expect("answers again").is_some());
            kept.shutdown(std::net::Shutdown::Both).expect("hung up");
            watch.join().expect("the wait ends with the client");
            server.join().expect("ends").ok();
        } else {
            drop(theirs);
            watch.join().expect("the wait ends with the client");
            session.secret("token").expect_err("is gone");
        }
        assert!(sessions.get("one", Duration::ZERO).is_none());
    }
}
