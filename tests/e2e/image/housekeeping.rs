//! What images leave on disk, what removes them, and whether they are whole (MISSION rows 66 to 69, promises P2, P4).

use std::path::{Path, PathBuf};

use testkit::Engine;

/// Bytes on disk below a directory, hard links once.
fn du(path: &Path) -> u64 {
    let output = std::process::Command::new("du").arg("-s").arg("-B1").arg(path).output().expect("run du");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number of bytes")
}

fn blobs(engine: &Engine) -> Vec<PathBuf> {
    files(&engine.data_root().join("content/blobs/sha256"))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// A file of bytes that no file system makes smaller.
fn noise(path: &Path, megabytes: usize) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let bytes: Vec<u8> = (0..megabytes << 17)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    std::fs::write(path, bytes).expect("write a file");
}

#[test]
fn df_agrees_with_du() {
    let engine = Engine::with_busybox();
    engine.import_changed_busybox("large", |tree| noise(&tree.join("noise"), 100));
    engine
        .wharf(&[
            "run",
            "--name",
            "writes",
            "-v",
            "data:/data",
            "busybox",
            "sh",
            "-c",
            "dd if=/dev/urandom of=/big bs=1M count=8; dd if=/dev/urandom of=/data/big bs=1M count=8",
        ])
        .ok();
    let usage =
        testkit::http::get(&engine.socket_path(), "/v1.51/system/df").expect("ask for the disk use").json();
    let number = |value: &serde_json::Value| value.as_u64().expect("a number of bytes");
    let said = number(&usage["LayersSize"])
        + usage["Containers"]
            .as_array()
            .expect("containers")
            .iter()
            .map(|one| number(&one["SizeRw"]))
            .sum::<u64>()
        + usage["Volumes"]
            .as_array()
            .expect("volumes")
            .iter()
            .map(|one| number(&one["UsageData"]["Size"]))
            .sum::<u64>();
    let real = du(&engine.data_root());
    assert!(said.abs_diff(real) * 100 <= real, "df says {said} bytes, du {real}");
    // What no container needs is what goes.
    let before = du(&engine.data_root());
    let verbose = testkit::http::get(&engine.socket_path(), "/v1.52/system/df").expect("ask again").json();
    let promised = number(&verbose["ImageUsage"]["Reclaimable"]);
    engine.wharf(&["image", "prune", "-af"]).ok();
    let gone = before - settled(&engine, before - promised);
    assert!(promised.abs_diff(gone) * 100 <= before, "df promises {promised} bytes, {gone} went");
}

/// Removed files disappear in the background.
fn settled(engine: &Engine, expected: u64) -> u64 {
    for _ in 0..100 {
        if du(&engine.data_root()) <= expected + expected / 100 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    du(&engine.data_root())
}

#[test]
fn prune_leaves_nothing() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "--name", "one", "busybox", "touch", "/x"]).ok();
    engine.wharf(&["commit", "one", "second"]).ok();
    let partial = engine.data_root().join("content/partial/sha256").join("ab".repeat(32));
    std::fs::write(&partial, "what a broken pull left").expect("write a file");
    engine.wharf(&["system", "prune", "-af", "--volumes"]).ok();
    assert_eq!(blobs(&engine), Vec::<PathBuf>::new());
    assert!(!partial.exists());
    let layers = || files(&engine.data_root().join("snapshots/layers")).len();
    for _ in 0..100 {
        if layers() == 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(layers(), 0);
    let usage = testkit::http::get(&engine.socket_path(), "/v1.51/system/df").expect("ask").json();
    assert_eq!(usage["LayersSize"], 0);
}

fn sha256(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().expect("run sha256sum");
    String::from_utf8_lossy(&output.stdout).chars().take(64).collect()
}

/// An archive of an image of two layers; the upper one is compressed and said to be something else than it is.
fn archive_that_does_not_unpack(folder: &Path, name: &str) -> Vec<u8> {
    let run = |script: &str| {
        let status = std::process::Command::new("sh").arg("-c").arg(script).current_dir(folder).status();
        assert!(status.expect("run a shell").success(), "{script}");
    };
    std::fs::create_dir_all(folder).expect("make a folder");
    run("echo low >a; tar -cf low.tar a; echo up >b; tar -cf up.tar b; gzip -k up.tar");
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [
            format!("sha256:{}", sha256(&folder.join("low.tar"))),
            format!("sha256:{}", "ab".repeat(32)),
        ]},
    });
    std::fs::write(folder.join("config.json"), config.to_string()).expect("write a file");
    let manifest = serde_json::json!([
        {"Config": "config.json", "RepoTags": [name], "Layers": ["low.tar", "up.tar.gz"]}
    ]);
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).expect("write a file");
    run("tar -cf ../archive.tar manifest.json config.json low.tar up.tar.gz");
    std::fs::read(folder.join("../archive.tar")).expect("read the archive")
}

