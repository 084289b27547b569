//! What a container's process finds around it.

use crate::support::{self, Bundle, Output, default_mounts, exec, mount, process, with_user};
use linux::pidfd::Exit;
use oci::runtime::{Device, IdMapping, Namespace, NamespaceType, Rlimit, Spec, TimeOffset, TimeOffsets};

fn check(change: impl FnOnce(&mut Spec), script: &str, expected: &str) {
    let bundle = Bundle::new();
    let mut spec = bundle.spec(script);
    change(&mut spec);
    let (text, exit) = bundle.run(spec);
    assert_eq!(text, expected, "{script}");
    assert_eq!(exit, Exit::Code(0), "{script}: {text}");
}

#[test]
fn capabilities_are_those_given() {
    let script = "grep ^Cap /proc/self/status | tr -d '\\t'";
    let root = "CapInh:0000000000000000\nCapPrm:00000000a80425fb\nCapEff:00000000a80425fb\nCapBnd:00000000a80425fb\nCapAmb:0000000000000000\n";
    check(|_| {}, script, root);
    let user = "CapInh:0000000000000000\nCapPrm:0000000000000000\nCapEff:0000000000000000\nCapBnd:00000000a80425fb\nCapAmb:0000000000000000\n";
    check(|spec| *spec = with_user(spec.clone(), 1000, 1000, &[]), script, user);
    let ambient = "CapInh:0000000000000400\nCapPrm:0000000000000400\nCapEff:0000000000000400\nCapBnd:00000000a80425fb\nCapAmb:0000000000000400\n";
    let raise = |spec: &mut Spec| {
        *spec = with_user(spec.clone(), 1000, 1000, &[]);
        let sets = spec.process.as_mut().unwrap().capabilities.as_mut().unwrap();
        sets.inheritable = vec!["CAP_NET_BIND_SERVICE".into()];
        sets.ambient = sets.inheritable.clone();
    };
    check(raise, script, ambient);
    check(
        |spec| spec.process.as_mut().unwrap().capabilities = None,
        "grep ^CapB /proc/self/status | tr -d '\\t'",
        "CapBnd:0000000000000000\n",
    );
}

#[test]
fn identity_limits_and_home() {
    let change = |spec: &mut Spec| {
        *spec = with_user(spec.clone(), 1000, 1001, &[5, 6]);
        let process = spec.process.as_mut().unwrap();
        process.user.umask = Some(0o027);
        process.no_new_privileges = true;
        process.cwd = "/made/on/the/way".into();
        process.rlimits.push(Rlimit { kind: "RLIMIT_NOFILE".into(), soft: 100, hard: 200 });
        process.env.push("A=b c".into());
    };
    let script = "id -u; id -g; id -G; umask; echo $HOME; pwd; ulimit -n; ulimit -Hn; echo \"$A\"; grep NoNew /proc/self/status";
    check(
        change,
        script,
        "1000\n1001\n1001 5 6\n0027\n/home/user\n/made/on/the/way\n100\n200\nb c\nNoNewPrivs:\t1\n",
    );
}

#[test]
fn paths_are_hidden_and_read_only() {
    check(
        |_| {},
        "cat /proc/keys; ls /sys/firmware /proc/acpi 2>/dev/null | grep -v -e : -e ^$; echo x 2>/dev/null >/proc/sysrq-trigger || echo ro; \
         touch /sys/x 2>/dev/null || echo ro; echo 1 2>/dev/null >/proc/sys/kernel/panic || echo ro; \
         mkdir /sys/fs/cgroup/x 2>/dev/null || echo ro",
        "ro\nro\nro\nro\n",
    );
    check(
        |spec| spec.root.as_mut().unwrap().readonly = true,
        "touch /x 2>/dev/null || echo ro; touch /dev/shm/x && echo rw",
        "ro\nrw\n",
    );
}

