//! Archives of podman, buildah and skopeo load here, and ours load there.

use testkit::Engine;
use testkit::peers::Peers;

fn layers(engine: &Engine, name: &str) -> String {
    engine.wharf(&["image", "inspect", "-f", "{{.RootFS.Layers}}", name]).ok().to_owned()
}

#[test]
fn archives_of_podman_buildah_and_skopeo_load_and_run() {
    let engine = Engine::start();
    let Some(peers) = Peers::new(engine.root()) else { return };
    let busybox = testkit::image::busybox_tar();
    let command = r#"CMD ["sh", "-c", "echo from podman in $PLACE"]"#;
    let tar = busybox.to_string_lossy();
    let theirs = "localhost/deep/theirs:1";
    peers
        .podman(&["import", "-c", command, "-c", "ENV PLACE=there", "-c", "LABEL of=podman", &tar, theirs])
        .ok();
    let file = |name: &str| engine.root().join(format!("{name}.tar")).to_string_lossy().into_owned();
    let archives =
        ["podman-docker", "podman-oci", "buildah-docker", "buildah-oci", "skopeo-docker", "skopeo-oci"];
    let [podman_docker, podman_oci, buildah_docker, buildah_oci, skopeo_docker, skopeo_oci] =
        archives.map(file);
    peers.podman(&["save", "--format", "docker-archive", "-o", &podman_docker, theirs]).ok();
    peers.podman(&["save", "--format", "oci-archive", "-o", &podman_oci, theirs]).ok();
    let target = |kind: &str, path: &str| format!("{kind}-archive:{path}:{theirs}");
    peers.buildah(&["push", theirs, &target("docker", &buildah_docker)]).ok();
    peers.buildah(&["push", theirs, &target("oci", &buildah_oci)]).ok();
    let source = |kind: &str, path: &str| format!("{kind}-archive:{path}");
    peers.skopeo(&["copy", &source("oci", &podman_oci), &target("docker", &skopeo_docker)]).ok();
    peers.skopeo(&["copy", &source("docker", &podman_docker), &target("oci", &skopeo_oci)]).ok();
    let wanted =
        peers.podman(&["image", "inspect", "--format", "{{.RootFS.Layers}}", theirs]).ok().to_owned();
    for archive in archives {
        let loaded = engine.wharf(&["load", "-i", &file(archive)]);
        assert!(loaded.ok().contains(&format!("Loaded image: {theirs}")), "{archive}: {}", loaded.stdout);
        assert_eq!(layers(&engine, theirs), wanted, "{archive}");
        assert_eq!(engine.wharf(&["run", "--rm", theirs]).ok(), "from podman in there", "{archive}");
        let label = engine.wharf(&["image", "inspect", "-f", "{{.Config.Labels.of}}", theirs]);
        assert_eq!(label.ok(), "podman", "{archive}");
        engine.wharf(&["rmi", theirs]).ok();
    }
    assert_eq!(engine.wharf(&["images", "-aq"]).ok(), "");
}

#[test]
fn podman_buildah_and_skopeo_load_what_wharf_saves() {
    let engine = Engine::with_busybox();
    let Some(peers) = Peers::new(engine.root()) else { return };
    engine.wharf(&["run", "--name", "maker", "busybox", "sh", "-c", "echo kept >/story; rm /bin/ash"]).ok();
    engine.wharf(&["commit", "-c", "LABEL of=wharf", "maker", "localhost/ours:1"]).ok();
    let path = engine.root().join("ours.tar").to_string_lossy().into_owned();
    engine.wharf(&["save", "-o", &path, "localhost/ours:1"]).ok();
    let wanted = layers(&engine, "localhost/ours:1");
    let known = |peers: &Peers| {
        let format = "{{.RootFS.Layers}} {{.Labels.of}}";
        peers.podman(&["image", "inspect", "--format", format, "localhost/ours:1"]).ok().to_owned()
    };
    let loaded = peers.podman(&["load", "-i", &path]);
    assert!(loaded.ok().contains("localhost/ours:1"), "{}", loaded.stdout);
    assert_eq!(known(&peers), format!("{wanted} wharf"));
    // What podman made of it is the same image.
    let back = engine.root().join("back.tar").to_string_lossy().into_owned();
    peers.podman(&["save", "--format", "oci-archive", "-o", &back, "localhost/ours:1"]).ok();
    engine.wharf(&["rmi", "localhost/ours:1"]).ok();
    engine.wharf(&["load", "-i", &back]).ok();
    let told = engine.wharf(&["run", "--rm", "localhost/ours:1", "sh", "-c", "cat /story; ls /bin/ash"]);
    assert_eq!(told.stdout.trim(), "kept");
    assert!(told.stderr.contains("/bin/ash"), "what was removed is not there: {}", told.stderr);
    // Both kinds of documents in the archive are read, by buildah and by skopeo.
    for kind in ["docker-archive", "oci-archive"] {
        peers.podman(&["rmi", "-a", "-f"]).ok();
        peers.buildah(&["pull", &format!("{kind}:{path}")]).ok();
        let images = peers.podman(&["images", "-q", "--no-trunc"]);
        let id = images.ok().lines().next().expect("buildah has an image").to_owned();
        let got = peers.podman(&["image", "inspect", "--format", "{{.RootFS.Layers}}", &id]);
        assert_eq!(got.ok(), wanted, "{kind}");
        let folder = engine.root().join(kind);
        peers.skopeo(&["copy", &format!("{kind}:{path}"), &format!("dir:{}", folder.display())]).ok();
        assert!(folder.join("manifest.json").is_file(), "{kind}");
    }
}
