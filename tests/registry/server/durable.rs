//! Promise P9: no acknowledged blob is lost, no referenced blob is collected, whatever ends when.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use oci::digest::Digest;
use oci::image::media;
use registry_conformance::{Client, manifest_of};
use serde_json::json;

use testkit::chance::Dice;

use crate::fixture::Server;

/// Blobs that all writers share, some small, some in files of their own.
fn blob(number: u64) -> Vec<u8> {
    let size = if number.is_multiple_of(3) { 100_000 } else { 500 };
    (0..size).map(|at| u8::try_from((at * (number + 7) + number) % 251).unwrap_or(0)).collect()
}

/// One attempt at pushing an image; an error is a crash in between, or a blob that was collected meanwhile.
fn push(client: &Client, tag: &str, blobs: &[Vec<u8>]) -> Option<Vec<u8>> {
    for bytes in blobs {
        let digest = Digest::of(bytes);
        let head = client.try_send("HEAD", &client.path(&format!("blobs/{digest}")), &[], b"").ok()?;
        if head.status == 200 {
            continue;
        }
        let begun = client.try_send("POST", &client.path("blobs/uploads/"), &[], b"").ok()?;
        let place = begun.header("location")?.to_owned();
        let put = client.try_send("PUT", &format!("{place}?digest={digest}"), &[], bytes).ok()?;
        assert!(matches!(put.status, 201 | 404), "{} {}", put.status, put.text());
    }
    let layers: Vec<&[u8]> = blobs.iter().skip(1).map(Vec::as_slice).collect();
    let manifest = manifest_of(&blobs[0], &layers).to_string().into_bytes();
    let target = client.path(&format!("manifests/{tag}"));
    let put = client.try_send("PUT", &target, &[("Content-Type", media::OCI_MANIFEST)], &manifest).ok()?;
    (put.status == 201).then_some(manifest)
}

/// What a writer knows of its tags: the manifests that each may be, `None` standing for its absence.
type Model = BTreeMap<String, Vec<Option<Vec<u8>>>>;

