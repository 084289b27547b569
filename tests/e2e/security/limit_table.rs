//! Row 7: the one table of limits on what comes from outside, each tried below, at and above its value.
//!
//! Limits of archives, image documents and layers have their own table in `components/image`.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::json;
use testkit::{Engine, http};

/// A limit, where it is enforced, and how to run into it.
struct Limit {
    name: &'static str,
    value: usize,
    /// How far from the value both sides are tried: what is measured is not always exactly what the test controls.
    margin: usize,
    /// The file that enforces it and the line that holds the value; the kernel's own limits have none.
    place: Option<(&'static str, &'static str)>,
    /// Whether something of this size is taken.
    takes: fn(&Engine, usize) -> bool,
}

const TABLE: &[Limit] = &[
    Limit {
        name: "bytes of a request's head",
        value: 256 << 10,
        margin: 1,
        place: Some(("base/transport/src/server/head.rs", "pub const MAX_HEAD: usize = 256 * 1024;")),
        takes: |engine, size| {
            let (start, end) = ("GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: ", "\r\n\r\n");
            let filler = "a".repeat(size - start.len() - end.len());
            send(engine, &[start, &filler, end].concat()) == 200
        },
    },
    Limit {
        name: "lines of a request's head",
        value: 100,
        margin: 1,
        place: Some(("base/transport/src/server/head.rs", "pub const MAX_HEADERS: usize = 100;")),
        takes: |engine, count| {
            let lines = "A: b\r\n".repeat(count - 2);
            send(engine, &format!("GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n"))
                == 200
        },
    },
    Limit {
        name: "bytes of a line between chunks",
        value: 8 << 10,
        margin: 16,
        place: Some(("base/transport/src/server/body.rs", "const MAX_LINE: usize = 8 * 1024;")),
        takes: |engine, size| {
            let body = "{\"Image\":\"nosuch\"}";
            let line = format!("{:x};{}", body.len(), "e".repeat(size - 3));
            let head = "POST /containers/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            send(engine, &format!("{head}{line}\r\n{body}\r\n0\r\n\r\n")) == 404
        },
    },
    Limit {
        name: "bytes of a JSON body",
        value: 16 << 20,
        margin: 1,
        place: Some(("front/api-server/src/call.rs", "pub(crate) const MAX_JSON: usize = 16 << 20;")),
        takes: |engine, size| {
            let mut body = "{\"Image\":\"nosuch\"}".to_owned();
            body.push_str(&" ".repeat(size - body.len()));
            create(engine, &body) == 404
        },
    },
    Limit {
        name: "depth of a JSON body",
        value: 127,
        margin: 2,
        place: None,
        takes: |engine, depth| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            create(engine, &format!("{{\"Image\":\"nosuch\",\"Unknown\":{open}{close}}}")) == 404
        },
    },
    Limit {
        name: "bytes of what the engine tells a shim",
        value: 4 << 20,
        margin: 64 << 10,
        place: Some(("base/shim-protocol/src/frame.rs", "pub const MAX_JSON: usize = 4 << 20;")),
        takes: |engine, size| {
            let body = json!({"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Annotations": {"a": "x".repeat(size)}}});
            starts(engine, &body)
        },
    },
    Limit {
        name: "bytes of one environment variable (the kernel's)",
        value: (128 << 10) - 1,
        margin: 1,
        place: None,
        takes: |engine, size| {
            let body =
                json!({"Image": "busybox", "Cmd": ["true"], "Env": [format!("A={}", "x".repeat(size - 2))]});
            starts(engine, &body)
        },
    },
    Limit {
        name: "bytes of a host name (the kernel's)",
        value: 64,
        margin: 1,
        place: None,
        takes: |engine, size| {
            starts(engine, &json!({"Image": "busybox", "Cmd": ["true"], "Hostname": "h".repeat(size)}))
        },
    },
    Limit {
        name: "bytes of a volume's name (the file system's)",
        value: 255,
        margin: 1,
        place: None,
        takes: |engine, size| {
            let name = "v".repeat(size);
            let made = http::post(&engine.socket_path(), "/volumes/create", &json!({"Name": name}));
            let target = format!("/volumes/{name}");
            let _ = http::request(&engine.socket_path(), "DELETE", &target, &[], b"");
            made.is_ok_and(|answer| answer.status == 201)
        },
    },
    Limit {
        name: "bytes of a working directory (the kernel's)",
        value: 4096,
        margin: 512,
        place: None,
        takes: |engine, size| {
            let path = "/folder".repeat(size / 7);
            starts(engine, &json!({"Image": "busybox", "Cmd": ["true"], "WorkingDir": path}))
        },
    },
    Limit {
        name: "bytes of one record of a log",
        value: 16 << 10,
        margin: 1,
        place: Some(("base/jsonlog/src/lib.rs", "pub const LONGEST: usize = 16 * 1024;")),
        takes: |engine, size| {
            let script = format!("head -c {} /dev/zero | tr '\\\\0' x; echo", size - 1);
            engine.wharf(&["run", "--name", "log", "busybox", "sh", "-c", &script]).ok();
            let last_record = engine.wharf(&["logs", "--tail", "1", "log"]).stdout;
            engine.wharf(&["rm", "log"]).ok();
            last_record.len() == size
        },
    },
];

