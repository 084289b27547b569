//! The cache of builds keeps to its size by itself.

use std::fs;
use std::path::PathBuf;

use testkit::Engine;

use super::classic::wait_until;

/// Room for two of the layers below, not for three.
const CONFIG: &str = r#"{"builder": {"gc": {"enabled": true, "defaultKeepStorage": "7MB"}}}"#;

/// Builds a layer of three megabytes that no image keeps; what was said.
fn build(engine: &Engine, number: usize) -> String {
    let folder = engine.root().join(format!("limit-{number}"));
    fs::create_dir_all(&folder).expect("a folder");
    let step = format!("RUN head -c 3000000 /dev/urandom > /{number}");
    fs::write(folder.join("Dockerfile"), format!("FROM busybox\n{step}\n")).expect("written");
    let output = format!("type=tar,dest={}", engine.root().join("out.tar").display());
    let path = folder.display().to_string();
    let built = engine.wharf(&["build", "--progress=plain", "-o", &output, &path]);
    assert_eq!(built.code, 0, "{built:?}");
    built.stderr
}

/// The results that are kept.
fn kept(engine: &Engine) -> Vec<usize> {
    let told = engine.wharf(&["builder", "du", "--verbose"]).ok().to_owned();
    (0..5).filter(|number| told.contains(&format!("/dev/urandom > /{number}"))).collect()
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let folder = folder_of_test("kept");
    let config = folder.join("daemon.json");
    fs::write(&config, CONFIG).expect("written");
    let engine = Engine::start_with(&["--config-file", &config.display().to_string()]);
    engine.import_busybox();
    build(&engine, 0);
    build(&engine, 1);
    assert_eq!(kept(&engine), [0, 1]);
    // The first one is of use again: now the second one is older.
    assert!(build(&engine, 0).contains("CACHED"));
    build(&engine, 2);
    wait_until("the oldest result goes", || kept(&engine) == [0, 2]);
    assert!(build(&engine, 0).contains("CACHED"));
    // A smaller limit counts as soon as the configuration is read anew.
    fs::write(&config, CONFIG.replace("7MB", "4MB")).expect("written");
    testkit::engine::signal(engine.daemon_pid(), rustix::process::Signal::HUP);
    wait_until("the older result goes", || kept(&engine) == [0]);
    fs::remove_dir_all(&folder).expect("removed");
}

/// What buildx shows of the rules.
#[test]
fn the_rules_are_shown() {
    let Some(program) = testkit::peers::docker_plugin("buildx") else { return };
    let folder = folder_of_test("shown");
    let config = folder.join("daemon.json");
    fs::write(&config, CONFIG).expect("written");
    let engine = Engine::start_with(&["--config-file", &config.display().to_string()]);
    let mut command = std::process::Command::new(program);
    command.arg("inspect").env("DOCKER_HOST", engine.host());
    command.env("DOCKER_CONFIG", engine.root().join("config"));
    let told = testkit::engine::run(&mut command, None).ok().to_owned();
    let words: Vec<String> =
        told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let first = words.iter().position(|line| line == "GC Policy rule#0:").expect("rules");
    let rule = ["All: false", "Filters: type==exec.cachemount type==source.local", "Keep Duration: 48h0m0s"];
    assert_eq!(words.get(first + 1..first + 4).expect("a rule"), rule, "{told}");
    assert!(words.get(first + 4).is_some_and(|line| line.starts_with("Keep Bytes: ")), "{told}");
    assert!(words.contains(&"GC Policy rule#3:".to_owned()), "{told}");
    fs::remove_dir_all(&folder).expect("removed");
}

fn folder_of_test(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wharf-cache-limit-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
}
