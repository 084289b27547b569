//! Contexts as docker's command line has them, in a configuration folder of the test's own.

use super::folder::Folder;

/// The words, the exit code, and what must be printed (in the text of both streams).
type Step = (&'static str, i32, &'static str);

const STEPS: &[Step] = &[
    ("context show", 0, "default"),
    (
        "context create one --description words --docker host=tcp://127.0.0.1:1",
        0,
        "one\nSuccessfully created context \"one\"",
    ),
    ("context create one", 1, "context \"one\" already exists"),
    (
        "context create a",
        1,
        "context name \"a\" is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\"",
    ),
    ("context create default", 1, "\"default\" is a reserved context name"),
    (
        "context create two --docker nope=1",
        1,
        "unable to create docker endpoint config: unrecognized config key: nope",
    ),
    (
        "context create two --docker host=wrong",
        1,
        "unable to create docker endpoint config: unable to apply docker endpoint options: unable to parse docker host `wrong`",
    ),
    (
        "context create two --docker skip-tls-verify=x",
        1,
        "unable to create docker endpoint config: skip-tls-verify: parsing \"x\": invalid syntax",
    ),
    (
        "context create two --docker ca=/nope",
        1,
        "unable to create docker endpoint config: open /nope: no such file or directory",
    ),
    ("context create four --from nope", 1, "context \"nope\": context not found: open "),
    ("context create copy --from one", 0, "copy"),
    ("context ls -q", 0, "copy\ndefault\none"),
    (
        "context ls --format {{.Name}}|{{.Current}}|{{.DockerEndpoint}}|{{.Error}}",
        0,
        "one|false|tcp://127.0.0.1:1|",
    ),
    ("context inspect one -f {{.Endpoints.docker.Host}}", 0, "tcp://127.0.0.1:1"),
    ("context inspect nope", 1, "context \"nope\": context not found: open "),
    ("context use nope", 1, "context \"nope\": context not found: open "),
    ("context use one", 0, "one\nCurrent context is now \"one\""),
    ("context show", 0, "one"),
    ("ps", 1, "Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?"),
    ("context ls", 0, "one *     words"),
    ("context rm one", 1, "context \"one\" is in use, set -f flag to force remove"),
    ("context rm nope copy", 1, "context \"nope\" does not exist"),
    ("context update one --description other", 0, "Successfully updated context \"one\""),
    ("context ls --format {{.Name}}={{.Description}}", 0, "one=other"),
    ("context update one --docker host=tcp://127.0.0.1:3", 0, "one"),
    ("context inspect one -f {{.Endpoints.docker.Host}}", 0, "tcp://127.0.0.1:3"),
    ("context update nope", 1, "context \"nope\": context not found: open "),
    ("context update default --description x", 1, "\"default\" is a reserved context name"),
    ("context export one FOLDER/one.tar", 0, "Written file \"FOLDER/one.tar\""),
    ("context export one FOLDER/one.tar", 1, "open FOLDER/one.tar: file exists"),
    ("context import brought FOLDER/one.tar", 0, "brought\nSuccessfully imported context \"brought\""),
    ("context import brought FOLDER/one.tar", 1, "context \"brought\" already exists"),
    ("context import more FOLDER/nope.tar", 1, "open FOLDER/nope.tar: no such file or directory"),
    ("context inspect brought -f {{.Endpoints.docker.Host}}", 0, "tcp://127.0.0.1:3"),
    ("-c brought context show", 0, "brought"),
    ("-H tcp://127.0.0.1:2 context show", 0, "default"),
    ("-H tcp://127.0.0.1:2 ps", 1, "Cannot connect to the Docker daemon at tcp://127.0.0.1:2."),
    (
        "-c brought -H tcp://127.0.0.1:2 context show",
        1,
        "conflicting options: cannot specify both --host and --context",
    ),
    ("-H tcp://127.0.0.1:2 -H tcp://127.0.0.1:4 ps", 1, "Specify only one -H"),
    ("-H foo://x ps", 1, "foo"),
    (
        "-c nope ps",
        1,
        "Failed to initialize: unable to resolve docker endpoint: context \"nope\": context not found: open ",
    ),
    ("context rm -f nope", 0, "nope"),
    ("context rm default", 1, "context \"default\" cannot be removed"),
    ("context use default", 0, "Current context is now \"default\""),
    ("context rm one brought", 0, "one\nbrought"),
    ("context ls -q", 0, "default"),
];

