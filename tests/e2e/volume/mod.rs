//! Volumes, binds and tmpfs (MISSION rows 123 to 134).

use testkit::Engine;

#[test]
fn a_volume_is_shared_and_the_host_reaches_it() {
    let engine = Engine::with_busybox();
    engine.wharf(&["volume", "create", "shared"]).ok();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "writer",
            "-v",
            "shared:/data",
            "busybox",
            "sh",
            "-c",
            "echo hi >/data/f; sleep 600",
        ])
        .ok();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(
        engine.wharf(&["run", "--rm", "-v", "shared:/other", "busybox", "cat", "/other/f"]).ok(),
        "hi"
    );
    let place = engine.wharf(&["volume", "inspect", "-f", "{{.Mountpoint}}", "shared"]).ok().to_owned();
    assert_eq!(place, engine.data_root().join("volumes/shared/_data").to_string_lossy());
    assert_eq!(std::fs::read_to_string(format!("{place}/f")).expect("read the volume from outside"), "hi\n");
    engine.wharf(&["rm", "-f", "writer"]).ok();
}

#[test]
fn a_new_volume_is_filled_from_the_image_with_owners_and_modes() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "--name", "make", "busybox", "sh", "-c",
        "mkdir /seed; echo a >/seed/a; chown 7:8 /seed/a; chmod 640 /seed/a; ln -s a /seed/l; chown 9:9 /seed"]).ok();
    engine.wharf(&["commit", "make", "seeded"]).ok();
    let script = "stat -c '%u:%g %a' /seed/a; readlink /seed/l; stat -c %u /seed";
    assert_eq!(
        engine.wharf(&["run", "--rm", "-v", "filled:/seed", "seeded", "sh", "-c", script]).ok(),
        "7:8 640\na\n9"
    );
    engine.wharf(&["run", "--rm", "-v", "filled:/seed", "seeded", "sh", "-c", "echo mine >/seed/a"]).ok();
    assert_eq!(
        engine.wharf(&["run", "--rm", "-v", "filled:/seed", "seeded", "cat", "/seed/a"]).ok(),
        "mine",
        "filled only once"
    );
}

#[test]
fn an_anonymous_volume_has_a_place_and_goes_with_rm_v() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "anonymous", "-v", "/data", "busybox", "sleep", "600"]).ok();
    let place =
        engine.wharf(&["inspect", "-f", "{{range .Mounts}}{{.Source}}{{end}}", "anonymous"]).ok().to_owned();
    assert!(std::path::Path::new(&place).is_dir());
    engine.wharf(&["rm", "-f", "-v", "anonymous"]).ok();
    assert!(!std::path::Path::new(&place).exists());
}

#[test]
fn binds_work_both_ways_and_can_be_read_only() {
    let engine = Engine::with_busybox();
    let dir = engine.root().join("bound");
    std::fs::create_dir(&dir).expect("make a folder");
    let bind = format!("{}:/b", dir.display());
    engine.wharf(&["run", "--rm", "-v", &bind, "busybox", "sh", "-c", "echo from inside >/b/f"]).ok();
    assert_eq!(std::fs::read_to_string(dir.join("f")).expect("read"), "from inside\n");
    let read_only = engine.wharf(&["run", "--rm", "-v", &format!("{bind}:ro"), "busybox", "touch", "/b/g"]);
    assert!(read_only.stderr.contains("Read-only file system"), "{read_only:?}");
}

#[test]
fn volumes_of_another_container_are_mounted() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&[
            "run",
            "--name",
            "first",
            "-v",
            "v1:/one",
            "-v",
            "/two",
            "busybox",
            "sh",
            "-c",
            "echo 1 >/one/f; echo 2 >/two/f",
        ])
        .ok();
    let seen =
        engine.wharf(&["run", "--rm", "--volumes-from", "first", "busybox", "cat", "/one/f", "/two/f"]);
    assert_eq!(seen.ok(), "1\n2");
}

#[test]
fn tmpfs_lives_in_memory() {
    let engine = Engine::with_busybox();
    let seen =
        engine.wharf(&["run", "--rm", "--tmpfs", "/t:size=4m", "busybox", "sh", "-c", "mount | grep ' /t '"]);
    assert!(seen.ok().starts_with("tmpfs on /t type tmpfs") && seen.ok().contains("size=4096k"), "{seen:?}");
}

#[test]
fn a_local_volume_takes_mount_options() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=2m", "memory"])
        .ok();
    let seen = engine.wharf(&["run", "--rm", "-v", "memory:/m", "busybox", "sh", "-c", "df -k /m | tail -1"]);
    assert!(seen.ok().contains("2048"), "{seen:?}");
}
