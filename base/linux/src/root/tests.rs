//! Paths stay below their root, also while somebody moves things about.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

struct Temporary(std::path::PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wharf-root-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn links_do_not_lead_out() {
    let temporary = Temporary::new("links");
    let root_path = temporary.0.join("root");
    std::fs::create_dir_all(root_path.join("etc")).unwrap();
    std::fs::write(temporary.0.join("secret"), "outside").unwrap();
    std::fs::write(root_path.join("etc/passwd"), "inside").unwrap();
    symlink("/etc/passwd", root_path.join("absolute")).unwrap();
    symlink("../../../../../../etc/passwd", root_path.join("upwards")).unwrap();
    symlink("../secret", root_path.join("sibling")).unwrap();
    symlink("/proc/self/root", root_path.join("magic")).unwrap();
    let root = RootDir::open(&root_path).unwrap();
    for path in ["absolute", "/absolute", "upwards", "../../etc/passwd", "etc/../../etc/passwd"] {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::fs::File::from(root.open_regular(path).unwrap()), &mut text)
            .unwrap();
        assert_eq!(text, "inside", "{path}");
    }
    assert_eq!(root.resolve("sibling").unwrap_err(), Errno::NOENT);
    assert_eq!(root.resolve("magic/etc").unwrap_err(), Errno::NOENT);
}

#[test]
fn missing_directories_are_made_through_links() {
    let temporary = Temporary::new("make");
    symlink("/run/lock/", temporary.0.join("lock")).unwrap();
    symlink("../up/../over", temporary.0.join("relative")).unwrap();
    symlink("loop", temporary.0.join("loop")).unwrap();
    let root = RootDir::open(&temporary.0).unwrap();
    let mode = Mode::from_raw_mode(0o755);
    for (path, made) in
        [("a/b/c", "a/b/c"), ("/lock/x//y/", "run/lock/x/y"), ("relative/z", "over/z"), ("d/../../e", "e")]
    {
        root.make_dirs(path, mode).unwrap();
        assert!(temporary.0.join(made).is_dir(), "{path}");
    }
    assert_eq!(root.make_dirs("loop/x", mode).unwrap_err(), Errno::LOOP);
    root.make_file("lock/file", mode).unwrap();
    assert!(temporary.0.join("run/lock/file").is_file());
    assert_eq!(root.make_dirs("lock/file/x", mode).unwrap_err(), Errno::NOTDIR);
}

#[test]
fn only_regular_files_are_read() {
    let temporary = Temporary::new("regular");
    let root = RootDir::open(&temporary.0).unwrap();
    root.make_node(Path::new("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    root.make_dir(Path::new("dir"), Mode::from_raw_mode(0o700)).unwrap();
    for path in ["fifo", "dir"] {
        assert_eq!(root.open_regular(path).unwrap_err(), Errno::INVAL, "{path}");
        assert_eq!(root.open_seen_regular(path).unwrap_err(), Errno::INVAL, "{path} took its place");
    }
}

#[test]
fn exchanged_links_never_lead_out() {
    let temporary = Temporary::new("race");
    let root_path = temporary.0.join("root");
    std::fs::create_dir_all(root_path.join("a")).unwrap();
    std::fs::create_dir_all(temporary.0.join("outside")).unwrap();
    symlink("../outside", root_path.join("b")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let root = RootDir::open(&root_path).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(&root, c"a", &root, c"b", flags).unwrap();
            }
        });
        let root = RootDir::open(&root_path).unwrap();
        for round in 0..2000 {
            let _ = root.make_dirs(format!("a/{round}/x"), Mode::from_raw_mode(0o755));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(std::fs::read_dir(temporary.0.join("outside")).unwrap().count(), 0);
}
