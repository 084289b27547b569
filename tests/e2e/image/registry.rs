//! Registries of all kinds: without TLS, with a certificate, behind Docker Hub's names, with a search.

use std::time::Instant;

use serde_json::json;
use testkit::Engine;
use testkit::lying::{self, Reply};
use testkit::registry::{Program, Registry};

/// An address that is this machine's, but none of those that count as safe without TLS.
fn gateway(engine: &Engine) -> String {
    let address = engine.slot().bridge_address();
    address.split('/').next().expect("an address").to_owned()
}

/// Pushes busybox to a registry, and runs it after it was removed and pulled back.
fn there_and_back(engine: &Engine, registry: &Registry) {
    let name = format!("{}/deep/er/thing:1", registry.address());
    engine.import_busybox();
    engine.wharf(&["tag", "busybox", &name]).ok();
    engine.wharf(&["push", &name]).ok();
    engine.wharf(&["rmi", &name, "busybox"]).ok();
    assert_eq!(engine.wharf(&["run", "--rm", "--quiet", &name, "echo", "back"]).ok(), "back");
}

#[test]
fn a_registry_without_tls_is_used_only_where_it_is_listed() {
    let strict = Engine::start();
    let registry = Registry::empty(strict.root(), json!({"listen": [format!("{}:0", gateway(&strict))]}));
    let address = registry.address();
    let begin = Instant::now();
    let refused = strict.wharf(&["pull", &format!("{address}/deep/er/thing:1")]);
    assert!(begin.elapsed() < testkit::patience(5), "whoever typed it is told at once");
    let words = format!("Get \"https://{address}/v2/\": http: server gave HTTP response to HTTPS client");
    assert_eq!(refused.fails_with(1).trim_end(), format!("Error response from daemon: {words}"));
    let listed = Engine::start_with(&["--insecure-registry", address]);
    there_and_back(&listed, &registry);
}

#[test]
fn a_registry_with_a_certificate_is_trusted_by_its_folder() {
    let strict = Engine::start();
    let host = gateway(&strict);
    let certified = rcgen::generate_simple_self_signed([host.clone()]).expect("make a certificate");
    let (certificate, key) = (strict.root().join("cert.pem"), strict.root().join("key.pem"));
    std::fs::write(&certificate, certified.cert.pem()).expect("write the certificate");
    std::fs::write(&key, certified.signing_key.serialize_pem()).expect("write the key");
    let tls = json!({"certificate": &certificate, "key": &key});
    let registry = Registry::empty(strict.root(), json!({"listen": [format!("{host}:0")], "tls": tls}));
    let refused = strict.wharf(&["pull", &format!("{}/deep/er/thing:1", registry.address())]);
    let words = refused.fails_with(1);
    assert!(words.contains("x509: certificate signed by unknown authority"), "{words}");
    let trusted = strict.root().join("certs.d");
    std::fs::create_dir_all(trusted.join(registry.address())).expect("make the registry's folder");
    std::fs::copy(&certificate, trusted.join(registry.address()).join("ca.crt")).expect("trust it");
    let config = strict.root().join("daemon.json");
    std::fs::write(&config, json!({"registry-certs-dir": trusted}).to_string()).expect("configure wharfd");
    let engine = Engine::start_with(&["--config-file", &config.display().to_string()]);
    there_and_back(&engine, &registry);
}

#[test]
fn names_without_a_registry_are_docker_hubs() {
    let engine = Engine::prepare(&[]);
    let registry = Registry::start(Program::Wharf, engine.root(), false);
    let mirror = format!("http://{}", registry.address());
    let hub = Engine::start_with(&["--registry-mirror", &mirror]);
    hub.import_busybox();
    // Docker Hub's own images are in its folder `library`.
    let name = format!("{}/library/thing:latest", registry.address());
    hub.wharf(&["tag", "busybox", &name]).ok();
    hub.wharf(&["push", &name]).ok();
    hub.wharf(&["rmi", &name, "busybox"]).ok();
    let pulled = hub.wharf(&["pull", "thing"]);
    assert!(pulled.ok().contains("latest: Pulling from library/thing"), "{pulled:?}");
    assert!(pulled.stdout.trim_end().ends_with("\ndocker.io/library/thing:latest"), "{pulled:?}");
    assert_eq!(hub.wharf(&["run", "--rm", "docker.io/library/thing", "echo", "same"]).ok(), "same");
    assert_eq!(hub.wharf(&["run", "--rm", "-q", "seed/box:2", "cat", "/seed-1"]).ok(), "one");
    let names = hub.wharf(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mut names: Vec<&str> = names.ok().lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["seed/box:2", "thing:latest"]);
}

