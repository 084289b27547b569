//! Files in and out: `cp` of whole trees, `--cidfile`, `--env-file`.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use testkit::Engine;

/// A tree with all that is hard to copy.
fn plant(root: &Path) {
    std::fs::create_dir_all(root.join("deep/er/empty")).expect("make folders");
    let big: Vec<u8> = (0..5_000_000_u32)
        .flat_map(|number| (number.wrapping_mul(2_654_435_761) >> 8).to_le_bytes())
        .collect();
    std::fs::write(root.join("big"), big).expect("write");
    std::fs::write(root.join("none"), "").expect("write");
    std::fs::write(root.join("deep/a b\u{e9}\u{1f980}"), "odd name").expect("write");
    std::fs::write(root.join("deep").join("n".repeat(255)), "long name").expect("write");
    for (name, mode) in [("set", 0o4755), ("sticky", 0o1640), ("closed", 0o000)] {
        std::fs::write(root.join(name), name).expect("write");
        std::os::unix::fs::chown(root.join(name), Some(12_345), Some(54_321)).expect("change the owner");
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(mode))
            .expect("change the mode");
    }
    std::fs::set_permissions(root.join("deep/er"), std::fs::Permissions::from_mode(0o2750))
        .expect("change the mode");
    symlink("big", root.join("link")).expect("link");
    symlink("/etc/nowhere", root.join("dangling")).expect("link");
    symlink("../deep", root.join("deep/up")).expect("link");
    std::fs::hard_link(root.join("set"), root.join("twin")).expect("link");
}

/// One line per entry: path, kind and mode, size, target, time. Nothing a container hands out runs as somebody else.
fn describe(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).expect("list").flatten() {
            let (path, about) = (entry.path(), entry.metadata().expect("look"));
            let shown = path.strip_prefix(root).expect("inside").display().to_string();
            let target = std::fs::read_link(&path).map(|target| target.display().to_string());
            let size = if about.is_file() { about.len() } else { 0 };
            let mode = about.mode() & !0o6000;
            found.push(format!("{shown} {mode:o} {size} {} {}", target.unwrap_or_default(), about.mtime()));
            if about.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_tree_comes_back_as_it_went() {
    let engine = Engine::with_busybox();
    let source = engine.root().join("source");
    plant(&source);
    let from = source.display().to_string();
    for (name, running) in [("still", false), ("moving", true)] {
        if running {
            engine.wharf(&["run", "-d", "--name", name, "busybox", "sleep", "600"]).ok();
        } else {
            engine.wharf(&["create", "--name", name, "busybox"]).ok();
        }
        let back = engine.root().join(format!("back-{name}"));
        let target = back.display().to_string();
        engine.wharf(&["cp", "-a", &from, &format!("{name}:/tree")]).ok();
        engine.wharf(&["cp", "-a", &format!("{name}:/tree"), &target]).ok();
        assert_eq!(describe(&back), describe(&source), "{name}");
        for file in ["set", "twin", "closed"] {
            let about = std::fs::metadata(back.join(file)).expect("look");
            assert_eq!(
                (about.uid(), about.gid(), about.mode() & 0o6000),
                (0, 0, 0),
                "{file} is the caller's"
            );
        }
        assert!(
            std::fs::read(back.join("big")).expect("read")
                == std::fs::read(source.join("big")).expect("read")
        );
        // Through pipes, without owners being asked for.
        let packed = engine.wharf_command(&["cp", &format!("{name}:/tree"), "-"]).output().expect("cp");
        let second = format!("{name}:/second");
        let exec = if running {
            engine.wharf(&["exec", name, "mkdir", "/second"])
        } else {
            engine.wharf(&["cp", "/var/empty-wharf-test", &second])
        };
        if running {
            exec.ok();
            engine.wharf_with_input(&["cp", "-", &second], &packed.stdout).ok();
            let inside = "cd /tree; stat -c '%n %a %u:%g %h' set sticky closed deep/er";
            assert_eq!(
                engine.wharf(&["exec", name, "sh", "-c", inside]).ok(),
                "set 4755 12345:54321 2\nsticky 1640 12345:54321 1\nclosed 0 12345:54321 1\ndeep/er 2750 0:0 3"
            );
            let counted = engine.wharf(&[
                "exec",
                name,
                "sh",
                "-c",
                "find /second/tree | wc -l; md5sum </second/tree/big",
            ]);
            let first = engine.wharf(&["exec", name, "sh", "-c", "find /tree | wc -l; md5sum </tree/big"]);
            assert_eq!(counted.ok(), first.ok());
        } else {
            assert!(exec.fails_with(1).contains("no such file or directory"), "{exec:?}");
        }
    }
    engine.wharf(&["rm", "-f", "still", "moving"]).ok();
}

#[test]
fn single_files_and_contents_land_where_docker_puts_them() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    let file = |name: &str| engine.root().join(name).display().to_string();
    std::fs::create_dir_all(file("dir/sub")).expect("make folders");
    std::fs::write(file("dir/sub/one"), "1").expect("write");
    symlink("sub/one", file("dir/link")).expect("link");
    let sh = |script: &str| engine.wharf(&["exec", "box", "sh", "-c", script]).ok().to_owned();
    engine.wharf(&["cp", &file("dir"), "box:/new"]).ok();
    assert_eq!(sh("cd /new; find . | sort; readlink link"), ".\n./link\n./sub\n./sub/one\nsub/one");
    engine.wharf(&["cp", &file("dir"), "box:/new"]).ok();
    engine.wharf(&["cp", &format!("{}/.", file("dir")), "box:/tmp"]).ok();
    assert_eq!(sh("cat /new/dir/sub/one /tmp/sub/one"), "11");
    engine.wharf(&["cp", "-L", &file("dir/link"), "box:/followed"]).ok();
    assert_eq!(sh("cat /followed; test -L /followed || echo plain"), "1plain");
    engine.wharf(&["cp", "-q", "box:/new/link", &file("kept")]).ok();
    assert_eq!(std::fs::read_link(file("kept")).expect("a link").display().to_string(), "sub/one");
    for (from, to, wanted) in [
        ("box:/nope".to_owned(), file("x"), "Could not find the file /nope in container box"),
        (file("nope"), "box:/x".to_owned(), "no such file or directory"),
        (file("dir"), "box:/etc/passwd".to_owned(), "cannot copy directory"),
        (file("dir/sub/one"), "box:/nope/".to_owned(), "no such directory"),
        ("box:/a".to_owned(), "box:/b".to_owned(), "copying between containers is not supported"),
        (file("dir"), file("x"), "must specify at least one container source"),
    ] {
        let seen = engine.wharf(&["cp", &from, &to]);
        assert!(seen.fails_with(1).contains(wanted), "{from} {to}: {seen:?}");
    }
    engine.wharf(&["rm", "-f", "box"]).ok();
}

