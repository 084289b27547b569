//! `import` from an address: what is shown, what is kept, and servers that are not what they should be.

use std::time::{Duration, Instant};

use testkit::Engine;
use testkit::http::request;
use testkit::lying::{Registry, Reply};

/// A tar of one file.
fn archive(engine: &Engine) -> Vec<u8> {
    let folder = engine.root().join("packed");
    std::fs::create_dir_all(&folder).expect("make a folder");
    std::fs::copy(testkit::image::busybox_program(), folder.join("busybox")).expect("copy a program");
    let mut tar = std::process::Command::new("tar");
    let packed = tar.arg("-C").arg(&folder).args(["-c", "busybox"]).output().expect("pack it");
    packed.stdout
}

/// What the engine answers to an import from there.
fn import(engine: &Engine, source: &str) -> (u16, Vec<serde_json::Value>) {
    let source = source.replace('%', "%25").replace('@', "%40");
    let target = format!("/v1.51/images/create?fromSrc={source}&repo=got&tag=1");
    let answer = request(&engine.socket_path(), "POST", &target, &[], b"").expect("ask");
    let text = answer.text();
    let lines = text.lines().filter(|line| !line.is_empty());
    (answer.status, lines.map(|line| serde_json::from_str(line).expect("a document")).collect())
}

#[test]
fn an_archive_is_fetched_and_its_progress_told() {
    let engine = Engine::start();
    let tar = archive(&engine);
    let size = tar.len();
    let server = Registry::start(move |asked| match asked.path.as_str() {
        "/moved" => Reply::new(302, "").with("Location", "/file.tar"),
        "/private" if asked.header("authorization") != Some("Basic bWU6c0Bl") => Reply::new(401, "who?"),
        "/unknown" => Reply { claimed: Some(None), ..Reply::new(200, tar.clone()) },
        _ => Reply::new(200, tar.clone()),
    });
    let address = server.address();
    for (source, shown, total) in [
        (format!("http://{address}/file.tar?a=b"), format!("http://{address}/file.tar?a=b"), Some(size)),
        (format!("{address}/moved"), format!("http://{address}/moved"), Some(size)),
        (format!("http://{address}/unknown"), format!("http://{address}/unknown"), None),
        (format!("http://me:s%40e@{address}/private"), format!("http://{address}/private"), Some(size)),
    ] {
        let (status, lines) = import(&engine, &source);
        assert_eq!(status, 200, "{lines:?}");
        assert_eq!(lines[0]["status"], format!("Downloading from {shown}"));
        let id = lines.last().expect("a last line")["status"].as_str().expect("an id").to_owned();
        let moving = &lines[1..lines.len() - 1];
        assert!(!moving.is_empty() && moving.iter().all(|line| line["status"] == "Importing"), "{lines:?}");
        let detail = &moving[moving.len() - 1]["progressDetail"];
        assert_eq!(detail["current"].as_u64(), u64::try_from(size).ok(), "{lines:?}");
        assert_eq!(detail["total"].as_i64(), total.map_or(Some(-1), |size| i64::try_from(size).ok()));
        assert_eq!(engine.wharf(&["images", "-q", "--no-trunc", "got:1"]).ok(), id);
        let history = engine.wharf(&["history", "--format", "{{.Comment}}", "got:1"]).ok().to_owned();
        assert!(history.starts_with("Imported from ") && !history.contains("me:"), "{history}");
    }
    assert_eq!(engine.wharf(&["run", "--rm", "got:1", "/busybox", "echo", "works"]).ok(), "works");
    let told =
        engine.wharf(&["import", "-m", "words", &format!("http://{address}/x.tar"), "got:2"]).ok().to_owned();
    assert!(told.contains(&format!("Downloading from http://{address}/x.tar\n")), "{told}");
    assert_eq!(engine.wharf(&["history", "--format", "{{.Comment}}", "got:2"]).ok(), "words");
}

#[test]
fn servers_that_refuse_cut_or_lead_astray_leave_nothing() {
    let engine = Engine::start();
    let tar = archive(&engine);
    let server = Registry::start(move |asked| {
        let cut = tar.len() / 2;
        match asked.path.as_str() {
            "/404" => Reply::new(404, "nope\n"),
            "/500" => Reply::new(500, ""),
            "/self" => Reply::new(302, "").with("Location", "/self"),
            "/scheme" => Reply::new(302, "").with("Location", "file:///etc/passwd"),
            "/cut" => Reply { cut_after: Some(cut), ..Reply::new(200, tar.clone()) },
            "/text" => Reply::new(200, "<html>no tar</html>"),
            _ => Reply::new(200, tar.clone()),
        }
    });
    let address = server.address();
    let words = |path: &str, status: u16| {
        let (found, lines) = import(&engine, &format!("http://{address}{path}"));
        assert_eq!(found, status, "{path}: {lines:?}");
        let last = lines.last().expect("a last line");
        last["message"].as_str().or(last["error"].as_str()).unwrap_or_default().replace(address, "HOST")
    };
    assert_eq!(words("/404", 404), "failed to GET http://HOST/404 with status 404 X: nope");
    assert!(words("/500", 500).starts_with("failed to GET http://HOST/500 with status 500"));
    assert!(words("/self", 500).contains("there are too many"));
    assert!(words("/scheme", 500).contains("it is no http address"));
    assert!(words("/cut", 200).contains("unexpected EOF"));
    assert!(!words("/text", 200).is_empty());
    let (status, lines) = import(&engine, "http://127.0.0.1:1/x");
    let refused = "Get \"http://127.0.0.1:1/x\": dial tcp 127.0.0.1:1: connect: connection refused";
    assert_eq!((status, lines[0]["message"].as_str()), (500, Some(refused)));
    let (status, lines) = import(&engine, "ftp://h/x");
    assert_eq!(status, 500);
    assert_eq!(lines[0]["message"], "Get \"ftp://h/x\": unsupported protocol scheme \"ftp\"");
    // A wrong name is told before anything is asked for.
    let asked = server.requests().len();
    let target = format!("/images/create?fromSrc=http://{address}/x.tar&repo=UPPER");
    let answer = request(&engine.socket_path(), "POST", &target, &[], b"").expect("ask");
    assert_eq!((answer.status, server.requests().len()), (400, asked));
    assert_eq!(engine.wharf(&["images", "-qa"]).ok(), "");
    assert_eq!(blobs(&engine), 0);
}

#[test]
fn a_client_that_goes_away_ends_the_download() {
    let engine = Engine::start();
    let server = Registry::start(|_| Reply {
        stall: Some(Duration::from_secs(60)),
        cut_after: Some(1000),
        ..Reply::new(200, vec![0; 1 << 20])
    });
    let mut client =
        engine.wharf_command(&["import", &format!("http://{}/x.tar", server.address()), "got:1"]);
    let mut client = client.stdout(std::process::Stdio::null()).spawn().expect("start the import");
    let wait = |whether: &dyn Fn() -> bool, what: &str| {
        let begin = Instant::now();
        while !whether() {
            assert!(begin.elapsed() < testkit::patience(10), "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait(&|| blobs(&engine) > 0, "nothing is taken in");
    client.kill().expect("end the client");
    client.wait().expect("wait for it");
    wait(&|| blobs(&engine) == 0, "the download goes on");
}

/// Files of blobs, also those that come just now.
fn blobs(engine: &Engine) -> usize {
    let content = engine.data_root().join("content");
    ["blobs/sha256", "ingest"]
        .iter()
        .map(|name| std::fs::read_dir(content.join(name)).map_or(0, Iterator::count))
        .sum()
}
