//! Runtime and lifecycle: operations, states, and what is refused in which state.

use conformance::Bundle;
use serde_json::json;

#[test]
fn a_container_goes_through_its_states() {
    let bundle = Bundle::script("touch /ran; exec sleep 1000");
    bundle.create().ok();
    assert_eq!(bundle.status(), "created");
    assert!(!bundle.root("ran").exists(), "the program ran before start");
    bundle.start().ok();
    bundle.wait_until("the program runs", || bundle.root("ran").exists());
    assert_eq!(bundle.status(), "running");
    bundle.kill("KILL").ok();
    bundle.wait_for("stopped");
    bundle.delete().ok();
    bundle.runtime(&["state", &bundle.id]).fails();
}

#[test]
fn state_tells_what_the_specification_wants() {
    let bundle = Bundle::new().with("/annotations", json!({"org.wharf.test": "yes"}));
    bundle.create().ok();
    let state = bundle.state();
    assert_eq!(state["id"], json!(bundle.id));
    assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{state}");
    assert_eq!(state["bundle"], json!(bundle.path.to_string_lossy()));
    assert_eq!(state["annotations"]["org.wharf.test"], json!("yes"));
    let pid = state["pid"].as_u64().expect("a pid");
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    let file = std::fs::read_to_string(bundle.path.join("pid")).expect("the pid file");
    assert_eq!(file.trim(), pid.to_string());
}

#[test]
fn operations_are_refused_in_the_wrong_state() {
    let bundle = Bundle::new();
    bundle.start().fails();
    bundle.kill("TERM").fails();
    bundle.delete().fails();
    bundle.create().ok();
    bundle.create().fails();
    bundle.start().ok();
    bundle.start().fails();
    bundle.delete().fails();
    assert_eq!(bundle.status(), "running");
    bundle.kill("KILL").ok();
    bundle.wait_for("stopped");
    bundle.start().fails();
    bundle.kill("TERM").fails();
    bundle.delete().ok();
    bundle.delete().fails();
}

#[test]
fn a_created_container_can_be_killed() {
    let bundle = Bundle::new();
    bundle.create().ok();
    bundle.kill("KILL").ok();
    bundle.wait_for("stopped");
    bundle.delete().ok();
}

#[test]
fn a_running_container_can_be_deleted_by_force() {
    let bundle = Bundle::new();
    bundle.up();
    let pid = bundle.state()["pid"].to_string();
    bundle.runtime(&["delete", "--force", &bundle.id]).ok();
    assert!(!std::path::Path::new("/proc").join(pid).join("root/bin/busybox").exists());
    // What is not there is gone as wished.
    bundle.runtime(&["delete", "--force", &bundle.id]).ok();
}

#[test]
fn delete_leaves_no_cgroup() {
    let bundle = Bundle::new();
    bundle.up();
    let group = bundle.cgroup_file("memory", "");
    assert!(group.exists());
    bundle.runtime(&["delete", "--force", &bundle.id]).ok();
    bundle.wait_until("the cgroup is gone", || !group.exists());
}

#[test]
fn run_gives_the_exit_status() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$; sleep 5", 137)] {
        let ended = Bundle::script(script).run();
        if code == 137 {
            // The first process of a PID namespace ignores signals it does not handle, its own too.
            assert_eq!(ended.code, 0, "{script}: {ended:?}");
        } else {
            assert_eq!(ended.code, code, "{script}: {ended:?}");
        }
    }
}

#[test]
fn signals_by_all_their_names() {
    for signal in ["USR1", "SIGUSR1", "10"] {
        let bundle =
            Bundle::script("trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.05; done");
        bundle.up();
        bundle.wait_until("the program is ready", || bundle.output().contains("ready"));
        bundle.kill(signal).ok();
        bundle.wait_for("stopped");
        assert!(bundle.output().contains("got it"), "{signal}");
    }
    let bundle = Bundle::new();
    bundle.up();
    bundle.kill("NOSUCH").fails();
}

