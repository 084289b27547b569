//! The classic door, `POST /build`: steps, cache, failures, cancelling, and what is left behind.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Engine, census, http};

use super::support::{Build, Files, context, pack};

fn image_id(engine: &Engine, name: &str) -> String {
    engine.wharf(&["image", "inspect", "-f", "{{.Id}}", name]).ok().to_owned()
}

#[test]
fn steps_are_done_once_and_make_the_same_image() {
    let engine = Engine::with_busybox();
    let dockerfile = "FROM busybox AS base\nARG X=1\nRUN echo hi $X && echo err >&2\nWORKDIR /w\nCOPY f /w/\nFROM busybox\n\
        COPY --from=base /w/f /g\nUSER 1000\nCMD [\"cat\", \"/g\"]\n";
    let files = context(&engine, "steps", &[("Dockerfile", dockerfile), ("f", "content\n")]);
    let first = Build::run(&engine, "t=one:1&t=two", &files).ok();
    for expected in [
        "Step 1/9 : FROM busybox AS base\n ---> ",
        "Step 3/9 : RUN echo hi $X && echo err >&2\n ---> Running in ",
        "hi 1\n",
        "\u{1b}[91merr\n\u{1b}[0m",
        " ---> Removed intermediate container ",
        "Successfully built ",
        "Successfully tagged one:1\nSuccessfully tagged two:latest\n",
    ] {
        assert!(first.contains(expected), "{expected:?} in {first}");
    }
    let id = image_id(&engine, "one:1");
    let second = Build::run(&engine, "t=one:1", &files).ok();
    assert_eq!(second.matches(" ---> Using cache\n").count(), 7, "all but both FROM: {second}");
    assert_eq!(image_id(&engine, "one:1"), id);
    let third = Build::run(&engine, "t=other&nocache=1", &files).ok();
    assert!(!third.contains("Using cache"), "{third}");
    assert_eq!(engine.wharf(&["run", "--rm", "two"]).ok(), "content");
    assert_eq!(engine.wharf(&["ps", "-aq"]).ok(), "");
}

#[test]
fn the_cache_outlives_the_engine() {
    let mut engine = Engine::with_busybox();
    let files =
        context(&engine, "kept", &[("Dockerfile", "FROM busybox\nRUN echo x >/x\nCOPY f /\n"), ("f", "f")]);
    Build::run(&engine, "t=kept", &files).ok();
    let id = image_id(&engine, "kept");
    engine.stop_daemon();
    engine.start_daemon();
    let again = Build::run(&engine, "t=again", &files).ok();
    assert_eq!(again.matches("Using cache").count(), 2, "{again}");
    assert_eq!(image_id(&engine, "again"), id);
}

#[test]
fn only_what_changed_is_done_again() {
    let engine = Engine::with_busybox();
    let dockerfile = "FROM busybox\nRUN echo 1\nCOPY a /a\nRUN echo 2\n";
    let build = |a: &str, b: &str| {
        let files = context(&engine, "changed", &[("Dockerfile", dockerfile), ("a", a), ("b", b)]);
        Build::run(&engine, "t=x", &files).ok().matches("Using cache").count()
    };
    assert_eq!(build("1", "1"), 0);
    assert_eq!(build("1", "2"), 3, "a file nobody copies changes nothing");
    assert_eq!(build("2", "2"), 1);
    assert_eq!(build("1", "1"), 3, "what was known before still is");
}

#[test]
fn a_failing_step_tells_its_code_and_leaves_nothing() {
    let engine = Engine::with_busybox();
    let before = census::of(&engine);
    let files = context(
        &engine,
        "fails",
        &[("Dockerfile", "FROM busybox\nRUN echo before\nRUN echo why >&2; exit 7\nRUN never\n")],
    );
    let build = Build::run(&engine, "t=never", &files);
    assert_eq!(build.error(), "The command '/bin/sh -c echo why >&2; exit 7' returned a non-zero code: 7");
    let last = build.lines.last().expect("a line");
    assert_eq!(last["errorDetail"]["code"], 7);
    assert!(build.text().contains("why\n") && !build.text().contains("RUN never"), "{}", build.text());
    assert_eq!(engine.wharf(&["images", "-q", "never"]).ok(), "");
    assert_eq!(engine.wharf(&["ps", "-aq"]).ok(), "");
    census::assert_returns_to(&engine, &before);
    let again = Build::run(&engine, "", &files);
    assert!(again.text().contains("Using cache"), "what came before the failure is kept");
}

