//! The client's `config.json` and its variables.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use testkit::engine::{binary_dir, run};
use testkit::{Engine, Terminal};

use super::folder::Folder;

fn configure(folder: &Folder, text: &str) {
    std::fs::write(folder.path().join("config.json"), text).expect("write the configuration");
}

#[test]
fn formats_and_detach_keys_come_from_the_file() {
    let engine = Engine::with_busybox();
    let folder = Folder::new();
    configure(
        &folder,
        r#"{"psFormat": "P {{.Names}}", "imagesFormat": "I {{.Repository}}", "detachKeys": "ctrl-x,x",
            "volumesFormat": "V {{.Name}}", "networksFormat": "N {{.Name}}"}"#,
    );
    let client = |arguments: &[&str]| {
        let mut command = folder.client(&binary_dir().join("wharf"), arguments);
        command.env("DOCKER_HOST", engine.host());
        command
    };
    let mut shell = Terminal::spawn(&mut client(&["run", "-it", "--name", "kept", "busybox", "sh"]));
    shell.wait_for("# ");
    shell.type_text("\x18x");
    assert_eq!(shell.exit_code(), 0);
    engine.wharf(&["volume", "create", "vault"]).ok();
    for (arguments, wanted) in [
        (&["ps"][..], "P kept"),
        (&["ps", "--format", "{{.State}}"], "running"),
        (&["images"], "I busybox"),
        (&["volume", "ls"], "V vault"),
        (&["network", "ls", "-f", "name=host"], "N host"),
    ] {
        assert_eq!(run(&mut client(arguments), None).ok(), wanted, "{arguments:?}");
    }
    let quiet = run(&mut client(&["ps", "-q"]), None);
    assert_eq!(quiet.ok().len(), 12, "-q stands above the format");
    engine.wharf(&["rm", "-f", "kept"]).ok();
}

/// Answers every request with an empty list and returns the first request's head.
fn overheard(folder: &Folder, client: impl FnOnce(&str)) -> String {
    let path = folder.path().join("ear.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("listen");
    let (heard, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten().take(4) {
            let mut bytes = [0; 8192];
            let count = stream.read(&mut bytes).unwrap_or_default();
            let head = String::from_utf8_lossy(&bytes[..count]).into_owned();
            let answer = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]";
            let _ = stream.write_all(answer.as_bytes());
            let _ = heard.send(head);
        }
    });
    client(&format!("unix://{}", path.display()));
    let mut all = String::new();
    while let Ok(head) = told.try_recv() {
        all.push_str(&head);
    }
    all
}

#[test]
fn headers_and_versions_are_sent() {
    let folder = Folder::new();
    configure(&folder, r#"{"HttpHeaders": {"X-House": "wharf", "User-Agent": "nobody"}}"#);
    let ask = |variables: &[(&str, &str)]| {
        overheard(&folder, |host| {
            let mut command = folder.client(&binary_dir().join("wharf"), &["ps", "-q"]);
            command.env("DOCKER_HOST", host).envs(variables.iter().copied());
            run(&mut command, None).ok();
        })
    };
    let seen = ask(&[]).to_lowercase();
    assert!(seen.contains("x-house: wharf\r\n") && !seen.contains("nobody"), "{seen}");
    assert!(seen.contains("user-agent: docker-client/"), "{seen}");
    assert!(seen.contains("get /v1.41/containers/json"), "the older of both versions: {seen}");
    let seen = ask(&[("DOCKER_API_VERSION", "1.30"), ("DOCKER_CUSTOM_HEADERS", "X-One=1")]);
    assert!(
        seen.contains("GET /v1.30/containers/json") && seen.to_lowercase().contains("x-one: 1"),
        "{seen}"
    );
}

#[test]
fn own_variables_stand_above_dockers() {
    let engine = Engine::start();
    let folder = Folder::new();
    let chosen = Folder::new();
    configure(&chosen, r#"{"networksFormat": "chosen {{.Name}}"}"#);
    let mut command = folder.client(&binary_dir().join("wharf"), &["network", "ls", "-f", "name=host"]);
    command.env("DOCKER_HOST", "unix:///nowhere/engine.sock").env("WHARF_HOST", engine.host());
    command.env("WHARF_CONFIG", chosen.path());
    assert_eq!(run(&mut command, None).ok(), "chosen host");
}

#[test]
fn what_others_keep_in_the_file_stays() {
    let folder = Folder::new();
    let text = r#"{"auths": {"registry.example": {"auth": "c2VjcmV0"}}, "credsStore": "pass",
        "credHelpers": {"a.example": "b"}, "plugins": {"x": {"y": "z"}}, "unheard": [1, {"of": null}]}"#;
    configure(&folder, text);
    folder.wharf(&["context", "create", "far", "--docker", "host=tcp://127.0.0.1:1"]).ok();
    let read = || -> serde_json::Value {
        let bytes = std::fs::read(folder.path().join("config.json")).expect("read the configuration");
        serde_json::from_slice(&bytes).expect("the configuration is JSON")
    };
    let mut wanted: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(read(), wanted, "another command writes nothing");
    folder.wharf(&["context", "use", "far"]).ok();
    let mode = std::fs::metadata(folder.path().join("config.json")).expect("look").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    wanted["currentContext"] = "far".into();
    assert_eq!(read(), wanted);
    folder.wharf(&["context", "use", "default"]).ok();
    wanted.as_object_mut().expect("an object").shift_remove("currentContext");
    assert_eq!(read(), wanted);
    configure(&folder, "{broken");
    let warned = folder.wharf(&["context", "show"]);
    assert!(warned.stderr.contains("WARNING: Error parsing config file"), "{warned:?}");
    assert_eq!(warned.ok(), "default");
}
