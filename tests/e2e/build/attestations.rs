//! What is said about an image: where it comes from, without the secrets that went by.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::engine::run;
use testkit::registry::Registry;

use super::buildx::Bench;

const STEPS: &str = "FROM busybox
ARG TOKEN
RUN --mount=type=secret,id=s wc -c < /run/secrets/s > /size
";

/// A value nobody may find in what leaves.
const CANARY: &str = "canary-41d7";

struct Case {
    bench: Bench,
    folder: PathBuf,
    secret: String,
}

impl Case {
    fn new() -> Option<Self> {
        let bench = Bench::new()?;
        let folder = bench.folder("said", &[("Dockerfile", STEPS), ("secret", CANARY)]);
        let secret = format!("id=s,src={}", folder.join("secret").display());
        Some(Self { bench, folder, secret })
    }

    fn build(&self, arguments: &[&str]) -> String {
        let common = ["--secret", &self.secret, "--build-arg", "TOKEN=argument-9c"];
        self.bench.build(&self.folder, &[&common, arguments].concat())
    }

    /// Builds into an OCI archive and unpacks it.
    fn layout(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let root = self.bench.engine.root();
        let (tar, layout) = (root.join(format!("{name}.tar")), root.join(name));
        let output = format!("type=oci,name={name}:1,dest={}", tar.display());
        self.build(&[&["-o", &output], arguments].concat());
        fs::create_dir(&layout).expect("a folder");
        let unpacked = run(Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&layout), None);
        assert_eq!(unpacked.code, 0, "{unpacked:?}");
        layout
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("there")).expect("a document")
}

fn named(layout: &Path, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().expect("a digest");
    read(&layout.join("blobs").join(digest.replace(':', "/")))
}

/// The image's descriptor and the statement about it.
fn parts(layout: &Path) -> (Value, Value) {
    let index = named(layout, &read(&layout.join("index.json"))["manifests"][0]);
    let (image, about) = (&index["manifests"][0], &index["manifests"][1]);
    assert_eq!(about["annotations"]["vnd.docker.reference.type"], "attestation-manifest");
    assert_eq!(about["annotations"]["vnd.docker.reference.digest"], image["digest"]);
    assert_eq!(about["platform"], json!({ "architecture": "unknown", "os": "unknown" }));
    let manifest = named(layout, about);
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
    assert_eq!(layer["annotations"]["in-toto.io/predicate-type"], "https://slsa.dev/provenance/v0.2");
    assert_eq!(named(layout, &manifest["config"])["rootfs"]["diff_ids"][0], layer["digest"]);
    (image.clone(), named(layout, layer))
}

/// The layers of the first image.
fn image_layers(layout: &Path) -> Value {
    let index = named(layout, &read(&layout.join("index.json"))["manifests"][0]);
    named(layout, &index["manifests"][0])["layers"].clone()
}

