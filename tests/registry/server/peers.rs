//! Other programs push and pull: skopeo, podman and dockerd, where they are.

use std::path::Path;
use std::process::Command;

use oci::digest::Digest;
use serde_json::json;
use testkit::peers::Peers;

use crate::fixture::Server;

const REFERENCE: &str = "/var/tmp/docker-reference";

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = testkit::engine::run(command, None);
    assert_eq!(output.code, 0, "{command:?}: {output:?}");
    output.stdout
}

#[test]
fn skopeo_copies_both_ways_with_equal_digests() {
    let (first, second) = (Server::start(json!({})), Server::start(json!({})));
    let Some(peers) = Peers::new(&first.dir) else { return };
    let (digest, manifest) = first.client().in_repository("a/app").push_image("1", "skopeo");
    let (from, to) =
        (format!("docker://{}/a/app:1", first.address), format!("docker://{}/b/app:2", second.address));
    let plain =
        ["copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false", &from, &to];
    peers.skopeo(&plain).ok();
    let got = second.client().get("/v2/b/app/manifests/2");
    assert_eq!((Digest::of(&got.body), got.body), (digest, manifest));
    let all = format!("docker://{}/b/app", second.address);
    assert!(peers.skopeo(&["list-tags", "--tls-verify=false", &all]).ok().contains("\"2\""));
    peers.skopeo(&["delete", "--tls-verify=false", &to]).ok();
    assert_eq!(second.client().get("/v2/b/app/manifests/2").status, 404);
}

#[test]
fn podman_and_buildah_push_and_pull() {
    let server = Server::start(json!({}));
    let Some(peers) = Peers::new(&server.dir) else { return };
    let tree = server.dir.join("tree.tar");
    succeed(Command::new("tar").arg("-cf").arg(&tree).args(["-C", "/etc", "hostname", "passwd"]));
    peers.podman(&["import", "-c", "LABEL of=podman", &tree.to_string_lossy(), "localhost/made:1"]).ok();
    let held = |repository: &str| {
        let got = server.client().get(&format!("/v2/{repository}/manifests/1"));
        assert_eq!(got.status, 200, "{repository}: {}", got.text());
        Digest::of(&got.body).to_string()
    };
    let said = server.dir.join("digest");
    let mut digests = Vec::new();
    for (program, format) in
        [("podman", "oci"), ("podman", "v2s2"), ("buildah", "oci"), ("buildah", "docker")]
    {
        let run = |arguments: &[&str]| match program {
            "podman" => peers.podman(arguments),
            _ => peers.buildah(arguments),
        };
        let repository = format!("{program}/deep/{format}");
        let (name, file) = (format!("{}/{repository}:1", server.address), said.to_string_lossy());
        let target = format!("docker://{name}");
        let arguments = [
            "push",
            "--tls-verify=false",
            "--format",
            format,
            "--digestfile",
            &file,
            "localhost/made:1",
            &target,
        ];
        run(&arguments).ok();
        let digest = held(&repository);
        assert_eq!(std::fs::read_to_string(&said).unwrap().trim(), digest, "{repository}");
        run(&["pull", "--tls-verify=false", &name]).ok();
        let got = peers.podman(&["image", "inspect", "--format", "{{.RepoDigests}} {{.Labels.of}}", &name]);
        assert!(got.ok().contains(&format!("{}/{repository}@{digest}", server.address)), "{got:?}");
        assert!(got.ok().ends_with(" podman"), "{got:?}");
        run(&["rmi", &name]).ok();
        digests.push(digest);
    }
    // Without anything left there, all has to come from here.
    peers.podman(&["rmi", "-a", "-f"]).ok();
    let pulled = format!("{}/podman/deep/oci@{}", server.address, digests[0]);
    peers.podman(&["pull", "--tls-verify=false", &pulled]).ok();
    let name = format!("docker://{}/buildah/deep/docker:1", server.address);
    let seen = peers.skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &name]);
    assert_eq!(seen.ok(), digests[3]);
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
