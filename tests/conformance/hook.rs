//! `hooks`: when and where each runs, what it is told, and what its failure means.

use conformance::{Bundle, is_wharf};
use serde_json::{Value, json};

/// A hook that appends its name and the state's status to a file on the host.
fn noting(bundle: &Bundle, name: &str) -> Value {
    let log = bundle.path.join("hooks");
    let script = format!(
        "s=$(cat); echo \"{name} $(echo \"$s\" | tr -d ' \\n' | sed 's/.*\"status\":\"\\([a-z]*\\)\".*/\\1/')\" >> {}",
        log.display()
    );
    json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
}

fn log(bundle: &Bundle) -> String {
    std::fs::read_to_string(bundle.path.join("hooks")).unwrap_or_default()
}

#[test]
fn hooks_of_the_host_run_in_order() {
    let mut bundle = Bundle::script("exit 0");
    for name in ["prestart", "createRuntime", "poststart", "poststop"] {
        let hook = noting(&bundle, name);
        bundle.set(&format!("/hooks/{name}"), hook);
    }
    bundle.create().ok();
    let created = log(&bundle);
    // runc runs poststart at create already, which the specification does not.
    let created: String = created
        .lines()
        .filter(|line| is_wharf() || !line.starts_with("poststart"))
        .fold(String::new(), |all, line| all + line + "\n");
    let lines: Vec<&str> = created.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(lines, ["prestart", "createRuntime"], "{created}");
    bundle.start().ok();
    bundle.wait_for("stopped");
    bundle.wait_until("poststart ran", || log(&bundle).contains("poststart"));
    assert!(!log(&bundle).contains("poststop"));
    bundle.delete().ok();
    assert!(log(&bundle).trim_end().ends_with("poststop stopped"), "{}", log(&bundle));
}

#[test]
fn hooks_are_told_the_state() {
    let mut bundle = Bundle::new().with("/annotations", json!({"a": "b"}));
    let file = bundle.path.join("told");
    bundle.set(
        "/hooks/createRuntime",
        json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("cat > {}", file.display())]}]),
    );
    bundle.create().ok();
    let told: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("read")).expect("JSON");
    assert_eq!(told["id"], json!(bundle.id));
    assert_eq!(told["bundle"], json!(bundle.path.to_string_lossy()));
    assert_eq!(told["annotations"]["a"], json!("b"));
    assert_eq!(told["pid"], bundle.state()["pid"]);
    assert!(["creating", "created"].contains(&told["status"].as_str().unwrap_or_default()), "{told}");
}

#[test]
fn hooks_of_the_container_run_in_its_namespaces() {
    let mut bundle = Bundle::script("cat /tmp/hooks");
    // createContainer runs in the runtime's file system view, startContainer in the container's.
    let outside = bundle.path.join("where");
    let first = format!("readlink /proc/self/ns/uts > {}", outside.display());
    bundle.set("/hooks/createContainer", json!([{"path": "/bin/sh", "args": ["sh", "-c", first]}]));
    bundle.set(
        "/hooks/startContainer",
        json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo start container $(hostname) > /tmp/hooks"]}]),
    );
    bundle.create().ok();
    assert!(!bundle.root("tmp/hooks").exists(), "startContainer ran at create");
    assert_eq!(bundle.finish(), "start container conformance");
    let own = std::fs::read_link("/proc/self/ns/uts").expect("read").to_string_lossy().into_owned();
    let there = std::fs::read_to_string(outside).expect("createContainer ran");
    assert_ne!(there.trim(), own);
}

#[test]
fn environment_and_arguments_of_hooks() {
    let mut bundle = Bundle::new();
    let file = bundle.path.join("told");
    let script = format!("echo \"$0 $1 $A $HOME\" > {}", file.display());
    bundle.set(
        "/hooks/createRuntime",
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script, "zero", "one"], "env": ["A=b"]}]),
    );
    bundle.create().ok();
    assert_eq!(std::fs::read_to_string(file).expect("read").trim_end(), "zero one b");
}

#[test]
fn failing_hooks_before_the_start_undo_everything() {
    for name in ["prestart", "createRuntime", "createContainer"] {
        let mut bundle = Bundle::script("touch /ran");
        bundle.set(
            &format!("/hooks/{name}"),
            json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo broken >&2; exit 3"]}]),
        );
        let stop = noting(&bundle, "poststop");
        bundle.set("/hooks/poststop", stop);
        bundle.create().fails();
        bundle.runtime(&["state", &bundle.id]).fails();
        assert!(!bundle.cgroup_file("memory", "").exists(), "{name} left a cgroup");
        assert!(!bundle.root("ran").exists());
    }
    let mut bundle = Bundle::script("touch /ran");
    bundle.set("/hooks/startContainer", json!([{"path": "/bin/false", "args": ["false"]}]));
    bundle.create().ok();
    let _ = bundle.start();
    bundle.wait_until("it is over", || {
        let ended = bundle.runtime(&["state", &bundle.id]);
        ended.code != 0 || ended.out.contains("stopped")
    });
    assert!(!bundle.root("ran").exists());
}

#[test]
fn a_hook_that_does_not_end_is_stopped() {
    let mut bundle = Bundle::new();
    bundle
        .set("/hooks/createRuntime", json!([{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]));
    let begun = std::time::Instant::now();
    bundle.create().fails();
    assert!(begun.elapsed().as_secs() < 20);
}

#[test]
fn a_failing_poststop_does_not_keep_the_container() {
    let mut bundle = Bundle::script("exit 0");
    bundle.set("/hooks/poststop", json!([{"path": "/bin/false", "args": ["false"]}]));
    bundle.up();
    bundle.wait_for("stopped");
    let _ = bundle.delete();
    bundle.runtime(&["state", &bundle.id]).fails();
}

#[test]
fn missing_and_relative_hooks_are_refused() {
    for path in ["/does/not/exist", "relative/path"] {
        let mut bundle = Bundle::new();
        bundle.set("/hooks/createRuntime", json!([{"path": path}]));
        bundle.create().fails();
    }
}