#[test]
fn devices_are_there() {
    let own = Device {
        path: "/dev/sub/fuse".into(),
        kind: "c".into(),
        major: 10,
        minor: 229,
        file_mode: Some(0o640),
        uid: Some(7),
        gid: Some(8),
    };
    check(
        |spec| spec.linux.as_mut().unwrap().devices.push(own),
        "cd /dev; for i in null zero full random urandom tty sub/fuse; do stat -c '%n %F %t:%T %a %u:%g' $i; done; readlink fd; readlink ptmx; \
         echo x > /dev/null; head -c 2 /dev/zero | tr '\\0' 0",
        "null character special file 1:3 666 0:0\nzero character special file 1:5 666 0:0\nfull character special file 1:7 666 0:0\n\
         random character special file 1:8 666 0:0\nurandom character special file 1:9 666 0:0\ntty character special file 5:0 666 0:0\n\
         sub/fuse character special file a:e5 640 7:8\n/proc/self/fd\npts/ptmx\n00",
    );
}

#[test]
fn parameters_are_set_in_own_namespaces() {
    let change = |spec: &mut Spec| {
        let sysctl = &mut spec.linux.as_mut().unwrap().sysctl;
        sysctl.insert("net.ipv4.ip_forward".into(), "1".into());
        sysctl.insert("kernel.shm_rmid_forced".into(), "1".into());
    };
    check(change, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced", "1\n1\n");
}

#[test]
fn mounts_have_their_options() {
    let bundle = Bundle::new();
    let outside = bundle.path.join("volume");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "content\n").unwrap();
    std::os::unix::fs::symlink("/deep/down", bundle.root().join("link")).unwrap();
    std::fs::create_dir(bundle.root().join("sticky")).unwrap();
    let outside = outside.to_str().unwrap();
    let mut spec = bundle.spec(
        "cat /v/file /deep/down/file /f; touch /v/new 2>/dev/null || echo ro; touch /link/new && echo rw; \
         grep -E ' /(v|deep|t) ' /proc/mounts | while read a b c d e; do echo $b $d; done; stat -c %a /t /sticky",
    );
    std::fs::set_permissions(
        bundle.root().join("sticky"),
        std::os::unix::fs::PermissionsExt::from_mode(0o1711),
    )
    .unwrap();
    spec.mounts.extend([
        mount("bind", outside, "/v", &["rbind", "ro", "nosuid", "nodev"]),
        mount("bind", outside, "/link", &["bind", "rprivate"]),
        mount("bind", &format!("{outside}/file"), "/f", &["bind"]),
        mount("tmpfs", "tmpfs", "/t", &["noexec", "size=1m", "mode=1750"]),
        mount("tmpfs", "tmpfs", "/sticky", &["size=1m"]),
    ]);
    let (text, exit) = bundle.run(spec);
    let expected = "content\ncontent\ncontent\nro\nrw\n/v ro,nosuid,nodev,relatime,discard,resv_strict,resuid=65534,resgid=65534\n/t rw,noexec,relatime,size=1024k,mode=1750\n1750\n1711\n";
    let general = |text: &str| {
        text.lines().map(|line| line.split(",discard").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(general(&text), general(expected));
    assert_eq!(exit, Exit::Code(0));
    assert!(bundle.path.join("volume/new").exists());
}

#[test]
fn mounts_inside_stay_inside() {
    let bundle = Bundle::new();
    let outside = bundle.path.join("volume");
    std::fs::create_dir_all(outside.join("sub")).unwrap();
    let mut spec = bundle.spec("mount -t tmpfs t /v/sub && touch /v/sub/x && ls /v/sub");
    let sets = spec.process.as_mut().unwrap().capabilities.as_mut().unwrap();
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
        set.push("CAP_SYS_ADMIN".into());
    }
    spec.mounts.push(mount("bind", outside.to_str().unwrap(), "/v", &["rbind"]));
    assert_eq!(bundle.run(spec).0, "x\n");
    assert!(!outside.join("sub/x").exists());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(bundle.path.to_str().unwrap()), "{mounts}");
}

