//! `run` and its options, seen from inside and from outside.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::Engine;

/// A web server in a container that serves one line.
const SERVER: &str = "mkdir -p /www; echo page >/www/index.html; exec httpd -f -h /www";

/// Fetches a page, waiting until the server is up.
#[track_caller]
fn fetch(address: &str) -> String {
    let deadline = Instant::now() + testkit::patience(10);
    loop {
        let mut answer = String::new();
        let asked = TcpStream::connect(address).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            stream.read_to_string(&mut answer)
        });
        if asked.is_ok() && !answer.is_empty() {
            return answer.lines().last().unwrap_or_default().to_owned();
        }
        assert!(Instant::now() < deadline, "no answer from {address}: {asked:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_published_port_answers_and_is_free_again() {
    let engine = Engine::with_busybox();
    for turn in 0..2 {
        let name = format!("web{turn}");
        engine
            .wharf(&["run", "-d", "--name", &name, "-p", "127.0.0.1:28200:80", "busybox", "sh", "-c", SERVER])
            .ok();
        assert_eq!(fetch("127.0.0.1:28200"), "page");
        assert_eq!(engine.wharf(&["port", &name, "80"]).ok(), "127.0.0.1:28200");
        engine.wharf(&["rm", "-f", &name]).ok();
        assert!(TcpStream::connect("127.0.0.1:28200").is_err(), "the port is closed with its container");
    }
}

#[test]
fn a_port_is_published_on_every_address() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "web", "-p", "28201:80", "busybox", "sh", "-c", SERVER]).ok();
    let host = engine.slot().bridge_address();
    let bridge = host.split('/').next().unwrap_or_default();
    assert_eq!(fetch("127.0.0.1:28201"), "page");
    assert_eq!(fetch(&format!("{bridge}:28201")), "page");
    if std::path::Path::new("/proc/net/if_inet6").exists() {
        assert_eq!(fetch("[::1]:28201"), "page");
    }
    let inside = engine.wharf(&[
        "run",
        "--rm",
        "busybox",
        "wget",
        "-q",
        "-O",
        "-",
        &format!("http://{bridge}:28201/"),
    ]);
    assert_eq!(inside.ok(), "page", "another container reaches it through the host");
    engine.wharf(&["rm", "-f", "web"]).ok();
}

#[test]
fn a_port_of_sctp_is_published_like_any_other() {
    let engine = Engine::with_busybox();
    let publish = "127.0.0.1:28219:7777/sctp";
    engine.wharf(&["run", "-d", "--name", "one", "-p", publish, "busybox", "sleep", "1000"]).ok();
    assert_eq!(engine.wharf(&["port", "one"]).ok(), "7777/sctp -> 127.0.0.1:28219");
    let rules = || {
        testkit::engine::run(std::process::Command::new("nft").args(["list", "ruleset"]), None)
            .ok()
            .to_owned()
    };
    assert!(rules().contains("127.0.0.1 . sctp . 28219"), "{}", rules());
    let refused = engine.wharf(&["run", "--rm", "-p", publish, "busybox", "true"]);
    assert!(refused.fails_with(125).contains("port is already allocated"), "{refused:?}");
    // Protocols have ports of their own.
    engine.wharf(&["run", "--rm", "-p", "127.0.0.1:28219:7777/udp", "busybox", "true"]).ok();
    engine.wharf(&["rm", "-f", "one"]).ok();
    assert!(!rules().contains("sctp . 28219"), "{}", rules());
}

#[test]
fn publish_all_takes_random_ports() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "all", "-P", "--expose", "80", "busybox", "sh", "-c", SERVER]).ok();
    let address = engine.wharf(&["port", "all", "80/tcp"]).ok().lines().next().unwrap_or_default().to_owned();
    let port = address.rsplit(':').next().unwrap_or_default().to_owned();
    assert_eq!(fetch(&format!("127.0.0.1:{port}")), "page");
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "none",
            "--publish-all=false",
            "--expose",
            "80",
            "busybox",
            "sleep",
            "60",
        ])
        .ok();
    assert_eq!(engine.wharf(&["port", "none"]).ok(), "");
    engine.wharf(&["rm", "-f", "all", "none"]).ok();
}

#[test]
fn a_range_of_ports_is_published() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&["run", "-d", "--name", "range", "-p", "28210-28212:80-82/tcp", "busybox", "sleep", "60"])
        .ok();
    let listed = engine.wharf(&["port", "range"]);
    for (inside, outside) in [(80, 28210), (81, 28211), (82, 28212)] {
        assert!(listed.ok().contains(&format!("{inside}/tcp -> 0.0.0.0:{outside}")), "{listed:?}");
    }
    engine.wharf(&["rm", "-f", "range"]).ok();
}