/// Sends bytes as they are; the status of the answer, 0 without one.
fn send(engine: &Engine, request: &str) -> u16 {
    let mut stream = UnixStream::connect(engine.socket_path()).expect("connect");
    // The server may refuse before it has read everything.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn create(engine: &Engine, body: &str) -> u16 {
    let headers = [("Content-Type", "application/json")];
    let answer =
        http::request(&engine.socket_path(), "POST", "/containers/create", &headers, body.as_bytes());
    answer.map_or(0, |answer| answer.status)
}

/// Whether a container of this document is made, runs and ends well; nothing of it stays either way.
fn starts(engine: &Engine, body: &serde_json::Value) -> bool {
    let socket = engine.socket_path();
    let made = http::post(&socket, "/containers/create", body).expect("an answer");
    let Some(id) = made.json()["Id"].as_str().map(str::to_owned) else { return false };
    let post = |target: String| http::request(&socket, "POST", &target, &[], b"").expect("an answer");
    let started = post(format!("/containers/{id}/start")).status == 204;
    let ended_well = started && post(format!("/containers/{id}/wait")).json()["StatusCode"] == 0;
    let target = format!("/containers/{id}?force=1");
    let removed = http::request(&socket, "DELETE", &target, &[], b"").expect("an answer");
    assert_eq!(removed.status, 204, "{}", removed.text());
    ended_well
}

/// The most memory a process ever had, without its program, whose size depends on how it was built.
fn highest_own_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("read the engine's status");
    let field = |name: &str| -> u64 {
        let value =
            text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
        value.expect("a size")
    };
    field("VmHWM:").saturating_sub(field("RssFile:"))
}

#[test]
fn row_07_every_limit_holds() {
    let engine = Engine::with_busybox();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for limit in TABLE {
        if let Some((file, line)) = limit.place
            && let Ok(text) = std::fs::read_to_string(root.join(file))
        {
            assert!(text.contains(line), "{}: {file} holds another value", limit.name);
        }
        let (below, above) = (limit.value - limit.margin, limit.value + limit.margin);
        assert!((limit.takes)(&engine, below), "{}: {below} is refused", limit.name);
        if limit.margin == 1 {
            assert!((limit.takes)(&engine, limit.value), "{}: {} is refused", limit.name, limit.value);
        }
        assert!(!(limit.takes)(&engine, above), "{}: {above} is taken", limit.name);
        assert_eq!(http::get(&engine.socket_path(), "/_ping").expect("ping").status, 200, "{}", limit.name);
    }
    let highest = highest_own_kib(engine.daemon_pid());
    // Most is the start of a container with 4 MiB of annotations: 25 to 35 copies of them (request, record, specification,
    // frames), by which threads allocate at the same time.
    assert!(highest < 192 << 10, "the engine took {highest} KiB");
    assert!(!engine.log().contains("panicked"), "{}", engine.log());
    assert_eq!(engine.wharf(&["ps", "-aq"]).ok(), "");
}

