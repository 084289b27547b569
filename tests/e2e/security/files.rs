//! Rows 3, 4, 5, 6, 14, 15, 23: links, fake files and hostile archives.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::{Engine, http};

/// A folder of the host that no container may touch, with its content.
struct Canary {
    dir: std::path::PathBuf,
}

impl Canary {
    fn new(engine: &Engine) -> Self {
        let dir = engine.root().join("canary");
        std::fs::create_dir_all(&dir).expect("make the canary");
        std::fs::write(dir.join("file"), "untouched").expect("write the canary");
        Self { dir }
    }

    #[track_caller]
    fn is_untouched(&self) {
        let names: Vec<_> =
            std::fs::read_dir(&self.dir).expect("list").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["file"], "the host's folder was changed");
        assert_eq!(std::fs::read_to_string(self.dir.join("file")).expect("read"), "untouched");
    }
}

/// Swaps a folder and a link until told to stop.
fn swap(dir: &Path, target: &Path, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let (real, link) = (dir.join("place"), dir.join("other"));
    std::fs::create_dir_all(&real).expect("make a folder");
    std::os::unix::fs::symlink(target, &link).expect("make a link");
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let _ = rustix::fs::renameat_with(
                rustix::fs::CWD,
                &real,
                rustix::fs::CWD,
                &link,
                rustix::fs::RenameFlags::EXCHANGE,
            );
        }
    })
}

/// Row 3: a mount target that turns into a link while the container starts, a thousand times.
#[test]
fn row_03_swapped_links_never_move_a_mount_out() {
    links_swap_during_starts(testkit::rounds(1000));
}

#[test]
#[ignore = "the long form: cargo xtask long"]
fn long_form_row_03_swapped_links() {
    links_swap_during_starts(10_000);
}

