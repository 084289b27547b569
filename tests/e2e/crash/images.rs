//! Images while the engine is killed at random moments of `load`, `rmi`, `image prune` and `system check --repair`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::Engine;
use testkit::chance::{Dice, Killer};

/// Everything of images on the disk: blobs, unfinished ingests, unpacked layers, what waits to be removed.
pub(super) type Files = BTreeSet<PathBuf>;

pub(super) fn files(engine: &Engine) -> Files {
    fn walk(path: &Path, depth: u32, found: &mut Files) {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            let path = entry.path();
            if depth > 0 && path.is_dir() {
                walk(&path, depth - 1, found);
            } else {
                found.insert(path);
            }
        }
    }
    let mut found = Files::new();
    walk(&engine.data_root().join("content"), 3, &mut found);
    walk(&engine.data_root().join("snapshots"), 1, &mut found);
    found
}

/// The names of all images; one without a name is `<none>`.
pub(super) fn listed(engine: &Engine) -> BTreeSet<String> {
    let names = engine.wharf(&["images", "-a", "--format", "{{.Repository}}"]);
    names.ok().lines().map(str::to_owned).collect()
}

/// An image with a layer of 300 small files and one of so many megabytes.
pub(super) fn make_image(engine: &Engine, name: &str, megabytes: u32) {
    let script = format!(
        "dd if=/dev/urandom of=/big bs=1M count={megabytes}; mkdir /d; for i in $(seq 300); do echo $i >/d/$i; done"
    );
    engine.wharf(&["run", "--name", "maker", "busybox", "sh", "-c", &script]).ok();
    engine.wharf(&["commit", "maker", name]).ok();
    engine.wharf(&["rm", "maker"]).ok();
}

/// After a kill: each image whose fate is known is there or not, as it has to be; from now on all are known.
pub(super) fn verify(book: &mut BTreeMap<String, Option<bool>>, now: &BTreeSet<String>, round: u32) {
    for (name, known) in book {
        if let Some(there) = *known {
            assert_eq!(now.contains(name), there, "round {round}: {name}, {now:?}");
        }
        *known = Some(now.contains(name));
    }
}

/// The files of images are the wanted ones, after a while at the latest.
pub(super) fn assert_settles(
    engine: &Engine,
    (wanted, look): (&Files, fn(Files) -> Files),
    patience: Duration,
    round: u32,
) {
    let left = look(settled_as(engine, patience, |now| look(now.clone()) == *wanted));
    let differences: Vec<_> = left.symmetric_difference(wanted).collect();
    assert!(differences.is_empty(), "round {round}: left or missing: {differences:#?}");
}

/// Archives of images of two layers each, of which the lower one is everybody's.
struct Archives {
    /// By name: the archive, and the files an engine has that has only this image.
    known: BTreeMap<String, (String, Files)>,
    empty: Files,
    /// How long the slowest load took.
    time: Duration,
}

impl Archives {
    fn make(engine: &Engine) -> Self {
        let mut known = BTreeMap::new();
        engine.import_busybox();
        for name in ["app0", "app1", "app2"] {
            make_image(engine, name, 3);
            let path = engine.root().join(format!("{name}.tar")).to_string_lossy().into_owned();
            engine.wharf(&["save", "-o", &path, name]).ok();
            known.insert(name.to_owned(), (path, Files::new()));
        }
        engine.wharf(&["image", "prune", "-af"]).ok();
        let empty = settled(engine, None);
        let mut time = Duration::ZERO;
        for (name, (path, own)) in &mut known {
            let start = Instant::now();
            engine.wharf(&["load", "-i", path]).ok();
            time = time.max(start.elapsed());
            *own = files(engine);
            engine.wharf(&["rmi", name]).ok();
            assert_eq!(settled(engine, Some(&empty)), empty, "what a removed image left");
        }
        Self { known, empty, time }
    }

    /// The files there have to be for these images.
    fn of(&self, names: &BTreeSet<String>) -> Files {
        let own = names.iter().filter_map(|name| self.known.get(name));
        self.empty.iter().chain(own.flat_map(|(_, files)| files)).cloned().collect()
    }
}

/// Waits for what is removed in the background: until the files are the wanted ones, or nothing is in the trash.
pub(super) fn settled(engine: &Engine, wanted: Option<&Files>) -> Files {
    let trash = engine.data_root().join("snapshots/trash");
    settled_as(engine, testkit::patience(30), |now| match wanted {
        Some(wanted) => now == wanted,
        None => now.iter().all(|path| path == &trash || !path.starts_with(&trash)),
    })
}

fn settled_as(engine: &Engine, patience: Duration, done: impl Fn(&Files) -> bool) -> Files {
    let deadline = Instant::now() + patience;
    loop {
        let now = files(engine);
        if done(&now) || Instant::now() > deadline {
            return now;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One random operation. Images whose fate it may have changed without saying so are unsure.
fn operate(engine: &Engine, dice: &mut Dice, archives: &Archives, book: &mut BTreeMap<String, Option<bool>>) {
    let at = dice.roll(archives.known.len() as u64) as usize;
    let Some((name, (path, _))) = archives.known.iter().nth(at) else { return };
    match dice.roll(8) {
        0..=3 => {
            let done = engine.wharf(&["load", "-i", path]).code == 0;
            book.insert(name.clone(), done.then_some(true).or_else(|| book[name].filter(|there| *there)));
        }
        4 | 5 => {
            let done = engine.wharf(&["rmi", name]).code == 0;
            book.insert(name.clone(), done.then_some(false).or_else(|| book[name].filter(|there| !there)));
        }
        6 => {
            let done = engine.wharf(&["image", "prune", "-af"]).code == 0;
            for there in book.values_mut() {
                *there = done.then_some(false).or_else(|| there.filter(|there| !there));
            }
        }
        // It finds nothing to repair: whatever happens to it changes nothing.
        _ => drop(engine.wharf(&["system", "check", "--repair"])),
    }
}

#[test]
fn killed_engines_keep_images_whole() {
    let mut engine = Engine::start();
    let archives = Archives::make(&engine);
    let mut dice = Dice(0x51a7_0c4e_9b13_66d5);
    let mut book: BTreeMap<String, Option<bool>> =
        archives.known.keys().map(|name| (name.clone(), Some(false))).collect();
    for round in 0..30 {
        let moment = Duration::from_micros(dice.roll(2 * archives.time.as_micros() as u64));
        let killer = Killer::of(engine.daemon_pid(), moment);
        while !killer.is_done() {
            operate(&engine, &mut dice, &archives, &mut book);
        }
        killer.wait();
        engine.kill_daemon();
        engine.start_daemon();
        let now = listed(&engine);
        verify(&mut book, &now, round);
        assert_settles(&engine, (&archives.of(&now), |files| files), testkit::patience(30), round);
        assert!(now.iter().all(|name| archives.known.contains_key(name)), "round {round}: {now:?}");
        let check = engine.wharf(&["system", "check"]);
        assert_eq!(check.code, 0, "round {round}: {}{}", check.stdout, check.stderr);
    }
    for (name, (path, _)) in &archives.known {
        engine.wharf(&["load", "-i", path]).ok();
        assert_eq!(engine.wharf(&["run", "--rm", name, "sh", "-c", "ls /d | wc -l"]).ok(), "300");
    }
    engine.wharf(&["image", "prune", "-af"]).ok();
    assert_eq!(settled(&engine, Some(&archives.empty)), archives.empty, "nothing is left of all images");
}