#[test]
fn wrong_builds_are_refused_in_docker_s_words() {
    let engine = Engine::with_busybox();
    let told = |files: &[(&str, &str)], query: &str| {
        let files = context(&engine, &model_name(files), files);
        let build = Build::run(&engine, query, &files);
        (build.status, build.error().to_owned())
    };
    let cases: [(Files<'_>, &str, u16, &str); 7] = [
        (&[("f", "x")], "", 400, "Cannot locate specified Dockerfile: Dockerfile"),
        (&[("Dockerfile", "")], "", 400, "the Dockerfile (Dockerfile) cannot be empty"),
        (
            &[("Dockerfile", "FROM busybox\nCOPYX f /\n")],
            "",
            400,
            "dockerfile parse error on line 2: unknown instruction: COPYX (did you mean COPY?)",
        ),
        (
            &[("Dockerfile", "FROM busybox\nCOPY nope /\n")],
            "",
            200,
            "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist",
        ),
        (
            &[("Dockerfile", "FROM busybox\n")],
            "t=UPPER",
            400,
            "invalid reference format: repository name (library/UPPER) must be lowercase",
        ),
        (
            &[("Dockerfile", "FROM busybox\n")],
            "buildargs=x",
            400,
            "error reading buildargs: expected value at line 1 column 1",
        ),
        (&[("Dockerfile", "FROM busybox\n")], "target=x", 400, "target stage \"x\" could not be found"),
    ];
    for (files, query, status, message) in cases {
        assert_eq!(told(files, query), (status, message.to_owned()), "{files:?} {query}");
    }
}

fn model_name(files: &[(&str, &str)]) -> String {
    let text: String = files.iter().flat_map(|(name, text)| [*name, *text]).collect();
    text.bytes().map(|byte| format!("{byte:02x}")).take(100).collect()
}

#[test]
fn files_come_as_they_are_meant() {
    let engine = Engine::with_busybox();
    let dockerfile = "FROM busybox\nRUN mkdir -p /real && ln -s /real /link && echo someone:x:1234:1234::/:/bin/sh >>/etc/passwd\nCOPY --chown=someone a /link/\n\
        COPY --chmod=0600 a /b\nCOPY dir /copied\nCOPY dir/*.txt /texts/\nCOPY <<E /inline\nline $HOME\nE\nADD arch.tar /unpacked/\nWORKDIR /w\n";
    let folder = engine.root().join("files");
    for (path, text) in [
        ("Dockerfile", dockerfile),
        (".dockerignore", "**/*.skip\n!dir/kept.skip\n"),
        ("a", "a"),
        ("dir/sub/deep", "deep"),
        ("dir/one.txt", "1"),
        ("dir/two.txt", "2"),
        ("dir/no.skip", "no"),
        ("dir/kept.skip", "kept"),
        ("packed/inside", "packed"),
    ] {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }
    std::os::unix::fs::symlink("one.txt", folder.join("dir/soft")).expect("a link");
    let archive = Command::new("tar")
        .arg("-C")
        .arg(folder.join("packed"))
        .args(["-c", "."])
        .output()
        .expect("tar runs");
    std::fs::write(folder.join("arch.tar"), archive.stdout).expect("a file");
    Build::run(&engine, "t=files", &pack(&folder)).ok();
    let script = "stat -c '%U %n' /real/a; stat -c '%a %U %n' /b; find /copied /texts /unpacked | sort; cat /inline; readlink /copied/soft; pwd";
    let seen = engine.wharf(&["run", "--rm", "files", "sh", "-c", script]);
    // Whoever makes the archive leaves out what is ignored: Docker's engine does not.
    assert_eq!(
        seen.ok(),
        "someone /real/a\n600 root /b\n/copied\n/copied/kept.skip\n/copied/no.skip\n/copied/one.txt\n/copied/soft\n/copied/sub\n/copied/sub/deep\n\
         /copied/two.txt\n/texts\n/texts/one.txt\n/texts/two.txt\n/unpacked\n/unpacked/inside\nline \none.txt\n/w"
    );
}

#[test]
fn mounts_are_seen_by_one_command_only() {
    let engine = Engine::with_busybox();
    let dockerfile = "FROM busybox AS tools\nRUN mkdir /out && echo tool >/out/tool\nFROM busybox\n\
        RUN --mount=type=cache,target=/cache,id=c echo $((1 + $(cat /cache/n 2>/dev/null || echo 0))) >/cache/n && cp /cache/n /n\n\
        RUN --mount=from=tools,source=/out,target=/tools --mount=target=/context --mount=type=tmpfs,target=/memory \
        cat /tools/tool /context/f >/seen && mount | grep -q ' /memory type tmpfs'\n";
    let build = |tag: &str, f: &str| {
        let files = context(&engine, "mounts", &[("Dockerfile", dockerfile), ("f", f)]);
        Build::run(&engine, &format!("t={tag}&nocache=1"), &files).ok();
        engine
            .wharf(&[
                "run",
                "--rm",
                tag,
                "sh",
                "-c",
                "cat /n /seen; ls -d /cache /tools /context /memory 2>/dev/null; true",
            ])
            .ok()
            .to_owned()
    };
    assert_eq!(build("one", "file\n"), "1\ntool\nfile");
    assert_eq!(build("two", "file\n"), "2\ntool\nfile", "the cache stays from build to build");
}

#[test]
fn triggers_of_an_image_run_first_and_once() {
    let engine = Engine::with_busybox();
    let manager = "FROM busybox\nONBUILD COPY site /site\nONBUILD RUN cat /site >/copied\n";
    Build::run(&engine, "t=manager", &context(&engine, "manager", &[("Dockerfile", manager)])).ok();
    let files = context(
        &engine,
        "member",
        &[("Dockerfile", "FROM manager\nRUN echo own >/own\n"), ("site", "member")],
    );
    let told = Build::run(&engine, "t=member", &files).ok();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], ["Step 1/2 : FROM manager", "# Executing 2 build triggers"]);
    assert!(lines[2].starts_with(" ---> Running in ") && lines[4].starts_with(" ---> "), "{told}");
    assert_eq!(lines[5], "Step 2/2 : RUN echo own >/own");
    assert_eq!(engine.wharf(&["run", "--rm", "member", "cat", "/copied", "/own"]).ok(), "memberown");
    let id = image_id(&engine, "member");
    assert_eq!(engine.wharf(&["image", "inspect", "-f", "{{json .Config.OnBuild}}", &id]).ok(), "null");
}

