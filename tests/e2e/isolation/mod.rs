//! What a container cannot see or change of the host and of others (MISSION rows 33 to 46).

use std::time::Duration;

use testkit::Engine;

fn inside(engine: &Engine, script: &str) -> String {
    engine.wharf(&["run", "--rm", "busybox", "sh", "-c", script]).ok().to_owned()
}

#[test]
fn each_namespace_is_its_own() {
    let engine = Engine::with_busybox();
    for kind in ["pid", "uts", "ipc", "mnt", "net"] {
        let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("read our namespace");
        let container = inside(&engine, &format!("readlink /proc/self/ns/{kind}"));
        assert_ne!(container, host.to_string_lossy(), "{kind}");
        let other = inside(&engine, &format!("readlink /proc/self/ns/{kind}"));
        assert!(!other.is_empty());
    }
}

#[test]
fn processes_see_only_their_container() {
    let engine = Engine::with_busybox();
    let count: u32 = inside(&engine, "ls -d /proc/[0-9]* | wc -l").parse().expect("a count");
    assert!(count <= 3, "{count} processes are seen");
    assert_eq!(inside(&engine, "echo $$"), "1");
    let host =
        engine.wharf(&["run", "--rm", "--pid", "host", "busybox", "sh", "-c", "ls -d /proc/[0-9]* | wc -l"]);
    assert!(host.ok().parse::<u32>().expect("a count") > 5);
}

#[test]
fn the_host_name_is_the_containers_own() {
    let engine = Engine::with_busybox();
    let before = rustix::system::uname().nodename().to_owned();
    engine.wharf(&["run", "--rm", "--cap-add", "SYS_ADMIN", "busybox", "hostname", "changed"]).ok();
    assert_eq!(rustix::system::uname().nodename(), before.as_c_str());
}

#[test]
fn the_root_cannot_be_left() {
    let engine = Engine::with_busybox();
    let marker = engine.root().join("marker");
    std::fs::write(&marker, "host").expect("write a file");
    let script = format!(
        "cd ..; cd ../..; test ! -e {0} && test ! -e /../..{0} && ls / | tr '\\n' ' '",
        marker.display()
    );
    assert!(inside(&engine, &script).contains("bin"));
}

#[test]
fn the_kernel_is_shared_and_the_userland_is_not() {
    let engine = Engine::with_busybox();
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    assert_eq!(inside(&engine, "uname -r"), release);
    assert_eq!(inside(&engine, "test -e /etc/os-release || echo other"), "other");
}

#[test]
fn images_do_not_change_under_containers() {
    let engine = Engine::with_busybox();
    assert_eq!(inside(&engine, "rm -rf /bin/vi; echo x >/etc/new; ls /etc/new"), "/etc/new");
    assert_eq!(inside(&engine, "ls /bin/vi; test ! -e /etc/new && echo clean"), "/bin/vi\nclean");
}

#[test]
fn a_user_namespace_maps_root_to_nobody() {
    if !layers_can_be_mapped() {
        return;
    }
    let engine = Engine::start_with(&["--userns-remap", "default"]);
    engine.import_busybox();
    let map = engine.wharf(&["run", "--rm", "busybox", "cat", "/proc/self/uid_map"]);
    let first: Vec<&str> = map.ok().split_whitespace().take(2).collect();
    assert_eq!(first[0], "0");
    assert_ne!(first[1], "0", "root inside is somebody else outside");
    assert_eq!(
        engine.wharf(&["run", "--rm", "busybox", "sh", "-c", "id -u; touch /x; stat -c %u /x"]).ok(),
        "0\n0"
    );
    // What containers write belongs to nobody outside, so no setuid program of theirs is anybody's either.
    engine.wharf(&["run", "--name", "kept", "-v", "data:/data", "busybox", "touch", "/x", "/data/y"]).ok();
    assert_eq!(
        engine.wharf(&["run", "--rm", "-v", "data:/data", "busybox", "stat", "-c", "%u", "/data/y"]).ok(),
        "0"
    );
    assert_eq!(engine.wharf(&["diff", "kept"]).ok(), "C /data\nA /x".replace("C /data\n", "A /data\n"));
    engine.wharf(&["rm", "kept"]).ok();
    let own = engine.wharf(&["run", "--rm", "--userns", "host", "busybox", "cat", "/proc/self/uid_map"]);
    assert!(own.ok().ends_with("4294967295"), "{own:?}");
    let wish = ["run", "--rm", "--privileged", "busybox", "true"];
    let refused = engine.wharf(&wish);
    assert!(
        refused.fails_with(125).contains("privileged mode is incompatible with user namespaces"),
        "{refused:?}"
    );
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    assert_eq!(
        engine.wharf(&["exec", "box", "sh", "-c", "id -u; ls -ln /etc/hosts | awk '{ print $3 }'"]).ok(),
        "0\n0"
    );
    engine.wharf(&["rm", "-f", "box"]).ok();
}

