//! Pulls that are interrupted, from a registry made for the occasion.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::Engine;
use testkit::lying::{Registry, Reply, Request};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const FIRST_PART: usize = 8 << 20;

/// An image of one layer: the bytes of layer, configuration and manifest.
struct Image {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

fn digest(bytes: &[u8]) -> String {
    let output = testkit::engine::run(&mut std::process::Command::new("sha256sum"), Some(bytes));
    format!("sha256:{}", output.ok().split_whitespace().next().expect("a hash"))
}

fn image(folder: &std::path::Path) -> Image {
    let mut state = 1u64;
    let noise: Vec<u8> = (0..12 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    std::fs::write(folder.join("noise"), noise).expect("write a file");
    let tar = folder.join("layer.tar");
    let mut command = std::process::Command::new("tar");
    command.arg("-C").arg(folder).arg("-cf").arg(&tar).arg("noise");
    testkit::engine::run(&mut command, None).ok();
    let layer = std::fs::read(tar).expect("read the layer");
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let (layer_digest, size) = (digest(&layer), layer.len());
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers","diff_ids":["{layer_digest}"]}}}}"#
    );
    let config_part = format!(
        r#"{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}}"#,
        digest(config.as_bytes()),
        config.len()
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config_part},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer_digest}","size":{size}}}]}}"#
    );
    Image { layer, config: config.into_bytes(), manifest: manifest.into_bytes() }
}

/// A registry that stops in the middle of the first layer it gives.
fn stalling(image: Image) -> Registry {
    let (layer, config) = (digest(&image.layer), digest(&image.config));
    let first = AtomicBool::new(true);
    Registry::start(move |request: &Request| match request.path.rsplit('/').next().unwrap_or_default() {
        "" => Reply::new(200, "{}"),
        name if name == config => Reply::new(200, image.config.clone()),
        name if name == layer => {
            let whole = Reply::ranged(request, &image.layer);
            match first.swap(false, Ordering::SeqCst) {
                true => Reply { cut_after: Some(FIRST_PART), stall: Some(Duration::from_secs(20)), ..whole },
                false => whole,
            }
        }
        _ => Reply::new(200, image.manifest.clone()).with("Content-Type", MANIFEST),
    })
}

fn wait_for_part(registry: &Registry) {
    let end = Instant::now() + testkit::patience(30);
    while registry.body_bytes() < FIRST_PART as u64 {
        assert!(Instant::now() < end, "the first part was not asked for");
        std::thread::sleep(Duration::from_millis(20));
    }
    // What is on its way arrives.
    std::thread::sleep(testkit::patience(1) / 2);
}

/// Interrupts a pull in the middle of its layer, and looks that the second one fetches the rest only.
fn interrupted(interrupt: impl FnOnce(&mut Engine, &mut std::process::Child)) {
    let mut engine = Engine::start();
    let image = image(engine.root());
    let size = image.layer.len() as u64;
    let registry = stalling(image);
    let name = format!("{}/some/thing:tag", registry.address());
    let mut command = engine.wharf_command(&["pull", &name]);
    let mut pull = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start a pull");
    wait_for_part(&registry);
    interrupt(&mut engine, &mut pull);
    let _ = pull.kill();
    let _ = pull.wait();
    engine.wharf(&["pull", &name]).ok();
    let extra = registry.body_bytes() - size;
    assert!(extra < 1 << 20, "{extra} bytes were fetched twice");
    assert_eq!(engine.wharf(&["images", "-q", &name]).ok().lines().count(), 1);
}

#[test]
fn a_killed_engine_goes_on_with_a_pull() {
    interrupted(|engine, _| {
        engine.kill_daemon();
        engine.start_daemon();
    });
}

#[test]
fn a_pull_whose_client_went_away_is_gone_on_with() {
    interrupted(|_, client| {
        client.kill().expect("end the client");
        client.wait().expect("the client's end");
    });
}
