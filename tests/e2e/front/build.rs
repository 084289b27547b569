//! `build` from the client's side: the request is the one Docker's client sends, and what only wharf's client does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::Engine;
use testkit::engine::{binary_dir, run};

use super::folder::Folder;

/// One request to build something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Request {
    /// Parameters, sorted.
    query: Vec<String>,
    config: String,
    body: Vec<u8>,
}

/// An engine that keeps what it is asked to build, and says that it is done.
struct Keeper {
    host: String,
    kept: Arc<Mutex<Vec<Request>>>,
}

impl Keeper {
    fn start(folder: &Folder) -> Self {
        let path = folder.file("keeper.sock");
        let listener = UnixListener::bind(&path).expect("listen");
        let kept: Arc<Mutex<Vec<Request>>> = Arc::default();
        let out = Arc::clone(&kept);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let out = Arc::clone(&out);
                std::thread::spawn(move || serve(&stream, &out));
            }
        });
        Self { host: format!("unix://{path}"), kept }
    }

    /// What one command asked for last.
    fn asked(&self, folder: &Folder, program: &Path, arguments: &[&str]) -> Request {
        self.kept.lock().unwrap().clear();
        let mut command = folder.client(program, &["build"]);
        command.args(arguments).current_dir(folder.path()).env("DOCKER_HOST", &self.host);
        command.env("DOCKER_BUILDKIT", "0").env("FROM_OUTSIDE", "yes");
        let output = run(&mut command, None);
        let request = self.kept.lock().unwrap().pop();
        request.unwrap_or_else(|| panic!("{arguments:?} asked for nothing: {output:?}"))
    }
}

fn serve(stream: &UnixStream, kept: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let Some(lines) = super::head(&mut reader) else { return };
        let header = |name: &str| {
            let found = lines.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            found.unwrap_or_default().to_owned()
        };
        let body = if header("Transfer-Encoding") == "chunked" { chunks(&mut reader) } else { Vec::new() };
        let first = lines.first().cloned().unwrap_or_default();
        let answer = if first.contains("/build?") {
            let query = first.split(['?', ' ']).nth(2).unwrap_or_default();
            // Blanks have two spellings.
            let mut query: Vec<String> =
                query.split('&').map(|pair| pair.replace('+', "%20").replace("%2B", "+")).collect();
            query.sort();
            kept.lock().unwrap().push(Request { query, config: header("X-Registry-Config"), body });
            "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"stream\":\"ok\\n\"}"
        } else if first.contains("/_ping") {
            "HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nOstype: linux\r\nContent-Length: 0\r\n\r\n"
        } else {
            "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"
        };
        let mut out = stream;
        out.write_all(answer.as_bytes()).expect("answer");
    }
}

fn chunks(reader: &mut impl std::io::BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("the size of a chunk");
        let size = usize::from_str_radix(line.trim(), 16).expect("a size");
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).expect("a chunk");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// The entries of an archive, as tar lists them.
fn entries(archive: &[u8]) -> String {
    let mut tar = std::process::Command::new("tar");
    tar.args(["--numeric-owner", "--full-time", "-tvf", "-"]);
    run(&mut tar, Some(archive)).ok().to_owned()
}

#[test]
fn requests_are_those_of_dockers_client() {
    let Some(docker) = crate::parity::docker_cli() else { return };
    let folder = Folder::new();
    let keeper = Keeper::start(&folder);
    let write = |name: &str, text: &str| std::fs::write(folder.file(name), text).expect("write a file");
    write(
        "config.json",
        r#"{"auths":{"r.example:5000":{"auth":"dTpw"},"https://index.docker.io/v1/":{"auth":"aHViOnB3"},"t":{"identitytoken":"T"}},
        "proxies":{"default":{"httpProxy":"http://p:1","noProxy":"x"}}}"#,
    );
    std::fs::create_dir_all(folder.file("c/d/empty")).expect("make folders");
    for (name, text) in [
        ("c/Dockerfile", "FROM x\n"),
        ("c/.dockerignore", "*.o\nDockerfile\n"),
        ("c/a b", "1"),
        ("c/x.o", "2"),
        ("c/d/f", "3"),
        ("c/d-e", "4"),
        ("outside", "FROM y\n"),
    ] {
        write(name, text);
    }
    std::fs::hard_link(folder.file("c/d-e"), folder.file("c/z")).expect("name a file again");
    std::os::unix::fs::symlink("nowhere", folder.file("c/l")).expect("make a link");
    let wharf = binary_dir().join("wharf");
    let flags = "-t a -t b:1 --build-arg A=b+c --build-arg FROM_OUTSIDE --build-arg NOT_THERE --build-arg http_proxy=me \
        --label q=1 --label z --add-host one:1.2.3.4 --add-host two=::1 --network host --ulimit nofile=1:2 --ulimit core=3 \
        --shm-size 1m --memory 64m --memory-swap -1 --cpu-shares 3 --cpu-period 1 --cpu-quota 2 --cpuset-cpus 0 \
        --cpuset-mems 0 --cgroup-parent g --cache-from a,b --cache-from c --platform linux/AMD64 --pull --no-cache \
        --rm=false --force-rm --target stage --isolation default -q c";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    for arguments in [&["c"][..], &flags, &["--security-opt", "a,b", "-f", "c/d/f", "c"]] {
        let (ours, theirs) =
            (keeper.asked(&folder, &wharf, arguments), keeper.asked(&folder, &docker, arguments));
        assert_eq!((&ours.query, &ours.config), (&theirs.query, &theirs.config), "{arguments:?}");
        assert_eq!(entries(&ours.body), entries(&theirs.body), "{arguments:?}");
        assert_eq!(ours.body.len(), theirs.body.len(), "{arguments:?}");
    }
    let ours = keeper.asked(&folder, &wharf, &["-f", "outside", "c"]);
    assert!(entries(&ours.body).contains(" .dockerfile."), "{}", entries(&ours.body));
}

