//! Cache that travels: what one engine did another one need not do again.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::registry::Registry;

use super::buildx::{Bench, step};

const STEPS: &str = "FROM busybox AS tool
RUN echo made-$(date +%s%N) > /made
FROM busybox
COPY f /f
COPY --from=tool /made /made
RUN echo more >> /made
";

fn files() -> [(&'static str, &'static str); 2] {
    [("Dockerfile", STEPS), ("f", "file\n")]
}

const ALL: [&str; 4] =
    ["[tool 2/2] RUN", "[stage-1 2/4] COPY f", "[stage-1 3/4] COPY --from", "[stage-1 4/4] RUN"];

fn is_cached(output: &str, name: &str) -> bool {
    step(output, name).iter().any(|line| line.ends_with("CACHED"))
}

#[track_caller]
fn assert_cached(output: &str, names: &[&str]) {
    for name in ALL {
        assert_eq!(is_cached(output, name), names.contains(&name), "{name}: {output}");
    }
}

/// What the last command in an image saw.
fn made(bench: &Bench, image: &str) -> String {
    bench.engine.wharf(&["run", "--rm", image, "cat", "/made", "/f"]).ok().to_owned()
}

#[test]
fn a_registry_carries_cache_from_engine_to_engine() {
    let (Some(first), Some(second)) = (Bench::new(), Bench::new()) else { return };
    let registry = Registry::empty(first.engine.root(), json!({ "listen": ["127.0.0.1:0"] }));
    let place = format!("type=registry,ref={}/cache", registry.address());
    let folder = first.folder("context", &files());
    let to = |mode: &str| format!("{place}:{mode},mode={mode}");
    first.build(&folder, &["-t", "one", "--cache-to", &to("max"), "--cache-to", &to("min")]);
    let from = |mode: &str| format!("{place}:{mode}");
    let output = second.build(&folder, &["-t", "one", "--cache-from", &from("max")]);
    assert!(output.contains("importing cache manifest from"), "{output}");
    assert_cached(&output, &ALL);
    assert_eq!(made(&second, "one"), made(&first, "one"));

    // What came from elsewhere is not remembered as an own result.
    let output = second.build(&folder, &["-t", "two"]);
    assert_cached(&output, &[]);
    second.engine.wharf(&["builder", "prune", "-af"]).ok();
    // Of the other stage nothing is there; what it comes to is not the same, so what is above is done again, too.
    let output = second.build(&folder, &["-t", "three", "--cache-from", &from("min")]);
    assert!(is_cached(&output, ALL[1]) && !is_cached(&output, ALL[0]), "{output}");
    // A place with nothing is told of and harms nothing.
    let output = second.build(&folder, &["-t", "four", "--cache-from", &from("nothing")]);
    assert!(output.contains("ERROR"), "{output}");
}

#[test]
fn a_folder_carries_cache() {
    let (Some(first), Some(second)) = (Bench::new(), Bench::new()) else { return };
    let folder = first.folder("context", &files());
    let place = first.engine.root().join("cache");
    let to = format!("type=local,dest={},mode=max,compression=zstd", place.display());
    first.build(&folder, &["-t", "one", "--cache-to", &to]);
    let from = format!("type=local,src={}", place.display());
    let output = second.build(&folder, &["-t", "one", "--cache-from", &from]);
    assert_cached(&output, &ALL);
    assert_eq!(made(&second, "one"), made(&first, "one"));

    // A layer that is not what its digest says is refused; nothing of it is kept.
    second.engine.wharf(&["rmi", "one"]).ok();
    second.engine.wharf(&["builder", "prune", "-af"]).ok();
    for blob in fs::read_dir(place.join("blobs/sha256")).expect("listed") {
        damage(&blob.expect("an entry").path());
    }
    let at = folder.display().to_string();
    let refused = second.buildx(&["build", "--progress=plain", "-t", "bad", "--cache-from", &from, &at]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("digest"), "{refused:?}");
    assert_eq!(second.engine.wharf(&["images", "-q", "bad"]).ok(), "");
}

/// Other bytes of the same length, where a blob is no document.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("read");
    if bytes.first() != Some(&b'{') {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(path, bytes).expect("written");
    }
}

#[test]
fn an_image_carries_its_own_cache() {
    let (Some(first), Some(second)) = (Bench::new(), Bench::new()) else { return };
    let registry = Registry::empty(first.engine.root(), json!({ "listen": ["127.0.0.1:0"] }));
    let name = format!("{}/inline:1", registry.address());
    let folder = first.folder("context", &files());
    first.build(&folder, &["-t", &name, "--push", "--cache-to", "type=inline"]);
    let output = second.build(&folder, &["-t", "again", "--cache-from", &name]);
    assert!(is_cached(&output, ALL[1]), "{output}");
    assert!(!is_cached(&output, ALL[0]), "another stage is not in the image: {output}");
    assert_eq!(made(&first, &name).lines().count(), 3);
    // And what a plain image has within is nothing, which is no error.
    let output = second.build(&folder, &["-t", "again", "--cache-from", "type=local,src=/nonexistent"]);
    assert!(output.contains("again"), "{output}");
}

#[test]
fn a_hostile_cache_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let registry = Registry::empty(bench.engine.root(), json!({ "listen": ["127.0.0.1:0"] }));
    let folder = bench.folder("context", &files());
    let place = format!("type=registry,ref={}/cache:1", registry.address());
    bench.build(&folder, &["-t", "one", "--cache-to", &format!("{place},mode=max")]);
    let manifest = get(&registry, "/v2/cache/manifests/1");
    let manifest: Value = serde_json::from_slice(&manifest).expect("a document");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.buildkit.cacheconfig.v0");
    let config = manifest["config"]["digest"].as_str().expect("a digest");
    let config: Value =
        serde_json::from_slice(&get(&registry, &format!("/v2/cache/blobs/{config}"))).expect("a document");
    // Another builder finds only what it knows, with places that are there.
    let layers = config["layers"].as_array().expect("layers");
    for (number, layer) in layers.iter().enumerate() {
        assert!(layer["parent"].as_i64().is_some_and(|parent| parent < number as i64), "{layer}");
    }
    for record in config["records"].as_array().expect("records") {
        for result in record["layers"].as_array().into_iter().flatten() {
            assert!(
                result["layer"].as_u64().is_some_and(|place| (place as usize) < layers.len()),
                "{record}"
            );
        }
    }
    let text = config.to_string();
    assert!(!text.contains(&bench.engine.root().display().to_string()), "no paths of this machine: {text}");
}

/// What a registry answers.
fn get(registry: &Registry, path: &str) -> Vec<u8> {
    let mut socket = std::net::TcpStream::connect(registry.address()).expect("connects");
    let accept = "application/vnd.oci.image.manifest.v1+json, */*";
    let head = format!("GET {path} HTTP/1.1\r\nHost: r\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut socket, head.as_bytes()).expect("written");
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut socket, &mut answer).expect("read");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    answer.split_off(end + 4)
}
