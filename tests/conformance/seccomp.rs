//! `linux.seccomp`.

use conformance::Bundle;
use serde_json::{Value, json};

fn filtered(script: &str, rules: Value) -> Bundle {
    let document = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"], "syscalls": rules});
    let mut bundle = Bundle::script(script).with("/linux/seccomp", document);
    let native = format!("SCMP_ARCH_{}", std::env::consts::ARCH.to_uppercase());
    bundle.set("/linux/seccomp/architectures", json!([native]));
    bundle
}

#[test]
fn errors_are_returned() {
    let rules = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]);
    let out = filtered("mkdir /x 2>&1; rm -f /y; touch /y && echo ok", rules).run().ok();
    assert!(out.contains("not supported") && out.ends_with("ok"), "{out}");
    let rules = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]);
    let out = filtered("mkdir /x 2>&1; echo ok", rules).run().ok();
    assert!(out.contains("not permitted") && out.ends_with("ok"), "{out}");
}

#[test]
fn arguments_are_compared() {
    let rules = json!([{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}]);
    let script = "trap 'echo usr1' USR1; trap 'echo usr2' USR2; kill -USR1 $$ 2>/dev/null || echo refused; kill -USR2 $$";
    assert_eq!(filtered(script, rules).run().ok(), "refused\nusr2");
}

#[test]
fn processes_are_killed() {
    let rules = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]);
    assert_eq!(filtered("mkdir /x; echo $?", rules).run().ok(), "159");
}

#[test]
fn the_filter_shows_in_the_status() {
    let out = filtered("grep ^Seccomp: /proc/self/status | tr '\\t' ' '", json!([])).run().ok();
    assert_eq!(out, "Seccomp: 2");
}

#[test]
fn filters_hold_for_exec_too() {
    let rules = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]);
    let bundle = filtered("sleep 1000", rules);
    bundle.up();
    assert_eq!(bundle.exec("mkdir /x 2>/dev/null || echo refused").ok(), "refused");
}

#[test]
fn filters_without_no_new_privileges() {
    let rules = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]);
    let bundle = filtered("mkdir /x 2>/dev/null || echo refused", rules)
        .with("/process/noNewPrivileges", json!(false));
    assert_eq!(bundle.run().ok(), "refused");
}

#[test]
fn dockers_profile_lets_a_shell_work() {
    // As Docker's default: everything denied but a list; the shell, pipes and network basics have to do.
    let text = include_str!("../../base/linux/src/seccomp/golden/docker.json");
    let document: Value = serde_json::from_str(text).expect("JSON");
    let bundle = Bundle::script(
        "echo a | cat; mount -t tmpfs t /mnt 2>&1 | grep -c denied; unshare -m true 2>&1 | grep -c permitted",
    )
    .with("/linux/seccomp", document);
    assert_eq!(bundle.run().ok(), "a\n1\n1");
}

#[test]
fn unknown_actions_are_refused() {
    Bundle::new().with("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NONSENSE"})).create().fails();
}
