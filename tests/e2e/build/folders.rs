//! Folders of wharf's own command line that builds take from and put into: caches and images in OCI layout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::engine::run;
use testkit::{Engine, Output};

const STEPS: &str = "FROM busybox AS tool
RUN echo made-$(date +%s%N) > /made
FROM busybox
COPY f /f
COPY --from=tool /made /made
RUN echo more >> /made
";

const ALL: [&str; 4] =
    ["[tool 2/2] RUN", "[stage-1 2/4] COPY f", "[stage-1 3/4] COPY --from", "[stage-1 4/4] RUN"];

fn folder(engine: &Engine, name: &str, files: &[(&str, &str)]) {
    let folder = engine.root().join(name);
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("a file");
    }
}

/// Runs `wharf build` in the engine's folder.
fn build(engine: &Engine, arguments: &[&str]) -> Output {
    let mut command = engine.wharf_command(&[&["build", "--progress=plain"], arguments].concat());
    command.current_dir(engine.root()).env_remove("DOCKER_BUILDKIT");
    run(&mut command, None)
}

#[track_caller]
fn built(engine: &Engine, arguments: &[&str]) -> String {
    let output = build(engine, arguments);
    assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    output.stderr
}

/// Which of all steps came out of a cache.
fn cached(output: &str) -> Vec<&'static str> {
    let is_cached =
        |name: &&str| super::buildx::step(output, name).iter().any(|line| line.ends_with("CACHED"));
    ALL.into_iter().filter(is_cached).collect()
}

fn made(engine: &Engine, image: &str) -> String {
    engine.wharf(&["run", "--rm", image, "cat", "/made", "/f"]).ok().to_owned()
}

fn index(folder: &Path) -> Value {
    let text = fs::read(folder.join("index.json")).expect("an index");
    serde_json::from_slice(&text).expect("a document")
}

/// The only manifest of an index.
fn digest(folder: &Path) -> String {
    let index = index(folder);
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(1), "{index}");
    index["manifests"][0]["digest"].as_str().expect("a digest").to_owned()
}

fn blob(folder: &Path, digest: &str) -> PathBuf {
    folder.join("blobs").join(digest.replace(':', "/"))
}

#[test]
fn a_folder_of_the_client_carries_cache() {
    let engine = Engine::with_busybox();
    folder(&engine, "c", &[("Dockerfile", STEPS), ("f", "file\n")]);
    let place = engine.root().join("deep/cache");
    // The first build of all finds nothing to begin with, which is told and no reason to fail.
    let from = "--cache-from=type=local,src=deep/cache";
    let first = built(&engine, &["-t", "one", from, "--cache-to=type=local,dest=deep/cache,mode=max", "c"]);
    assert!(first.contains("WARNING: local cache import at deep/cache not found due to err: "), "{first}");
    assert!(first.contains("exporting cache to client directory"), "{first}");
    assert_eq!(cached(&first), [""; 0]);
    let manifest = index(&place)["manifests"][0].clone();
    assert_eq!(manifest["annotations"]["org.opencontainers.image.ref.name"], "latest");
    let document = fs::read(blob(&place, &digest(&place))).expect("the manifest");
    assert_eq!(Some(document.len() as u64), manifest["size"].as_u64());
    assert_eq!(
        fs::read_to_string(place.join("oci-layout")).expect("is there"),
        r#"{"imageLayoutVersion":"1.0.0"}"#
    );
    let one = made(&engine, "one");
    let forget = || {
        engine.wharf(&["rmi", "-f", "one"]);
        engine.wharf(&["builder", "prune", "-af"]).ok();
    };
    forget();
    let again = built(&engine, &["-t", "one", from, "c"]);
    assert!(again.contains("importing cache manifest from deep/cache"), "{again}");
    assert_eq!(cached(&again), ALL);
    assert_eq!(made(&engine, "one"), one, "a time that was taken then");
    forget();
    let without = built(&engine, &["-t", "one", "c"]);
    assert_eq!(cached(&without), [""; 0], "without the folder nothing is known");
}