#[test]
fn stages_that_do_not_need_each_other_run_at_the_same_time() {
    let engine = Engine::with_busybox();
    // Each waits for the other: one after the other would never end.
    let tenths = testkit::patience(30).as_secs() * 10;
    let wait =
        format!("for i in $(seq {tenths}); do [ -e /shared/OTHER ] && exit 0; sleep 0.1; done; exit 1");
    let stage = |own: &str, other: &str| {
        format!(
            "FROM busybox AS {own}\nRUN --mount=type=cache,target=/shared touch /shared/{own}; {}\n",
            wait.replace("OTHER", other)
        )
    };
    let dockerfile = format!(
        "FROM busybox AS unused\nRUN exit 1\n{}{}FROM busybox\nCOPY --from=left /etc/passwd /l\nCOPY --from=right /etc/passwd /r\n",
        stage("left", "right"),
        stage("right", "left")
    );
    let files = context(&engine, "stages", &[("Dockerfile", &dockerfile)]);
    Build::run(&engine, "t=stages", &files).ok();
}

#[test]
fn a_build_whose_client_leaves_ends_at_once() {
    let engine = Engine::with_busybox();
    let before = census::of(&engine);
    let files = context(&engine, "left", &[("Dockerfile", "FROM busybox\nRUN echo started; sleep 1000\n")]);
    for by_id in [false, true] {
        let mut client = UnixStream::connect(engine.socket_path()).expect("connects");
        let head = format!(
            "POST /build?buildid=b1 HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
            files.len()
        );
        client.write_all(head.as_bytes()).expect("sends");
        client.write_all(&files).expect("sends");
        wait_until("the step runs", || engine.wharf(&["ps", "-q"]).ok().lines().count() == 1);
        let left = Instant::now();
        if by_id {
            assert_eq!(
                http::request(&engine.socket_path(), "POST", "/build/cancel?id=b1", &[], b"")
                    .expect("an answer")
                    .status,
                204
            );
        } else {
            drop(client);
        }
        wait_until("the step ends", || engine.wharf(&["ps", "-aq"]).ok().is_empty());
        assert!(left.elapsed() < testkit::patience(5), "{:?}", left.elapsed());
    }
    census::assert_returns_to(&engine, &before);
}