#[test]
fn a_terminal_is_the_containers_own() {
    let bundle = Bundle::new();
    let mut spec = bundle.spec("tty; stat -c %F /dev/console; stty size 2>/dev/null; test -t 0 && test -t 1 && test -t 2 && echo all; echo x > /dev/tty");
    spec.process.as_mut().unwrap().terminal = true;
    let mut request = bundle.request(spec);
    request.stdio = runtime::Stdio::Terminal { rows: 24, columns: 80 };
    let mut created = runtime::create(request).unwrap();
    let master = created.pty_master.take().unwrap();
    assert_eq!(linux::terminal::size(&master), Ok((24, 80)));
    created.start().unwrap();
    let mut text = Vec::new();
    let _ = std::io::Read::read_to_end(&mut std::fs::File::from(master), &mut text);
    assert_eq!(
        String::from_utf8_lossy(&text),
        "/dev/pts/0\r\ncharacter special file\r\n24 80\r\nall\r\nx\r\n"
    );
    support::end(created);
}

#[test]
fn an_added_process_has_a_terminal_of_the_container() {
    let bundle = Bundle::new();
    let created = bundle.sleeper(bundle.spec("sleep 100"));
    let stdio = runtime::Stdio::Terminal { rows: 10, columns: 20 };
    let mut command = process(&["sh", "-c", "tty; id -u"]);
    command.user.uid = 1000;
    let made = runtime::exec(runtime::ExecRequest::new(
        created.pidfd.try_clone().unwrap(),
        created.pid,
        command,
        stdio,
    ))
    .unwrap();
    let mut text = Vec::new();
    let _ = std::io::Read::read_to_end(&mut std::fs::File::from(made.pty_master.unwrap()), &mut text);
    assert_eq!(String::from_utf8_lossy(&text), "/dev/pts/0\r\n1000\r\n");
    linux::pidfd::wait(std::os::fd::AsFd::as_fd(&made.pidfd)).unwrap();
    support::end(created);
}

/// A container in a user namespace, as `userns-remap` makes it.
fn remap(bundle: &Bundle, spec: &mut Spec) {
    let linux = spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceType::User, path: String::new() });
    let mapping = vec![IdMapping { container_id: 0, host_id: 200_000, size: 65_536 }];
    (linux.uid_mappings, linux.gid_mappings) = (mapping.clone(), mapping);
    for path in ["", "bin", "etc", "tmp", "root", "dev", "proc", "sys", "home", "home/user"] {
        std::os::unix::fs::chown(bundle.root().join(path), Some(200_000), Some(200_000)).unwrap();
    }
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&bundle.path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_user_namespace_maps_ids() {
    let bundle = Bundle::new();
    let mut spec = bundle.spec("id -u; cat /proc/self/uid_map | tr -s ' '; touch /x; stat -c %u /x; echo x > /dev/null; ls /proc/keys /sys/kernel >/dev/null; ls -d /sys/fs/cgroup/*; grep CapEff /proc/self/status");
    remap(&bundle, &mut spec);
    let (text, exit) = bundle.run(spec);
    assert!(text.starts_with("0\n 0 200000 65536\n0\n"), "{text}");
    assert_eq!(exit, Exit::Code(0), "{text}");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(bundle.root().join("x")).unwrap());
    assert_eq!(owner, 200_000);
}

#[test]
fn processes_are_added_in_a_user_namespace() {
    let bundle = Bundle::new();
    let mut spec = bundle.spec("sleep 100");
    remap(&bundle, &mut spec);
    let created = bundle.sleeper(spec);
    let (text, exit) = exec(
        &created,
        process(&["sh", "-c", "id -u; cat /proc/self/uid_map | tr -s ' '; echo > /dev/stdout"]),
    )
    .unwrap();
    assert_eq!((text.as_str(), exit), ("0\n 0 200000 65536\n\n", Exit::Code(0)));
    support::end(created);
}

