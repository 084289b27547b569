//! What becomes of a build: archives, folders, images of several platforms, registries; and that it is the same on any day.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::engine::run;
use testkit::registry::Registry;

use super::buildx::Bench;

/// A time long before the files of any test.
const EPOCH: &str = "1600000000";

const STEPS: &str = "FROM busybox
ARG SOURCE_DATE_EPOCH
WORKDIR /made/deep
COPY f /c/f
RUN mkdir /r; echo $SOURCE_DATE_EPOCH > /r/e; ln /r/e /r/hard; ln -s e /r/soft; rm /bin/arp
ENV A=b
";

/// A file in an archive.
fn member(tar: &Path, name: &str) -> Vec<u8> {
    let output = Command::new("tar").arg("-xOf").arg(tar).arg(name).output().expect("tar runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn document(tar: &Path, name: &str) -> Value {
    serde_json::from_slice(&member(tar, name)).expect("a document")
}

/// The document a descriptor names.
fn named(tar: &Path, descriptor: &Value) -> Value {
    document(tar, &blob(descriptor))
}

fn blob(descriptor: &Value) -> String {
    format!("blobs/{}", descriptor["digest"].as_str().expect("a digest").replace(':', "/"))
}

fn names(tar: &Path) -> Vec<String> {
    let listed = run(Command::new("tar").arg("-tf").arg(tar), None);
    listed.ok().lines().map(|name| name.trim_start_matches("./").to_owned()).collect()
}

impl Bench {
    fn out(&self, name: &str) -> PathBuf {
        self.engine.root().join(name)
    }

    /// Builds a folder into a file; the file.
    #[track_caller]
    fn export(&self, folder: &Path, output: &str, arguments: &[&str]) -> PathBuf {
        let path = self.out(&format!("out-{}", fs::read_dir(self.engine.root()).expect("listed").count()));
        let output = format!("{output},dest={}", path.display());
        self.build(folder, &[&["--output", &output], arguments].concat());
        path
    }

    /// Why a build is not to be had.
    #[track_caller]
    fn refused(&self, folder: &Path, arguments: &[&str]) -> String {
        let folder = folder.display().to_string();
        let output = self.buildx(&[&["build", "--progress=plain"], arguments, &[folder.as_str()]].concat());
        assert_ne!(output.code, 0, "{output:?}");
        output.stderr
    }
}

#[test]
fn the_same_files_are_the_same_image_on_two_engines() {
    let (Some(first), Some(second)) = (Bench::new(), Bench::new()) else { return };
    let epoch = format!("SOURCE_DATE_EPOCH={EPOCH}");
    let mut seen = Vec::new();
    for bench in [&first, &second] {
        let folder = bench.folder("same", &[("Dockerfile", STEPS), ("f", "file\n")]);
        let output = "type=image,name=same,rewrite-timestamp=true";
        bench.build(&folder, &["--no-cache", "--build-arg", &epoch, "--output", output]);
        let archive = bench.export(&folder, "type=oci,rewrite-timestamp=true", &["--build-arg", &epoch]);
        let index = document(&archive, "index.json");
        let created = &index["manifests"][0]["annotations"]["org.opencontainers.image.created"];
        assert_eq!(created, "2020-09-13T12:26:40Z");
        seen.push((bench.image_id("same"), index, fs::read(&archive).expect("there")));
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    let (one, other) = (&seen[0], &seen[1]);
    assert_eq!((&one.0, &one.1), (&other.0, &other.1));
    assert!(one.2 == other.2, "the archives differ");

    let inspected = first.engine.wharf(&["image", "inspect", "same"]);
    let inspected: Value = serde_json::from_str(inspected.ok()).expect("a document");
    assert_eq!(inspected[0]["Created"], "2020-09-13T12:26:40Z");
    let script =
        "stat -c '%Y %n' /made /made/deep /c /c/f /r /r/e; readlink /r/soft; stat -c %h /r/hard; cat /r/e";
    let shown = first.engine.wharf(&["run", "--rm", "same", "sh", "-c", script]);
    let expected =
        ["/made", "/made/deep", "/c", "/c/f", "/r", "/r/e"].map(|path| format!("{EPOCH} {path}\n"));
    assert_eq!(shown.ok(), format!("{}e\n2\n{EPOCH}", expected.concat()));
    assert!(first.engine.wharf(&["run", "--rm", "same", "ls", "/bin/arp"]).code != 0);
    let busybox = first.engine.wharf(&["run", "--rm", "same", "stat", "-c", "%Y", "/bin/busybox"]);
    let before = first.engine.wharf(&["run", "--rm", "busybox", "stat", "-c", "%Y", "/bin/busybox"]);
    assert_eq!(busybox.ok(), before.ok(), "files of the image below stay as they are");
}

#[test]
fn files_leave_with_the_builds_time() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.folder("timed", &[("Dockerfile", "FROM scratch\nCOPY f /d/f\n"), ("f", "f\n")]);
    let epoch = format!("SOURCE_DATE_EPOCH={EPOCH}");
    let local = bench.export(&folder, "type=local", &["--build-arg", &epoch]);
    let times = run(Command::new("stat").args(["-c", "%Y"]).args([local.join("d"), local.join("d/f")]), None);
    assert_eq!(times.ok(), format!("{EPOCH}\n{EPOCH}"));
    let tar = bench.export(&folder, "type=tar", &["--build-arg", &epoch]);
    let listed = run(Command::new("tar").args(["--utc", "--full-time", "-tvf"]).arg(&tar), None);
    assert_eq!(listed.ok().matches("2020-09-13 12:26:40").count(), 2, "{listed:?}");
    let plain = bench.export(&folder, "type=tar", &[]);
    assert_ne!(fs::read(plain).expect("there"), fs::read(tar).expect("there"));
    let said = bench.refused(&folder, &["--build-arg", "SOURCE_DATE_EPOCH=yesterday"]);
    assert!(said.contains("invalid SOURCE_DATE_EPOCH: yesterday"), "{said}");
    let said = bench.refused(&folder, &["-o", "type=image,name=x,rewrite-timestamp=true"]);
    assert!(said.contains("no SOURCE_DATE_EPOCH was given"), "{said}");
}

#[test]
fn archives_have_the_form_that_was_asked_for() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.folder("forms", &[("Dockerfile", "FROM busybox\nCOPY f /f\n"), ("f", "f\n")]);
    let metadata = bench.out("metadata.json");
    let flag = format!("--metadata-file={}", metadata.display());
    let oci = bench.export(&folder, "type=oci,name=form:1,annotation.a=b", &[&flag]);
    let index = document(&oci, "index.json");
    let descriptor = &index["manifests"][0];
    assert_eq!(descriptor["annotations"]["io.containerd.image.name"], "docker.io/library/form:1");
    assert_eq!(descriptor["annotations"]["org.opencontainers.image.ref.name"], "1");
    let manifest = named(&oci, descriptor);
    assert_eq!(manifest["annotations"], json!({ "a": "b" }));
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    for layer in manifest["layers"].as_array().expect("layers") {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        assert!(member(&oci, &blob(layer)).starts_with(&[0x1f, 0x8b]));
    }
    assert!(!names(&oci).iter().any(|name| name == "manifest.json"));
    let metadata: Value = serde_json::from_slice(&fs::read(&metadata).expect("written")).expect("a document");
    assert_eq!(metadata["containerimage.digest"], descriptor["digest"]);
    assert_eq!(metadata["containerimage.config.digest"], manifest["config"]["digest"]);
    assert_eq!(metadata["containerimage.descriptor"]["digest"], descriptor["digest"]);
    assert_eq!(metadata["image.name"], "docker.io/library/form:1");

    let zstd = bench.export(&folder, "type=oci,compression=zstd,force-compression=true", &[]);
    let manifest = named(&zstd, &document(&zstd, "index.json")["manifests"][0]);
    assert_eq!(manifest["layers"][1]["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    let plain = bench.export(&folder, "type=oci,compression=uncompressed,oci-mediatypes=false", &[]);
    let manifest = named(&plain, &document(&plain, "index.json")["manifests"][0]);
    assert_eq!(manifest["layers"][1]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar");

    let docker = bench.export(&folder, "type=docker,name=form:2", &[]);
    let listed = document(&docker, "manifest.json");
    assert_eq!(listed[0]["RepoTags"], json!(["form:2"]));
    let loaded = bench.engine.wharf(&["load", "-i", &docker.display().to_string()]);
    assert!(loaded.ok().contains("form:2"), "{loaded:?}");
    assert_eq!(bench.engine.wharf(&["run", "--rm", "form:2", "cat", "/f"]).ok(), "f");

    let layout = bench.export(&folder, "type=oci,name=form:3,tar=false", &[]);
    let read = |path: String| -> Value {
        serde_json::from_slice(&fs::read(layout.join(path)).expect("there")).expect("a document")
    };
    let manifest = read(blob(&read("index.json".to_owned())["manifests"][0]));
    for part in manifest["layers"].as_array().expect("layers").iter().chain([&manifest["config"]]) {
        let size = fs::metadata(layout.join(blob(part))).expect("there").len();
        assert_eq!(Some(size), part["size"].as_u64());
    }
    assert_eq!(
        bench.engine.wharf(&["images", "-qa"]).ok().lines().count(),
        2,
        "only what was loaded has come"
    );

    for (options, words) in [
        ("type=oci,annotation-index.a=b", "index annotations not supported for single platform export"),
        ("type=oci,annotation-layer.a=b", "unknown annotation type"),
        ("type=oci,compression=estargz", "is not supported by this builder: use uncompressed, gzip or zstd"),
        ("type=oci,name=BAD", "failed to parse BAD"),
    ] {
        let dest = format!("{options},dest={}", bench.out("refused").display());
        let said = bench.refused(&folder, &["-o", &dest]);
        assert!(said.contains(words), "{options}: {said}");
    }
}

#[test]
fn several_platforms_become_one_index() {
    let Some(bench) = Bench::new() else { return };
    let dockerfile = "FROM --platform=$BUILDPLATFORM busybox AS tool
ARG TARGETARCH
RUN echo for-$TARGETARCH on $(uname -m) > /made
FROM scratch
ARG TARGETPLATFORM BUILDPLATFORM
COPY --from=tool /made /made
COPY $TARGETPLATFORM /own
LABEL of=$TARGETPLATFORM
";
    let files = [("Dockerfile", dockerfile), ("linux/amd64", "amd\n"), ("linux/arm64", "arm\n")];
    let folder = bench.folder("several", &files);
    let both = "--platform=linux/amd64,linux/arm64";
    let local = bench.export(&folder, "type=local", &[both]);
    for (platform, own) in [("linux_amd64", "amd\n"), ("linux_arm64", "arm\n")] {
        assert_eq!(fs::read_to_string(local.join(platform).join("own")).expect("there"), own);
        let made = fs::read_to_string(local.join(platform).join("made")).expect("there");
        assert!(made.starts_with(&format!("for-{}", &platform[6..])), "{made}");
    }
    let tar = bench.export(&folder, "type=tar", &[both]);
    assert_eq!(member(&tar, "linux_arm64/own"), b"arm\n");

    let oci = bench.export(&folder, "type=oci,annotation-index.all=yes", &[both]);
    let index = document(&oci, "index.json");
    let index = named(&oci, &index["manifests"][0]);
    assert_eq!(index["annotations"], json!({ "all": "yes" }));
    for (number, architecture) in ["amd64", "arm64"].iter().enumerate() {
        let descriptor = &index["manifests"][number];
        assert_eq!(descriptor["platform"]["architecture"], *architecture);
        let config = named(&oci, &named(&oci, descriptor)["config"]);
        assert_eq!(config["architecture"], *architecture);
        assert_eq!(config["config"]["Labels"]["of"], format!("linux/{architecture}"));
    }

    let output = bench.build(&folder, &[both, "-t", "several"]);
    assert!(output.contains("[linux/arm64 stage-1 2/2] COPY "), "{output}");
    let kept = bench.engine.wharf(&["save", "several"]);
    assert_eq!(kept.code, 0);
    let platforms = bench.engine.wharf(&[
        "image",
        "inspect",
        "--platform",
        "linux/arm64",
        "-f",
        "{{.Architecture}}",
        "several",
    ]);
    assert_eq!(platforms.ok(), "arm64");

    let said =
        bench.refused(&folder, &[both, "-o", &format!("type=docker,dest={}", bench.out("x").display())]);
    assert!(said.contains("manifest lists"), "{said}");
}

/// The head of a program for another machine (AArch64), and nothing else.
fn foreign_program() -> Vec<u8> {
    let mut head = vec![0; 120];
    head[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    head[16..20].copy_from_slice(&[2, 0, 0xb7, 0]);
    head[20] = 1;
    head[32] = 64;
    head[52..58].copy_from_slice(&[64, 0, 56, 0, 1, 0]);
    head[64] = 1;
    head
}

#[test]
fn a_foreign_program_does_not_run_and_says_why() {
    let Some(bench) = Bench::new() else { return };
    if cfg!(not(target_arch = "x86_64")) || Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
        println!("skipped: this machine may run foreign programs");
        return;
    }
    let folder =
        bench.folder("foreign", &[("Dockerfile", "FROM scratch\nCOPY --chmod=755 sh /bin/sh\nRUN x\n")]);
    fs::write(folder.join("sh"), foreign_program()).expect("written");
    let said = bench.refused(&folder, &["--platform", "linux/arm64"]);
    assert!(said.contains("this machine runs no programs for linux/arm64"), "{said}");
    assert!(said.contains(">>> RUN x"), "{said}");
}

#[test]
fn an_image_is_pushed_as_it_is_built() {
    let Some(bench) = Bench::new() else { return };
    let registry = Registry::empty(bench.engine.root(), json!({ "listen": ["127.0.0.1:0"] }));
    let folder = bench.folder("push", &[("Dockerfile", "FROM busybox\nCOPY f /f\n"), ("f", "f\n")]);
    let name = format!("{}/pushed:1", registry.address());
    bench.build(&folder, &["-t", &name, "--push"]);
    let id = bench.image_id(&name);
    bench.engine.wharf(&["rmi", &name]).ok();
    bench.engine.wharf(&["pull", "-q", &name]).ok();
    assert_eq!(bench.image_id(&name), id);
    assert_eq!(bench.engine.wharf(&["run", "--rm", &name, "cat", "/f"]).ok(), "f");
}
