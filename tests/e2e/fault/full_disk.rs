//! A full disk: what does not fit is refused in one sentence, leaves nothing, and works again when there is space.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use testkit::disk::Kind;
use testkit::{Engine, Output, census, http};

/// What every refusal says.
const FULL: &str = "no space left on device";

/// Names of everything below a folder, down to a depth.
fn tree(folder: &Path, depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && depth > 0 {
            found.extend(tree(&path, depth - 1));
        }
        found.insert(path.to_string_lossy().into_owned());
    }
    found
}

/// What the engine keeps, without the disk's filler.
fn kept(engine: &Engine) -> BTreeSet<String> {
    let mut found = tree(&engine.disk().path(), 4);
    // What containers write is theirs, and files of an existing container are written at each of its starts.
    found.retain(|path| !path.ends_with("/filler") && !path.contains("/upper/") && !path.ends_with("/hosts"));
    found
}

/// Either it fitted, or one line says why not; what fitted is undone by the given command.
#[track_caller]
fn fits_or_says(engine: &Engine, arguments: &[&str], undo: &[&str]) {
    let output = engine.wharf(arguments);
    if output.code == 0 {
        engine.wharf(undo).ok();
        return;
    }
    says_full(arguments, &output);
}

#[track_caller]
fn says_full(arguments: &[&str], output: &Output) {
    let said = output.stderr.to_lowercase();
    assert!(said.contains(FULL), "{arguments:?}: {output:?}");
    assert_eq!(said.matches(FULL).count(), 1, "{arguments:?} says it once: {output:?}");
}

fn logged(engine: &Engine, name: &str) -> usize {
    engine.wharf(&["logs", name]).ok().lines().count()
}

