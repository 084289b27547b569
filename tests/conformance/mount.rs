//! `mounts` and `root`: kinds, options, propagation, and destinations that try to lead elsewhere.

use std::fs;

use conformance::{Bundle, needs};
use serde_json::{Value, json};

fn mounted(script: &str, mount: Value) -> Bundle {
    Bundle::script(script).push("/mounts", mount)
}

/// The options of a mount, and of its file system, out of the container's mountinfo.
fn options_of(destination: &str) -> String {
    format!("awk '$5 == \"{destination}\" {{ print $6, $NF }}' /proc/self/mountinfo")
}

/// A bundle with a directory beside the root to be mounted: `source/file`.
fn with_source(script: &str) -> (Bundle, String) {
    let bundle = Bundle::script(script);
    let source = bundle.path.join("source");
    fs::create_dir(&source).expect("make the source");
    fs::write(source.join("file"), "text\n").expect("write");
    (bundle, source.to_string_lossy().into_owned())
}

#[test]
fn binds() {
    let (bundle, source) = with_source("cat /mnt/file; echo new > /mnt/made && echo wrote");
    let bundle = bundle.push(
        "/mounts",
        json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["rbind", "rw"]}),
    );
    assert_eq!(bundle.run().ok(), "text\nwrote");
    assert!(bundle.path.join("source/made").exists());

    let (bundle, source) = with_source("cat /mnt/file; echo new 2>/dev/null > /mnt/made || echo refused");
    let bundle =
        bundle.push("/mounts", json!({"destination": "/mnt", "source": source, "options": ["bind", "ro"]}));
    assert_eq!(bundle.run().ok(), "text\nrefused");
}

#[test]
fn relative_sources_are_relative_to_the_bundle() {
    let (bundle, _) = with_source("cat /mnt/file");
    let bundle = bundle.push(
        "/mounts",
        json!({"destination": "/mnt", "type": "bind", "source": "source", "options": ["bind"]}),
    );
    assert_eq!(bundle.run().ok(), "text");
}

#[test]
fn single_files_and_missing_destinations() {
    let (bundle, source) = with_source("cat /new/place/name; cat /etc/passwd");
    let file = format!("{source}/file");
    let bundle = bundle.push(
        "/mounts",
        json!({"destination": "/new/place/name", "type": "bind", "source": file, "options": ["bind"]}),
    );
    let bundle = bundle.push(
        "/mounts",
        json!({"destination": "/etc/passwd", "type": "bind", "source": file, "options": ["bind", "ro"]}),
    );
    assert_eq!(bundle.run().ok(), "text\ntext");
}

#[test]
fn a_missing_source_is_refused() {
    Bundle::new()
        .push(
            "/mounts",
            json!({"destination": "/mnt", "type": "bind", "source": "/does/not/exist", "options": ["bind"]}),
        )
        .create()
        .fails();
}

#[test]
fn flags_of_mounts() {
    let rows: [(&[&str], &[&str]); 4] = [
        (&["nosuid", "nodev", "noexec"], &["nosuid", "nodev", "noexec"]),
        (&["ro", "noatime"], &["ro", "noatime"]),
        (&["size=1m", "mode=700"], &["rw", "size=1024k", "mode=700"]),
        (&["nodiratime", "relatime"], &["nodiratime", "relatime"]),
    ];
    for (options, expected) in rows {
        let bundle = mounted(
            &options_of("/mnt"),
            json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": options}),
        );
        let out = bundle.run().ok();
        let have: Vec<&str> = out.split([',', ' ']).collect();
        for option in expected {
            assert!(have.contains(option), "{options:?}: {out}");
        }
    }
}

#[test]
fn binds_take_flags_too() {
    let (bundle, source) = with_source(&options_of("/mnt"));
    let bundle = bundle.push("/mounts", json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]}));
    let out = bundle.run().ok();
    assert!(out.starts_with("ro,nosuid,nodev,noexec"), "{out}");
}

#[test]
fn kinds_of_file_systems() {
    let script = "awk '{ for (i = 1; i <= NF; i++) if ($i == \"-\") print $5, $(i+1) }' /proc/self/mountinfo";
    let out = Bundle::script(script).run().ok();
    for line in
        ["/proc proc", "/dev tmpfs", "/dev/pts devpts", "/dev/shm tmpfs", "/dev/mqueue mqueue", "/sys sysfs"]
    {
        assert!(out.lines().any(|have| have == line), "{line}: {out}");
    }
}

#[test]
fn later_mounts_cover_earlier_ones() {
    let (bundle, source) = with_source("cat /mnt/file 2>/dev/null || echo covered; cat /mnt/in/file");
    let tmpfs = json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"});
    let bundle = bundle.push(
        "/mounts",
        json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind"]}),
    );
    let bundle = bundle.push("/mounts", tmpfs).push(
        "/mounts",
        json!({"destination": "/mnt/in", "type": "bind", "source": source, "options": ["bind"]}),
    );
    assert_eq!(bundle.run().ok(), "covered\ntext");
}

#[test]
fn links_in_the_root_do_not_lead_out_of_it() {
    let outside = std::env::temp_dir().join(format!("wharf-outside-{}", std::process::id()));
    let _ = fs::remove_dir_all(&outside);
    fs::create_dir(&outside).expect("make a directory");
    for target in
        [outside.to_string_lossy().into_owned(), format!("../../../../../../..{}", outside.display())]
    {
        let (bundle, source) = with_source(&format!("cat {}/file", outside.display()));
        std::os::unix::fs::symlink(&target, bundle.root("link")).expect("link");
        let bundle = bundle.push(
            "/mounts",
            json!({"destination": "/link", "type": "bind", "source": source, "options": ["bind"]}),
        );
        assert_eq!(bundle.run().ok(), "text", "{target}");
        assert!(bundle.root(&outside.to_string_lossy()).exists(), "the place inside was made");
    }
    assert_eq!(fs::read_dir(&outside).expect("read").count(), 0, "something was made outside");
    let _ = fs::remove_dir_all(&outside);
}

