//! Other programs push and pull: skopeo, podman and dockerd, where they are.

use std::path::Path;
use std::process::Command;

use oci::digest::Digest;
use serde_json::json;

use crate::fixture::Server;

const REFERENCE: &str = "/var/tmp/docker-reference";

/// The command that runs a program of this machine or of the reference root; `None` with the reason printed.
fn peer(program: &str) -> Option<Command> {
    if Path::new("/usr/bin").join(program).is_file() {
        return Some(Command::new(program));
    }
    let root = Path::new(REFERENCE);
    if !root.join("usr/bin").join(program).is_file() {
        println!("skipped: {program} is not installed");
        return None;
    }
    let mut command = Command::new("chroot");
    command.arg(root).arg(program);
    Some(command)
}

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = testkit::engine::run(command, None);
    assert_eq!(output.code, 0, "{command:?}: {output:?}");
    output.stdout
}

#[test]
fn skopeo_copies_both_ways_with_equal_digests() {
    let (first, second) = (Server::start(json!({})), Server::start(json!({})));
    let (digest, manifest) = first.client().in_repository("a/app").push_image("1", "skopeo");
    let Some(mut copy) = peer("skopeo") else { return };
    copy.args([
        "--insecure-policy",
        "copy",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    ])
    .arg(format!("docker://{}/a/app:1", first.address))
    .arg(format!("docker://{}/b/app:2", second.address));
    succeed(&mut copy);
    let got = second.client().get("/v2/b/app/manifests/2");
    assert_eq!((Digest::of(&got.body), got.body), (digest, manifest));
    let Some(mut tags) = peer("skopeo") else { return };
    tags.args(["list-tags", "--tls-verify=false"]).arg(format!("docker://{}/b/app", second.address));
    assert!(succeed(&mut tags).contains("\"2\""));
    let Some(mut delete) = peer("skopeo") else { return };
    delete.args(["delete", "--tls-verify=false"]).arg(format!("docker://{}/b/app:2", second.address));
    succeed(&mut delete);
    assert_eq!(second.client().get("/v2/b/app/manifests/2").status, 404);
}

#[test]
fn dockerd_pushes_and_pulls() {
    let socket = Path::new(REFERENCE).join("run/reference.sock");
    if testkit::http::get(&socket, "/_ping").is_err() {
        println!("skipped: no reference dockerd answers");
        return;
    }
    let server = Server::start(json!({}));
    let name = format!("{}/wharf-registry-test/busybox", server.address);
    let ask = |method: &str, target: &str| {
        let auth = [("X-Registry-Auth", "e30=")];
        let answer = testkit::http::request(&socket, method, target, &auth, b"").unwrap();
        assert!(answer.status < 300, "{target}: {}", answer.text());
        answer.text()
    };
    ask("POST", &format!("/images/busybox/tag?repo={name}&tag=1"));
    let pushed = ask("POST", &format!("/images/{name}/push?tag=1"));
    ask("DELETE", &format!("/images/{name}:1"));
    assert!(pushed.contains("1: digest: sha256:"), "{pushed}");
    let manifest = server.client().get("/v2/wharf-registry-test/busybox/manifests/1");
    assert!(pushed.contains(Digest::of(&manifest.body).as_str()), "{pushed}");
    let pulled = ask("POST", &format!("/images/create?fromImage={name}&tag=1"));
    ask("DELETE", &format!("/images/{name}:1"));
    assert!(pulled.contains(Digest::of(&manifest.body).as_str()), "{pulled}");
}
