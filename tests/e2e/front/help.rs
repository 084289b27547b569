//! Every command of the tree explains itself, and none falls over odd flags.

use testkit::engine::{Output, binary_dir, run};

use super::folder::Folder;

fn wharf(folder: &Folder, path: &[String], more: &[&str]) -> Output {
    let mut command = folder.client(&binary_dir().join("wharf"), &[]);
    command.args(path).args(more).env("DOCKER_HOST", "unix:///nowhere/engine.sock");
    run(&mut command, None)
}

/// The commands a help text lists under its headings.
fn listed(help: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in help.lines() {
        if !line.starts_with(' ') {
            inside = line.ends_with("Commands:");
        } else if let (true, Some(name)) =
            (inside, line.strip_prefix("  ").and_then(|rest| rest.split(' ').next()))
            && !name.is_empty()
            && !name.ends_with('*')
        {
            found.push(name.to_owned());
        }
    }
    found
}

/// All commands that are no groups, after checking each one's help on the way.
fn walk(folder: &Folder, path: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
    let help = wharf(folder, path, &["--help"]);
    let usage = format!("Usage:  {}", [&["wharf".to_owned()], path.as_slice()].concat().join(" "));
    assert!(help.ok().contains(&usage) && help.stderr.is_empty(), "{path:?}: {help:?}");
    let entries = listed(&help.stdout);
    if entries.is_empty() {
        leaves.push(path.clone());
    }
    for name in entries {
        path.push(name);
        walk(folder, path, leaves);
        path.pop();
    }
}

#[test]
fn every_command_explains_itself_and_survives_odd_words() {
    let folder = Folder::new();
    let mut leaves = Vec::new();
    walk(&folder, &mut Vec::new(), &mut leaves);
    assert!(leaves.len() > 90, "only {} commands", leaves.len());
    let odd: &[&[&str]] = &[
        &["--no-such-flag"],
        &["--=", "-"],
        &["--format"],
        &["--format", "{{"],
        &["--filter", "=", "--time=-x", "x"],
        &["-\u{fe0f}\u{1f980}", "--", "--"],
        &["", "", "", ":", "@", "/"],
    ];
    std::thread::scope(|scope| {
        for part in leaves.chunks(leaves.len().div_ceil(4)) {
            let folder = &folder;
            scope.spawn(move || part.iter().for_each(|path| torment(folder, path, odd)));
        }
    });
}

fn torment(folder: &Folder, path: &[String], odd: &[&[&str]]) {
    for words in odd {
        let seen = wharf(folder, path, words);
        let fell = seen.stderr.contains("panicked") || seen.code == 101 || seen.code > 127;
        assert!(!fell, "{path:?} {words:?}: {seen:?}");
        if words == &["--no-such-flag"] {
            assert!(seen.fails_with(125).starts_with("unknown flag: --no-such-flag"), "{path:?}: {seen:?}");
        }
    }
}

#[test]
fn the_name_it_is_called_by_is_the_name_it_uses() {
    let folder = Folder::new();
    let link = folder.path().join("docker");
    std::os::unix::fs::symlink(binary_dir().join("wharf"), &link).expect("make a link");
    let ask = |arguments: &[&str]| run(&mut folder.client(&link, arguments), None);
    assert!(ask(&["ps", "--help"]).ok().contains("Usage:  docker ps"));
    assert!(ask(&["-v"]).ok().starts_with("Docker version "));
    assert!(ask(&["nope"]).fails_with(1).contains("docker: unknown command: docker nope"));
    assert!(ask(&["run"]).fails_with(1).contains("docker: 'docker run' requires at least 1 argument"));
}
