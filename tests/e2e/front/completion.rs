//! The scripts `completion SHELL` prints: valid, and answering with commands, flags and names.

use std::process::Command;

use testkit::Engine;
use testkit::engine::{binary_dir, run};

use super::folder::Folder;

fn has(shell: &str) -> bool {
    Command::new(shell).args(["-c", "true"]).output().is_ok_and(|output| output.status.success())
}

#[test]
fn scripts_are_valid() {
    let folder = Folder::new();
    for (shell, flag) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = folder.wharf(&["completion", shell]);
        let path = folder.file(shell);
        std::fs::write(&path, script.ok()).expect("write a script");
        assert!(script.stdout.lines().count() > 3, "{script:?}");
        if has(shell) {
            let checked = run(Command::new(shell).args([flag, &path]), None);
            assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{shell}");
        }
    }
    assert_ne!(folder.wharf(&["completion", "tcsh"]).code, 0);
}

/// What bash offers for the last of these words.
fn offered(folder: &Folder, host: &str, words: &[&str]) -> Vec<String> {
    let script = r#"
        source <(wharf completion bash) || exit 9
        complete -p wharf >/dev/null || exit 8
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        _wharf; printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let path = format!("{}:{}", binary_dir().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = folder.client("bash".as_ref(), &["--norc", "-c", script, "bash"]);
    command.args(words).env("PATH", path).env("DOCKER_HOST", host);
    run(&mut command, None).ok().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_flags() {
    let folder = Folder::new();
    let host = "unix:///nowhere/engine.sock";
    for (words, wanted, refused) in [
        (&["wharf", ""][..], &["run", "ps", "container", "image", "system"][..], "ls"),
        (&["wharf", "con"], &["container", "context"], "run"),
        (&["wharf", "container", ""], &["ls", "run", "rm"], "container"),
        (&["wharf", "container", "r"], &["rename", "restart", "rm", "run"], "ls"),
        (&["wharf", "run", "--net"], &["--network", "--network-alias"], "--name"),
        (&["wharf", "ps", "--"], &["--all", "--filter", "--format", "--no-trunc"], "ps"),
        (&["wharf", "ps", "--f"], &["--filter", "--format"], "--all"),
        (&["wharf", "-D", "system", "p"], &["prune"], "df"),
        (&["wharf", "--host", "tcp://x:1", "context", "cr"], &["create"], "export"),
        (&["wharf", "--lo"], &["--log-level"], "login"),
        (&["wharf", "completion", ""], &["bash", "fish", "zsh"], "ps"),
    ] {
        let seen = offered(&folder, host, words);
        for name in wanted {
            assert!(seen.iter().any(|found| found == name), "{words:?} without {name}: {seen:?}");
        }
        assert!(!seen.iter().any(|found| found == refused), "{words:?} with {refused}: {seen:?}");
    }
}

#[test]
fn bash_completes_names() {
    let engine = Engine::with_busybox();
    let folder = Folder::new();
    engine.wharf(&["create", "--name", "alpha", "busybox"]).ok();
    engine.wharf(&["create", "--name", "beta", "busybox"]).ok();
    engine.wharf(&["volume", "create", "vault"]).ok();
    folder.wharf(&["context", "create", "cellar", "--docker", "host=tcp://127.0.0.1:1"]).ok();
    for (words, wanted) in [
        (&["wharf", "rm", ""][..], &["alpha", "beta"][..]),
        (&["wharf", "rm", "-f", "al"], &["alpha"]),
        (&["wharf", "container", "start", "be"], &["beta"]),
        (&["wharf", "run", "--rm", "busy"], &["busybox:latest"]),
        (&["wharf", "volume", "rm", ""], &["vault"]),
        (&["wharf", "network", "inspect", "b"], &["bridge"]),
        (&["wharf", "context", "use", "c"], &["cellar"]),
    ] {
        assert_eq!(offered(&folder, &engine.host(), words), wanted, "{words:?}");
    }
}
