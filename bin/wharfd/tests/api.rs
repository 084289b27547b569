//! The API on the wire: statuses, texts, headers and streams that clients depend on, byte by byte.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::Engine;
use testkit::http::{Answer, get, post, request};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn connect(engine: &Engine) -> UnixStream {
    let socket = UnixStream::connect(engine.socket_path()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn read_until(socket: &mut UnixStream, end: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0u8; 1];
    while !bytes.ends_with(end) {
        match socket.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            other => panic!("{other:?} after {}", String::from_utf8_lossy(&bytes)),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn ask(engine: &Engine, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    request(&engine.socket_path(), method, target, headers, body).unwrap()
}

/// Threads that serve somebody or something; those that only wait to be used again do not count.
fn threads(engine: &Engine) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", engine.daemon_pid())).unwrap();
    let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() != "spare").count()
}

/// The number of threads once those that served earlier calls have ended.
fn settled_threads(engine: &Engine) -> usize {
    let mut least = threads(engine);
    for _ in 0..50 {
        std::thread::sleep(Duration::from_millis(10));
        least = least.min(threads(engine));
    }
    least
}

/// Waits until the engine has as few threads as before: nothing waits for a client that is gone.
fn settles_at(engine: &Engine, count: usize) {
    let start = Instant::now();
    while threads(engine) > count {
        assert!(start.elapsed() < Duration::from_secs(5), "{} threads instead of {count}", threads(engine));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Creates and starts a container; its id.
fn run(engine: &Engine, config: serde_json::Value) -> String {
    let created = post(&engine.socket_path(), "/containers/create", &config).unwrap();
    assert_eq!(created.status, 201, "{}", created.text());
    let id = created.json()["Id"].as_str().unwrap().to_owned();
    let started = ask(engine, "POST", &format!("/containers/{id}/start"), &[], b"");
    assert_eq!(started.status, 204, "{}", started.text());
    id
}

/// Method, target, headers, body; status and message.
type Refusal<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

#[test]
fn refusals_are_dockers() {
    let engine = Engine::start();
    let text = ("Content-Type", "text/plain");
    let cases: &[Refusal<'_>] = &[
        (
            "GET",
            "/v1.99/info",
            &[],
            b"",
            400,
            "client version 1.99 is too new. Maximum supported API version is 1.55",
        ),
        (
            "GET",
            "/v1.10/info",
            &[],
            b"",
            400,
            "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
        ),
        ("GET", "/nope", &[], b"", 404, "page not found"),
        ("POST", "/info", &[], b"", 404, "page not found"),
        ("GET", "/v1.41/images/", &[], b"", 404, "page not found"),
        ("POST", "/containers/create", &[], b"", 400, "invalid JSON: got EOF while reading request body"),
        (
            "POST",
            "/containers/create",
            &[text],
            b"{}",
            400,
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        ("POST", "/containers/create", &[JSON], b"{", 400, "invalid JSON: unexpected EOF"),
        ("POST", "/containers/create", &[JSON], b"{}x", 400, "unexpected content after JSON"),
        (
            "POST",
            "/containers/create",
            &[JSON],
            b"null",
            400,
            "config cannot be empty in order to create a container",
        ),
        (
            "POST",
            "/containers/create",
            &[JSON],
            b"{\"Image\":\"nosuch\"}",
            404,
            "No such image: nosuch:latest",
        ),
        ("GET", "/containers/json?filters=xx", &[], b"", 400, "invalid filter"),
        (
            "GET",
            "/containers/json?filters=%7B%22foo%22%3A%5B%22a%22%5D%7D",
            &[],
            b"",
            400,
            "invalid filter 'foo'",
        ),
        ("GET", "/containers/json?limit=abc", &[], b"", 500, "strconv.Atoi: parsing \"abc\": invalid syntax"),
        ("GET", "/containers/nosuch/json", &[], b"", 404, "No such container: nosuch"),
        (
            "GET",
            "/containers/nosuch/logs",
            &[],
            b"",
            400,
            "Bad parameters: you must choose at least one stream",
        ),
        ("POST", "/containers/nosuch/wait?condition=foo", &[], b"", 400, "invalid condition: \"foo\""),
        ("POST", "/containers/nosuch/resize", &[], b"", 400, "strconv.Atoi: parsing \"\": invalid syntax"),
        ("POST", "/containers/nosuch/rename", &[], b"", 400, "Neither old nor new names may be empty"),
        ("POST", "/containers/nosuch/exec", &[JSON], b"{}", 400, "No exec command specified"),
        ("GET", "/containers/nosuch/archive", &[], b"", 400, "bad parameter: pathcannot be empty"),
        ("GET", "/exec/abc/json", &[], b"", 404, "No such exec instance: abc"),
        ("GET", "/images/host:5000/a/b:c/json", &[], b"", 404, "No such image: host:5000/a/b:c"),
        ("DELETE", "/images/nosuch", &[], b"", 404, "No such image: nosuch:latest"),
        ("GET", "/volumes/nosuch", &[], b"", 404, "get nosuch: no such volume"),
        ("GET", "/networks/nosuch", &[], b"", 404, "network nosuch not found"),
        (
            "DELETE",
            "/networks/bridge",
            &[],
            b"",
            403,
            "bridge is a pre-defined network and cannot be removed",
        ),
        ("GET", "/system/df?type=foo", &[], b"", 400, "unknown object type: foo"),
        ("GET", "/events?since=abc", &[], b"", 500, "strconv.ParseInt: parsing \"abc\": invalid syntax"),
        (
            "GET",
            "/swarm",
            &[],
            b"",
            503,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
        ),
        ("POST", "/swarm/leave", &[], b"", 503, "This node is not part of a swarm"),
        ("GET", "/plugins/foo/json", &[], b"", 404, "plugin \"foo\" not found"),
        ("POST", "/session", &[], b"", 400, "no upgrade proto in request"),
        (
            "POST",
            "/containers/nosuch/start",
            &[],
            b"0123456789",
            400,
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ),
    ];
    for (method, target, headers, body, status, message) in cases {
        let answer = ask(&engine, method, target, headers, body);
        assert_eq!(answer.status, *status, "{method} {target}: {}", answer.text());
        assert_eq!(answer.text(), format!("{}\n", json!({"message": message})), "{method} {target}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{method} {target}");
        assert_eq!(answer.header("api-version").is_some(), *message != "page not found", "{method} {target}");
    }
    let attach = ask(&engine, "POST", "/containers/nosuch/attach?stream=1", &[], b"");
    assert_eq!((attach.status, attach.text().as_str()), (404, "No such container: nosuch\r\n"));
    assert_eq!(attach.header("content-type"), Some("application/vnd.docker.raw-stream"));
}

#[test]
fn the_ping_tells_everything() {
    let engine = Engine::start();
    for (method, path, body) in
        [("GET", "/_ping", "OK"), ("HEAD", "/_ping", ""), ("GET", "/v1.24/_ping", "OK")]
    {
        let answer = ask(&engine, method, path, &[], b"");
        assert_eq!((answer.status, answer.text().as_str()), (200, body));
        for (name, value) in [
            ("api-version", "1.55"),
            ("ostype", "linux"),
            ("docker-experimental", "false"),
            ("builder-version", "2"),
            ("swarm", "inactive"),
            ("cache-control", "no-cache, no-store, must-revalidate"),
            ("pragma", "no-cache"),
            ("server", "Docker/0.1.0 (linux)"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
    }
    let options = ask(&engine, "OPTIONS", "/anything/at/all", &[], b"");
    assert_eq!((options.status, options.text().as_str()), (200, ""));
}

#[test]
fn empty_answers_have_dockers_shapes() {
    let engine = Engine::start();
    for (target, expected) in [
        ("/containers/json", "[]\n"),
        ("/images/json", "[]\n"),
        ("/volumes", "{\"Volumes\":[],\"Warnings\":null}\n"),
        ("/plugins", "[]\n"),
    ] {
        assert_eq!(get(&engine.socket_path(), target).unwrap().text(), expected, "{target}");
    }
    for (target, expected) in [
        ("/containers/prune", "{\"ContainersDeleted\":null,\"SpaceReclaimed\":0}\n"),
        ("/images/prune", "{\"ImagesDeleted\":null,\"SpaceReclaimed\":0}\n"),
        ("/build/prune", "{\"CachesDeleted\":null,\"SpaceReclaimed\":0}\n"),
    ] {
        assert_eq!(ask(&engine, "POST", target, &[], b"").text(), expected, "{target}");
    }
    let networks = get(&engine.socket_path(), "/v1.44/networks").unwrap().json();
    assert_eq!(networks.as_array().unwrap().len(), 3);
    assert_eq!(networks[0]["Containers"], json!({}));
    let volume = ask(&engine, "POST", "/volumes/create", &[], b"");
    assert_eq!(volume.status, 201);
    assert_eq!(volume.json()["Labels"], json!({"com.docker.volume.anonymous": ""}));
}

#[test]
fn a_gigabyte_of_json_is_refused_unread() {
    let engine = Engine::start();
    let mut socket = connect(&engine);
    socket
        .write_all(b"POST /containers/create HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n{\"Image\":\"")
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("Connection: close") && answer.contains("request body too large"), "{answer}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.daemon_pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let kilobytes: u64 = peak.trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 64 * 1024, "{peak}");
}

#[test]
fn deep_and_odd_json_does_no_harm() {
    let engine = Engine::start();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long_key = format!("{{\"{}\":1}}", "k".repeat(1_000_000));
    let doubled = r#"{"Image":"a","image":"b"}"#;
    for body in [deep.as_str(), &long_key, doubled, "\u{0}", "{\"Image\":\"\\ud800\"}", "[]", "1e999"] {
        let answer = ask(&engine, "POST", "/containers/create", &[JSON], body.as_bytes());
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    assert_eq!(get(&engine.socket_path(), "/_ping").unwrap().status, 200);
}

#[test]
fn streams_end_with_their_clients() {
    let engine = Engine::with_busybox();
    let id = run(&engine, json!({"Image": "busybox", "Cmd": ["sleep", "1000"], "StopSignal": "KILL"}));
    let before = settled_threads(&engine);
    for target in [
        "GET /events".to_owned(),
        format!("GET /containers/{id}/logs?stdout=1&follow=1"),
        format!("GET /containers/{id}/stats"),
        format!("POST /containers/{id}/wait"),
        format!("POST /containers/{id}/wait?condition=removed"),
    ] {
        let mut socket = connect(&engine);
        socket.write_all(format!("{target} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        // The head comes at once, long before there is anything to tell.
        assert!(read_until(&mut socket, b"\r\n\r\n").starts_with("HTTP/1.1 200 OK"), "{target}");
        assert!(threads(&engine) > before);
        drop(socket);
        settles_at(&engine, before);
    }
}

#[test]
fn waiting_answers_after_the_exit() {
    let engine = Engine::with_busybox();
    let created = post(
        &engine.socket_path(),
        "/containers/create",
        &json!({"Image": "busybox", "Cmd": ["sh", "-c", "exit 7"]}),
    )
    .unwrap();
    let id = created.json()["Id"].as_str().unwrap().to_owned();
    let at_once = ask(&engine, "POST", &format!("/containers/{id}/wait"), &[], b"");
    assert_eq!(at_once.text(), "{\"StatusCode\":0}\n");
    let mut socket = connect(&engine);
    socket
        .write_all(format!("POST /containers/{id}/wait?condition=next-exit HTTP/1.1\r\n\r\n").as_bytes())
        .unwrap();
    read_until(&mut socket, b"\r\n\r\n");
    assert_eq!(ask(&engine, "POST", &format!("/containers/{id}/start"), &[], b"").status, 204);
    assert!(read_until(&mut socket, b"0\r\n\r\n").contains("{\"StatusCode\":7}\n"));
}

#[test]
fn attach_is_framed_and_half_closed() {
    let engine = Engine::with_busybox();
    let script = "while read line; do echo out $line; echo err $line >&2; done; echo end";
    let config = json!({"Image": "busybox", "Cmd": ["sh", "-c", script], "OpenStdin": true, "StdinOnce": true,
        "AttachStdin": true});
    for (headers, status, version) in [
        ("Connection: Upgrade\r\nUpgrade: tcp\r\n", "HTTP/1.1 101 UPGRADED", "/v1.44"),
        ("", "HTTP/1.1 200 OK", "/v1.41"),
    ] {
        let created = post(&engine.socket_path(), "/containers/create", &config).unwrap();
        let id = created.json()["Id"].as_str().unwrap().to_owned();
        let mut socket = connect(&engine);
        let target = format!("{version}/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1");
        socket.write_all(format!("POST {target} HTTP/1.1\r\n{headers}\r\nearly\n").as_bytes()).unwrap();
        let head = read_until(&mut socket, b"\r\n\r\n");
        assert!(head.starts_with(status), "{head}");
        let kind = if headers.is_empty() { "raw-stream" } else { "multiplexed-stream" };
        assert!(head.contains(&format!("Content-Type: application/vnd.docker.{kind}")), "{head}");
        assert_eq!(ask(&engine, "POST", &format!("/containers/{id}/start"), &[], b"").status, 204);
        socket.write_all(b"late\n").unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut wire = Vec::new();
        socket.read_to_end(&mut wire).unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        transport::framing::read_frames(&mut wire.as_slice(), |channel, bytes| {
            let text = std::str::from_utf8(bytes).unwrap();
            match channel {
                transport::framing::Channel::Stdout => out.push_str(text),
                _ => err.push_str(text),
            }
            Ok(())
        })
        .unwrap();
        assert_eq!((out.as_str(), err.as_str()), ("out early\nout late\nend\n", "err early\nerr late\n"));
    }
}

#[test]
fn websockets_attach_unframed() {
    let engine = Engine::with_busybox();
    let config = json!({"Image": "busybox", "Cmd": ["sh", "-c", "read line; echo got $line"], "OpenStdin": true,
        "StdinOnce": true});
    let created = post(&engine.socket_path(), "/containers/create", &config).unwrap();
    let id = created.json()["Id"].as_str().unwrap().to_owned();
    let mut socket = connect(&engine);
    let target = format!("/containers/{id}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1");
    socket
        .write_all(
            format!(
                "GET {target} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            .as_bytes(),
        )
        .unwrap();
    assert!(read_until(&mut socket, b"\r\n\r\n").starts_with("HTTP/1.1 101 "));
    assert_eq!(ask(&engine, "POST", &format!("/containers/{id}/start"), &[], b"").status, 204);
    // One masked binary frame; the mask is zero.
    socket.write_all(b"\x82\x83\0\0\0\0hi\n").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"\x82\x07got hi\n\x88\x02\x03\xe8");
}

#[test]
fn exec_streams_its_output_and_knows_its_code() {
    let engine = Engine::with_busybox();
    let id = run(&engine, json!({"Image": "busybox", "Cmd": ["sleep", "1000"], "StopSignal": "KILL"}));
    let exec = json!({"Cmd": ["sh", "-c", "cat; exit 5"], "AttachStdin": true, "AttachStdout": true});
    let exec = post(&engine.socket_path(), &format!("/containers/{id}/exec"), &exec).unwrap();
    assert_eq!(exec.status, 201);
    let exec = exec.json()["Id"].as_str().unwrap().to_owned();
    let mut socket = connect(&engine);
    let body = "{\"Detach\":false,\"Tty\":false}";
    let head = format!(
        "POST /exec/{exec}/start HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    read_until(&mut socket, b"\r\n\r\n");
    socket.write_all(b"hello").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut wire = Vec::new();
    socket.read_to_end(&mut wire).unwrap();
    assert_eq!(wire, b"\x01\0\0\0\0\0\0\x05hello");
    let inspect = get(&engine.socket_path(), &format!("/exec/{exec}/json")).unwrap().json();
    assert_eq!((inspect["Running"].as_bool(), inspect["ExitCode"].as_i64()), (Some(false), Some(5)));
    let again = ask(&engine, "POST", &format!("/exec/{exec}/start"), &[JSON], b"{}");
    assert_eq!(again.status, 409, "{}", again.text());
}

#[test]
fn events_come_in_dockers_order() {
    let engine = Engine::with_busybox();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let id = run(&engine, json!({"Image": "busybox", "Cmd": ["true"], "Labels": {"a": "b"}}));
    ask(&engine, "POST", &format!("/containers/{id}/wait"), &[], b"");
    assert_eq!(ask(&engine, "DELETE", &format!("/containers/{id}"), &[], b"").status, 204);
    let until = since + 3600;
    let seen = |version: &str| {
        let mut socket = connect(&engine);
        let target = format!("{version}/events?since={since}&until={until}");
        socket.write_all(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        read_until(&mut socket, b"\"destroy\"")
    };
    let old = seen("/v1.44");
    assert!(old.contains("Content-Type: application/json\r\n"));
    assert!(old.contains("\"status\":\"create\"") && old.contains("\"from\":\"busybox\""));
    let new = seen("");
    assert!(new.contains("Content-Type: application/jsonl\r\n") && !new.contains("\"status\""));
    let position = |action: &str| {
        new.find(&format!("\"Action\":\"{action}\"")).unwrap_or_else(|| panic!("no {action}: {new}"))
    };
    let order = ["create", "connect", "start", "disconnect", "die", "destroy"].map(position);
    assert!(order.is_sorted(), "{order:?} {new}");
}

#[test]
fn archives_travel_both_ways() {
    let engine = Engine::with_busybox();
    let id = run(&engine, json!({"Image": "busybox", "Cmd": ["sleep", "1000"], "StopSignal": "KILL"}));
    let stat = ask(&engine, "HEAD", &format!("/containers/{id}/archive?path=/etc"), &[], b"");
    assert!(stat.header("x-docker-container-path-stat").is_some());
    let tar = ask(&engine, "GET", &format!("/containers/{id}/archive?path=/etc"), &[], b"");
    assert_eq!((tar.status, tar.header("content-type")), (200, Some("application/x-tar")));
    let put = ask(
        &engine,
        "PUT",
        &format!("/containers/{id}/archive?path=/tmp"),
        &[("Content-Type", "application/x-tar")],
        &tar.body,
    );
    assert_eq!((put.status, put.text().as_str()), (200, ""));
    let copied = ask(&engine, "HEAD", &format!("/containers/{id}/archive?path=/tmp/etc"), &[], b"");
    assert_eq!(copied.status, 200);
    let broken = ask(&engine, "PUT", &format!("/containers/{id}/archive?path=/tmp"), &[], b"no tar at all");
    assert!(broken.status >= 400, "{}", broken.text());
}

#[test]
fn documents_follow_the_version() {
    let engine = Engine::with_busybox();
    let id = run(&engine, json!({"Image": "busybox", "Cmd": ["sleep", "1000"], "StopSignal": "KILL"}));
    let inspect = |version: &str| {
        get(&engine.socket_path(), &format!("{version}/containers/{id}/json")).unwrap().json()
    };
    assert!(inspect("/v1.51")["NetworkSettings"].get("IPAddress").is_some());
    assert!(inspect("/v1.52")["NetworkSettings"].get("IPAddress").is_none());
    let images =
        |version: &str| get(&engine.socket_path(), &format!("{version}/images/json")).unwrap().json();
    assert!(images("/v1.43")[0].get("VirtualSize").is_some());
    assert!(images("/v1.44")[0].get("VirtualSize").is_none());
    assert_eq!(images("/v1.50")[0]["Containers"], -1);
    let usage = |version: &str| get(&engine.socket_path(), &format!("{version}/system/df")).unwrap().json();
    assert!(usage("/v1.51").get("ImageUsage").is_none() && usage("/v1.51").get("LayersSize").is_some());
    assert!(usage("").get("ImageUsage").is_some());
}