#[test]
fn provenance_goes_along_and_no_secret_does() {
    let Some(case) = Case::new() else { return };
    let plain = case.layout("default", &[]);
    let manifest = named(&plain, &read(&plain.join("index.json"))["manifests"][0]);
    assert!(manifest["config"].is_object(), "an archive says nothing by itself: {manifest}");

    let (image, said) = parts(&case.layout("min", &["--provenance=mode=min,builder-id=https://b.test/1"]));
    assert_eq!(said["predicate"]["builder"]["id"], "https://b.test/1");
    assert_eq!(said["predicate"]["buildConfig"], Value::Null);
    let digest = image["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
    assert_eq!(said["subject"][0]["digest"]["sha256"], digest);
    let name = said["subject"][0]["name"].as_str().expect("a name");
    assert!(name.starts_with("pkg:docker/min@1?platform=linux%2F"), "{name}");
    let material = said["predicate"]["materials"][0]["uri"].as_str().expect("a text");
    assert!(material.starts_with("pkg:docker/busybox@latest"), "{material}");
    assert!(!said.to_string().contains("argument-9c"), "{said}");

    let layout = case.layout("max", &["--provenance=mode=max"]);
    let (_, said) = parts(&layout);
    let invocation = &said["predicate"]["invocation"];
    assert_eq!(invocation["parameters"]["args"]["build-arg:TOKEN"], "argument-9c");
    assert_eq!(invocation["parameters"]["secrets"][0]["id"], "s");
    assert_eq!(invocation["configSource"]["entryPoint"], "Dockerfile");
    let steps = &said["predicate"]["buildConfig"]["llbDefinition"];
    let identifier = steps[0]["op"]["Op"]["source"]["identifier"].as_str().expect("a text");
    assert!(identifier.starts_with("docker-image://docker.io/library/busybox:latest@sha256:"), "{steps}");
    let exec = &steps[1]["op"]["Op"]["exec"];
    assert_eq!(exec["meta"]["args"][2], "wc -c < /run/secrets/s > /size");
    assert_eq!(exec["mounts"][1]["secretOpt"]["ID"], "s");
    assert_eq!(steps[2], json!({ "id": "step2", "op": { "Op": null }, "inputs": ["step1:0"] }));
    let more = &said["predicate"]["metadata"]["https://mobyproject.org/buildkit@v1#metadata"];
    let range = &more["source"]["locations"]["step1"]["locations"][0]["ranges"][0];
    assert_eq!(range["start"]["line"], 3);
    let layers = &more["layers"]["step1:0"][0];
    assert_eq!(*layers, image_layers(&layout), "the blobs that left");
    for place in [&layout, &case.bench.engine.data_root()] {
        let found = run(Command::new("grep").args(["-rl", CANARY]).arg(place), None);
        assert_eq!(found.stdout, "", "the secret is in what was written");
    }
    let plain = case.layout("none", &["--provenance=false"]);
    assert!(named(&plain, &read(&plain.join("index.json"))["manifests"][0])["config"].is_object());
}

#[test]
fn an_engines_own_images_say_it_when_asked() {
    let Some(case) = Case::new() else { return };
    case.build(&["-t", "plain"]);
    let id = case.bench.image_id("plain");
    case.build(&["-t", "plain"]);
    assert_eq!(case.bench.image_id("plain"), id, "nothing is said by itself");

    let registry = Registry::empty(case.bench.engine.root(), json!({ "listen": ["127.0.0.1:0"] }));
    let name = format!("{}/said:1", registry.address());
    case.build(&["-t", &name, "--provenance=true", "--push"]);
    let id = case.bench.image_id(&name);
    let size = case.bench.engine.wharf(&["run", "--rm", &name, "cat", "/size"]);
    assert_eq!(size.ok(), "11");
    case.bench.engine.wharf(&["rmi", &name]).ok();
    case.bench.engine.wharf(&["pull", "-q", &name]).ok();
    assert_eq!(case.bench.image_id(&name), id);

    let target = case.bench.engine.root().join("files");
    case.build(&["--provenance=mode=min", "-o", &format!("type=local,dest={}", target.display())]);
    let said = read(&target.join("provenance.json"));
    assert_eq!(said["predicateType"], "https://slsa.dev/provenance/v0.2");
    let subjects = said["subject"].as_array().expect("a list");
    let size = subjects.iter().find(|one| one["name"] == "size").expect("the file is named");
    assert_eq!(size["digest"]["sha256"], "25d4f2a86deb5e2574bb3210b67bb24fcc4afb19f93a7b65a057daa874a9d18e");
    assert_eq!(fs::read_to_string(target.join("size")).expect("there"), "11\n");
    let bare = case.bench.engine.root().join("bare");
    case.build(&["-o", &format!("type=local,dest={}", bare.display())]);
    assert!(!bare.join("provenance.json").exists());
}

/// A scanner that tells what it was given and the files it sees.
const SCANNER: &str = r#"#!/bin/sh
out="$BUILDKIT_SCAN_DESTINATION/$(basename "$BUILDKIT_SCAN_SOURCE").spdx.json"
touch "$BUILDKIT_SCAN_SOURCE/written" 2>/dev/null && exit 9
printf '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document",' > "$out"
printf '"predicate":{"argument":"%s","size":"%s"}}' "$1" "$(cat "$BUILDKIT_SCAN_SOURCE/size")" >> "$out"
"#;

#[test]
fn a_generator_lists_packages() {
    let Some(case) = Case::new() else { return };
    let scanner = "FROM busybox\nCOPY --chmod=755 scan /scan\nENTRYPOINT [\"/scan\"]\nCMD [\"it's $HOME\"]\n";
    let scanner = case.bench.folder("scanner", &[("Dockerfile", scanner), ("scan", SCANNER)]);
    case.bench.build(&scanner, &["-t", "scanner"]);

    let layout = case.layout("packages", &["--provenance=false", "--sbom=generator=scanner"]);
    let index = named(&layout, &read(&layout.join("index.json"))["manifests"][0]);
    let (image, about) = (&index["manifests"][0], named(&layout, &index["manifests"][1]));
    assert_eq!(about["layers"][0]["annotations"]["in-toto.io/predicate-type"], "https://spdx.dev/Document");
    let said = named(&layout, &about["layers"][0]);
    assert_eq!(said["predicate"], json!({ "argument": "it's $HOME", "size": "11" }));
    let digest = image["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
    assert_eq!(said["subject"][0]["digest"]["sha256"], digest);
    assert_eq!(named(&layout, image)["layers"].as_array().map(Vec::len), Some(2), "nothing of the scanner");

    let target = case.bench.engine.root().join("listed");
    let output = format!("type=local,dest={}", target.display());
    case.build(&["--sbom=generator=scanner", "--provenance=mode=min", "-o", &output]);
    assert_eq!(read(&target.join("sbom.spdx.json"))["predicate"]["size"], "11");
    assert_eq!(read(&target.join("provenance.json"))["predicateType"], "https://slsa.dev/provenance/v0.2");
    assert!(!target.join("written").exists());
}

#[test]
fn a_list_without_a_generator_fails_in_words() {
    let Some(case) = Case::new() else { return };
    let folder =
        case.bench.folder("bare", &[("Dockerfile", "FROM busybox\nENV A=b\n")]).display().to_string();
    let build = |sbom: &str| {
        let output = case.bench.buildx(&["build", "--progress=plain", sbom, &folder]);
        assert_ne!(output.code, 0, "{output:?}");
        output.stderr
    };
    let missing = build("--sbom=generator=127.0.0.1:1/none:1");
    assert!(
        missing.contains("is not to be had (another one is named with --sbom=generator=IMAGE)"),
        "{missing}"
    );
    let silent = build("--sbom=generator=busybox");
    assert!(silent.contains("generator busybox left 0 statements in /run/out"), "{silent}");
}
