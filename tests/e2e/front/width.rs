//! Tables fit the terminal they are printed on, and are whole when nobody reads them there.

use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Engine, Terminal};

#[test]
fn tables_fit_a_narrow_terminal() {
    let engine = Engine::with_busybox();
    let name = "a-container-with-quite-a-long-name-for-a-narrow-terminal";
    let create = [
        "create",
        "--name",
        name,
        "-p",
        "127.0.0.1::80",
        "busybox",
        "sh",
        "-c",
        "echo a rather long command line",
    ];
    engine.wharf(&create).ok();
    let program = testkit::engine::binary_dir().join("wharf");
    for (columns, arguments) in
        [(40, "ps -a"), (60, "ps -a"), (40, "images"), (40, "network ls"), (30, "system df")]
    {
        let script = format!("stty cols {columns} rows 20; exec {} {arguments}", program.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env("DOCKER_HOST", engine.host()).env("DOCKER_CONFIG", engine.root());
        let mut terminal = Terminal::spawn(&mut command);
        assert_eq!(terminal.exit_code(), 0);
        // What was printed last may still be on its way.
        let deadline = Instant::now() + testkit::patience(5);
        while terminal.screen().lines().count() < 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let screen = terminal.screen();
        assert!(screen.lines().count() > 1, "{arguments}: {screen:?}");
        for line in screen.lines() {
            let width = line.trim_end_matches('\r').chars().count();
            assert!(width <= columns, "{arguments} on {columns} columns: {width} in {line:?}");
        }
    }
    let piped = engine.wharf(&["ps", "-a"]);
    assert!(piped.ok().contains(name) && piped.stdout.contains("\"sh -c 'echo a rathe…\""), "{piped:?}");
    assert!(piped.stdout.lines().all(|line| line.len() > 80), "{piped:?}");
    let whole = engine.wharf(&["ps", "-a", "--no-trunc"]);
    assert!(whole.ok().contains("\"sh -c 'echo a rather long command line'\""), "{whole:?}");
}

#[test]
fn json_is_one_document_per_line() {
    let engine = Engine::with_busybox();
    for name in ["one", "two"] {
        engine.wharf(&["create", "--name", name, "--label", "a=b", "busybox"]).ok();
        engine.wharf(&["volume", "create", name]).ok();
    }
    for (arguments, lines) in [
        (&["ps", "-a"][..], 2),
        (&["images"], 1),
        (&["volume", "ls"], 2),
        (&["network", "ls"], 3),
        (&["history", "busybox"], 1),
        (&["stats", "--no-stream", "-a"], 2),
        (&["system", "df"], 4),
        (&["version"], 1),
        (&["info"], 1),
        (&["context", "ls"], 1),
        (&["diff", "one"], 0),
        (&["events", "--since", "1h", "--until", "0s", "-f", "event=create", "-f", "type=container"], 2),
    ] {
        let mut words = arguments.to_vec();
        if arguments != ["diff", "one"] {
            words.extend(["--format", "json"]);
        }
        let seen = engine.wharf(&words);
        let documents: Vec<serde_json::Value> = seen
            .ok()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        assert!(documents.iter().all(serde_json::Value::is_object));
        assert_eq!(documents.len(), lines, "{arguments:?}: {seen:?}");
    }
}
