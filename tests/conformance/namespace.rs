//! `linux.namespaces`, id mappings, host and domain names, sysctls.

use std::process::{Child, Command, Stdio};

use conformance::{Bundle, needs};
use serde_json::{Value, json};

fn namespaces(kinds: &[&str]) -> Value {
    kinds.iter().map(|kind| json!({"type": kind})).collect()
}

const LINKS: [(&str, &str); 7] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
    ("user", "user"),
];

fn host_link(name: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{name}")).expect("read a link").to_string_lossy().into_owned()
}

#[test]
fn new_namespaces_differ_and_missing_ones_are_inherited() {
    for kind in ["pid", "network", "ipc", "uts", "cgroup"] {
        for new in [true, false] {
            let (_, link) = *LINKS.iter().find(|(name, _)| *name == kind).expect("a kind");
            let kinds: &[&str] = if new { &["mount", kind] } else { &["mount"] };
            let mut bundle = Bundle::script(&format!("readlink /proc/self/ns/{link}"))
                .with("/linux/namespaces", namespaces(kinds));
            bundle.set("/hostname", Value::Null);
            bundle.spec["mounts"]
                .as_array_mut()
                .expect("mounts")
                .retain(|mount| mount["type"] != "mqueue" && mount["type"] != "sysfs");
            let out = bundle.run().ok();
            assert_eq!(out != host_link(link), new, "{kind} {new}: {out}");
        }
    }
}

#[test]
fn the_first_process_is_number_one() {
    assert_eq!(Bundle::script("echo $$").run().ok(), "1");
}

/// A process that holds a namespace open.
struct Holder(Child);

impl Holder {
    fn new(option: &str) -> Self {
        let child = Command::new("unshare")
            .args([option, "sleep", "1000"])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare");
        let holder = Self(child);
        let own = host_link("net");
        let link = if option == "--net" { "net" } else { "uts" };
        let own = if link == "net" { own } else { host_link("uts") };
        let begun = std::time::Instant::now();
        while std::fs::read_link(holder.path(link)).is_ok_and(|target| target.to_string_lossy() == own) {
            assert!(begun.elapsed().as_secs() < 10);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        holder
    }

    fn path(&self, link: &str) -> String {
        format!("/proc/{}/ns/{link}", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn namespaces_are_joined_by_path() {
    let holder = Holder::new("--net");
    let path = holder.path("net");
    let expected = std::fs::read_link(&path).expect("read").to_string_lossy().into_owned();
    let mut bundle = Bundle::script("readlink /proc/self/ns/net");
    bundle.spec["linux"]["namespaces"][1]["path"] = json!(path);
    assert_eq!(bundle.run().ok(), expected);
    // A path of another kind.
    bundle.spec["linux"]["namespaces"][1]["path"] = json!(holder.path("uts"));
    bundle.run().fails();
    bundle.spec["linux"]["namespaces"][1]["path"] = json!("/does/not/exist");
    bundle.run().fails();
}

#[test]
fn host_and_domain_names() {
    assert_eq!(Bundle::script("hostname").with("/hostname", json!("some-name")).run().ok(), "some-name");
    if needs("domainname") {
        let bundle =
            Bundle::script("cat /proc/sys/kernel/domainname").with("/domainname", json!("example.org"));
        assert_eq!(bundle.run().ok(), "example.org");
    }
    // Without a namespace of its own the machine's name would change.
    Bundle::new().with("/linux/namespaces", namespaces(&["mount", "pid"])).create().fails();
}

#[test]
fn the_loopback_device_is_up() {
    if needs("this check (the specification leaves it open)") {
        let out = Bundle::script("ip link show lo").run().ok();
        assert!(out.contains("UP"), "{out}");
    }
}

#[test]
fn sysctls_of_own_namespaces() {
    let values = json!({"net.ipv4.ip_forward": "1", "kernel.shmmax": "123456789", "fs.mqueue.msg_max": "17"});
    let bundle = Bundle::script(
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max",
    )
    .with("/linux/sysctl", values);
    assert_eq!(bundle.run().ok(), "1\n123456789\n17");
    // Those of the machine are refused.
    for (kinds, name) in
        [(&["mount", "pid"][..], "net.ipv4.ip_forward"), (&["mount", "network"][..], "kernel.shmmax")]
    {
        let mut bundle = Bundle::new()
            .with("/linux/namespaces", namespaces(kinds))
            .with("/linux/sysctl", json!({name: "1"}));
        bundle.set("/hostname", Value::Null);
        bundle.create().fails();
    }
    for name in ["kernel.hostname/../panic", "net/../kernel/panic", "vm.swappiness"] {
        Bundle::new().with("/linux/sysctl", json!({name: "1"})).create().fails();
    }
}

fn with_user_namespace(mut bundle: Bundle) -> Bundle {
    bundle.spec["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    bundle.set("/linux/uidMappings", mapping.clone());
    bundle.set("/linux/gidMappings", mapping);
    chown_all(&bundle.path.join("rootfs"));
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&bundle.path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    bundle
}

fn chown_all(path: &std::path::Path) {
    std::os::unix::fs::lchown(path, Some(100_000), Some(100_000)).expect("chown");
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).expect("read").flatten() {
            if entry.file_name() != "busybox" {
                chown_all(&entry.path());
            }
        }
    }
}

#[test]
fn user_namespaces_map_ids() {
    let bundle =
        with_user_namespace(Bundle::script("id -u; tr -s ' ' </proc/self/uid_map; touch /made; sleep 1000"));
    bundle.up();
    bundle.wait_until("the file is there", || bundle.root("made").exists());
    assert!(bundle.output().starts_with("0\n 0 100000 65536"), "{}", bundle.output());
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(std::fs::metadata(bundle.root("made")).expect("stat").uid(), 100_000);
    let status = std::fs::read_to_string(format!("/proc/{}/status", bundle.state()["pid"])).expect("read");
    assert!(status.contains("Uid:\t100000\t100000"), "{status}");
    assert_eq!(bundle.exec("id -u; cat /proc/self/setgroups").ok(), "0\nallow");
}

#[test]
fn the_machines_null_device_keeps_its_owner() {
    // Runtimes hand the standard streams to the container's user; /dev/null belongs to everybody.
    if needs("this care") {
        use std::os::unix::fs::MetadataExt as _;
        let bundle = with_user_namespace(Bundle::script("true"));
        bundle.run().ok();
        let bundle = Bundle::script("true").with("/process/user", json!({"uid": 1000, "gid": 1000}));
        bundle.run().ok();
        assert_eq!(std::fs::metadata("/dev/null").expect("stat").uid(), 0);
    }
}

#[test]
fn a_user_namespace_has_devices_and_pts() {
    let bundle =
        with_user_namespace(Bundle::script("echo x >/dev/null && head -c1 /dev/zero | wc -c; ls /dev/pts"));
    assert_eq!(bundle.run().ok(), "1\nptmx");
}

#[test]
fn time_namespaces_have_offsets() {
    if !needs("time namespaces") {
        return;
    }
    let mut bundle = Bundle::script("cut -d. -f1 /proc/uptime");
    bundle.spec["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "time"}));
    bundle.set(
        "/linux/timeOffsets",
        json!({"boottime": {"secs": 10_000_000}, "monotonic": {"secs": 10_000_000, "nanosecs": 1}}),
    );
    let seconds: u64 = bundle.run().ok().parse().expect("a number");
    assert!(seconds > 10_000_000, "{seconds}");
}
