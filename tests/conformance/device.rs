//! `linux.devices` and the default devices.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;

use conformance::Bundle;
use serde_json::json;

#[test]
fn default_devices() {
    let rows = [
        ("null", "1 3"),
        ("zero", "1 5"),
        ("full", "1 7"),
        ("random", "1 8"),
        ("urandom", "1 9"),
        ("tty", "5 0"),
    ];
    let script =
        "for name in null zero full random urandom tty; do stat -c '%n %F %t %T %a' /dev/$name; done";
    let out = Bundle::script(script).run().ok();
    for (name, numbers) in rows {
        let line = format!("/dev/{name} character special file {numbers} 666");
        assert!(out.contains(&line), "{line}: {out}");
    }
}

#[test]
fn links_in_dev() {
    let out =
        Bundle::script("for name in fd stdin stdout stderr ptmx; do readlink /dev/$name; done").run().ok();
    assert_eq!(out, "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx");
}

#[test]
fn devices_of_the_configuration() {
    let bundle = Bundle::script("stat -c '%F %t %T %a %u %g' /dev/own /dev/deep/disk /dev/pipe")
        .push("/linux/devices", json!({"path": "/dev/own", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 7, "gid": 8}))
        .push("/linux/devices", json!({"path": "/dev/deep/disk", "type": "b", "major": 7, "minor": 77, "fileMode": 0o600}))
        .push("/linux/devices", json!({"path": "/dev/pipe", "type": "p", "fileMode": 0o666}));
    let expected = "character special file a e5 640 7 8\nblock special file 7 4d 600 0 0\nfifo 0 0 666 0 0";
    assert_eq!(bundle.run().ok(), expected);
}

/// A character device of this machine beyond the default ones that can be opened without special rights.
fn some_device() -> Option<(u32, u32)> {
    let names = ["loop-control", "fuse", "btrfs-control", "vga_arbiter", "autofs", "hwrng", "rtc0", "hpet"];
    let open = |name: &str| File::open(format!("/dev/{name}")).ok()?.metadata().ok();
    let device = names.iter().find_map(|name| open(name))?.rdev();
    Some((rustix::fs::major(device), rustix::fs::minor(device)))
}

#[test]
fn access_follows_the_rules() {
    let Some((major, minor)) = some_device() else {
        println!("passed over: this machine has no device to open");
        return;
    };
    let device = json!({"path": "/dev/own", "type": "c", "major": major, "minor": minor, "fileMode": 0o666});
    let script = "true 2>/dev/null </dev/own && echo open || echo refused";
    let bundle = Bundle::script(script).push("/linux/devices", device.clone());
    assert_eq!(bundle.run().ok(), "refused");
    let rule = json!({"allow": true, "type": "c", "major": major, "minor": minor, "access": "r"});
    let bundle = Bundle::script(script).push("/linux/devices", device).push("/linux/resources/devices", rule);
    assert_eq!(bundle.run().ok(), "open");
}

#[test]
fn default_devices_work() {
    let script = "echo x >/dev/null && head -c4 /dev/zero | wc -c && head -c4 /dev/urandom | wc -c && echo x 2>/dev/null >/dev/full || echo full";
    assert_eq!(Bundle::script(script).run().ok(), "4\n4\nfull");
}