/// Who owns what is the same on both sides of `cp`, `commit`, `export` and of a volume's first contents.
#[test]
fn owners_stay_theirs_when_ids_are_mapped() {
    if !layers_can_be_mapped() {
        return;
    }
    let engine = Engine::start_with(&["--userns-remap", "default"]);
    engine.import_busybox();
    let folder = engine.root().join("copied");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("file");
    std::fs::write(&file, "text").unwrap();
    std::os::unix::fs::chown(&file, Some(3), Some(4)).unwrap();
    let file = file.to_str().unwrap();
    let make = "mkdir /made; echo x > /made/f; chown 7:8 /made /made/f";
    let owners = |command: &[&str]| engine.wharf(command).ok().to_owned();
    let list = "stat -c '%u:%g %n' /made/*";
    for (name, running) in [("runs", true), ("stopped", false)] {
        let script = if running { format!("{make}; sleep 600") } else { make.to_owned() };
        engine.wharf(&["run", "-d", "--name", name, "busybox", "sh", "-c", &script]).ok();
        while engine.wharf(&["cp", &format!("{name}:/made/f"), "-"]).code != 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        if !running {
            engine.wharf(&["wait", name]).ok();
        }
        engine.wharf(&["cp", file, &format!("{name}:/made/plain")]).ok();
        engine.wharf(&["cp", "-a", file, &format!("{name}:/made/kept")]).ok();
        let archive = engine.wharf_command(&["cp", &format!("{name}:/made"), "-"]).output().unwrap().stdout;
        let told = numeric_owners(&archive);
        for line in ["7/8 made/", "7/8 made/f", "3/4 made/kept"] {
            assert!(told.iter().any(|held| held == line), "{line} of {name} in {told:?}");
        }
        let exported = engine.wharf_command(&["export", name]).output().unwrap().stdout;
        let exported = numeric_owners(&exported);
        assert!(exported.iter().any(|held| held == "7/8 made/f"), "{name}: {exported:?}");
        assert!(exported.iter().any(|held| held == "0/0 etc/passwd"), "{name}: {exported:?}");
        assert!(owners(&["diff", name]).contains("A /made/kept"));
        let image = format!("{name}-image");
        engine.wharf(&["commit", name, &image]).ok();
        let inside = owners(&["run", "--rm", &image, "sh", "-c", list]);
        assert!(inside.contains("7:8 /made/f") && inside.contains("3:4 /made/kept"), "{name}: {inside}");
        let volume = format!("{name}-data:/made");
        let filled = owners(&["run", "--rm", "-v", &volume, &image, "sh", "-c", list]);
        assert_eq!(filled, inside, "{name}");
    }
    assert_eq!(owners(&["exec", "runs", "sh", "-c", "stat -c %u:%g /made/kept"]), "3:4");
    engine.wharf(&["exec", "runs", "rm", "/made/plain", "/made/kept"]).ok();
    engine.wharf(&["rm", "-f", "runs", "stopped"]).ok();
}

/// `UID/GID NAME` of each entry of a tar archive.
fn numeric_owners(archive: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = archive;
    while let Some((header, after)) = rest.split_at_checked(512).filter(|(header, _)| header[0] != 0) {
        let text = |from: usize, to: usize| {
            String::from_utf8_lossy(&header[from..to]).trim_matches(['\0', ' ']).to_owned()
        };
        let number = |from, to| usize::from_str_radix(&text(from, to), 8).unwrap();
        // Headers that only extend the next one have no owner.
        if !matches!(header[156], b'x' | b'g' | b'L' | b'K') {
            lines.push(format!("{}/{} {}", number(108, 116), number(116, 124), text(0, 100)));
        }
        rest = after.get(number(124, 136).next_multiple_of(512)..).unwrap_or_default();
    }
    lines
}

/// Overlays take layers with mapped ids by descriptor since Linux 6.15.
fn layers_can_be_mapped() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let can = (numbers.next(), numbers.next()) >= (Some(6), Some(15));
    if !can {
        println!("skipped: Linux {release} takes no layers with mapped ids");
    }
    can
}

#[test]
fn configuration_comes_by_environment() {
    let engine = Engine::with_busybox();
    let seen = engine.wharf(&["run", "--rm", "-e", "MODE=fast", "busybox", "sh", "-c", "echo $MODE"]);
    assert_eq!(seen.ok(), "fast");
}
