//! wharf's own command line builds through BuildKit's door of its own engine.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use testkit::{Engine, Output, Terminal};

/// A folder of the engine's with these files.
fn folder(engine: &Engine, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = engine.root().join(name);
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(&path, text).expect("a file");
    }
    folder
}

/// Runs `wharf build` with these arguments in the engine's folder.
fn build(engine: &Engine, arguments: &[&str]) -> Output {
    let mut command = engine.wharf_command(&[&["build"], arguments].concat());
    command.current_dir(engine.root()).env_remove("DOCKER_BUILDKIT");
    testkit::engine::run(&mut command, None)
}

/// Lines without what differs from run to run.
fn steady(text: &str) -> String {
    let word = |word: &str| {
        let digits = word.trim_end_matches('s');
        let is_time = digits.contains('.') && digits.parse::<f64>().is_ok();
        match word {
            _ if is_time => "TIME".to_owned(),
            _ if word.starts_with("sha256:") => "sha256:ID".to_owned(),
            _ => word.to_owned(),
        }
    };
    // What takes no time at all is told without one.
    let line =
        |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ").replace(" TIME done", " done");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_build_is_told_as_docker_tells_it() {
    let engine = Engine::with_busybox();
    let files = [("Dockerfile", "FROM busybox\nRUN echo said; echo done >/x\nCOPY f /f\n"), ("f", "1")];
    folder(&engine, "c", &files);
    let first = build(&engine, &["-t", "a", "c"]);
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(first.stdout, "");
    let said = steady(&first.stderr);
    let start = "#0 building with \"default\" instance using docker driver\n\n\
        #1 [internal] load build definition from Dockerfile\n";
    assert!(said.starts_with(start), "{said}");
    for part in [
        "[2/3] RUN echo said; echo done >/x\n",
        " TIME said\n",
        " DONE TIME\n",
        " exporting to image\n",
        " writing image sha256:ID done\n",
        " naming to docker.io/library/a:latest done\n",
    ] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    let again = build(&engine, &["-t", "a", "c"]);
    let cached = again.stderr.lines().filter(|line| line.ends_with(" CACHED")).count();
    assert_eq!(cached, 3, "{again:?}");
    // The other door makes another image of it, with the words of Docker's first builder.
    let history = engine.wharf(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", "a"]);
    assert!(history.ok().contains("COPY f /f # buildkit"), "{history:?}");
    let id = engine.wharf(&["image", "inspect", "-f", "{{.Id}}", "a"]).ok().to_owned();
    let quiet = build(&engine, &["-q", "c"]);
    assert_eq!((quiet.stdout.trim(), quiet.stderr.as_str()), (id.as_str(), ""));
    let remembered = engine.wharf(&["buildx", "history", "ls", "--format", "{{.Status}} {{.Name}}"]);
    assert_eq!(remembered.ok(), "Completed c\nCompleted c\nCompleted c");
    let logs = engine.wharf(&["buildx", "history", "logs"]);
    assert!(logs.ok().contains(" exporting to image"), "{logs:?}");
    engine.wharf(&["buildx", "history", "rm", "--all"]).ok();
    assert_eq!(engine.wharf(&["buildx", "history", "ls", "--format", "{{.Ref}}"]).ok(), "");
}

#[test]
fn a_failing_step_shows_its_last_words_and_its_lines() {
    let engine = Engine::with_busybox();
    folder(&engine, "c", &[("Dockerfile", "FROM busybox\nRUN echo trying; exit 3\nCMD [\"x\"]\n")]);
    let failed = build(&engine, &["c"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    let end = "\
------
 > [2/2] RUN echo trying; exit 3:
TIME trying
------
Dockerfile:2
--------------------
   1 |     FROM busybox
   2 | >>> RUN echo trying; exit 3
   3 |     CMD [\"x\"]
   4 |     
--------------------
ERROR: failed to solve: process \"/bin/sh -c echo trying; exit 3\" did not complete successfully: exit code: 3";
    let said = steady(&failed.stderr);
    assert!(said.ends_with(end), "{said}");
    assert!(said.contains("#3 ERROR: process") || said.contains(" ERROR: process"), "{said}");
    // Who wants to hear nothing hears why it failed; nobody watched until then.
    let quiet = build(&engine, &["-q", "c"]);
    assert_eq!((quiet.code, steady(&quiet.stderr).as_str()), (1, end), "{quiet:?}");
}

#[test]
fn steps_borrow_secrets_and_agents_and_leave_none() {
    let engine = Engine::with_busybox();
    let dockerfile = "FROM busybox\n\
        RUN --mount=type=secret,id=key test $(wc -c </run/secrets/key) = 13 && echo read\n\
        RUN --mount=type=secret,id=TOKEN,env=T test \"$T\" = of-the-environment\n\
        RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo an agent\n";
    let c = folder(&engine, "c", &[("Dockerfile", dockerfile)]);
    let key = engine.root().join("key");
    fs::write(&key, "canary-5ecre7").expect("a secret");
    let socket = engine.root().join("agent");
    let _listener = UnixListener::bind(&socket).expect("listen");
    let secret = format!("id=key,src={}", key.display());
    let mut command =
        engine.wharf_command(&["build", "-t", "s", "--secret", &secret, "--secret", "id=TOKEN"]);
    command.args(["--ssh", "default"]).arg(&c);
    command.env("TOKEN", "of-the-environment").env("SSH_AUTH_SOCK", &socket).env_remove("DOCKER_BUILDKIT");
    let output = testkit::engine::run(&mut command, None);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains(" read\n") && output.stderr.contains(" an agent\n"), "{output:?}");
    assert!(!output.stderr.contains("canary-5ecre7"), "{output:?}");
    let missing = build(&engine, &["--no-cache", "c"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    for folder in
        ["data", "state"].map(|name| engine.root().join(name)).iter().filter(|folder| folder.exists())
    {
        let found = std::process::Command::new("grep").args(["-rl", "canary-5ecre7"]).arg(folder).output();
        let found = String::from_utf8_lossy(&found.expect("grep runs").stdout).into_owned();
        assert_eq!(found, "", "the secret was kept");
    }
}

#[test]
fn results_leave_as_files_and_archives() {
    let engine = Engine::with_busybox();
    let files = [("Dockerfile", "FROM scratch\nCOPY d /d\n"), ("d/one", "1"), ("d/sub/two", "2")];
    folder(&engine, "c", &files);
    let ok = |arguments: &[&str]| {
        let output = build(&engine, arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
        output
    };
    fs::create_dir_all(engine.root().join("out/d")).expect("a folder");
    fs::write(engine.root().join("out/d/mine"), "stays").expect("a file");
    ok(&["-o", "out", "c"]);
    let read = |name: &str| fs::read_to_string(engine.root().join(name)).expect("is there");
    assert_eq!((read("out/d/sub/two"), read("out/d/mine")), ("2".into(), "stays".into()));
    ok(&["-o", "type=tar,dest=files.tar", "-o", "type=local,dest=more", "c"]);
    assert_eq!(read("more/d/one"), "1");
    let listed = std::process::Command::new("tar").arg("-tf").arg(engine.root().join("files.tar")).output();
    let listed = String::from_utf8_lossy(&listed.expect("tar runs").stdout).into_owned();
    assert!(listed.contains("d/sub/two"), "{listed}");
    ok(&["-t", "kept", "-o", "type=docker,dest=image.tar", "--iidfile", "id", "c"]);
    assert!(read("id").starts_with("sha256:"));
    ok(&["-t", "kept", "--metadata-file", "about.json", "c"]);
    let about: serde_json::Value = serde_json::from_str(&read("about.json")).expect("JSON");
    assert_eq!(about["image.name"], "docker.io/library/kept:latest");
    let loaded = engine.wharf(&["load", "-i", &engine.root().join("image.tar").to_string_lossy()]);
    assert!(loaded.ok().contains("kept:latest"), "{loaded:?}");
}

#[test]
fn contexts_are_read_in_place_or_sent() {
    let engine = Engine::with_busybox();
    let files = [
        ("Dockerfile", "FROM busybox\nCOPY . /x\nCOPY --from=more . /more\n"),
        (".dockerignore", "hidden\n"),
        ("hidden", "h"),
        ("seen", "s"),
    ];
    folder(&engine, "c", &files);
    folder(&engine, "more", &[("m", "1")]);
    let arguments = ["-t", "x", "--build-context", "more=more"];
    let in_place = build(&engine, &[&arguments[..], &["c"]].concat());
    assert_eq!(in_place.code, 0, "{in_place:?}");
    assert!(in_place.stderr.contains("in place"), "{in_place:?}");
    let seen = || {
        let list = engine.wharf(&["run", "--rm", "x", "sh", "-c", "ls -A /x /more"]);
        list.ok().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let wanted = ["/more:", "m", "/x:", ".dockerignore", "Dockerfile", "seen"];
    assert_eq!(seen(), wanted);
    engine.wharf(&["builder", "prune", "-af"]).ok();
    let mut command = engine.wharf_command(&[&["build"], &arguments[..], &["-f", "-", "c"]].concat());
    command.current_dir(engine.root()).env_remove("DOCKER_BUILDKIT");
    let dockerfile = files[0].1.as_bytes();
    let sent = testkit::engine::run(&mut command, Some(dockerfile));
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(sent.stderr.contains("transferring context"), "{sent:?}");
    assert_eq!(seen(), wanted);
    // A file that changes is seen, wherever it is read.
    fs::write(engine.root().join("c/seen"), "other").expect("a file");
    assert_eq!(build(&engine, &[&arguments[..], &["c"]].concat()).code, 0);
    assert_eq!(engine.wharf(&["run", "--rm", "x", "cat", "/x/seen"]).ok(), "other");
}

#[test]
fn files_made_while_their_layer_is_written_are_those_of_the_layer() {
    let engine = Engine::with_busybox();
    let c = folder(&engine, "c", &[("Dockerfile", "FROM busybox\nCOPY big /big/\nRUN ls /big >/list\n")]);
    for number in 0..700 {
        let name = format!("big/d{}/f{number}", number % 7);
        folder(&engine, "c", &[(&name, &number.to_string().repeat(200))]);
    }
    fs::write(c.join("big/large"), vec![7; 5 << 20]).expect("a file");
    std::os::unix::fs::symlink("large", c.join("big/link")).expect("a link");
    let built = build(&engine, &["-t", "big", "c"]);
    assert_eq!(built.code, 0, "{built:?}");
    let seen =
        engine.wharf(&["run", "--rm", "big", "sh", "-c", "cat /list; find /big | wc -l; cat /big/d3/f591"]);
    assert_eq!(seen.stdout, format!("d0\nd1\nd2\nd3\nd4\nd5\nd6\nlarge\nlink\n710\n{}", "591".repeat(200)));
    let checked = engine.wharf(&["system", "check"]);
    assert_eq!(checked.code, 0, "{checked:?}");

    // A layer that fails in its midst leaves nothing.
    folder(&engine, "c", &[("bin/busybox/x", "x")]);
    fs::write(c.join("Dockerfile"), "FROM busybox\nCOPY --parents big bin/busybox /\n").expect("a file");
    let failed = build(&engine, &["c"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains("cannot copy to non-directory: /bin/busybox"), "{failed:?}");
    let late = std::time::Instant::now() + testkit::patience(20);
    while fs::read_dir(engine.data_root().join("snapshots/new")).expect("a folder").count() > 0 {
        assert!(std::time::Instant::now() < late, "something half-made stays");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_dockerfile_is_checked_and_asked_about() {
    let engine = Engine::with_busybox();
    let dockerfile = "FROM busybox as one\nARG VERSION=1\nCMD echo x\nFROM one AS two\n";
    folder(&engine, "c", &[("Dockerfile", dockerfile)]);
    let checked = build(&engine, &["--check", "c"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.stdout.starts_with("Check complete, 2 warnings have been found!\n"), "{checked:?}");
    assert!(checked.stdout.contains("WARNING: FromAsCasing - "), "{checked:?}");
    assert!(checked.stdout.contains("   1 | >>> FROM busybox as one\n"), "{checked:?}");
    let json = build(&engine, &["--call=check,format=json", "c"]);
    let found: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(found["warnings"].as_array().map(Vec::len), Some(2), "{json:?}");
    let targets = build(&engine, &["--call=targets", "c"]);
    assert!(targets.code == 0 && targets.stdout.contains("two"), "{targets:?}");
    let outline = build(&engine, &["--call=outline", "c"]);
    assert!(outline.code == 0 && outline.stdout.contains("VERSION"), "{outline:?}");
    fs::write(engine.root().join("c/Dockerfile"), "FROM busybox\nRUN true\n").expect("a file");
    let clean = build(&engine, &["--check", "c"]);
    assert_eq!((clean.code, clean.stdout.as_str()), (0, "Check complete, no warnings found.\n"), "{clean:?}");
    assert_eq!(engine.wharf(&["images", "-q", "-f", "dangling=true"]).ok(), "", "nothing was built");
    let warned = {
        fs::write(engine.root().join("c/Dockerfile"), dockerfile).expect("a file");
        build(&engine, &["c"])
    };
    assert!(
        warned.stderr.contains(" 2 warnings found (use --debug to expand):\n - FromAsCasing: "),
        "{warned:?}"
    );
}

#[test]
fn a_build_explains_its_cache() {
    let engine = Engine::with_busybox();
    let dockerfile = "FROM busybox\nARG VERSION=1\nRUN echo $VERSION >/v\nCOPY f g /\nRUN cat /f /g\n";
    folder(&engine, "c", &[("Dockerfile", dockerfile), ("f", "1"), ("g", "1"), ("h", "1")]);
    let explain = |more: &[&str]| {
        let output = build(&engine, &[&["--explain"], more, &["c"]].concat());
        assert_eq!(output.code, 0, "{output:?}");
        let lines =
            output.stderr.lines().filter_map(|line| line.split_once(": ").filter(|_| line.contains("/4] ")));
        let why = lines.filter(|(_, why)| *why == "from the cache" || why.starts_with("done: "));
        why.map(|(_, why)| why.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(explain(&[]), ["done: nothing is known of a build before"; 3]);
    assert_eq!(explain(&[]), ["from the cache"; 3]);
    fs::write(engine.root().join("c/g"), "2").expect("a file");
    fs::write(engine.root().join("c/h"), "2").expect("a file");
    let stands = "done: what it stands on changed: [3/4] COPY f g /";
    assert_eq!(explain(&[]), ["from the cache", "done: files changed: g", stands]);
    let changed = explain(&["--build-arg", "VERSION=2"]);
    assert_eq!(changed[0], "done: the variable VERSION changed");
    assert_eq!(changed[1], "done: what it stands on changed: [2/4] RUN echo 2 >/v");
    assert_eq!(
        explain(&["--no-cache", "--build-arg", "VERSION=2"]),
        ["done: the cache was not to be used"; 3]
    );
    let other = dockerfile.replace("RUN cat /f /g", "RUN cat /f");
    fs::write(engine.root().join("c/Dockerfile"), other).expect("a file");
    let changed = explain(&["--build-arg", "VERSION=2"]);
    assert_eq!(changed[2], "done: the instruction is new; in its place was RUN cat /f /g");
    engine.wharf(&["builder", "prune", "-af"]).ok();
    // What is done again later has files of another time: then what stands on it has changed, too.
    assert_eq!(explain(&["--build-arg", "VERSION=2"])[0], "done: its result was no longer kept");
}

#[test]
fn a_failing_step_can_be_looked_into() {
    let engine = Engine::with_busybox();
    let dockerfile = "FROM busybox\nWORKDIR /work\nENV A=kept\n\
        RUN --mount=type=secret,id=key echo made >made && test -s /run/secrets/key && exit 7\n";
    let c = folder(&engine, "c", &[("Dockerfile", dockerfile)]);
    let key = engine.root().join("key");
    fs::write(&key, "hush").expect("a secret");
    let secret = format!("id=key,src={}", key.display());
    let mut command = engine.wharf_command(&["build", "--debug-on-failure", "--secret", &secret]);
    command.arg(&c).env_remove("DOCKER_BUILDKIT");
    let mut shell = Terminal::spawn(&mut command);
    shell.wait_for("a shell in the state it left");
    shell.wait_for("# ");
    shell.type_text("echo $(cat made)-$A-$(cat /run/secrets/key)-$PWD\n");
    shell.wait_for("made-kept-hush-/work");
    shell.type_text("exit 3\n");
    shell.wait_for("exit code: 7");
    assert_eq!(shell.exit_code(), 1);
    assert_eq!(engine.wharf(&["ps", "-aq"]).ok(), "");
    let piped = build(&engine, &["--debug-on-failure", "c"]);
    assert!(piped.code == 1 && piped.stderr.contains("needs a terminal"), "{piped:?}");
}