#[test]
fn bad_bundles_are_refused_and_leave_nothing() {
    let bundle = Bundle::new();
    let create = |path: &str| bundle.runtime(&["create", "--bundle", path, &bundle.id]);
    create("/does/not/exist").fails();
    let path = bundle.path.to_string_lossy().into_owned();
    create(&path).fails();
    std::fs::write(bundle.path.join("config.json"), "{ no json").expect("write");
    create(&path).fails();
    bundle.runtime(&["state", &bundle.id]).fails();
}

#[test]
fn bad_configurations_are_refused_and_leave_nothing() {
    let rows = [
        ("/process/args", json!([])),
        ("/process/args", json!(["/does/not/exist"])),
        ("/process/args", json!(["/etc/passwd"])),
        ("/process/cwd", json!("relative")),
        ("/root/path", json!("no-such-rootfs")),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "nonsense"}])),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "pid"}, {"type": "pid"}])),
        ("/linux/sysctl", json!({"kernel.panic": "1"})),
        ("/process/rlimits", json!([{"type": "RLIMIT_NONSENSE", "soft": 1, "hard": 1}])),
    ];
    for (pointer, value) in rows {
        let bundle = Bundle::new().with(pointer, value.clone());
        let created = bundle.create();
        assert_ne!(created.code, 0, "{pointer} {value}");
        bundle.runtime(&["state", &bundle.id]).fails();
        assert!(!bundle.cgroup_file("memory", "").exists(), "{pointer} {value} left a cgroup");
    }
}

#[test]
fn names_cannot_be_paths() {
    let mut bundle = Bundle::new();
    bundle.write();
    let path = bundle.path.to_string_lossy().into_owned();
    for name in ["../escape", "a/b", "", "."] {
        let ended = bundle.runtime(&["create", "--bundle", &path, name]);
        assert_ne!(ended.code, 0, "{name:?}");
    }
    bundle.id.push('x');
}

#[test]
fn the_end_of_the_first_process_ends_the_others() {
    let bundle = Bundle::script("sleep 1000 & sleep 1000 & echo ready; exec sleep 1000");
    bundle.up();
    bundle.wait_until("all run", || bundle.output().contains("ready"));
    bundle.kill("KILL").ok();
    bundle.wait_for("stopped");
    let tasks = bundle.cgroup_file("pids", "cgroup.procs");
    bundle
        .wait_until("all are gone", || std::fs::read_to_string(&tasks).unwrap_or_default().trim().is_empty());
}

#[test]
fn kill_all_reaches_every_process() {
    // Without a PID namespace nobody ends the others.
    let mut bundle = Bundle::script("sleep 1000 & sleep 1000 & echo ready; exec sleep 1000");
    bundle.spec["linux"]["namespaces"] =
        json!([{"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}]);
    bundle.up();
    bundle.wait_until("all run", || bundle.output().contains("ready"));
    bundle.runtime(&["kill", "--all", &bundle.id, "KILL"]).ok();
    let tasks = bundle.cgroup_file("pids", "cgroup.procs");
    bundle
        .wait_until("all are gone", || std::fs::read_to_string(&tasks).unwrap_or_default().trim().is_empty());
}

#[test]
fn paused_containers_stand_still() {
    let bundle = Bundle::script("i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.01; done");
    bundle.up();
    bundle.wait_until("it counts", || bundle.root("count").exists());
    bundle.runtime(&["pause", &bundle.id]).ok();
    assert_eq!(bundle.status(), "paused");
    let count = || std::fs::read_to_string(bundle.root("count")).unwrap_or_default();
    let before = count();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(before, count());
    bundle.exec("true").fails();
    bundle.runtime(&["resume", &bundle.id]).ok();
    assert_eq!(bundle.status(), "running");
    bundle.wait_until("it counts again", || count() != before);
}
