//! The command line around containers: features, list, ps, spec, version.

use conformance::{Bundle, needs};
use serde_json::Value;

#[test]
fn features_are_told() {
    if !needs("features") {
        return;
    }
    let bundle = Bundle::new();
    let told: Value = serde_json::from_str(&bundle.runtime(&["features"]).ok()).expect("JSON");
    let list = |pointer: &str| -> Vec<String> {
        let items =
            told.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer}: {told}"));
        items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    assert!(told["ociVersionMin"].is_string() && told["ociVersionMax"].is_string(), "{told}");
    let hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    assert!(hooks.iter().all(|hook| list("/hooks").iter().any(|have| have == hook)), "{told}");
    let mounts = list("/mountOptions");
    assert!(
        ["ro", "rro", "rbind", "nosuid", "rshared"]
            .iter()
            .all(|option| mounts.iter().any(|have| have == option)),
        "{mounts:?}"
    );
    let kinds = list("/linux/namespaces");
    assert!(
        ["user", "pid", "time", "cgroup"].iter().all(|kind| kinds.iter().any(|have| have == kind)),
        "{kinds:?}"
    );
    assert!(list("/linux/capabilities").iter().any(|name| name == "CAP_SYS_ADMIN"));
    assert_eq!(told.pointer("/linux/cgroup/v1"), Some(&Value::Bool(true)));
    assert_eq!(told.pointer("/linux/seccomp/enabled"), Some(&Value::Bool(true)));
    assert!(list("/linux/seccomp/operators").len() >= 7);
}

#[test]
fn containers_are_listed() {
    let bundle = Bundle::new();
    bundle.up();
    let all: Value = serde_json::from_str(&bundle.runtime(&["list", "--format", "json"]).ok()).expect("JSON");
    let own = all
        .as_array()
        .and_then(|all| all.iter().find(|one| one["id"] == bundle.id.as_str()))
        .expect("it is listed");
    assert_eq!(own["status"], "running");
    assert_eq!(bundle.runtime(&["list", "--quiet"]).ok(), bundle.id);
    assert!(bundle.runtime(&["list"]).ok().contains(&bundle.id));
}

#[test]
fn processes_are_listed() {
    let bundle = Bundle::new();
    bundle.up();
    let pids: Value =
        serde_json::from_str(&bundle.runtime(&["ps", "--format", "json", &bundle.id]).ok()).expect("JSON");
    assert_eq!(pids, Value::Array(vec![bundle.state()["pid"].clone()]));
}

#[test]
fn a_version_is_told() {
    let bundle = Bundle::new();
    let out = bundle.runtime(&["--version"]).ok();
    assert!(out.contains("spec: 1.") || out.contains("spec: "), "{out}");
}

#[test]
fn unknown_commands_and_options_fail() {
    let bundle = Bundle::new();
    bundle.runtime(&["frobnicate"]).fails();
    bundle.runtime(&["state", "--frobnicate", "x"]).fails();
    bundle.runtime(&["state"]).fails();
}

#[test]
fn errors_can_go_to_a_log() {
    let bundle = Bundle::new();
    let log = bundle.path.join("log");
    let ended = bundle.runtime(&[
        "--log",
        &log.to_string_lossy(),
        "--log-format",
        "json",
        "state",
        "no-such-container",
    ]);
    ended.fails();
    let text = std::fs::read_to_string(log).expect("the log");
    let last: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["level"], "error");
    assert!(
        last["msg"]
            .as_str()
            .is_some_and(|message| message.contains("no-such-container") || message.contains("not exist")),
        "{last}"
    );
}
