//! Cache mounts that leave one engine and come to another.

use std::fs;
use std::process::Command;

use testkit::engine::run;
use testkit::{Engine, Output};

const FILLING: &str = "FROM busybox
RUN --mount=type=cache,target=/c,id=mine echo fetched >/c/f && chown 7:8 /c/f && ln -s f /c/l
";
const LOOKING: &str = "FROM busybox
RUN --mount=type=cache,target=/c,id=mine,uid=5,mode=0750 stat -c '%u:%g %a %n' /c /c/* && cat /c/l
";

fn build(engine: &Engine, dockerfile: &str) -> Output {
    fs::create_dir_all(engine.root().join("c")).expect("a folder");
    fs::write(engine.root().join("c/Dockerfile"), dockerfile).expect("a file");
    let mut command = engine.wharf_command(&["build", "--progress=plain", "--no-cache", "c"]);
    command.current_dir(engine.root()).env_remove("DOCKER_BUILDKIT");
    run(&mut command, None)
}

fn sees(output: &Output, line: &str) -> bool {
    output.code == 0 && output.stderr.lines().any(|said| said.ends_with(line))
}

/// All files of cache mounts, with what they are like.
fn state(engine: &Engine) -> String {
    let mut command = Command::new("find");
    command.arg(engine.data_root().join("build-mounts")).args(["-printf", "%p %m %U:%G %s %T@ %l\n"]);
    let output = run(&mut command, None);
    let mut lines: Vec<&str> = output.ok().lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn what_a_cache_mount_holds_goes_to_another_engine() {
    let (first, second) = (Engine::with_busybox(), Engine::with_busybox());
    assert_eq!(build(&first, FILLING).code, 0);
    let archive = second.root().join("mine.tar").display().to_string();
    first.wharf(&["builder", "mount", "export", "-o", &archive, "mine"]).ok();
    second.wharf(&["builder", "mount", "import", "mine", &archive]).ok();
    let listed = second.wharf(&["builder", "du", "--verbose"]);
    assert!(listed.ok().contains("cached mount mine"), "{listed:?}");
    // The files as they were, the folder as the step says.
    let seen = build(&second, LOOKING);
    for line in [" 5:0 750 /c", " 7:8 644 /c/f", " fetched"] {
        assert!(sees(&seen, line), "no {line:?}: {seen:?}");
    }
    // What comes takes the place of what was there.
    let other = second.root().join("other");
    fs::create_dir_all(&other).expect("a folder");
    fs::write(other.join("l"), "of another tar\n").expect("a file");
    let tar = Command::new("tar").arg("-C").arg(&other).args(["-c", "."]).output().expect("tar runs").stdout;
    let mut command = second.wharf_command(&["builder", "mount", "import", "mine", "-"]);
    assert_eq!(run(&mut command, Some(&tar)).code, 0);
    let seen = build(&second, LOOKING);
    assert!(sees(&seen, " of another tar") && !seen.stderr.contains("/c/f"), "{seen:?}");
}

#[test]
fn archives_that_are_none_change_no_cache_mount() {
    let engine = Engine::with_busybox();
    assert_eq!(build(&engine, FILLING).code, 0);
    let before = state(&engine);
    let mut command = engine.wharf_command(&["builder", "mount", "import", "mine", "-"]);
    let refused = run(&mut command, Some(&b"no archive at all ".repeat(100)));
    assert!(refused.fails_with(1).contains("no archive for a cache mount: "), "{refused:?}");
    let mut out = b"".to_vec();
    let mut header = [0; 512];
    header[..8].copy_from_slice(b"../../ev");
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(b"00000000000");
    header[148..156].fill(b' ');
    header[156] = b'0';
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(&[0; 1024]);
    let mut command = engine.wharf_command(&["builder", "mount", "import", "mine", "-"]);
    let refused = run(&mut command, Some(&out));
    assert!(refused.fails_with(1).contains("no archive for a cache mount: "), "{refused:?}");
    assert_eq!(state(&engine), before);
    let left = fs::read_dir(engine.data_root().join("tmp")).expect("a folder").count();
    assert_eq!(left, 0, "nothing half-made stays");
    let none = engine.wharf(&["builder", "mount", "export", "other"]);
    assert!(none.fails_with(1).contains("no cache mount has the id other"), "{none:?}");
}