#[track_caller]
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + testkit::patience(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn runs_out_of_space(kind: Kind) {
    let mut engine = Engine::on_disk(kind, 48);
    engine.import_busybox();
    let archive = engine.root().join("saved.tar");
    let archive = archive.to_str().expect("a path");
    engine.import_changed_busybox("other", |tree| {
        std::fs::write(tree.join("large"), vec![7; 8 << 20]).expect("write a large file");
    });
    engine.wharf(&["save", "-o", archive, "other"]).ok();
    engine.wharf(&["rmi", "other"]).ok();
    engine.wharf(&["volume", "create", "data"]).ok();
    let chatter = "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.01; done";
    engine.wharf(&["run", "-d", "--name", "chatter", "busybox", "sh", "-c", chatter]).ok();
    engine.wharf(&["run", "-d", "--name", "idle", "-v", "data:/data", "busybox", "sleep", "3600"]).ok();
    engine.wharf(&["create", "--name", "ready", "busybox", "sleep", "3600"]).ok();
    engine.wharf(&["create", "--name", "spare", "busybox", "true"]).ok();
    wait_for("the first line", || logged(&engine, "chatter") > 0);
    let before = (kept(&engine), census::of(&engine));

    engine.disk().fill();
    what_needs_space_is_refused(&engine, archive);
    what_needs_none_works(&engine);
    let left: Vec<String> = kept(&engine).difference(&before.0).cloned().collect();
    assert!(left.is_empty(), "half-made: {left:#?}");
    census::assert_returns_to(&engine, &before.1);
    what_gives_space_works(&engine);
    // Whatever was acknowledged meanwhile is still so after a crash on the full disk.
    engine.kill_daemon();
    engine.start_daemon();
    assert_eq!(engine.wharf(&["ps", "--format", "{{.Names}}"]).ok(), "idle\nchatter");

    engine.disk().free();
    everything_works_again(&engine, archive);
}

fn what_needs_space_is_refused(engine: &Engine, archive: &str) {
    fits_or_says(engine, &["create", "--name", "new", "busybox", "true"], &["rm", "new"]);
    fits_or_says(engine, &["run", "-d", "--name", "new", "busybox", "sleep", "60"], &["rm", "-f", "new"]);
    let _ = engine.wharf(&["rm", "-f", "new"]);
    fits_or_says(engine, &["run", "--rm", "busybox", "true"], &["version"]);
    fits_or_says(engine, &["start", "ready"], &["stop", "-t", "0", "ready"]);
    fits_or_says(engine, &["volume", "create", "more"], &["volume", "rm", "more"]);
    fits_or_says(engine, &["tag", "busybox", "tagged"], &["rmi", "tagged"]);
    fits_or_says(engine, &["rename", "spare", "renamed"], &["rename", "renamed", "spare"]);
    engine
        .wharf(&["exec", "idle", "sh", "-c", "dd if=/dev/zero of=/data/big bs=64k count=64"])
        .fails_with(1)
        .to_lowercase()
        .contains(FULL)
        .then_some(())
        .expect("the container is told");
    engine.wharf(&["exec", "idle", "rm", "-f", "/data/big"]).ok();
    let load = engine.wharf(&["load", "-i", archive]);
    assert_eq!(load.code, 1, "the archive is larger than what is left");
    says_full(&["load"], &load);
    let import = http::request(
        &engine.socket_path(),
        "POST",
        "/images/create?fromSrc=-&repo=grown&tag=latest",
        &[("Content-Type", "application/x-tar")],
        &std::fs::read(archive).expect("read the archive"),
    )
    .expect("an answer");
    let said = import.text().to_lowercase();
    assert!(said.contains(FULL) && said.matches("errordetail").count() <= 1, "{said}");
    let copied = engine.wharf(&["cp", archive, "idle:/root/copy"]);
    assert_ne!(copied.code, 0);
    says_full(&["cp"], &copied);
    engine.wharf(&["exec", "idle", "rm", "-f", "/root/copy"]).ok();
}

fn what_needs_none_works(engine: &Engine) {
    engine.wharf(&["exec", "idle", "true"]).ok();
    assert!(logged(engine, "chatter") > 0);
    assert_eq!(engine.wharf(&["ps", "--format", "{{.Names}}"]).ok(), "idle\nchatter");
    engine.wharf(&["images"]).ok();
    engine.wharf(&["inspect", "idle"]).ok();
    assert!(!engine.log().contains("panicked"), "{}", engine.log());
}

fn what_gives_space_works(engine: &Engine) {
    engine.wharf(&["rm", "spare"]).ok();
}

fn everything_works_again(engine: &Engine, archive: &str) {
    engine.wharf(&["exec", "idle", "true"]).ok();
    let lines = logged(engine, "chatter");
    wait_for("logging again", || logged(engine, "chatter") > lines);
    for line in engine.wharf(&["logs", "chatter"]).ok().lines() {
        assert!(line.starts_with("line "), "no torn line: {line:?}");
    }
    engine.wharf(&["run", "--rm", "busybox", "true"]).ok();
    engine.wharf(&["start", "ready"]).ok();
    engine.wharf(&["load", "-i", archive]).ok();
    engine.wharf(&["commit", "idle", "committed"]).ok();
    engine.wharf(&["volume", "create", "more"]).ok();
    engine.wharf(&["exec", "idle", "sh", "-c", "echo x >/data/file"]).ok();
    engine.wharf(&["rm", "-f", "chatter", "idle", "ready"]).ok();
}

#[test]
fn memory_runs_out() {
    if testkit::engine::storage_driver().as_deref() == Some("erofs") {
        eprintln!("skipped: EROFS does not take images from a disk in memory");
        return;
    }
    runs_out_of_space(Kind::Memory);
}

#[test]
fn ext4_runs_out() {
    if !Path::new("/dev/loop-control").exists() || !Path::new("/sbin/mkfs.ext4").exists() {
        eprintln!("skipped: no loop devices or no mkfs.ext4");
        return;
    }
    runs_out_of_space(Kind::Ext4);
}