/// Numbers have no limit of their own but the body's: many small things are fine.
#[test]
fn row_07_many_small_things_are_fine() {
    let engine = Engine::with_busybox();
    let environment: Vec<String> = (0..5000).map(|number| format!("N{number}=x")).collect();
    let labels: serde_json::Map<String, serde_json::Value> =
        (0..5000).map(|number| (format!("l{number}"), json!("x"))).collect();
    let mounts: Vec<serde_json::Value> =
        (0..100).map(|number| json!({"Type": "tmpfs", "Target": format!("/mount/{number}")})).collect();
    let body = json!({"Image": "busybox", "Cmd": ["true"], "Env": environment, "Labels": labels,
        "HostConfig": {"Mounts": mounts}});
    assert!(starts(&engine, &body));
    let ports: serde_json::Map<String, serde_json::Value> =
        (1..=300).map(|port| (format!("{port}/udp"), json!([{"HostPort": ""}]))).collect();
    assert!(starts(
        &engine,
        &json!({"Image": "busybox", "Cmd": ["true"], "HostConfig": {"PortBindings": ports}})
    ));
}

/// Clients attached to one container at a time.
#[test]
fn row_07_attached_clients_are_counted() {
    const MOST: usize = 256;
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    let attach = || {
        let mut stream = UnixStream::connect(engine.socket_path()).expect("connect");
        let head = "POST /containers/box/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("send");
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("an answer");
        (String::from_utf8_lossy(&start[9..]).into_owned(), stream)
    };
    let mut held = Vec::new();
    for number in 0..MOST {
        let (status, stream) = attach();
        assert_eq!(status, "101", "client {number}");
        held.push(stream);
    }
    let ends = |mut stream: UnixStream, seconds: u64| {
        stream.set_read_timeout(Some(std::time::Duration::from_secs(seconds))).expect("set a deadline");
        stream.read_to_end(&mut Vec::new()).is_ok()
    };
    // Each is handed to the shim by a thread of its own: which of them comes there last is not said.
    held.push(attach().1);
    let deadline = std::time::Instant::now() + testkit::patience(20);
    while !held.iter().any(is_at_its_end) {
        assert!(std::time::Instant::now() < deadline, "one too many is sent away");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    held.retain(|stream| !is_at_its_end(stream));
    assert_eq!(held.len(), MOST, "one and no other");
    held.truncate(MOST / 2);
    let deadline = std::time::Instant::now() + testkit::patience(10);
    while ends(attach().1, 1) {
        assert!(std::time::Instant::now() < deadline, "places of clients that went are free again");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    engine.wharf(&["exec", "box", "true"]).ok();
    engine.wharf(&["rm", "-f", "box"]).ok();
}

/// Whether the other side has closed; nothing was sent on these.
fn is_at_its_end(stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).expect("look without waiting");
    let end = matches!((&*stream).read(&mut [0; 4096]), Ok(0));
    stream.set_nonblocking(false).expect("wait again");
    end
}

/// An engine that was started with this limit on descriptors.
fn engine_with_descriptors(limit: &str) -> Engine {
    let mut engine = Engine::prepare(&[]);
    engine.start_through(&["sh", "-c", &format!("ulimit {limit}; exec \"$@\""), "sh"]);
    engine.start_daemon();
    engine
}

/// A connection that stays open, and whether it is served.
fn ping(engine: &Engine) -> (bool, UnixStream) {
    let mut stream = UnixStream::connect(engine.socket_path()).expect("connect");
    stream.write_all(b"HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n").expect("send");
    (is_served(&mut stream, std::time::Duration::from_secs(2)), stream)
}

fn is_served(stream: &mut UnixStream, patience: std::time::Duration) -> bool {
    stream.set_read_timeout(Some(patience)).expect("set a deadline");
    let mut start = [0; 12];
    stream.read_exact(&mut start).is_ok_and(|()| start.ends_with(b" 200"))
}

/// Clients of an engine: one too many waits until another one goes, and the engine keeps descriptors to work with.
#[test]
fn row_07_clients_are_counted() {
    const FEW: usize = 256;
    const MOST: usize = 4096;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if let Ok(text) = std::fs::read_to_string(root.join("base/transport/src/server/mod.rs")) {
        assert!(text.contains(&format!("pub const MAX_CONNECTIONS: usize = {MOST};")), "another value");
    }
    let own = rustix::process::Rlimit { current: Some(20_000), maximum: Some(20_000) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, own).expect("take enough descriptors");
    for (limit, most) in [("-n 1024", FEW), ("-n 20000", MOST)] {
        let engine = engine_with_descriptors(limit);
        engine.import_busybox();
        let mut held: Vec<UnixStream> = Vec::new();
        // The last place is for the command line, which shows that descriptors for the work itself are left.
        while held.len() < most - 2 {
            let (served, stream) = ping(&engine);
            assert!(served, "{limit}: client {}", held.len());
            held.push(stream);
        }
        engine.wharf(&["images"]).ok();
        held.extend([ping(&engine).1, ping(&engine).1]);
        let (served, mut waiting) = ping(&engine);
        assert!(!served, "{limit}: one too many is served");
        held.truncate(most / 2);
        assert!(is_served(&mut waiting, testkit::patience(10)), "{limit}: a place is free again");
        engine.wharf(&["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    }
}

/// The engine takes as many descriptors as it may; what it starts gets the limit the engine was started with.
#[test]
fn row_07_descriptors_are_raised_for_the_engine_only() {
    let engine = engine_with_descriptors("-Sn 512");
    engine.import_busybox();
    let limits =
        std::fs::read_to_string(format!("/proc/{}/limits", engine.daemon_pid())).expect("read limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let figures: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert!(figures[0] == figures[1] && figures[0] != "512", "{line}");
    let inside = ["sh", "-c", "ulimit -Sn"];
    let run = [&["run", "-d", "--name", "box", "busybox", "sleep", "600"][..]].concat();
    engine.wharf(&run).ok();
    assert_eq!(engine.wharf(&[&["run", "--rm", "busybox"][..], &inside].concat()).ok(), "512");
    assert_eq!(engine.wharf(&[&["exec", "box"][..], &inside].concat()).ok(), "512");
    let own = [&["run", "--rm", "--ulimit", "nofile=300:400", "busybox"][..], &inside].concat();
    assert_eq!(engine.wharf(&own).ok(), "300");
    engine.wharf(&["rm", "-f", "box"]).ok();
}

/// Execs of one container, made or running.
#[test]
fn row_07_execs_of_a_container_are_counted() {
    const MOST: usize = 1024;
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    engine.wharf(&["run", "-d", "--name", "other", "busybox", "sleep", "600"]).ok();
    let make = |name: &str| {
        let body = json!({"Cmd": ["true"], "AttachStdout": true});
        http::post(&engine.socket_path(), &format!("/containers/{name}/exec"), &body).expect("an answer")
    };
    let mut last = String::new();
    for number in 0..MOST {
        let made = make("box");
        assert_eq!(made.status, 201, "exec {number}");
        last = made.json()["Id"].as_str().expect("an id").to_owned();
    }
    let refused = make("box");
    assert_eq!(refused.status, 409);
    assert!(
        refused.text().contains("has 1024 exec instances, which is the most it can have"),
        "{}",
        refused.text()
    );
    assert_eq!(make("other").status, 201, "other containers have places of their own");
    let started = http::post(&engine.socket_path(), &format!("/exec/{last}/start"), &json!({"Detach": true}));
    assert_eq!(started.expect("an answer").status, 200);
    let deadline = std::time::Instant::now() + testkit::patience(10);
    while make("box").status != 201 {
        assert!(std::time::Instant::now() < deadline, "the place of one that ended is free again");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    engine.wharf(&["rm", "-f", "box", "other"]).ok();
}

/// A client that goes away before its connection is taken over leaves no exec that counts for ever.
#[test]
fn row_07_abandoned_execs_do_not_count() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    for _ in 0..200 {
        let body = json!({"Cmd": ["true"], "AttachStdout": true});
        let made =
            http::post(&engine.socket_path(), "/containers/box/exec", &body).expect("an answer").json();
        let id = made["Id"].as_str().expect("an id");
        let mut stream = UnixStream::connect(engine.socket_path()).expect("connect");
        let head = format!("POST /exec/{id}/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
        let rest = "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}";
        stream.write_all([&head, rest].concat().as_bytes()).expect("send");
    }
    let left = || {
        let seen = http::get(&engine.socket_path(), "/containers/box/json").expect("inspect").json();
        seen["ExecIDs"].as_array().map_or(0, Vec::len)
    };
    let deadline = std::time::Instant::now() + testkit::patience(10);
    while left() > 0 {
        assert!(std::time::Instant::now() < deadline, "{} execs are never over", left());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    engine.wharf(&["rm", "-f", "box"]).ok();
}