#[test]
fn datagrams_reach_a_published_port() {
    let engine = Engine::with_busybox();
    // Debian's busybox knows no datagrams, this static program does.
    let own = std::env::current_exe().expect("know the test's own path");
    let bind = format!("{}:/echo:ro", own.display());
    let publish = ["run", "-d", "--name", "udp", "-p", "127.0.0.1:28220:7/udp", "-v", &bind, "busybox"];
    let echo = ["/echo", "--exact", "container::run::echo_datagrams", "--ignored"];
    engine.wharf(&[&publish[..], &echo[..]].concat()).ok();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind a socket");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("set a timeout");
    let deadline = Instant::now() + testkit::patience(10);
    let mut buffer = [0; 16];
    loop {
        socket.send_to(b"ping", "127.0.0.1:28220").expect("send");
        if socket.recv(&mut buffer).is_ok_and(|count| &buffer[..count] == b"ping") {
            break;
        }
        assert!(Instant::now() < deadline, "no datagram came back");
    }
    engine.wharf(&["rm", "-f", "udp"]).ok();
}

#[test]
#[ignore = "runs inside a container"]
fn echo_datagrams() {
    let socket = std::net::UdpSocket::bind("0.0.0.0:7").expect("bind a socket");
    let mut buffer = [0; 64];
    while let Ok((count, from)) = socket.recv_from(&mut buffer) {
        socket.send_to(&buffer[..count], from).expect("answer");
    }
}

#[test]
fn containers_talk_over_the_bridge_and_the_gateway_is_the_host() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "web", "busybox", "sh", "-c", SERVER]).ok();
    let address = engine
        .wharf(&["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "web"])
        .ok()
        .to_owned();
    let gateway = engine
        .wharf(&["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}", "web"])
        .ok()
        .to_owned();
    assert!(engine.slot().bridge_address().starts_with(&gateway));
    // Debian's static busybox cannot look names up, so its wget dies even of addresses.
    let script = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} 80 | tail -1");
    let page = engine.wharf(&["run", "--rm", "busybox", "sh", "-c", &script]);
    assert_eq!(page.ok(), "page");
    let route = engine.wharf(&["run", "--rm", "busybox", "ip", "route"]);
    assert!(route.ok().contains(&format!("default via {gateway} dev eth0")), "{route:?}");
    engine.wharf(&["rm", "-f", "web"]).ok();
}

#[test]
fn a_link_names_the_other_container() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "web",
            "--expose",
            "80",
            "-e",
            "COLOR=blue",
            "busybox",
            "sh",
            "-c",
            SERVER,
        ])
        .ok();
    let run = engine.wharf(&["run", "--rm", "--link", "web:server", "busybox", "sh", "-c",
        "wget -q -O - http://server/; echo $SERVER_ENV_COLOR $SERVER_PORT_80_TCP_PORT $SERVER_PORT_80_TCP_PROTO"]);
    assert_eq!(run.ok(), "page\nblue 80 tcp");
    engine.wharf(&["rm", "-f", "web"]).ok();
}

#[test]
fn many_containers_of_one_image_run_side_by_side() {
    let engine = Engine::with_busybox();
    let ids: Vec<String> = (0..30)
        .map(|number| {
            let value = format!("N={number}");
            engine
                .wharf(&["run", "-d", "-e", &value, "busybox", "sh", "-c", "echo $N; sleep 600"])
                .ok()
                .to_owned()
        })
        .collect();
    assert_eq!(engine.wharf(&["ps", "-q"]).ok().lines().count(), 30);
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(engine.wharf(&["logs", id]).ok(), number.to_string(), "each has its own environment");
    }
    let mut words = vec!["rm", "-f"];
    words.extend(ids.iter().map(String::as_str));
    engine.wharf(&words).ok();
    assert_eq!(engine.wharf(&["ps", "-aq"]).ok(), "");
}

#[test]
fn users_files_and_background_processes_live_inside() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    let line = "echo alice:x:1000:1000::/home:/bin/sh >>/etc/passwd";
    engine.wharf(&["exec", "box", "sh", "-c", line]).ok();
    assert!(engine.wharf(&["exec", "-u", "alice", "box", "id"]).ok().contains("(alice)"));
    engine.wharf(&["exec", "-d", "box", "sh", "-c", "while :; do date >/tmp/beat; sleep 0.1; done"]).ok();
    let deadline = Instant::now() + testkit::patience(10);
    while engine.wharf(&["exec", "box", "test", "-s", "/tmp/beat"]).code != 0 {
        assert!(Instant::now() < deadline, "the process in the background writes nothing");
    }
    engine.wharf(&["rm", "-f", "box"]).ok();
}

#[test]
fn signals_of_the_client_reach_the_process() {
    let engine = Engine::with_busybox();
    let script = "trap 'echo got TERM; exit 12' TERM; echo ready; while :; do sleep 0.1; done";
    let log = engine.root().join("out");
    let mut client = engine
        .wharf_command(&["run", "--name", "proxied", "busybox", "sh", "-c", script])
        .stdout(std::fs::File::create(&log).expect("make a file"))
        .spawn()
        .expect("start a client");
    let deadline = Instant::now() + testkit::patience(10);
    while !std::fs::read_to_string(&log).unwrap_or_default().contains("ready") {
        assert!(Instant::now() < deadline, "the container did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    testkit::engine::signal(client.id(), rustix::process::Signal::TERM);
    assert_eq!(client.wait().expect("wait for the client").code(), Some(12));
    assert!(std::fs::read_to_string(&log).unwrap_or_default().contains("got TERM"));
}