fn links_swap_during_starts(starts: usize) {
    let engine = Engine::with_busybox();
    let canary = Canary::new(&engine);
    engine.wharf(&["volume", "create", "arena"]).ok();
    let arena = engine.data_root().join("volumes/arena/_data");
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = swap(&arena, &canary.dir, &stop);
    let payload = engine.root().join("payload");
    std::fs::create_dir(&payload).expect("make a folder");
    let bind = format!("{}:/arena/place/below", payload.display());
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let words = [
                "run",
                "--rm",
                "--network",
                "none",
                "-v",
                "arena:/arena",
                "-v",
                &bind,
                "busybox",
                "touch",
                "/arena/place/below/x",
            ];
            let mut commands: Vec<_> = (0..starts / 4).map(|_| engine.wharf_command(&words)).collect();
            std::thread::spawn(move || {
                for command in &mut commands {
                    testkit::engine::run(command, None);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("a client");
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().expect("the swapper");
    canary.is_untouched();
}

/// Row 3: an image whose special folders and devices are links.
#[test]
fn row_03_special_folders_of_an_image_may_be_links() {
    let engine = Engine::start();
    let canary = Canary::new(&engine);
    let target = canary.dir.clone();
    engine.import_changed_busybox("links", move |tree| {
        for name in ["dev", "proc", "sys"] {
            std::fs::remove_dir_all(tree.join(name)).expect("remove a folder");
            std::os::unix::fs::symlink(&target, tree.join(name)).expect("plant a link");
        }
        for name in ["hosts", "hostname", "resolv.conf"] {
            std::os::unix::fs::symlink(target.join("file"), tree.join("etc").join(name))
                .expect("plant a link");
        }
    });
    // Whether it starts is the engine's choice; the host's files are not.
    engine.wharf(&["run", "--rm", "links", "sh", "-c", "echo x >/dev/null; echo y >/etc/hosts"]);
    canary.is_untouched();
}

/// Row 4: masked files stay masked, and a fake /proc is not written to.
#[test]
fn row_04_masked_paths_hold() {
    let engine = Engine::with_busybox();
    let seen = engine.wharf(&["run", "--rm", "busybox", "sh", "-c",
        "cat /proc/kcore /proc/keys /proc/timer_list /proc/latency_stats 2>/dev/null | wc -c; ls /proc/acpi /proc/scsi /sys/firmware 2>/dev/null | grep -v : | wc -w"]);
    assert_eq!(seen.ok().split_whitespace().collect::<Vec<_>>(), ["0", "0"]);
    let script = "echo x >/proc/sys/kernel/core_pattern || echo x >/proc/sysrq-trigger || echo x >/proc/irq/default_smp_affinity || echo refused";
    assert_eq!(engine.wharf(&["run", "--rm", "busybox", "sh", "-c", script]).ok(), "refused");
    // A volume over /proc would let an image fake it; the real one is not reached through it.
    let fake = engine.wharf(&["run", "--rm", "-v", "/proc", "busybox", "true"]);
    assert_ne!(fake.code, 0, "{fake:?}");
}

/// Row 5: copying in and out while links swap.
#[test]
fn row_05_copies_stay_inside_while_links_swap() {
    let engine = Engine::with_busybox();
    let canary = Canary::new(&engine);
    engine.wharf(&["volume", "create", "arena"]).ok();
    let arena = engine.data_root().join("volumes/arena/_data");
    engine.wharf(&["run", "-d", "--name", "box", "-v", "arena:/arena", "busybox", "sleep", "600"]).ok();
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = swap(&arena, &canary.dir, &stop);
    let source = engine.root().join("planted");
    std::fs::write(&source, "planted").expect("write a file");
    for _ in 0..100 {
        engine.wharf(&["cp", &source.to_string_lossy(), "box:/arena/place/"]);
        let out = engine.wharf(&["cp", "box:/arena/place/file", "-"]);
        assert!(!out.stdout.contains("untouched"), "a file of the host was read");
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().expect("the swapper");
    canary.is_untouched();
    engine.wharf(&["rm", "-f", "box"]).ok();
}

/// A tar of raw headers, so that it may be as wrong as it likes.
fn tar(entries: &[(&str, u8, &str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, link, content) in entries {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[108..115].copy_from_slice(b"0000000");
        header[116..123].copy_from_slice(b"0000000");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[148..156].copy_from_slice(b"        ");
        header[156] = *kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..263].copy_from_slice(b"ustar\0");
        header[263..265].copy_from_slice(b"00");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().div_ceil(512) * 512, 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Row 6: archives that climb out, for layers and for copies.
#[test]
fn row_06_archives_cannot_climb_out() {
    let engine = Engine::with_busybox();
    let canary = Canary::new(&engine);
    let target = canary.dir.to_string_lossy().into_owned();
    let file = format!("{target}/file");
    let up = format!("../../../../../../../../..{target}/planted");
    let absolute = format!("{target}/planted");
    let archives = [
        tar(&[(&up, b'0', "", b"x")]),
        tar(&[(&absolute, b'0', "", b"x")]),
        tar(&[("link", b'2', &target, b""), ("link/planted", b'0', "", b"x")]),
        tar(&[("link", b'2', &file, b""), ("link", b'0', "", b"x")]),
        tar(&[("hard", b'1', &file, b""), ("hard", b'0', "", b"x")]),
        tar(&[("a", b'2', "..", b""), ("a/a", b'2', "..", b""), ("a/a/planted", b'0', "", b"x")]),
        tar(&[(".wh...", b'0', "", b""), (".wh..", b'0', "", b"")]),
    ];
    engine.wharf(&["create", "--name", "box", "busybox", "true"]).ok();
    for (number, archive) in archives.iter().enumerate() {
        let headers = [("Content-Type", "application/x-tar")];
        let import = format!("/images/create?fromSrc=-&repo=evil{number}&tag=latest");
        http::request(&engine.socket_path(), "POST", &import, &headers, archive).expect("an answer");
        engine.wharf(&["run", "--rm", &format!("evil{number}"), "true"]);
        let put = "/containers/box/archive?path=/tmp";
        http::request(&engine.socket_path(), "PUT", put, &headers, archive).expect("an answer");
        canary.is_untouched();
    }
}

/// Row 14: what an image says about itself is data.
#[test]
fn row_14_labels_of_an_image_are_no_instructions() {
    let engine = Engine::with_busybox();
    engine.wharf(&["create", "--name", "plain", "busybox", "true"]).ok();
    let labels = [
        "io.wharf.privileged=true",
        "com.docker.compose.project=x",
        "io.kubernetes.cri-o.Devices=/dev/kmsg",
        "run.oci.handler=krun",
        "org.opencontainers.image.exec=/bin/sh",
        "io.wharf.host-path=/",
    ];
    let mut words = vec!["commit"];
    let changes: Vec<String> = labels.iter().map(|label| format!("LABEL {label}")).collect();
    for change in &changes {
        words.extend(["-c", change]);
    }
    words.extend(["plain", "labelled"]);
    engine.wharf(&words).ok();
    let seen = engine.wharf(&[
        "run",
        "--rm",
        "labelled",
        "sh",
        "-c",
        "grep -c Seccomp:.2 /proc/self/status; test -e /dev/kmsg || echo none; ls / | wc -l",
    ]);
    let plain = engine.wharf(&[
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "grep -c Seccomp:.2 /proc/self/status; test -e /dev/kmsg || echo none; ls / | wc -l",
    ]);
    assert_eq!(seen.ok(), plain.ok());
    assert!(seen.ok().starts_with("1\nnone"), "{seen:?}");
}

/// Row 15: files of an image that the engine reads may be anything.
#[test]
fn row_15_files_read_from_images_may_be_traps() {
    let engine = Engine::start();
    let canary = Canary::new(&engine);
    let secret = "secretuser:x:0:0::/:/bin/sh\n";
    std::fs::write(engine.root().join("passwd"), secret).expect("write a file");
    let outside = engine.root().join("passwd");
    type Plant<'a> = (&'a str, Box<dyn Fn(&Path)>);
    let plants: Vec<Plant<'_>> = vec![
        (
            "fifo",
            Box::new(|path| {
                std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo");
            }),
        ),
        (
            "device",
            Box::new(|path| {
                std::process::Command::new("mknod").arg(path).args(["c", "1", "5"]).status().expect("mknod");
            }),
        ),
        ("link", Box::new(move |path| std::os::unix::fs::symlink(&outside, path).expect("plant a link"))),
        (
            "endless",
            Box::new(|path| {
                let file = std::fs::File::create(path).expect("make a file");
                file.set_len(1 << 40).expect("make it endless");
            }),
        ),
    ];
    for (name, plant) in plants {
        if name == "endless" {
            continue; // a tar of a terabyte of holes is the archive's business: row 7
        }
        engine.import_changed_busybox(name, |tree| {
            std::fs::remove_file(tree.join("etc/passwd")).expect("remove passwd");
            plant(&tree.join("etc/passwd"));
        });
        let start = std::time::Instant::now();
        let run = engine.wharf(&["run", "--rm", "-u", "secretuser", name, "id", "-u"]);
        assert_eq!(run.code, 125, "{name}: {run:?}");
        assert!(start.elapsed().as_secs() < 10, "{name} held the engine up");
        engine.wharf(&["run", "--rm", name, "true"]).ok();
    }
    canary.is_untouched();
}

/// Row 23: nobody else reads the engine's folders.
#[test]
fn row_23_folders_are_closed_to_others() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "-v", "data:/data", "busybox", "sleep", "600"]).ok();
    for root in [engine.data_root(), engine.exec_root()] {
        let mode = std::fs::metadata(&root).expect("look at the root").permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} is open to others: {mode:o}", root.display());
        for entry in std::fs::read_dir(&root).expect("list").flatten() {
            let metadata = entry.metadata().expect("look at a file");
            let mode = metadata.permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{} is open to others: {mode:o}", entry.path().display());
        }
    }
    engine.wharf(&["rm", "-f", "box"]).ok();
}
