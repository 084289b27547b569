//! Layers that are kept as they came (`--storage-driver erofs`), in every run of the tests where the kernel can use them.
//!
//! `WHARF_STORAGE_DRIVER=erofs` runs all other tests with this driver too; these are the ones nobody has to ask for.

use testkit::{Engine, census};

/// An engine with busybox, or nothing after saying why.
fn engine() -> Option<Engine> {
    match Engine::start_in_place() {
        Ok(engine) => {
            engine.import_busybox();
            assert_eq!(engine.wharf(&["info", "-f", "{{.Driver}}"]).ok(), "erofs");
            Some(engine)
        }
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

#[test]
fn containers_run_and_leave_nothing() {
    let Some(engine) = engine() else { return };
    // The first use makes the index's mount, which stays.
    engine.wharf(&["run", "--rm", "busybox", "true"]).ok();
    let before = census::of(&engine);
    assert_eq!(engine.wharf(&["run", "--rm", "busybox", "echo", "hello"]).ok(), "hello");
    assert_eq!(engine.wharf(&["run", "--rm", "busybox", "sh", "-c", "exit 3"]).code, 3);
    let story = "echo x >/etc/new && rm /bin/vi && mv /etc/passwd /etc/moved && cat /etc/moved /etc/new";
    let told = engine.wharf(&["run", "--rm", "busybox", "sh", "-c", story]);
    assert!(told.ok().starts_with("root:") && told.ok().ends_with("\nx"), "{told:?}");
    let read_only = engine.wharf(&["run", "--rm", "--read-only", "busybox", "touch", "/x"]);
    assert!(read_only.stderr.contains("Read-only file system"), "{read_only:?}");
    census::assert_returns_to(&engine, &before);
}

#[test]
fn images_of_several_layers_are_built_saved_loaded_and_removed() {
    let Some(engine) = engine() else { return };
    engine
        .wharf(&["run", "--name", "one", "busybox", "sh", "-c", "mkdir /d && echo 1 >/d/one && rm /bin/vi"])
        .ok();
    engine.wharf(&["commit", "one", "first"]).ok();
    engine.wharf(&["run", "--name", "two", "first", "sh", "-c", "echo 2 >/d/two && rm /d/one"]).ok();
    engine.wharf(&["commit", "two", "second"]).ok();
    let seen = "ls /d; test -e /bin/vi || echo no vi";
    assert_eq!(engine.wharf(&["run", "--rm", "second", "sh", "-c", seen]).ok(), "two\nno vi");
    assert_eq!(engine.wharf(&["run", "--rm", "first", "cat", "/d/one"]).ok(), "1");
    let archive = engine.root().join("second.tar").to_string_lossy().into_owned();
    engine.wharf(&["save", "-o", &archive, "second"]).ok();
    engine.wharf(&["rm", "one", "two"]).ok();
    engine.wharf(&["rmi", "second", "first", "busybox"]).ok();
    engine.wharf(&["load", "-i", &archive]).ok();
    assert_eq!(engine.wharf(&["run", "--rm", "second", "sh", "-c", seen]).ok(), "two\nno vi");
    let checked = engine.wharf(&["system", "check"]);
    assert!(checked.ok().contains("3 layers: all in order"), "{}", checked.stdout);
}

#[test]
fn a_new_volume_gets_what_the_image_has_there() {
    let Some(engine) = engine() else { return };
    engine.import_changed_busybox("filled", |tree| {
        std::fs::create_dir_all(tree.join("data/deep")).expect("make folders");
        std::fs::write(tree.join("data/deep/file"), "content").expect("write a file");
        std::os::unix::fs::symlink("deep/file", tree.join("data/link")).expect("make a link");
        std::fs::hard_link(tree.join("data/deep/file"), tree.join("data/again")).expect("name a file again");
    });
    let seen = "cat /data/link; echo; stat -c %h /data/again";
    let told = engine.wharf(&["run", "--rm", "-v", "kept:/data", "filled", "sh", "-c", seen]);
    assert_eq!(told.ok(), "content\n2");
    let elsewhere = engine.wharf(&["run", "--rm", "-v", "kept:/mnt", "busybox", "cat", "/mnt/deep/file"]);
    assert_eq!(elsewhere.ok(), "content");
}

#[test]
fn files_are_copied_compared_and_exported() {
    let Some(engine) = engine() else { return };
    engine.wharf(&["create", "--name", "still", "busybox", "true"]).ok();
    let local = engine.root().join("passwd");
    let place = local.to_string_lossy().into_owned();
    engine.wharf(&["cp", "still:/etc/passwd", &place]).ok();
    assert!(std::fs::read_to_string(&local).expect("read the copy").starts_with("root:"));
    assert_eq!(engine.wharf(&["diff", "still"]).ok(), "");
    std::fs::write(&local, "other").expect("change the copy");
    engine.wharf(&["cp", &place, "still:/etc/passwd"]).ok();
    assert_eq!(engine.wharf(&["diff", "still"]).ok(), "C /etc\nC /etc/passwd");
    let archive = engine.root().join("tree.tar").to_string_lossy().into_owned();
    engine.wharf(&["export", "-o", &archive, "still"]).ok();
    let mut unpack = std::process::Command::new("tar");
    let found = testkit::engine::run(unpack.args(["-xOf", &archive, "etc/passwd"]), None);
    assert_eq!(found.ok(), "other");
}

/// Containers keep their files without an engine, and the next engine uses what is there.
#[test]
fn containers_and_layers_outlive_the_engine() {
    let Some(mut engine) = engine() else { return };
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    engine.wharf(&["create", "--name", "later", "busybox", "echo", "later"]).ok();
    engine.kill_daemon();
    engine.start_daemon();
    assert_eq!(engine.wharf(&["exec", "box", "cat", "/etc/hostname"]).code, 0);
    assert!(engine.wharf(&["exec", "box", "cat", "/etc/passwd"]).ok().starts_with("root:"));
    assert_eq!(engine.wharf(&["start", "-a", "later"]).ok(), "later");
    assert_eq!(engine.wharf(&["run", "--rm", "busybox", "echo", "again"]).ok(), "again");
    engine.wharf(&["restart", "-t", "0", "box"]).ok();
    assert_eq!(engine.wharf(&["exec", "box", "echo", "up"]).ok(), "up");
    engine.wharf(&["rm", "-f", "box"]).ok();
}
