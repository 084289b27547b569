//! Images without a registry: ids, layers, tags, save and load between engines (MISSION rows 47 to 69).

mod housekeeping;
mod import;
mod peers;
mod platform;
mod pull;
mod push;
mod registry;
mod story;

use testkit::Engine;

#[test]
fn ids_are_hexadecimal_and_layers_stack() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "--name", "one", "busybox", "sh", "-c", "echo 1 >/one"]).ok();
    engine.wharf(&["commit", "one", "child"]).ok();
    let layers = |name: &str| {
        engine
            .wharf(&["image", "inspect", "-f", "{{range .RootFS.Layers}}{{println .}}{{end}}", name])
            .ok()
            .to_owned()
    };
    let (parent, child) = (layers("busybox"), layers("child"));
    assert!(child.starts_with(&parent), "the child begins with its parent's layers");
    assert_eq!(child.lines().count(), parent.lines().count() + 1);
    let id = engine.wharf(&["images", "-q", "--no-trunc", "child"]).ok().to_owned();
    let digits = id.strip_prefix("sha256:").expect("an id names its hash");
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(engine.wharf(&["history", "child"]).ok().lines().count() >= 3);
}

#[test]
fn the_default_tag_is_latest() {
    let engine = Engine::with_busybox();
    engine.wharf(&["tag", "busybox", "named"]).ok();
    assert_eq!(engine.wharf(&["images", "named", "--format", "{{.Tag}}"]).ok(), "latest");
    engine.wharf(&["run", "--rm", "named:latest", "true"]).ok();
}

#[test]
fn a_saved_image_loads_into_another_engine_unchanged() {
    let (first, second) = (Engine::with_busybox(), Engine::start());
    first
        .wharf(&[
            "run",
            "--name",
            "made",
            "busybox",
            "sh",
            "-c",
            "mkdir -m 1777 /d; ln -s /etc /l; echo x >/d/f",
        ])
        .ok();
    first.wharf(&["commit", "made", "story:1"]).ok();
    let file = first.root().join("story.tar");
    let path = file.to_string_lossy().into_owned();
    first.wharf(&["save", "-o", &path, "story:1", "busybox"]).ok();
    let loaded = second.wharf(&["load", "-i", &path]);
    assert!(
        loaded.ok().contains("Loaded image: story:1") && loaded.ok().contains("Loaded image: busybox:latest")
    );
    let id = |engine: &Engine| engine.wharf(&["images", "-q", "--no-trunc", "story"]).ok().to_owned();
    assert_eq!(id(&first), id(&second));
    let seen = second.wharf(&["run", "--rm", "story:1", "sh", "-c", "cat /d/f; readlink /l; stat -c %a /d"]);
    assert_eq!(seen.ok(), "x\n/etc\n1777");
}

#[test]
fn an_update_is_a_new_image() {
    let engine = Engine::with_busybox();
    for version in ["1", "2"] {
        let script = format!("echo {version} >/version");
        engine.wharf(&["run", "--name", &format!("v{version}"), "busybox", "sh", "-c", &script]).ok();
        engine
            .wharf(&["commit", "-c", "CMD cat /version", &format!("v{version}"), &format!("app:{version}")])
            .ok();
    }
    assert_eq!(engine.wharf(&["run", "--rm", "app:1"]).ok(), "1");
    assert_eq!(engine.wharf(&["run", "--rm", "app:2"]).ok(), "2");
}

#[test]
fn rm_takes_images_nobody_uses() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "--name", "c1", "busybox", "touch", "/x"]).ok();
    engine.wharf(&["commit", "c1", "spare"]).ok();
    engine.wharf(&["commit", "c1"]).ok();
    assert!(engine.wharf(&["image", "prune", "-f"]).ok().contains("Total reclaimed space"));
    assert_eq!(engine.wharf(&["images", "-f", "dangling=true", "-q"]).ok(), "");
    engine.wharf(&["rmi", "spare"]).ok();
    engine.wharf(&["rmi", "busybox"]).fails_with(1);
    engine.wharf(&["rmi", "-f", "busybox"]).ok();
    assert_eq!(engine.wharf(&["images", "busybox", "-q"]).ok(), "");
}