#[test]
fn an_engine_killed_while_it_builds_leaves_nothing() {
    let mut engine = Engine::with_busybox();
    let before = census::of(&engine);
    let files =
        context(&engine, "killed", &[("Dockerfile", "FROM busybox\nRUN echo x >/x\nRUN sleep 1000\n")]);
    let mut client = UnixStream::connect(engine.socket_path()).expect("connects");
    let head = format!(
        "POST /build HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
        files.len()
    );
    client.write_all(head.as_bytes()).expect("sends");
    client.write_all(&files).expect("sends");
    wait_until("the step runs", || {
        engine.wharf(&["ps", "--no-trunc", "--format", "{{.Command}}"]).ok().contains("sleep 1000")
    });
    engine.kill_daemon();
    engine.start_daemon();
    wait_until("the step is gone", || engine.wharf(&["ps", "-aq"]).ok().is_empty());
    census::assert_returns_to(&engine, &before);
    let left: Vec<_> =
        std::fs::read_dir(engine.data_root().join("tmp")).expect("a folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let short = context(&engine, "after", &[("Dockerfile", "FROM busybox\nRUN echo x >/x\n")]);
    Build::run(&engine, "t=after", &short).ok();
}

#[test]
fn the_cache_is_listed_and_pruned() {
    let engine = Engine::with_busybox();
    let dockerfile = "FROM busybox\nRUN --mount=type=cache,target=/c,id=mine echo x >/c/x\nRUN dd if=/dev/zero of=/big bs=1M count=2\n";
    let files = context(&engine, "pruned", &[("Dockerfile", dockerfile)]);
    Build::run(&engine, "t=pruned", &files).ok();
    engine.wharf(&["rmi", "pruned"]).ok();
    let usage = http::get(&engine.socket_path(), "/system/df?type=build-cache").expect("an answer").json();
    let items = usage["BuildCache"].as_array().expect("a list").clone();
    let has = |kind: &str| items.iter().any(|item| item["Type"] == kind);
    assert!(items.len() == 3 && has("regular") && has("exec.cachemount"), "{items:?}");
    let answer = http::request(&engine.socket_path(), "POST", "/build/prune?all=1", &[], b"")
        .expect("an answer")
        .json();
    assert!(answer["SpaceReclaimed"].as_u64() > Some(2 << 20), "{answer}");
    assert_eq!(answer["CachesDeleted"].as_array().map(Vec::len), Some(3));
    let usage = http::get(&engine.socket_path(), "/system/df?type=build-cache").expect("an answer").json();
    assert_eq!(usage["BuildCache"].as_array().map(Vec::len), Some(0));
    assert!(!Build::run(&engine, "", &files).ok().contains("Using cache"));
}

#[test]
fn steps_that_left_nothing_but_words_are_pruned_too() {
    let mut engine = Engine::with_busybox();
    let files = context(&engine, "words", &[("Dockerfile", "FROM busybox\nLABEL a=b\n")]);
    let is_cached = |engine: &Engine| Build::run(engine, "", &files).ok().contains("Using cache");
    assert!(!is_cached(&engine) && is_cached(&engine));
    // The last build has not written yet what it knew.
    http::request(&engine.socket_path(), "POST", "/build/prune?all=1", &[], b"").expect("an answer");
    engine.kill_daemon();
    engine.start_daemon();
    assert!(!is_cached(&engine) && is_cached(&engine));
    // What is pruned for one kind of thing leaves the steps alone.
    let kind = "/build/prune?all=1&filters=%7B%22type%22%3A%5B%22exec.cachemount%22%5D%7D";
    http::request(&engine.socket_path(), "POST", kind, &[], b"").expect("an answer");
    assert!(is_cached(&engine));
    http::request(&engine.socket_path(), "POST", "/build/prune?all=1", &[], b"").expect("an answer");
    assert!(!is_cached(&engine));
}

#[track_caller]
pub fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + testkit::patience(60);
    while !is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