/// Pushes and removes until told to end.
fn write(client: &Client, seed: u64, running: &AtomicBool, pushed: &AtomicU32) -> Model {
    let mut dice = Dice(seed);
    let mut model = Model::new();
    while running.load(Ordering::Relaxed) {
        let tag = format!("t{}", dice.roll(4));
        let before = model.get(&tag).cloned().unwrap_or_else(|| vec![None]);
        if dice.roll(4) == 0 {
            let target = client.path(&format!("manifests/{tag}"));
            let after = match client.try_send("DELETE", &target, &[], b"") {
                Ok(answer) if matches!(answer.status, 202 | 404) => vec![None],
                _ => [before, vec![None]].concat(),
            };
            model.insert(tag, after);
            continue;
        }
        let blobs: Vec<Vec<u8>> = (0..3).map(|_| blob(dice.roll(12))).collect();
        let layers: Vec<&[u8]> = blobs.iter().skip(1).map(Vec::as_slice).collect();
        let attempted = manifest_of(&blobs[0], &layers).to_string().into_bytes();
        match push(client, &tag, &blobs) {
            Some(manifest) => {
                pushed.fetch_add(1, Ordering::Relaxed);
                model.insert(tag, vec![Some(manifest)]);
            }
            None => {
                model.insert(tag, [before, vec![Some(attempted)]].concat());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    model
}

/// Every tag is one of what it may be, and everything it names can be read.
fn verify(client: &Client, model: &Model) {
    for (tag, possible) in model {
        let got = client.get(&client.path(&format!("manifests/{tag}")));
        let found = match got.status {
            200 => Some(got.body),
            404 => None,
            other => panic!("{tag}: {other}"),
        };
        assert!(
            possible.contains(&found),
            "{}/{tag} is none of {} possible states",
            client.name,
            possible.len()
        );
        let Some(manifest) = found else { continue };
        let manifest: oci::image::Manifest = serde_json::from_slice(&manifest).expect("a manifest");
        for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
            let blob = client.get(&client.path(&format!("blobs/{}", part.digest)));
            assert_eq!((blob.status, Digest::of(&blob.body)), (200, part.digest.clone()), "{tag}");
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_referenced_is_collected() {
    let mut server = Server::start(json!({"collect": {"grace": 1, "untagged": true}}));
    let pushed = AtomicU32::new(0);
    for round in 0..4u64 {
        let running = AtomicBool::new(true);
        let models: Vec<(Client, Model)> = std::thread::scope(|scope| {
            let (running, pushed) = (&running, &pushed);
            let writers: Vec<_> = (0..3u64)
                .map(|number| {
                    let client = server.client().in_repository(&format!("p9/r{number}"));
                    // Each round begins with unknown tags: the writer looks at none of the former ones.
                    let seed = 0x5eed + round * 10 + number;
                    scope.spawn(move || (client.clone(), write(&client, seed, running, pushed)))
                })
                .collect();
            let collector = scope.spawn(|| {
                while running.load(Ordering::Relaxed) {
                    let _ = server.collect();
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            std::thread::sleep(Duration::from_millis(700 + round * 211));
            if round < 3 {
                // In the middle of everything; the writers see broken connections until they end.
                testkit::engine::signal(server.pid(), rustix::process::Signal::KILL);
                std::thread::sleep(Duration::from_millis(50));
            }
            running.store(false, Ordering::Relaxed);
            collector.join().expect("the collector");
            writers.into_iter().map(|writer| writer.join().expect("a writer")).collect()
        });
        if round < 3 {
            server.kill();
            server.run();
        }
        for (client, model) in &models {
            verify(client, model);
            for tag in ["t0", "t1", "t2", "t3"] {
                client.send("DELETE", &client.path(&format!("manifests/{tag}")), &[], b"");
            }
        }
    }
    assert!(pushed.load(Ordering::Relaxed) > 20, "the writers were at work");
    // Without tags everything goes, and the disk is as empty as the registry.
    std::thread::sleep(Duration::from_millis(2100));
    server.collect().unwrap();
    let left = server.collect().unwrap();
    assert_eq!((&left["blobs"], &left["links"]), (&json!(0), &json!(0)));
    assert_eq!(server.files("blobs"), Vec::<std::path::PathBuf>::new());
    assert_eq!(server.client().get("/v2/_catalog").json()["repositories"], json!([]));
}

#[test]
fn an_upload_goes_on_after_a_crash() {
    let mut server = Server::start(json!({}));
    let client = server.client().in_repository("crash/app");
    let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let (first, rest) = bytes.split_at(333_333);
    let place = client.begin();
    assert_eq!(client.send("PATCH", &place, &[], first).status, 202);
    server.kill();
    server.run();
    let asked = client.get(&place);
    assert_eq!((asked.status, asked.header("range")), (204, Some("0-333332")));
    let wrong = client.in_repository("crash/other");
    let id = place.rsplit('/').next().unwrap();
    assert_eq!(wrong.get(&wrong.path(&format!("blobs/uploads/{id}"))).status, 404, "another's upload");
    let digest = Digest::of(&bytes);
    let last =
        client.send("PUT", &format!("{place}?digest={digest}"), &[("Content-Range", "333333-799999")], rest);
    assert_eq!(last.status, 201, "{}", last.text());
    server.kill();
    server.run();
    assert_eq!(client.get(&client.path(&format!("blobs/{digest}"))).body, bytes);
    assert_eq!(server.files("uploads"), Vec::<std::path::PathBuf>::new());
}

#[test]
fn one_blob_from_many_at_once() {
    let server = Server::start(json!({}));
    let bytes = blob(3);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let client = server.client().in_repository(&format!("same/r{}", number % 3));
            let bytes = &bytes;
            scope.spawn(move || client.push_blob(bytes));
        }
    });
    assert_eq!(server.files("blobs").len(), 1);
    assert_eq!(server.files("uploads").len(), 0);
}

#[test]
fn a_signal_ends_it_after_the_requests() {
    let mut server = Server::start(json!({"accessLog": true}));
    server.client().in_repository("a").push_image("b", "c");
    assert!(server.stop().success());
    assert!(!server.socket().exists());
    server.run();
    assert_eq!(server.client().in_repository("a").get("/v2/a/manifests/b").status, 200);
}

#[test]
fn retention_keeps_the_newest_and_the_named() {
    let rule = json!({"repositories": "**", "keepNewest": 1, "keep": ["v*"]});
    let server = Server::start(json!({"collect": {"grace": 0, "untagged": true, "retention": [rule]}}));
    let client = server.client().in_repository("keep");
    for tag in ["old", "v1"] {
        client.push_image(tag, tag);
    }
    std::thread::sleep(Duration::from_millis(1100));
    client.push_image("new", "new");
    let output = testkit::engine::run(
        std::process::Command::new(crate::fixture::program())
            .arg("gc")
            .arg("--config")
            .arg(server.dir.join("config.json")),
        None,
    );
    assert!(output.stdout.starts_with("removed 1 tags, 1 manifests, 2 blobs"), "{output:?}");
    assert_eq!(client.get("/v2/keep/tags/list").json()["tags"], json!(["new", "v1"]));
}
