//! Records that cannot be read: the engine starts, says which, leaves them alone; a broken database is said in one line.

use serde_json::{Value, json};
use store::{Store, Table};
use testkit::{Engine, http};

/// Replaces a record by one that says nothing.
fn spoil(engine: &Engine, table: &'static str, key: &str) {
    let store = Store::open(&engine.data_root()).expect("open the stopped engine's records");
    let garbage = if key.len().is_multiple_of(2) { json!({"no": "record"}) } else { json!([1, 2, 3]) };
    store.put(&Table::<Value>::new(table), key, &garbage).expect("spoil a record");
}

fn names(engine: &Engine, arguments: &[&str]) -> Vec<String> {
    engine.wharf(arguments).ok().lines().map(str::to_owned).collect()
}

#[test]
fn one_unreadable_record_stops_nothing_else() {
    let mut engine = Engine::with_busybox();
    engine.import_changed_busybox("spoilt", |tree| std::fs::write(tree.join("x"), "x").expect("write"));
    let image = engine.wharf(&["inspect", "-f", "{{.Id}}", "spoilt"]).ok().to_owned();
    engine.wharf(&["volume", "create", "spoilt"]).ok();
    engine.wharf(&["volume", "create", "good"]).ok();
    engine.wharf(&["run", "--rm", "-v", "spoilt:/v", "busybox", "sh", "-c", "echo kept >/v/file"]).ok();
    let victim = engine.wharf(&["create", "--name", "victim", "busybox", "true"]).ok().to_owned();
    let runner = engine.wharf(&["run", "-d", "--name", "runner", "busybox", "sleep", "600"]).ok().to_owned();
    engine.wharf(&["run", "-d", "--name", "good", "busybox", "sleep", "600"]).ok();
    let pid = engine.wharf(&["inspect", "-f", "{{.State.Pid}}", "runner"]).ok().to_owned();
    engine.kill_daemon();
    spoil(&engine, "containers", &victim);
    spoil(&engine, "containers", &runner);
    spoil(&engine, "volume", "spoilt");
    spoil(&engine, "image", &image);
    std::fs::write(engine.data_root().join("network/networks.json"), "{\"version\":")
        .expect("spoil networks");
    std::fs::create_dir_all(engine.data_root().join("containers/no-id")).expect("make a foreign folder");
    std::fs::write(engine.data_root().join("containers/file"), "x").expect("make a foreign file");
    let fresh = "f".repeat(64);
    let folder = engine.exec_root().join("containers").join(&fresh);
    std::fs::create_dir_all(&folder).expect("make a folder");
    std::fs::write(folder.join("record.json"), "\u{1}\u{2}").expect("write garbage");

    engine.start_daemon();
    let log = engine.log();
    for said in [
        format!("container {victim}: its record cannot be read"),
        format!("container {runner}: its record cannot be read"),
        format!("container {fresh}: its record cannot be read"),
        "volume spoilt: its record cannot be read".to_owned(),
        format!("image {image}: it cannot be read"),
        "networks: their records cannot be read and were moved to".to_owned(),
    ] {
        assert_eq!(log.matches(&said).count(), 1, "{said}: {log}");
    }
    everything_else_works(&engine);
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "the unreadable container runs on");
    assert!(folder.join("record.json").exists(), "what cannot be read is left alone");
    // A new volume of the name has what is there.
    let kept = ["run", "--rm", "-v", "spoilt:/v", "busybox", "cat", "/v/file"];
    assert_eq!(engine.wharf(&kept).ok(), "kept");
    engine.wharf(&["rm", "-f", "good"]).ok();
}

fn everything_else_works(engine: &Engine) {
    assert_eq!(names(engine, &["ps", "-a", "--format", "{{.Names}}"]), ["good"]);
    assert_eq!(names(engine, &["volume", "ls", "-q"]), ["good"]);
    assert_eq!(names(engine, &["images", "--format", "{{.Repository}}"]), ["busybox"]);
    assert_eq!(names(engine, &["network", "ls", "--format", "{{.Name}}"]), ["bridge", "host", "none"]);
    engine.wharf(&["exec", "good", "true"]).ok();
    engine.wharf(&["run", "--rm", "busybox", "true"]).ok();
    engine.wharf(&["create", "--name", "victim", "busybox", "true"]).ok();
    engine.wharf(&["rm", "victim"]).ok();
    assert_eq!(http::get(&engine.socket_path(), "/info").expect("info").status, 200);
}

#[test]
fn a_broken_database_is_said_in_one_line_and_left_alone() {
    let mut engine = Engine::with_busybox();
    engine.stop_daemon();
    let path = engine.data_root().join("state.redb");
    let whole = std::fs::read(&path).expect("read the database");
    let cut =
        [&whole[..whole.len() / 2], &whole[..100], b"", b"not a database, but long enough to look like one"];
    for damaged in cut {
        std::fs::write(&path, damaged).expect("damage the database");
        let refused = engine.refused_start();
        assert_eq!(refused.code, 1, "{refused:?}");
        let said = refused.stderr.lines().filter(|line| line.contains("state database")).count();
        assert_eq!(said, 1, "{refused:?}");
        assert!(refused.stderr.contains(&path.display().to_string()), "{refused:?}");
        assert!(refused.stderr.contains("move it away to start with an empty one"), "{refused:?}");
        assert_eq!(std::fs::read(&path).expect("read it again"), damaged, "it is left as it was");
    }
    std::fs::write(&path, &whole).expect("put the whole one back");
    engine.start_daemon();
    assert_eq!(names(&engine, &["images", "--format", "{{.Repository}}"]), ["busybox"]);
}
