//! Images of several platforms, from a registry and back: `seed/multi:1` is for this machine and for another one.

use serde_json::{Value, json};
use testkit::Engine;
use testkit::registry::{Program, Registry, host_architecture};

const FOREIGN: &str = "linux/s390x";

fn host() -> String {
    format!("linux/{}", host_architecture())
}

struct Place {
    engine: Engine,
    name: String,
    registry: Registry,
}

fn place() -> Place {
    let engine = Engine::start();
    let registry = Registry::start(Program::any(), engine.root(), false);
    let name = format!("{}/seed/multi:1", registry.address());
    Place { engine, name, registry }
}

impl Place {
    fn get(&self, target: &str) -> Value {
        testkit::http::get(&self.engine.socket_path(), target).expect("ask").json()
    }

    /// Platforms of the image that are here, with the ids of the containers of each.
    fn here(&self) -> Vec<(String, Vec<String>)> {
        let list = self.get("/v1.48/images/json?manifests=1");
        let manifests = list[0]["Manifests"].as_array().cloned().unwrap_or_default();
        let available = manifests.into_iter().filter(|one| one["Available"] == json!(true));
        available
            .map(|one| {
                assert!(one["Size"]["Total"].as_i64() > one["Size"]["Content"].as_i64(), "{one}");
                let platform = &one["ImageData"]["Platform"];
                let containers = one["ImageData"]["Containers"].as_array().cloned().unwrap_or_default();
                let containers = containers.iter().filter_map(Value::as_str).map(str::to_owned);
                let text = |key: &str| platform[key].as_str().unwrap_or_default().to_owned();
                (format!("{}/{}", text("os"), text("architecture")), containers.collect())
            })
            .collect()
    }

    fn platforms(&self) -> Vec<String> {
        self.here().into_iter().map(|(platform, _)| platform).collect()
    }

    fn architecture(&self, more: &[&str]) -> String {
        let mut arguments = vec!["image", "inspect", "-f", "{{.Architecture}}"];
        arguments.extend(more);
        arguments.push(&self.name);
        self.engine.wharf(&arguments).ok().to_owned()
    }
}

#[test]
fn a_foreign_platform_is_a_good_image_until_its_own_comes_to_it() {
    let place = place();
    let Place { engine, name, registry } = &place;
    let pulled = engine.wharf(&["pull", "--platform", FOREIGN, name]);
    assert!(pulled.ok().contains("Status: Downloaded newer image for"), "{pulled:?}");
    assert_eq!((place.architecture(&[]).as_str(), place.platforms()), ("s390x", vec![FOREIGN.to_owned()]));
    let id = engine.wharf(&["images", "-q", "--no-trunc"]).ok().to_owned();
    // It goes on like any other image.
    let other = format!("{}/other/thing:1", registry.address());
    engine.wharf(&["tag", name, &other]).ok();
    engine.wharf(&["push", &other]).ok();
    engine.wharf(&["rmi", &other]).ok();
    engine.wharf(&["pull", "--platform", FOREIGN, &other]).ok();
    engine.wharf(&["rmi", &other]).ok();
    let file = engine.root().join("saved.tar").to_string_lossy().into_owned();
    engine.wharf(&["save", "-o", &file, name]).ok();
    engine.wharf(&["rmi", name]).ok();
    assert!(engine.wharf(&["load", "-i", &file]).ok().contains(&format!("Loaded image: {name}")));
    assert_eq!(engine.wharf(&["images", "-q", "--no-trunc"]).ok(), id);
    // The same name on this machine's platform.
    assert!(engine.wharf(&["pull", name]).ok().contains("Status: Image is up to date for"));
    assert_eq!(engine.wharf(&["images", "-q", "--no-trunc"]).ok(), id);
    assert_eq!(place.architecture(&[]), host_architecture());
    assert_eq!(place.architecture(&["--platform", FOREIGN]), "s390x");
    assert_eq!(place.platforms(), [host(), FOREIGN.to_owned()]);
    assert_eq!(engine.wharf(&["run", "--rm", name, "echo", "runs"]).ok(), "runs");
    // The name means what was pulled last.
    engine.wharf(&["pull", "--platform", FOREIGN, name]).ok();
    assert_eq!(place.architecture(&[]), "s390x");
    assert_eq!(engine.wharf(&["run", "--rm", "--platform", &host(), name, "echo", "runs"]).ok(), "runs");
    assert_eq!(engine.wharf(&["system", "check", "--quiet"]).ok(), "");
}

#[test]
fn who_runs_a_foreign_image_is_warned() {
    let place = place();
    let Place { engine, .. } = &place;
    // Its programs are this machine's.
    let bytes = std::fs::read(testkit::image::busybox_tar()).expect("read busybox");
    engine.wharf_with_input(&["import", "--platform", FOREIGN, "-", "foreign"], &bytes).ok();
    let warned = engine.wharf(&["run", "--rm", "foreign", "echo", "runs"]);
    assert_eq!(warned.ok(), "runs");
    let begin =
        "WARNING: The requested image's platform (linux/s390x) does not match the detected host platform (";
    assert!(warned.stderr.starts_with(&format!("{begin}{}", host())), "{warned:?}");
    assert!(warned.stderr.trim_end().ends_with(") and no specific platform was requested"), "{warned:?}");
    let wanted = engine.wharf(&["run", "--rm", "--platform", FOREIGN, "foreign", "echo", "runs"]);
    assert_eq!((wanted.ok(), wanted.stderr.as_str()), ("runs", ""));
    engine.wharf(&["run", "--name", "made", "--platform", FOREIGN, "foreign", "touch", "/x"]).ok();
    engine.wharf(&["commit", "made", "child"]).ok();
    assert_eq!(engine.wharf(&["image", "inspect", "-f", "{{.Architecture}}", "child"]).ok(), "s390x");
}

