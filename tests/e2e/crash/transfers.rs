//! Images while the engine is killed at random moments of `pull`, `push` and `rmi`, the registry living on.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::chance::{Dice, Killer};
use testkit::http::Answer;
use testkit::registry::Registry;
use testkit::{Engine, http};

use super::images::{Files, assert_settles, files, listed, make_image, settled, verify};

/// What is in the registry, and what an engine has that pulled only one of them.
struct Images {
    registry: Registry,
    /// By name.
    known: BTreeMap<String, Files>,
    empty: Files,
    /// How long the slowest pull took.
    time: Duration,
}

/// Files without those of blobs on their way: they are kept to go on with.
fn whole(files: Files) -> Files {
    files.into_iter().filter(|path| !path.to_string_lossy().contains("/content/partial/")).collect()
}

impl Images {
    fn make(engine: &Engine) -> Self {
        let registry = Registry::empty(engine.root(), json!({"listen": ["127.0.0.1:0"]}));
        engine.import_busybox();
        let mut known = BTreeMap::new();
        for number in 0..3 {
            let name = format!("{}/app{number}", registry.address());
            make_image(engine, &name, 6);
            engine.wharf(&["push", &name]).ok();
            known.insert(name, Files::new());
        }
        engine.wharf(&["image", "prune", "-af"]).ok();
        let empty = whole(settled(engine, None));
        let mut time = Duration::ZERO;
        for (name, own) in &mut known {
            let start = Instant::now();
            engine.wharf(&["pull", name]).ok();
            time = time.max(start.elapsed());
            *own = files(engine);
            engine.wharf(&["rmi", name]).ok();
            assert_eq!(settled(engine, Some(&empty)), empty, "what a removed image left");
        }
        Self { registry, known, empty, time }
    }

    fn ask(&self, target: &str) -> Answer {
        let mut stream = TcpStream::connect(self.registry.address()).expect("reach the registry");
        let accept = [("Accept", "application/vnd.oci.image.manifest.v1+json")];
        http::exchange(&mut stream, "GET", target, &accept, b"").expect("an answer of the registry")
    }

    /// Whether a pushed image is there; what is there is whole.
    fn is_pushed(&self, repository: &str) -> bool {
        let manifest = self.ask(&format!("/v2/{repository}/manifests/latest"));
        if manifest.status == 404 {
            return false;
        }
        assert_eq!(manifest.status, 200, "{repository}: {}", manifest.text());
        let manifest: Value = manifest.json();
        let layers = manifest["layers"].as_array().expect("layers");
        for part in layers.iter().chain([&manifest["config"]]) {
            let digest = part["digest"].as_str().expect("a digest");
            let blob = self.ask(&format!("/v2/{repository}/blobs/{digest}"));
            assert_eq!(blob.status, 200, "{repository}: {digest} is missing");
            assert_eq!(Some(blob.body.len() as u64), part["size"].as_u64(), "{repository}: {digest}");
        }
        true
    }
}

/// What is known of each image here (nothing after an operation whose answer was lost), and which pushes were acknowledged.
struct Book {
    here: BTreeMap<String, Option<bool>>,
    pushes: BTreeMap<String, bool>,
}

/// One random operation.
fn operate(engine: &Engine, dice: &mut Dice, images: &Images, book: &mut Book) {
    let at = dice.roll(images.known.len() as u64) as usize;
    let Some(name) = images.known.keys().nth(at) else { return };
    let before = book.here[name];
    match dice.roll(6) {
        0..=2 => {
            let done = engine.wharf(&["pull", name]).code == 0;
            book.here.insert(name.clone(), done.then_some(true).or_else(|| before.filter(|there| *there)));
        }
        3 => {
            let done = engine.wharf(&["rmi", name]).code == 0;
            book.here.insert(name.clone(), done.then_some(false).or_else(|| before.filter(|there| !there)));
        }
        _ => {
            let repository = format!("push{}", book.pushes.len());
            let target = format!("{}/{repository}", images.registry.address());
            // An engine that has not the image, or is gone, refuses.
            let done =
                engine.wharf(&["tag", name, &target]).code == 0 && engine.wharf(&["push", &target]).code == 0;
            book.pushes.insert(repository, done);
            engine.wharf(&["rmi", &target]);
        }
    }
}

#[test]
fn killed_engines_keep_transfers_whole() {
    let mut engine = Engine::start();
    let images = Images::make(&engine);
    let mut dice = Dice(0x7a4f_3e91_c0de_d00d);
    let mut book = Book {
        here: images.known.keys().map(|name| (name.clone(), Some(false))).collect(),
        pushes: BTreeMap::new(),
    };
    let mut pushed = BTreeMap::new();
    for round in 0..12 {
        let moment = Duration::from_micros(dice.roll(2 * images.time.as_micros() as u64));
        let killer = Killer::of(engine.daemon_pid(), moment);
        while !killer.is_done() {
            operate(&engine, &mut dice, &images, &mut book);
        }
        killer.wait();
        engine.kill_daemon();
        engine.start_daemon();
        // A name that a push was to have goes: it is no matter of transfers.
        for name in listed(&engine).iter().filter(|name| name.contains("/push")) {
            engine.wharf(&["rmi", name]).ok();
        }
        let now = listed(&engine);
        verify(&mut book.here, &now, round);
        let own = images.known.iter().filter(|(name, _)| now.contains(*name));
        let wanted: Files = images.empty.iter().chain(own.flat_map(|(_, files)| files)).cloned().collect();
        assert_settles(&engine, (&wanted, whole), Duration::from_secs(60), round);
        let check = engine.wharf(&["system", "check"]);
        assert_eq!(check.code, 0, "round {round}: {}{}", check.stdout, check.stderr);
        for (repository, acknowledged) in book.pushes.iter().filter(|(name, _)| !pushed.contains_key(*name)) {
            let there = images.is_pushed(repository);
            assert!(there || !acknowledged, "round {round}: the push to {repository} is lost");
        }
        pushed.clone_from(&book.pushes);
    }
    for name in images.known.keys() {
        engine.wharf(&["pull", name]).ok();
        assert_eq!(engine.wharf(&["run", "--rm", name, "sh", "-c", "ls /d | wc -l"]).ok(), "300");
        let target = format!("{}/last", images.registry.address());
        engine.wharf(&["tag", name, &target]).ok();
        engine.wharf(&["push", &target]).ok();
        assert!(images.is_pushed("last"));
    }
    engine.wharf(&["image", "prune", "-af"]).ok();
    // With every image had, nothing waits to go on.
    assert_eq!(settled(&engine, Some(&images.empty)), images.empty, "nothing is left of all images");
}