#[test]
fn an_image_that_does_not_unpack_is_not_loaded() {
    let engine = Engine::with_busybox();
    engine.wharf(&["tag", "busybox", "app:1"]).ok();
    let all = || {
        let layers = files(&engine.data_root().join("snapshots/layers"));
        let mut all = [blobs(&engine), layers].concat();
        all.sort();
        // Not the age, which changes.
        let format = "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}";
        (all, engine.wharf(&["images", "-a", "--no-trunc", "--format", format]).ok().to_owned())
    };
    let before = all();
    let archive = archive_that_does_not_unpack(&engine.root().join("work"), "app:1");
    let loaded = engine.wharf_with_input(&["load"], &archive);
    assert!(loaded.fails_with(1).contains("digest"), "{}", loaded.stderr);
    assert!(!loaded.stdout.contains("Loaded image"), "{}", loaded.stdout);
    assert_eq!(all(), before, "the name stays with the image that had it, and nothing is left");
    engine.wharf(&["run", "--rm", "app:1", "true"]).ok();
}

#[test]
fn a_check_tells_and_mends() {
    let engine = Engine::with_busybox();
    engine.import_changed_busybox("other", |tree| std::fs::write(tree.join("mark"), "whole").expect("write"));
    engine.wharf(&["run", "--rm", "other", "true"]).ok();
    let whole = engine.wharf(&["system", "check"]);
    assert!(whole.ok().starts_with("Checked 2 images, 6 blobs"), "{}", whole.stdout);
    assert!(whole.stdout.contains("2 layers: all in order"), "{}", whole.stdout);
    // An unpacked file that changed: only the layer suffers, and it is unpacked anew.
    let mark = files(&engine.data_root().join("snapshots/layers"))
        .into_iter()
        .map(|layer| layer.join("fs/mark"))
        .find(|path| path.exists());
    if let Some(mark) = mark {
        std::fs::write(mark, "not so").expect("change a file");
        let found = engine.wharf(&["system", "check"]);
        assert_eq!(found.fails_with(1), "");
        assert!(found.stdout.contains("layer") && found.stdout.contains("other:latest"), "{}", found.stdout);
        assert!(found.stdout.contains("mark: of another size"), "{}", found.stdout);
        let repaired = engine.wharf(&["system", "check", "--repair"]);
        assert!(repaired.ok().ends_with("1 repaired"), "{}", repaired.stdout);
        assert_eq!(engine.wharf(&["run", "--rm", "other", "cat", "/mark"]).ok(), "whole");
    }
    // A changed blob is lost; its image is named, and the other one is whole.
    let layer =
        engine.wharf(&["image", "inspect", "-f", "{{index .RootFS.Layers 0}}", "other"]).ok().to_owned();
    let path = engine.data_root().join("content/blobs").join(layer.replace(':', "/"));
    let mut bytes = std::fs::read(&path).expect("read the blob");
    bytes[700] ^= 1;
    std::fs::write(&path, bytes).expect("change the blob");
    let found =
        engine.wharf(&["system", "check", "--repair", "--format", "{{.Kind}} {{.Images}} {{.State}}"]);
    found.fails_with(1);
    assert!(found.stdout.starts_with("blob other:latest pull or load the image again"), "{}", found.stdout);
    assert!(!found.stdout.contains("busybox"), "{}", found.stdout);
    engine.wharf(&["rmi", "other"]).ok();
    assert!(engine.wharf(&["system", "check", "-q"]).ok().is_empty());
    engine.wharf(&["run", "--rm", "busybox", "true"]).ok();
}

#[test]
fn images_nobody_uses_make_room_within_a_budget() {
    let file = std::env::temp_dir().join(format!("wharf-image-gc-{}.json", std::process::id()));
    // A layer that is not unpacked takes its room once.
    let in_place = testkit::engine::storage_driver().as_deref() == Some("erofs");
    let size = if in_place { "15m" } else { "30m" };
    let budget = format!(r#"{{"image-gc": {{"size": "{size}", "pinned-names": ["pinned*"]}}}}"#);
    std::fs::write(&file, budget).expect("write the configuration");
    let engine = Engine::start_with(&["--config-file", &file.to_string_lossy()]);
    engine.import_busybox();
    for name in ["pinned", "held", "first", "second"] {
        engine.import_changed_busybox(name, |tree| noise(&tree.join(name), 4));
        if name == "held" {
            engine.wharf(&["create", "held"]).ok();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let names = || {
        let mut names: Vec<String> = engine
            .wharf(&["images", "--format", "{{.Repository}}"])
            .ok()
            .lines()
            .map(str::to_owned)
            .collect();
        names.sort();
        names.join(" ")
    };
    let deadline = std::time::Instant::now() + testkit::patience(10);
    while names().contains("first") && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let _ = std::fs::remove_file(&file);
    let left = names();
    assert!(left.contains("pinned") && left.contains("held"), "{left}");
    assert!(!left.contains("busybox") && !left.contains("first"), "the ones that waited longest go: {left}");
    engine.wharf(&["run", "--rm", "pinned", "true"]).ok();
}