#[test]
fn id_and_environment_files() {
    let engine = Engine::with_busybox();
    let file = |name: &str| engine.root().join(name).display().to_string();
    let id =
        engine.wharf(&["run", "-d", "--cidfile", &file("id"), "busybox", "sleep", "600"]).ok().to_owned();
    assert_eq!(std::fs::read_to_string(file("id")).expect("read"), id);
    let again = engine.wharf(&["run", "--rm", "--cidfile", &file("id"), "busybox", "true"]);
    assert!(
        again.code == 125
            && again
                .stderr
                .contains("container ID file found, make sure the other container isn't running or delete"),
        "{again:?}"
    );
    engine.wharf(&["rm", "-f", &id]).ok();
    let failed = engine.wharf(&["create", "--cidfile", &file("failed"), "--memory", "1", "busybox"]);
    assert!(failed.code != 0 && !Path::new(&file("failed")).exists(), "{failed:?}");

    std::fs::write(file("env"), "# a comment\n\nA=1\nB=two words # kept\n  C=lead\nFROM_US\nMISSING\nD=\n")
        .expect("write");
    let mut command =
        engine.wharf_command(&["run", "--rm", "--env-file", &file("env"), "-e", "A=2", "busybox", "env"]);
    let seen = testkit::engine::run(command.env("FROM_US", "taken").env_remove("MISSING"), None);
    let lines: Vec<&str> = seen.ok().lines().collect();
    for wanted in ["A=2", "B=two words # kept", "C=lead", "FROM_US=taken", "D="] {
        assert!(lines.contains(&wanted), "{wanted} is not among {lines:?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("MISSING")), "{lines:?}");
    std::fs::write(file("bad"), "A B=1\n").expect("write");
    let bad = engine.wharf(&["run", "--rm", "--env-file", &file("bad"), "busybox", "env"]);
    assert!(bad.code == 125 && bad.stderr.contains("variable 'A B' contains whitespaces"), "{bad:?}");
    let none = engine.wharf(&["run", "--rm", "--env-file", &file("none"), "busybox", "env"]);
    assert!(none.code == 125 && none.stderr.contains("no such file or directory"), "{none:?}");
}