#[test]
fn caches_in_folders_have_tags_and_modes() {
    let engine = Engine::with_busybox();
    folder(&engine, "c", &[("Dockerfile", STEPS), ("f", "file\n")]);
    let (max, min) = ("type=local,dest=max,mode=max,tag=t", "type=local,dest=min");
    built(&engine, &["-t", "one", "--cache-to", max, "--cache-to", min, "c"]);
    let (max, min) = (engine.root().join("max"), engine.root().join("min"));
    assert_ne!(digest(&max), digest(&min));
    assert!(blob(&max, &digest(&max)).exists() && blob(&min, &digest(&min)).exists());
    let forget = || {
        engine.wharf(&["rmi", "-f", "one"]);
        engine.wharf(&["builder", "prune", "-af"]).ok();
    };
    forget();
    let by_tag = built(&engine, &["-t", "one", "--cache-from", "type=local,src=max,tag=t", "c"]);
    assert_eq!(cached(&by_tag), ALL);
    forget();
    let by_digest = format!("type=local,src=min,digest={}", digest(&min));
    let some = built(&engine, &["-t", "one", "--cache-from", &by_digest, "c"]);
    assert!(cached(&some).contains(&ALL[1]) && !cached(&some).contains(&ALL[0]), "{some}");
    let refused = build(&engine, &["--cache-from", "type=local,src=max", "c"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("max has nothing tagged latest"), "{refused:?}");
    fs::write(engine.root().join("file"), "").expect("a file");
    let refused = build(&engine, &["--cache-to", "type=local,dest=file/x", "c"]);
    assert!(refused.code == 1 && refused.stderr.contains("mkdir file/x: "), "{refused:?}");
}

#[test]
fn a_damaged_cache_is_refused_by_its_place() {
    let engine = Engine::with_busybox();
    folder(&engine, "c", &[("Dockerfile", STEPS), ("f", "file\n")]);
    built(&engine, &["-t", "one", "--cache-to=type=local,dest=cache,mode=max", "c"]);
    for blob in fs::read_dir(engine.root().join("cache/blobs/sha256")).expect("listed") {
        let path = blob.expect("an entry").path();
        let mut bytes = fs::read(&path).expect("read");
        if bytes.first() != Some(&b'{') {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(&path, bytes).expect("written");
        }
    }
    engine.wharf(&["rmi", "-f", "one"]).ok();
    engine.wharf(&["builder", "prune", "-af"]).ok();
    let refused = build(&engine, &["-t", "bad", "--cache-from=type=local,src=cache", "c"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("cache/blobs/sha256/") && refused.stderr.contains("does not fit its name")
    );
    assert_eq!(engine.wharf(&["images", "-q", "bad"]).ok(), "");
    // A manifest that is not its own is as good as none.
    let manifest = blob(&engine.root().join("cache"), &digest(&engine.root().join("cache")));
    let text = fs::read_to_string(&manifest).expect("a manifest").replace("schemaVersion", "schemaVersioN");
    fs::write(&manifest, text).expect("written");
    let output = built(&engine, &["-t", "good", "--cache-from=type=local,src=cache", "c"]);
    assert!(output.contains("does not fit its name") && cached(&output).is_empty(), "{output}");
}

#[test]
fn an_image_is_taken_out_of_a_folder_in_oci_layout() {
    let engine = Engine::with_busybox();
    folder(&engine, "base", &[("Dockerfile", "FROM busybox\nENV LENT=1\nRUN echo lent > /lent\n")]);
    built(&engine, &["-o", "type=oci,tar=true,dest=layout.tar,name=based:7", "base"]);
    let layout = engine.root().join("layout");
    fs::create_dir(&layout).expect("a folder");
    run(Command::new("tar").arg("-C").arg(&layout).arg("-xf").arg(engine.root().join("layout.tar")), None)
        .ok();
    engine.wharf(&["builder", "prune", "-af"]).ok();
    folder(&engine, "c", &[("Dockerfile", "FROM below\nRUN cat /lent > /seen; echo $LENT >> /seen\n")]);
    let digest = digest(&layout);
    let absolute = layout.display().to_string();
    for (number, place) in
        ["layout", "layout:7", &format!("layout@{digest}"), &format!("{absolute}:7@{digest}")]
            .iter()
            .enumerate()
    {
        let (context, image) = (format!("below=oci-layout://{place}"), format!("lent:{number}"));
        let said = built(&engine, &["--build-context", &context, "-t", &image, "c"]);
        assert!(said.contains("[context below] OCI load from client"), "{said}");
        assert_eq!(engine.wharf(&["run", "--rm", &image, "cat", "/seen"]).ok(), "lent\n1");
    }
    let refused = |place: &str| {
        let output = build(&engine, &["--build-context", &format!("below=oci-layout://{place}"), "c"]);
        assert_eq!(output.code, 1, "{output:?}");
        output.stderr
    };
    let other = format!("sha256:{}", "0".repeat(64));
    for (place, reason) in [
        ("nowhere".to_owned(), "failed to get build context below: open nowhere: No such file or directory"),
        (format!("layout@{other}"), &*format!("content {other}: not found in layout")),
        ("layout@sha256:12".to_owned(), "invalid digest \"sha256:12\" of layout"),
        ("c".to_owned(), "open c/index.json: No such file or directory"),
    ] {
        let said = refused(&place);
        assert!(said.contains(reason), "{place}: {said}");
    }
    let manifest = blob(&layout, &digest);
    let text = fs::read_to_string(&manifest).expect("a manifest").replace("schemaVersion", "schemaVersioN");
    fs::write(&manifest, text).expect("written");
    let said = refused("layout");
    assert!(said.contains("layout/blobs/sha256/") && said.contains("does not fit its name"), "{said}");
}

#[test]
fn an_image_becomes_a_folder_in_oci_layout_as_with_buildx() {
    let Some(bench) = super::buildx::Bench::new() else { return };
    let engine = &bench.engine;
    folder(engine, "c", &[("Dockerfile", "FROM busybox\nCOPY f /f\n"), ("f", "file\n")]);
    for (name, output) in [("plain", "type=oci"), ("named", "type=oci,name=a:1"), ("docker", "type=docker")] {
        // The same steps and so the same blobs both times; only what an index says of dates can differ.
        let output = format!("{output},tar=false,dest=");
        let arguments = ["--build-arg=SOURCE_DATE_EPOCH=1700000000", "--provenance=false"];
        let ours = format!("{output}{name}");
        built(engine, &[&arguments[..], &["-o", &ours, "c"]].concat());
        let ours = engine.root().join(name);
        let document: Value =
            serde_json::from_slice(&fs::read(blob(&ours, &digest(&ours))).expect("a manifest"))
                .expect("a document");
        for part in document["layers"].as_array().expect("layers").iter().chain([&document["config"]]) {
            let found = fs::metadata(blob(&ours, part["digest"].as_str().expect("a digest"))).expect("there");
            assert_eq!(Some(found.len()), part["size"].as_u64());
        }
        // buildx has it only where it does not build with an engine.
        if name == "docker" {
            continue;
        }
        let theirs = engine.root().join(format!("{name}-buildx"));
        let into = format!("{output}{}", theirs.display());
        let mut command = bench.command(&[&["build"], &arguments[..], &["-o", &into, "c"]].concat());
        command.current_dir(engine.root());
        let said = run(&mut command, None);
        assert_eq!(said.code, 0, "{said:?}");
        // Older ones do not say what an index is.
        assert_eq!(index(&ours)["manifests"], index(&theirs)["manifests"], "{name}");
    }
    let again = build(engine, &["-o", "type=oci,tar=false,dest=c/f", "c"]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("destination directory c/f is a file"), "{again:?}");
}