#[test]
fn containers_are_of_one_platform() {
    let place = place();
    let Place { engine, name, .. } = &place;
    engine.wharf(&["pull", "--platform", FOREIGN, name]).ok();
    engine.wharf(&["pull", name]).ok();
    let own = engine.wharf(&["create", name, "true"]).ok().to_owned();
    let created = engine.wharf(&["create", "--platform", FOREIGN, name, "true"]);
    let foreign = created.ok().to_owned();
    assert_eq!(place.here(), [(host(), vec![own.clone()]), (FOREIGN.to_owned(), vec![foreign.clone()])]);
    let manifests = place.get(&format!("/v1.48/images/{name}/json?manifests=1"))["Manifests"].clone();
    for (at, id) in [&own, &foreign].into_iter().enumerate() {
        let shown = place.get(&format!("/v1.48/containers/{id}/json"));
        assert_eq!(shown["ImageManifestDescriptor"]["digest"], manifests[at]["ID"]);
    }
    // Each has its own files, and is committed with its own layers.
    let copied =
        engine.wharf(&["cp", &format!("{foreign}:/other"), &engine.root().join("x").to_string_lossy()]);
    copied.ok();
    engine.wharf(&["commit", &foreign, "child"]).ok();
    assert_eq!(engine.wharf(&["image", "inspect", "-f", "{{.Architecture}}", "child"]).ok(), "s390x");
    let missing = engine.wharf(&["create", "--pull", "never", "--platform", "linux/riscv64", name, "true"]);
    assert!(
        missing.fails_with(1).contains("was found but does not match the specified platform"),
        "{missing:?}"
    );
}

#[test]
fn platforms_go_and_come_one_by_one() {
    let place = place();
    let Place { engine, name, .. } = &place;
    engine.wharf(&["pull", name]).ok();
    engine.wharf(&["pull", "--platform", FOREIGN, name]).ok();
    let file = |name: &str| engine.root().join(name).to_string_lossy().into_owned();
    engine.wharf(&["save", "--platform", FOREIGN, "-o", &file("foreign.tar"), name]).ok();
    engine.wharf(&["save", "-o", &file("both.tar"), name]).ok();
    let lacking = |arguments: &[&str]| engine.wharf(arguments).fails_with(1).to_owned();
    let words = format!(
        "image with reference {name} was found but does not provide the specified platform (linux/riscv64)"
    );
    let refused = lacking(&["save", "--platform", "linux/riscv64", "-o", &file("none.tar"), name]);
    assert_eq!(
        refused.trim_end(),
        format!("Error response from daemon: no suitable export target found: {words}")
    );
    for arguments in
        [&["history", "--platform", "linux/riscv64", name][..], &["rmi", "--platform", "linux/riscv64", name]]
    {
        assert_eq!(lacking(arguments).trim_end(), format!("Error response from daemon: {words}"));
    }
    assert_eq!(engine.wharf(&["history", "--platform", FOREIGN, "-q", name]).ok().lines().count(), 1);
    let gone = engine.wharf(&["rmi", "--platform", FOREIGN, name]);
    assert!(gone.ok().starts_with("Deleted: sha256:"), "{gone:?}");
    assert_eq!(place.platforms(), [host()]);
    engine.wharf(&["rmi", name]).ok();
    // Only what is wanted of an archive comes in.
    engine.wharf(&["load", "--platform", FOREIGN, "-i", &file("both.tar")]).ok();
    assert_eq!(place.platforms(), [FOREIGN]);
    engine.wharf(&["load", "--platform", &host(), "-i", &file("both.tar")]).ok();
    assert_eq!(place.platforms(), [host(), FOREIGN.to_owned()]);
    let gone = engine.wharf(&["rmi", "--platform", &host(), "--platform", FOREIGN, name]);
    assert!(gone.ok().contains(&format!("Untagged: {name}")), "{gone:?}");
    assert_eq!(engine.wharf(&["images", "-aq"]).ok(), "");
    // What was saved of one platform is an image of its own.
    engine.wharf(&["load", "-i", &file("foreign.tar")]).ok();
    assert_eq!(place.platforms(), [FOREIGN]);
    let refused = lacking(&["load", "--platform", &host(), "-i", &file("foreign.tar")]);
    let words = format!("image {name} was found, but doesn't provide the requested platform ([{}])", host());
    assert_eq!(refused.trim_end(), words);
}

#[test]
fn the_tree_is_dockers() {
    let place = place();
    let Place { engine, name, .. } = &place;
    engine.wharf(&["pull", name]).ok();
    engine.wharf(&["tag", name, "another:1"]).ok();
    engine.wharf(&["create", name, "true"]).ok();
    let ours = engine.wharf(&["images", "--tree"]).ok().to_owned();
    assert!(ours.contains("├─ linux/") && ours.contains("└─ linux/s390x"), "{ours}");
    for flag in ["--quiet", "--digests", "--no-trunc", "--format=x"] {
        let refused = engine.wharf(&["images", "--tree", flag]);
        assert!(refused.fails_with(1).contains("is not yet supported with --tree"), "{refused:?}");
    }
    let version =
        if testkit::engine::has_docker_cli() { engine.docker(&["--version"]).stdout } else { String::new() };
    if version.starts_with("Docker version 28.") {
        let theirs = engine.docker(&["images", "--tree"]);
        let mut plain = String::new();
        for (at, part) in theirs.ok().split('\x1b').enumerate() {
            plain.push_str(if at == 0 { part } else { part.split_once('m').expect("a colour").1 });
        }
        let trimmed =
            |text: &str| text.trim().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(trimmed(&ours), trimmed(&plain));
    }
}
