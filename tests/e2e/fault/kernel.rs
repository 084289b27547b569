//! A kernel that lacks something: a filter makes system calls and sockets unknown, a mount namespace hides controllers.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::json;
use testkit::{Engine, http};

/// Names the rules of [`stripped`].
const RULES: &str = "WHARF_TEST_RULES";
/// The words of the command it becomes.
const WORDS: &str = "WHARF_TEST_WORDS";

/// Not a test of its own: becomes another program, without what the rules deny.
#[test]
fn stripped() {
    let (Ok(rules), Ok(words)) = (std::env::var(RULES), std::env::var(WORDS)) else { return };
    let document = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [serde_json::from_str::<serde_json::Value>(&rules).expect("rules")]});
    let document = serde_json::from_value(document).expect("a filter");
    linux::seccomp::compile(&document).expect("compile the filter").install().expect("install the filter");
    let mut words = words.split(' ');
    let error = Command::new(words.next().expect("a program")).args(words).env_remove(WORDS).exec();
    panic!("{error}");
}

/// An engine, not yet started, on a kernel without what the rule denies.
fn engine_without(rule: &serde_json::Value, arguments: &[&str]) -> Engine {
    let mut engine = Engine::prepare(arguments);
    let own = std::env::current_exe().expect("know the test's own path");
    let script = format!(
        "{RULES}='{rule}' {WORDS}=\"$*\" exec {} --exact fault::kernel::stripped --nocapture",
        own.display()
    );
    engine.start_through(&["sh", "-c", &script, "sh"]);
    engine
}

/// The rule that makes system calls unknown.
fn unknown(calls: &[&str]) -> serde_json::Value {
    json!({"names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": 38})
}

/// The rule that makes a netlink family unknown.
fn no_netlink(family: u32) -> serde_json::Value {
    json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 93, "args": [
        {"index": 0, "value": 16, "op": "SCMP_CMP_EQ"},
        {"index": 2, "value": family, "op": "SCMP_CMP_EQ"},
    ]})
}

const NETFILTER: u32 = 12;

#[test]
fn without_nf_tables_the_start_says_so() {
    let mut engine = engine_without(&no_netlink(NETFILTER), &[]);
    let refused = engine.refused_start();
    assert_eq!(refused.code, 1);
    let said: Vec<&str> = refused.stderr.lines().filter(|line| line.contains("nf_tables")).collect();
    assert_eq!(said.len(), 1, "{refused:?}");
    assert!(said[0].contains("--iptables=false"), "it says what to do: {said:?}");
}

#[test]
fn without_nf_tables_an_engine_without_firewall_works() {
    let mut engine = engine_without(&no_netlink(NETFILTER), &["--iptables=false"]);
    engine.start_daemon();
    engine.import_busybox();
    engine.wharf(&["run", "--rm", "busybox", "true"]).ok();
}

/// What an old kernel lacks is named, and costs neither the engine nor anything else.
#[test]
fn an_old_kernel_is_told_by_what_it_lacks() {
    for call in ["openat2", "clone3", "fsopen", "move_mount", "mount_setattr", "pidfd_open", "close_range"] {
        let mut engine = engine_without(&unknown(&[call]), &[]);
        let refused = engine.refused_start();
        assert_eq!(refused.code, 1, "{call}: {refused:?}");
        let said: Vec<&str> = refused.stderr.lines().filter(|line| line.contains(call)).collect();
        assert_eq!(said.len(), 1, "{call}: {refused:?}");
        assert!(said[0].contains("Linux 5."), "{said:?}");
    }
}

/// A controller that is not mounted: its limits are dropped with a warning, as Docker does.
#[test]
fn without_a_controller_limits_are_dropped_with_a_warning() {
    if !std::path::Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists() {
        eprintln!("skipped: this machine has no memory controller of cgroup v1");
        return;
    }
    let mut engine = Engine::prepare(&[]);
    let script = "umount -l /sys/fs/cgroup/memory && exec \"$@\"";
    engine.start_through(&["unshare", "-m", "sh", "-c", script, "sh"]);
    engine.start_daemon();
    engine.import_busybox();
    let run = engine.wharf(&["run", "--rm", "-m", "64m", "busybox", "echo", "ran"]);
    assert_eq!(run.ok(), "ran");
    assert!(run.stderr.contains("Your kernel does not support memory limit capabilities"), "{run:?}");
    let info = http::get(&engine.socket_path(), "/info").expect("info").json();
    assert_eq!(info["MemoryLimit"], false);
    assert!(info["Warnings"].to_string().contains("No memory limit support"), "{}", info["Warnings"]);
    engine.wharf(&["run", "--rm", "--pids-limit", "50", "busybox", "true"]).ok();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    let stats = engine.wharf(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "box"]);
    assert_eq!(stats.ok(), "box 1");
    engine.wharf(&["rm", "-f", "box"]).ok();
}