#[test]
fn contexts_live_and_die_as_dockers() {
    let folder = Folder::new();
    let place = folder.path().display().to_string();
    for (line, code, wanted) in STEPS {
        let (line, wanted) = (line.replace("FOLDER", &place), wanted.replace("FOLDER", &place));
        let seen = folder.wharf(&line.split(' ').collect::<Vec<_>>());
        let text = format!("{}{}", seen.stdout, seen.stderr);
        assert!(
            seen.code == *code && text.contains(&wanted),
            "{line}: wanted {code} {wanted:?}, but {seen:#?}"
        );
    }
}

#[test]
fn variables_choose_among_contexts() {
    let folder = Folder::new();
    for name in ["red", "blue"] {
        let endpoint = format!("host=unix:///nowhere/{name}.sock");
        folder.wharf(&["context", "create", name, "--docker", &endpoint]).ok();
    }
    folder.wharf(&["context", "use", "red"]).ok();
    let ask = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = folder.client(&testkit::engine::binary_dir().join("wharf"), arguments);
        command.envs(variables.iter().copied());
        testkit::engine::run(&mut command, None)
    };
    for (variables, arguments, wanted) in [
        (&[][..], &["context", "show"][..], "red"),
        (&[("DOCKER_CONTEXT", "blue")], &["context", "show"], "blue"),
        (&[("WHARF_CONTEXT", "blue")], &["context", "show"], "blue"),
        (&[("WHARF_CONTEXT", "blue"), ("DOCKER_CONTEXT", "red")], &["context", "show"], "blue"),
        (&[("DOCKER_CONTEXT", "blue")], &["-c", "red", "context", "show"], "red"),
        (
            &[("DOCKER_CONTEXT", "blue"), ("DOCKER_HOST", "tcp://127.0.0.1:9")],
            &["context", "show"],
            "default",
        ),
        (&[("DOCKER_HOST", "tcp://127.0.0.1:9")], &["-c", "red", "context", "show"], "red"),
    ] {
        assert_eq!(ask(variables, arguments).ok(), wanted, "{variables:?} {arguments:?}");
    }
    for (variables, arguments, wanted) in [
        (&[][..], &["ps"][..], "unix:///nowhere/red.sock"),
        (&[("DOCKER_CONTEXT", "blue")], &["ps"], "unix:///nowhere/blue.sock"),
        (&[("DOCKER_HOST", "unix:///nowhere/host.sock")], &["ps"], "unix:///nowhere/host.sock"),
        (&[("DOCKER_HOST", "unix:///nowhere/host.sock")], &["-c", "blue", "ps"], "unix:///nowhere/blue.sock"),
        (
            &[("DOCKER_HOST", "unix:///nowhere/a.sock")],
            &["-H", "unix:///nowhere/b.sock", "ps"],
            "unix:///nowhere/b.sock",
        ),
    ] {
        let seen = ask(variables, arguments);
        assert!(seen.fails_with(1).contains(wanted), "{variables:?} {arguments:?}: {seen:?}");
    }
    let lost = ask(
        &[("DOCKER_CONTEXT", "nope")],
        &["context", "ls", "--format", "{{.Name}}|{{.Current}}|{{.Error}}"],
    );
    assert!(lost.ok().contains("nope|true|context \"nope\": context not found: open"), "{lost:?}");
}

#[test]
fn a_broken_store_is_told_and_not_followed() {
    let folder = Folder::new();
    folder.wharf(&["context", "create", "good", "--docker", "host=tcp://127.0.0.1:1"]).ok();
    let junk = folder.path().join("contexts/meta/junk");
    std::fs::create_dir_all(&junk).expect("make a folder");
    std::fs::write(junk.join("meta.json"), "{\"Name\": 5").expect("write a file");
    let listed = folder.wharf(&["context", "ls", "-q"]);
    assert!(!listed.stderr.contains("panicked"), "{listed:?}");
    assert_eq!(folder.wharf(&["context", "inspect", "good", "-f", "{{.Name}}"]).ok(), "good");
    let archive = folder.file("bad.tar");
    for bytes in [&b""[..], b"no archive", &[0; 1024], &[0xff; 2000]] {
        std::fs::write(&archive, bytes).expect("write a file");
        let seen = folder.wharf(&["context", "import", "bad", &archive]);
        assert!(seen.code == 1 && !seen.stderr.contains("panicked"), "{bytes:?}: {seen:?}");
    }
}