#[test]
fn proc_is_not_covered_by_tricks() {
    // A root whose /proc is a link (CVE-2019-16884 and its kin).
    let bundle = Bundle::new();
    fs::remove_dir(bundle.root("proc")).expect("remove");
    fs::create_dir(bundle.root("evil")).expect("make");
    std::os::unix::fs::symlink("/evil", bundle.root("proc")).expect("link");
    bundle.create().fails();
    // Something else on /proc.
    let (bundle, source) = with_source("true");
    let bundle = bundle.push(
        "/mounts",
        json!({"destination": "/proc/sys", "type": "bind", "source": source, "options": ["bind"]}),
    );
    bundle.create().fails();
}

#[test]
fn a_read_only_root() {
    let bundle = Bundle::script("touch /x 2>/dev/null || echo refused; touch /tmp/x && echo allowed")
        .with("/root/readonly", json!(true));
    let bundle = bundle.push("/mounts", json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}));
    assert_eq!(bundle.run().ok(), "refused\nallowed");
}

#[test]
fn the_hosts_mounts_are_gone() {
    let out = Bundle::script("wc -l </proc/self/mountinfo; ls /").run().ok();
    let count: u32 = out.lines().next().and_then(|line| line.trim().parse().ok()).expect("a number");
    assert!(count < 25, "{out}");
    assert!(!out.contains(".old") && !out.contains("put_old"), "{out}");
}

#[test]
fn propagation() {
    for (option, expected) in [("rprivate", ""), ("rshared", "shared:"), ("rslave", "master:")] {
        let (bundle, source) = with_source("awk '$5 == \"/mnt\" { print $0 }' /proc/self/mountinfo");
        // A shared mount to propagate from.
        let script = format!("mount --bind {source} {source} && mount --make-shared {source} && exec \"$@\"");
        let bundle = bundle.push(
            "/mounts",
            json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["rbind", option]}),
        );
        bundle.write();
        let run = bundle.command(&["run", "--bundle", &bundle.path.to_string_lossy(), &bundle.id]);
        let mut command = std::process::Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
            .arg(run.get_program())
            .args(run.get_args());
        let output = command.output().expect("run");
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{option}: {}", String::from_utf8_lossy(&output.stderr));
        let front = out.split(" - ").next().unwrap_or_default();
        if expected.is_empty() {
            assert!(!front.contains("shared:") && !front.contains("master:"), "{option}: {out}");
        } else {
            assert!(front.contains(expected), "{option}: {out}");
        }
    }
}

#[test]
fn recursive_attributes() {
    let (bundle, source) = with_source(
        "echo x 2>/dev/null >/mnt/made || echo refused; echo x 2>/dev/null >/mnt/below/made || echo refused below",
    );
    fs::create_dir(format!("{source}/below")).expect("make");
    let script = format!("mount -t tmpfs tmpfs {source}/below && exec \"$@\"");
    let bundle = bundle.push(
        "/mounts",
        json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["rbind", "rro"]}),
    );
    bundle.write();
    let run = bundle.command(&["run", "--bundle", &bundle.path.to_string_lossy(), &bundle.id]);
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
        .arg(run.get_program())
        .args(run.get_args());
    let output = command.output().expect("run");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "refused\nrefused below\n", "{output:?}");
}

#[test]
fn idmapped_mounts() {
    if !needs("idmapped mounts") {
        return;
    }
    const TMPFS: i64 = 0x0102_1994;
    let (bundle, source) = with_source("stat -c %u:%g /mnt/file");
    if rustix::fs::statfs(&bundle.path).is_ok_and(|about| about.f_type == TMPFS) {
        println!("passed over: tmpfs takes id maps only since Linux 6.3");
        return;
    }
    let mapping = json!([{"containerID": 0, "hostID": 5000, "size": 1000}]);
    let bundle = bundle.push(
        "/mounts",
        json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind", "idmap"], "uidMappings": mapping, "gidMappings": mapping}),
    );
    assert_eq!(bundle.run().ok(), "5000:5000");
}

#[test]
fn a_tmpfs_can_begin_with_what_it_covers() {
    let bundle = mounted(
        "cat /etc/passwd | head -1; touch /etc/new",
        json!({"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}),
    );
    assert!(bundle.run().ok().starts_with("root:x:0:0"));
    assert!(!bundle.root("etc/new").exists());
}

#[test]
fn the_cgroup_file_system() {
    let bundle = mounted(
        "ls /sys/fs/cgroup | head -1 | wc -l; touch /sys/fs/cgroup/x 2>/dev/null || echo refused; find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | head -1 | wc -l",
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}),
    );
    let mut bundle = bundle;
    bundle.spec["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "cgroup"}));
    assert_eq!(bundle.run().ok(), "1\nrefused\n1");
}

#[test]
fn the_propagation_of_the_root() {
    let bundle = Bundle::script("awk '$5 == \"/\" { print $0 }' /proc/self/mountinfo")
        .with("/linux/rootfsPropagation", json!("private"));
    let out = bundle.run().ok();
    assert!(!out.contains("shared:") && !out.contains("master:"), "{out}");
    Bundle::new().with("/linux/rootfsPropagation", json!("sideways")).create().fails();
}
