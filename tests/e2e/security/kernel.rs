//! Rows 11, 12, 13: control groups, kernel files and parameters.

use testkit::Engine;

/// Row 11: control groups can be read, not written.
#[test]
fn row_11_control_groups_are_read_only() {
    let engine = Engine::with_busybox();
    for options in [&[][..], &["--cgroupns", "private"], &["--cgroupns", "host"]] {
        let attack = super::attacker::command(&engine, "change_cgroups", options);
        assert!(
            attack.ok().contains("attack over") && !attack.ok().contains("BROKEN"),
            "{options:?}: {attack:?}"
        );
    }
}

/// Kernel files that root in a container may open for writing; each was looked at.
const WRITABLE: [&str; 1] = [
    "/proc/pressure", // triggers on the container's own files
];

/// Row 12: nothing of the kernel opens for writing that was not looked at.
#[test]
fn row_12_kernel_files_are_closed() {
    let engine = Engine::with_busybox();
    let attack = super::attacker::command(&engine, "open_kernel_files", &[]);
    let strange: Vec<&str> = attack
        .ok()
        .lines()
        .filter_map(|line| line.strip_prefix("writable "))
        .filter(|path| !WRITABLE.iter().any(|known| path.starts_with(known)))
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

/// Row 13: parameters are taken from a list, values are no second option.
#[test]
fn row_13_kernel_parameters_are_an_exact_list() {
    let engine = Engine::with_busybox();
    let before = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("read");
    for setting in [
        "kernel.core_pattern=|/x",
        "kernel.shm_rmid_forced=1+kernel.core_pattern=|/x",
        "kernel/core_pattern=x",
        "net.ipv4.ip_forward=1\nkernel.core_pattern=|/x",
        "vm.overcommit_memory=1",
        "../kernel.core_pattern=x",
        "net..ipv4=1",
        "=1",
    ] {
        let run = engine.wharf(&["run", "--rm", "--sysctl", setting, "busybox", "true"]);
        let held = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("read");
        assert_eq!(held, before, "{setting:?} changed the host");
        assert_ne!(run.code, 0, "{setting:?} was taken: {run:?}");
    }
    let taken = engine.wharf(&[
        "run",
        "--rm",
        "--sysctl",
        "net.ipv4.ip_local_port_range=2000 3000",
        "busybox",
        "cat",
        "/proc/sys/net/ipv4/ip_local_port_range",
    ]);
    assert_eq!(taken.ok().split_whitespace().collect::<Vec<_>>(), ["2000", "3000"]);
}