#[test]
fn mounts_map_ids() {
    let bundle = Bundle::new();
    let outside = bundle.path.join("volume");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "").unwrap();
    let mut spec = bundle.spec("stat -c %u:%g /v/file; touch /v/new");
    let mut volume = mount("bind", outside.to_str().unwrap(), "/v", &["rbind"]);
    volume.uid_mappings = vec![
        IdMapping { container_id: 0, host_id: 5000, size: 1 },
        IdMapping { container_id: 7, host_id: 0, size: 1 },
    ];
    volume.gid_mappings = volume.uid_mappings.clone();
    spec.mounts.push(volume);
    assert_eq!(bundle.run(spec).0, "5000:5000\n");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(outside.join("new")).unwrap()), 7);
}

#[test]
fn namespaces_are_joined() {
    let bundle = Bundle::new();
    let first = bundle.sleeper(bundle.spec("sleep 100"));
    let other = Bundle::new();
    for kind in [NamespaceType::Network, NamespaceType::Pid, NamespaceType::Ipc, NamespaceType::Uts] {
        let name = match kind {
            NamespaceType::Network => "net",
            NamespaceType::Pid => "pid",
            NamespaceType::Ipc => "ipc",
            _ => "uts",
        };
        let path = format!("/proc/{}/ns/{name}", first.pid);
        let expected = std::fs::read_link(&path).unwrap();
        let mut spec = other.spec(&format!("readlink /proc/self/ns/{name}"));
        spec.hostname.clear();
        let namespaces = &mut spec.linux.as_mut().unwrap().namespaces;
        namespaces.iter_mut().find(|namespace| namespace.kind == kind).unwrap().path = path;
        assert_eq!(other.run(spec).0.trim(), expected.to_str().unwrap());
    }
    support::end(first);
}

#[test]
fn a_network_namespace_is_handed_over() {
    let bundle = Bundle::new();
    let first = bundle.sleeper(bundle.spec("sleep 100"));
    let expected = std::fs::read_link(format!("/proc/{}/ns/net", first.pid)).unwrap();
    let path = std::ffi::CString::new(format!("/proc/{}/ns/net", first.pid)).unwrap();
    let other = Bundle::new();
    let mut request = other.request(other.spec("readlink /proc/self/ns/net; mount | grep -c sysfs"));
    request.namespaces = vec![(NamespaceType::Network, linux::namespace::open(&path).unwrap())];
    let output = Output::new();
    request.stdio = output.stdio();
    let mut created = runtime::create(request).unwrap();
    created.start().unwrap();
    assert_eq!(other.finish(created, output).0, format!("{}\n1\n", expected.to_str().unwrap()));
    support::end(first);
}

#[test]
fn clocks_are_offset() {
    let bundle = Bundle::new();
    let mut spec = bundle.spec("read a b < /proc/uptime; test ${a%.*} -gt 1000000 && echo later; cat /proc/self/timens_offsets | tr -s ' '");
    let linux = spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceType::Time, path: String::new() });
    linux.time_offsets =
        TimeOffsets { boottime: Some(TimeOffset { secs: 1_000_000, nanosecs: 0 }), monotonic: None };
    assert_eq!(bundle.run(spec).0, "later\nmonotonic 0 0\nboottime 1000000 0\n");
}

#[test]
fn the_cgroup_is_the_containers_own() {
    let bundle = Bundle::new();
    let (text, _) = bundle.run(
        bundle.spec("cat /proc/self/cgroup | grep -v 'name=' | grep -v :/$; ls -d /sys/fs/cgroup/pids/tasks"),
    );
    assert_eq!(text, "/sys/fs/cgroup/pids/tasks\n");
    let created = bundle.sleeper(bundle.spec("sleep 100"));
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", created.pid)).unwrap();
    assert!(groups.lines().filter(|line| line.contains(&bundle.id)).count() >= 8, "{groups}");
    let (text, _) = exec(&created, process(&["sh", "-c", "cat /proc/self/cgroup | grep -v :/$"])).unwrap();
    assert_eq!(text, "");
    support::end(created);
}

#[test]
fn the_host_is_left_as_it_was() {
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    let bundle = Bundle::new();
    let mut spec = bundle.spec("true");
    spec.mounts = default_mounts();
    spec.linux.as_mut().unwrap().rootfs_propagation = "rshared".into();
    bundle.run(spec);
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count(), before);
}
