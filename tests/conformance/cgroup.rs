//! `linux.resources` and `linux.cgroupsPath`.

use conformance::Bundle;
use conformance::runtime::is_unified;
use serde_json::json;

#[track_caller]
fn file_says(bundle: &Bundle, (controller, legacy): (&str, &str), unified: &str, expected: (&str, &str)) {
    let (file, expected) = if is_unified() { (unified, expected.1) } else { (legacy, expected.0) };
    let path = bundle.cgroup_file(controller, file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text.trim(), expected, "{}", path.display());
}

#[test]
fn the_process_is_in_its_cgroup() {
    let bundle = Bundle::new();
    bundle.up();
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", bundle.state()["pid"])).expect("read");
    assert!(text.lines().filter(|line| line.ends_with(&bundle.cgroup())).count() >= 1, "{text}");
    let path = bundle.cgroup();
    for controller in ["memory", "pids", "cpu", "devices", "freezer"] {
        if !is_unified() {
            assert!(text.contains(&format!("{controller}:{path}")), "{controller}: {text}");
        }
    }
}

#[test]
fn limits_are_applied() {
    let bundle = Bundle::new()
        .with(
            "/linux/resources/memory",
            json!({"limit": 67_108_864, "reservation": 33_554_432, "swap": 134_217_728}),
        )
        .with(
            "/linux/resources/cpu",
            json!({"shares": 512, "quota": 20_000, "period": 40_000, "cpus": "0", "mems": "0"}),
        )
        .with("/linux/resources/pids", json!({"limit": 77}));
    bundle.create().ok();
    file_says(&bundle, ("memory", "memory.limit_in_bytes"), "memory.max", ("67108864", "67108864"));
    file_says(
        &bundle,
        ("memory", "memory.memsw.limit_in_bytes"),
        "memory.swap.max",
        ("134217728", "67108864"),
    );
    file_says(&bundle, ("memory", "memory.soft_limit_in_bytes"), "memory.low", ("33554432", "33554432"));
    file_says(&bundle, ("cpu", "cpu.cfs_quota_us"), "cpu.max", ("20000", "20000 40000"));
    file_says(&bundle, ("cpuset", "cpuset.cpus"), "cpuset.cpus", ("0", "0"));
    file_says(&bundle, ("pids", "pids.max"), "pids.max", ("77", "77"));
    if !is_unified() {
        file_says(&bundle, ("cpu", "cpu.shares"), "", ("512", ""));
        file_says(&bundle, ("cpu", "cpu.cfs_period_us"), "", ("40000", ""));
    }
}

#[test]
fn the_number_of_processes_is_limited() {
    let bundle = Bundle::script("for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done 2>/dev/null; echo started")
        .with("/linux/resources/pids", json!({"limit": 4}));
    let ended = bundle.run();
    assert!(ended.code != 0 || !ended.err.is_empty() || ended.out.contains("started"), "{ended:?}");
    assert!(ended.err.contains("fork") || ended.code != 0, "{ended:?}");
}

#[test]
fn memory_is_limited() {
    let bundle = Bundle::script("tail /dev/zero; echo $?")
        .with("/linux/resources/memory", json!({"limit": 16_777_216, "swap": 16_777_216}));
    let ended = bundle.run();
    assert!(ended.out.contains("137") || ended.code == 137, "{ended:?}");
}

#[test]
fn limits_can_be_updated() {
    let bundle = Bundle::new().with("/linux/resources/memory", json!({"limit": 33_554_432}));
    bundle.up();
    bundle
        .runtime(&[
            "update",
            "--memory",
            "67108864",
            "--pids-limit",
            "55",
            "--cpu-quota",
            "30000",
            "--cpu-period",
            "60000",
            &bundle.id,
        ])
        .ok();
    file_says(&bundle, ("memory", "memory.limit_in_bytes"), "memory.max", ("67108864", "67108864"));
    file_says(&bundle, ("pids", "pids.max"), "pids.max", ("55", "55"));
    file_says(&bundle, ("cpu", "cpu.cfs_quota_us"), "cpu.max", ("30000", "30000 60000"));
    let resources = bundle.path.join("resources.json");
    std::fs::write(&resources, r#"{"pids":{"limit":66},"memory":{"limit":50331648}}"#).expect("write");
    bundle.runtime(&["update", "--resources", &resources.to_string_lossy(), &bundle.id]).ok();
    file_says(&bundle, ("pids", "pids.max"), "pids.max", ("66", "66"));
    file_says(&bundle, ("memory", "memory.limit_in_bytes"), "memory.max", ("50331648", "50331648"));
}

#[test]
fn limits_the_machine_cannot_have_are_refused() {
    for (pointer, value) in [
        ("/linux/resources/cpu", json!({"cpus": "0-4000"})),
        ("/linux/resources/cpu", json!({"mems": "900"})),
        ("/linux/resources/memory", json!({"limit": 33_554_432, "swap": 16_777_216})),
    ] {
        let bundle = Bundle::new().with(pointer, value.clone());
        let created = bundle.create();
        assert_ne!(created.code, 0, "{pointer} {value}");
        assert!(!bundle.cgroup_file("memory", "").exists(), "{value} left a cgroup");
    }
}

#[test]
fn without_a_path_there_is_a_cgroup_all_the_same() {
    let mut bundle = Bundle::new();
    bundle.spec["linux"].as_object_mut().expect("an object").remove("cgroupsPath");
    bundle.up();
    let pid = bundle.state()["pid"].to_string();
    let theirs = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("read");
    let line = |text: &str| {
        text.lines()
            .find(|line| line.contains(":pids:") || line.starts_with("0::"))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(line(&theirs).contains(&bundle.id), "{theirs}");
    let group = line(&theirs).rsplit(':').next().unwrap_or_default().to_owned();
    drop(bundle);
    // The runtime keeps the group its containers share, so that the next one need not make it; a test leaves nothing.
    let parent = group.trim_start_matches('/').split('/').next().unwrap_or_default();
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let hierarchies = hierarchies.map(|entry| entry.path()).chain(["/sys/fs/cgroup".into()]);
    // Whoever is in it keeps it.
    hierarchies.for_each(|hierarchy| drop(std::fs::remove_dir(hierarchy.join(parent))));
}