#[test]
fn search_lists_what_a_registry_finds() {
    let registry = lying::Registry::start(|request| match request.path.starts_with("/v1/search") {
        true => Reply::new(
            200,
            json!({"num_results": 3, "results": [
                {"name": "box", "description": "one\ntwo", "star_count": 30, "is_official": true},
                {"name": "me/box", "description": "x".repeat(60), "star_count": 3},
                {"name": "you/box"},
            ]})
            .to_string(),
        ),
        false => Reply::new(200, "{}"),
    });
    let engine = Engine::start();
    let term = format!("{}/a box", registry.address());
    let search = |more: &[&str]| {
        let mut arguments =
            vec!["search", "--format", "{{.Name}} {{.StarCount}} [{{.IsOfficial}}] {{.Description}}"];
        arguments.extend(more);
        arguments.push(&term);
        engine.wharf(&arguments).ok().to_owned()
    };
    let (first, second) = ("box 30 [[OK]] one two", format!("me/box 3 [] {}…", "x".repeat(44)));
    assert_eq!(search(&[]), format!("{first}\n{second}\nyou/box 0 []"));
    assert_eq!(search(&["--limit", "1"]), first);
    assert_eq!(search(&["-f", "stars=3"]), format!("{first}\n{second}"));
    assert_eq!(search(&["-f", "is-official=true"]), first);
    assert!(search(&["--no-trunc"]).contains(&"x".repeat(60)));
    let asked: Vec<String> = registry.requests().into_iter().map(|request| request.path).collect();
    assert!(asked.iter().any(|path| path == "/v1/search?q=a%20box&n=25"), "{asked:?}");
    assert!(asked.iter().any(|path| path == "/v1/search?q=a%20box&n=1"), "{asked:?}");
}

#[test]
fn clients_that_draw_no_bars_get_them_as_text() {
    let engine = Engine::with_busybox();
    let registry = Registry::start(Program::Wharf, engine.root(), false);
    let name = format!("{}/some/thing", registry.address());
    let file = engine.root().join("saved.tar");
    engine.wharf(&["save", "-o", &file.to_string_lossy(), "busybox"]).ok();
    let archive = std::fs::read(&file).expect("read the archive");
    let bars = |target: &str, body: &[u8]| {
        let headers = [("X-Registry-Auth", "e30="), ("Content-Type", "application/x-tar")];
        let answer = testkit::http::request(&engine.socket_path(), "POST", target, &headers, body);
        let text = answer.expect("ask").text();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line"));
        let moving = lines.filter(|line| line["progressDetail"]["total"].as_i64() > Some(0));
        moving.map(|line| line["progress"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    for version in ["v1.45", "v1.52"] {
        engine.wharf(&["tag", "busybox", &name]).ok();
        let push = format!("/{version}/images/{name}/push?tag=latest");
        let pull = format!("/{version}/images/create?fromImage={name}&tag=latest");
        let load = format!("/{version}/images/load?quiet=0");
        for (target, body) in [(&push, &b""[..]), (&pull, b""), (&load, &archive)] {
            let bars = bars(target, body);
            if version == "v1.52" {
                assert!(bars.iter().all(String::is_empty), "{target}: {bars:?}");
            } else if let Some(last) = bars.last() {
                // `[=====>     ]  1.234MB/2.345MB`, as wide as Docker's.
                let (bar, numbers) = last.split_once("] ").expect("a bar");
                assert!(bar.starts_with('[') && bar.contains('>') && bar.len() == 52, "{target}: {last}");
                assert!(numbers.trim().ends_with('B') && numbers.len() >= 8, "{target}: {last}");
            }
            if *target == push {
                engine.wharf(&["rmi", &name, "busybox"]).ok();
            }
        }
    }
}
