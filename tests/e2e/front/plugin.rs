//! Programs `docker-NAME` in the configuration's `cli-plugins` folder become commands.

use super::folder::Folder;

const HELLO: &str = r#"#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
  echo '{"SchemaVersion":"0.1.0","Vendor":"Test House","Version":"v1.2","ShortDescription":"Say hello"}'
  exit 0
fi
read line
printf '<%s>' "$@" "$line"
echo told >&2
exit 7
"#;

fn place(folder: &Folder, name: &str, text: &str) {
    let dir = folder.path().join("cli-plugins");
    std::fs::create_dir_all(&dir).expect("make a folder");
    testkit::image::write_program(&dir.join(name), text);
}

#[test]
fn a_plugin_is_listed_and_run() {
    let folder = Folder::new();
    place(&folder, "docker-hello", HELLO);
    place(&folder, "docker-broken", "#!/bin/sh\necho nonsense\n");
    let wharf = |arguments: &[&str]| {
        let mut command = folder.client(&testkit::engine::binary_dir().join("wharf"), arguments);
        command.env("DOCKER_HOST", "unix:///nowhere/engine.sock");
        testkit::engine::run(&mut command, Some(b"typed\n"))
    };
    let help = wharf(&["--help"]);
    assert!(help.ok().contains("  hello*  "), "{help:?}");
    assert!(help.stdout.contains("Say hello") && !help.stdout.contains("broken*"), "{help:?}");
    for (arguments, wanted) in [
        (&["hello"][..], "<hello><typed>"),
        (&["hello", "a", "-b", "--c", "d e"], "<hello><a><-b><--c><d e><typed>"),
        (&["hello", "--help"], "<hello><--help><typed>"),
        (&["-D", "--log-level", "debug", "hello", "x"], "<-D><--log-level><debug><hello><x><typed>"),
    ] {
        let seen = wharf(arguments);
        assert_eq!(
            (seen.code, seen.stdout.as_str(), seen.stderr.as_str()),
            (7, wanted, "told\n"),
            "{arguments:?}"
        );
    }
    let unknown = wharf(&["nohello"]);
    assert!(unknown.fails_with(1).contains("unknown command: wharf nohello"), "{unknown:?}");
}

#[test]
fn a_plugin_reaches_the_engine_its_caller_would() {
    let folder = Folder::new();
    place(
        &folder,
        "docker-where",
        "#!/bin/sh\necho \"$DOCKER_HOST $DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND\"\n",
    );
    folder.wharf(&["context", "create", "far", "--docker", "host=tcp://127.0.0.1:1"]).ok();
    let seen = folder.wharf(&["-c", "far", "where"]);
    assert!(seen.ok().starts_with("tcp://127.0.0.1:1 /"), "{seen:?}");
    assert!(seen.stdout.trim().ends_with("/wharf"), "{seen:?}");
}
