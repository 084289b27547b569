//! Files and contexts from elsewhere: ADD of addresses, archives, Dockerfiles and repositories as contexts, and servers
//! that mean ill.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Engine;
use testkit::lying::{Registry, Reply, Request};

use super::support::{Build, context, has_git};

/// A server of files by path.
pub(super) fn server(files: Vec<(&'static str, Vec<u8>)>) -> Registry {
    Registry::start(move |request: &Request| {
        let path = request.path.split('?').next().unwrap_or_default();
        match files.iter().find(|(known, _)| *known == path) {
            Some((_, bytes)) => {
                Reply::new(200, bytes.clone()).with("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
            }
            None if path == "/round" => Reply::new(302, "").with("Location", "/round"),
            None if path == "/endless" => Reply { endless: true, ..Reply::new(200, "x") },
            None => Reply::new(404, "not here"),
        }
    })
}

/// A server of a bare repository under `/served.git`, as files.
pub(super) fn repository(served: PathBuf) -> Registry {
    Registry::start(move |request: &Request| {
        let path = request.path.split('?').next().unwrap_or_default().trim_start_matches("/served.git/");
        std::fs::read(served.join(path)).map_or_else(|_| Reply::new(404, ""), |bytes| Reply::new(200, bytes))
    })
}

/// Runs git in a folder, as somebody.
pub(super) fn git(folder: &Path, arguments: &[&str]) {
    let fixed = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
    let ran = Command::new("git").args(fixed).args(arguments).current_dir(folder).output().expect("git runs");
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn fetched_files_stay_as_they_are() {
    let engine = Engine::with_busybox();
    let inner = context(&engine, "inner", &[("packed", "packed")]);
    let server = server(vec![("/files/a.tar", inner), ("/plain", b"plain".to_vec())]);
    let at = server.address();
    let hash = "c11a3dd16e4ef8d0c2ac0ddfac1f60ec4fd8df06b8f1d5eb6a8dc4d36ef9bdd9";
    let dockerfile =
        format!("FROM busybox\nADD http://{at}/files/a.tar /to/\nADD http://{at}/plain?q=1 /named\n");
    let files = context(&engine, "fetch", &[("Dockerfile", &dockerfile)]);
    Build::run(&engine, "t=fetched", &files).ok();
    let script = "stat -c '%a %u %Y %n' /to/a.tar /named; cat /named; ls /to";
    assert_eq!(
        engine.wharf(&["run", "--rm", "fetched", "sh", "-c", script]).ok(),
        "600 0 1445412480 /to/a.tar\n600 0 1445412480 /named\nplaina.tar"
    );
    let told = |line: &str| {
        let files = context(&engine, "told", &[("Dockerfile", &format!("FROM busybox\n{line}\n"))]);
        Build::run(&engine, "", &files).error().to_owned()
    };
    let error = told(&format!("ADD --checksum=sha256:{hash} http://{at}/plain /x"));
    assert!(error.starts_with("ADD failed: digest mismatch sha256:"), "{error}");
    let error = told(&format!("ADD http://{at}/gone /x"));
    assert!(error.starts_with("ADD failed: ") && error.contains("404"), "{error}");
    let error = told(&format!("ADD http://{at}/round /x"));
    assert!(error.contains("there are too many"), "{error}");
    let error = told(&format!("ADD http://{at}/ /x"));
    assert!(error.contains("404"), "{error}");
}

#[test]
fn fetched_archives_are_unpacked_when_that_is_asked_for() {
    let engine = Engine::with_busybox();
    let inner = context(&engine, "inner", &[("packed", "packed")]);
    let server = server(vec![("/a.tar", inner)]);
    let dockerfile = format!("FROM busybox\nADD --unpack=true http://{}/a.tar /to/\n", server.address());
    let files = context(&engine, "unpack", &[("Dockerfile", &dockerfile)]);
    Build::run(&engine, "t=unpacked", &files).ok();
    assert_eq!(engine.wharf(&["run", "--rm", "unpacked", "cat", "/to/packed"]).ok(), "packed");
}

#[test]
fn contexts_come_from_addresses() {
    let engine = Engine::with_busybox();
    let files = context(&engine, "files", &[("Dockerfile", "FROM busybox\nCOPY f /f\n"), ("f", "file")]);
    let server = server(vec![
        ("/context.tar", files),
        ("/Dockerfile", b"FROM busybox\nRUN echo alone >/f\n".to_vec()),
    ]);
    let build = |tag: &str, path: &str| {
        Build::run(&engine, &format!("t={tag}&remote=http://{}{path}", server.address()), b"")
    };
    build("archive", "/context.tar").ok();
    assert_eq!(engine.wharf(&["run", "--rm", "archive", "cat", "/f"]).ok(), "file");
    build("alone", "/Dockerfile").ok();
    assert_eq!(engine.wharf(&["run", "--rm", "alone", "cat", "/f"]).ok(), "alone");
    let gone = build("gone", "/gone");
    assert!(gone.error().contains("404"), "{gone:?}");
    let wrong = Build::run(&engine, "remote=nonsense", b"");
    assert_eq!((wrong.status, wrong.error()), (400, "remote is not a URL: nonsense"));
}

#[test]
fn contexts_come_from_repositories() {
    if !has_git() {
        return;
    }
    let engine = Engine::with_busybox();
    let work = engine.root().join("work");
    context(
        &engine,
        "work",
        &[
            ("Dockerfile", "FROM busybox\nCOPY . /src/\n"),
            ("sub/Dockerfile", "FROM busybox\nCOPY f /f\n"),
            ("sub/f", "one"),
        ],
    );
    git(&work, &["init", "-q"]);
    git(&work, &["add", "."]);
    git(&work, &["commit", "-qm", "one"]);
    git(&work, &["tag", "v1"]);
    std::fs::write(work.join("sub/f"), "two").expect("a file");
    // A link that leads out of the repository is only a link.
    std::os::unix::fs::symlink("/etc/passwd", work.join("out")).expect("a link");
    git(&work, &["add", "."]);
    git(&work, &["commit", "-qm", "two"]);
    git(engine.root(), &["clone", "-q", "--bare", "work", "served.git"]);
    let served = engine.root().join("served.git");
    git(&served, &["update-server-info"]);
    let server = repository(served);
    let build = |tag: &str, rest: &str| {
        Build::run(&engine, &format!("t={tag}&remote=http://{}/served.git{rest}", server.address()), b"")
    };
    build("whole", "").ok();
    let seen =
        engine.wharf(&["run", "--rm", "whole", "sh", "-c", "cat /src/sub/f; readlink /src/out; ls -A /src"]);
    assert_eq!(seen.ok(), "two/etc/passwd\nDockerfile\nout\nsub");
    build("old", "%23v1:sub").ok();
    assert_eq!(engine.wharf(&["run", "--rm", "old", "cat", "/f"]).ok(), "one");
    let error = build("bad", "%23nothing");
    assert!(
        error.error().starts_with("git fetch failed") || error.error().starts_with("git checkout failed"),
        "{error:?}"
    );
    let error = build("bad", "%23v1:../../etc");
    assert!(error.error().contains("is no folder of the repository"), "{error:?}");
    let dockerfile = format!("FROM busybox\nADD http://{}/served.git#v1:sub /added/\n", server.address());
    let files = context(&engine, "adds", &[("Dockerfile", &dockerfile)]);
    Build::run(&engine, "t=added", &files).ok();
    assert_eq!(engine.wharf(&["run", "--rm", "added", "cat", "/added/f"]).ok(), "one");
    assert_eq!(std::fs::read_dir(engine.data_root().join("tmp")).expect("a folder").count(), 0);
}

/// What a build of a context from elsewhere says of it: its digest among the materials, and as the source it is.
fn told_of(engine: &Engine, address: &str) -> [serde_json::Value; 2] {
    let out = engine.root().join("told");
    let output = format!("type=local,dest={}", out.display());
    let mut command = engine.wharf_command(&["build", "-q", "--provenance=mode=min", "-o", &output, address]);
    testkit::engine::run(command.env_remove("DOCKER_BUILDKIT"), None).ok();
    let text = std::fs::read(out.join("provenance.json")).expect("a statement");
    let said: serde_json::Value = serde_json::from_slice(&text).expect("a document");
    let predicate = &said["predicate"];
    assert_eq!(predicate["metadata"]["completeness"]["materials"], true, "{predicate}");
    let materials = predicate["materials"].as_array().expect("materials");
    let material = materials.iter().find(|one| one["uri"] == address).expect("the context");
    [material["digest"].clone(), predicate["invocation"]["configSource"]["digest"].clone()]
}

#[test]
fn contexts_from_elsewhere_are_told_with_their_digests() {
    let engine = Engine::with_busybox();
    let files = context(&engine, "files", &[("Dockerfile", "FROM busybox\nCOPY f /f\n"), ("f", "file")]);
    // What stands behind the archive belongs to the file as well.
    let files = [files, vec![0; 300 << 10]].concat();
    let alone = b"FROM busybox\nRUN echo alone >/f\n".to_vec();
    let digests = [&files, &alone].map(|bytes| testkit::registry::digest_of(bytes));
    let server = server(vec![("/context.tar", files), ("/Dockerfile", alone)]);
    for (path, digest) in ["/context.tar", "/Dockerfile"].into_iter().zip(digests) {
        let digest = serde_json::json!({ "sha256": digest.trim_start_matches("sha256:") });
        let told = told_of(&engine, &format!("http://{}{path}", server.address()));
        assert_eq!(told, [digest.clone(), digest]);
    }
    if !has_git() {
        return;
    }
    let work = engine.root().join("work");
    context(&engine, "work", &[("sub/Dockerfile", "FROM busybox\nCOPY f /f\n"), ("sub/f", "one")]);
    for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "one"], &["tag", "v1"]] {
        git(&work, arguments);
    }
    git(engine.root(), &["clone", "-q", "--bare", "work", "served.git"]);
    let served = engine.root().join("served.git");
    git(&served, &["update-server-info"]);
    let commit = std::fs::read_to_string(work.join(".git/refs/tags/v1")).expect("a commit");
    let digest = serde_json::json!({ "sha1": commit.trim() });
    let server = repository(served);
    let told = told_of(&engine, &format!("http://{}/served.git#v1:sub", server.address()));
    assert_eq!(told, [digest.clone(), digest]);
}

#[test]
fn a_build_that_fetches_for_ever_ends_with_its_client() {
    use std::io::Write as _;
    let engine = Engine::with_busybox();
    let server = server(Vec::new());
    let dockerfile = format!("FROM busybox\nADD http://{}/endless /x\n", server.address());
    let files = context(&engine, "endless", &[("Dockerfile", &dockerfile)]);
    let mut client = std::os::unix::net::UnixStream::connect(engine.socket_path()).expect("connects");
    let head = format!("POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n", files.len());
    client.write_all(head.as_bytes()).expect("sends");
    client.write_all(&files).expect("sends");
    let left = || std::fs::read_dir(engine.data_root().join("tmp")).expect("a folder").count();
    super::classic::wait_until("it is fetched", || left() == 2);
    drop(client);
    super::classic::wait_until("it is over", || left() == 0);
}