/// A folder `c` with a Dockerfile.
fn context(engine: &Engine, dockerfile: &str) -> String {
    let folder = engine.root().join("c");
    std::fs::create_dir_all(&folder).expect("make a folder");
    std::fs::write(folder.join("Dockerfile"), dockerfile).expect("write a Dockerfile");
    std::fs::write(folder.join("file"), "content").expect("write a file");
    folder.display().to_string()
}

#[test]
fn contexts_on_the_same_machine_are_read_in_place() {
    let engine = Engine::with_busybox();
    let folder = context(&engine, "FROM busybox\nCOPY . /x\n");
    let outside = engine.root().join("outside").display().to_string();
    std::fs::write(&outside, "FROM busybox\nCOPY . /x\n").expect("write a Dockerfile");
    let seen = |name: &str| {
        engine.wharf(&["run", "--rm", name, "sh", "-c", "ls -A /x; cat /x/file"]).ok().to_owned()
    };
    for (door, sending) in [("0", "Sending build context to Docker daemon"), ("1", "transferring context")] {
        let build = |arguments: &[&str]| {
            let mut command = engine.wharf_command(&[&["build"], arguments, &[folder.as_str()]].concat());
            let output = run(command.env("DOCKER_BUILDKIT", door), None);
            assert_eq!(output.code, 0, "{output:?}");
            format!("{}{}", output.stdout, output.stderr)
        };
        let in_place = build(&["-t", "one"]);
        assert!(!in_place.contains(sending), "{in_place}");
        let sent = build(&["-t", "two", "-f", &outside]);
        assert!(sent.contains(sending), "{sent}");
        assert_eq!(seen("one"), "Dockerfile\nfile\ncontent");
        assert_eq!(seen("two"), seen("one"));
        engine.wharf(&["builder", "prune", "-af"]).ok();
    }
}

#[test]
fn what_the_classic_door_cannot_carry_is_refused_by_name() {
    let folder = Folder::new();
    for (flags, told) in [
        (&["--secret", "id=a"][..], "--secret needs BuildKit's protocol"),
        (&["-o", "type=local,dest=x"], "--output needs BuildKit's protocol"),
        (&["--platform", "linux/amd64,linux/arm64"], "more than one --platform needs"),
        (&["--sbom=true"], "--sbom=true needs BuildKit's protocol"),
        (&["--builder", "other"], "no builder \"other\" found"),
        (&["--progress", "odd"], "invalid progress mode odd"),
        (&["--progress", "plain", "-q"], "progress=plain and quiet cannot be used together"),
    ] {
        let wharf = binary_dir().join("wharf");
        let mut command =
            folder.client(&wharf, &[&["-H", "unix:///nowhere", "build"], flags, &["."]].concat());
        let output = run(command.env("DOCKER_BUILDKIT", "0"), None);
        assert!(output.code == 1 && output.stderr.starts_with(told), "{flags:?}: {output:?}");
    }
}

#[test]
fn an_interrupted_build_ends() {
    let engine = Engine::with_busybox();
    let folder = context(&engine, "FROM busybox\nRUN echo begun && sleep 60\n");
    let mut command = engine.wharf_command(&["build", &folder]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start a build");
    let mut out = BufReader::new(child.stderr.take().expect("its output"));
    let mut line = String::new();
    // The step's own words have it, too; what counts is what the command says.
    while !line.ends_with(" begun\n") {
        line.clear();
        assert!(out.read_line(&mut line).expect("read its output") > 0, "it ended early");
    }
    testkit::engine::signal(child.id(), rustix::process::Signal::INT);
    child.wait().expect("wait for it");
    let start = Instant::now();
    let running = || engine.wharf(&["ps", "-aq"]).ok().lines().count();
    while running() > 0 && start.elapsed() < testkit::patience(10) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(running(), 0);
}

#[test]
fn the_cache_is_listed_and_pruned() {
    let engine = Engine::with_busybox();
    let folder = context(&engine, "FROM busybox\nRUN echo x >/x\nCOPY file /y\n");
    engine.wharf(&["build", "-q", &folder]).ok();
    let listed = engine.wharf(&["builder", "du"]);
    assert!(listed.ok().starts_with("ID") && listed.stdout.contains("Total:"), "{listed:?}");
    let ids = engine.wharf(&["buildx", "du", "--format", "{{.ID}}"]).ok().lines().count();
    assert!(ids >= 2, "{listed:?}");
    assert_eq!(engine.wharf(&["builder", "du", "--filter", "nosuch=1"]).stderr, "invalid filter 'nosuch'\n");
    let asked = engine.wharf(&["builder", "prune"]);
    assert!(asked.stdout.starts_with("WARNING! This will remove all dangling build cache."), "{asked:?}");
    let pruned = engine.wharf(&["buildx", "prune", "-af"]);
    assert!(pruned.ok().contains("Total:"), "{pruned:?}");
    assert_eq!(engine.wharf(&["buildx", "du", "--format", "{{.ID}}"]).ok(), "");
}
