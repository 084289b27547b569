//! Runs every command of the tutorial and compares the answers.

use std::path::PathBuf;
use std::process::Command;

use testkit::Engine;

/// A command and the lines shown below it.
struct Step {
    command: String,
    answer: Vec<String>,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            _ => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), answer: Vec::new() }),
                (None, Some(step)) => step.answer.push(line.to_owned()),
                (None, None) => panic!("an answer without a command: {line}"),
            },
        }
    }
    steps
}

/// Whether the text is the pattern, `...` standing for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = pattern.split("...").collect();
    let Some((first, rest)) = parts.split_first() else { return true };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    for (at, part) in rest.iter().enumerate() {
        let part = part.trim_matches(' ');
        if at + 1 == rest.len() {
            return left.ends_with(part);
        }
        match left.find(part) {
            Some(place) => left = &left[place + part.len()..],
            None => return false,
        }
    }
    left.is_empty()
}

/// Whether the lines shown are the lines printed; a line of only `...` stands for any number of lines.
fn agree(shown: &[String], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "..." => (0..=printed.len()).any(|skip| agree(rest, &printed[skip..])),
        Some((line, rest)) => {
            printed.first().is_some_and(|first| matches(line, first.trim_end())) && agree(rest, &printed[1..])
        }
    }
}

fn follow(name: &str) {
    let engine = Engine::start();
    let work = engine.root().join("work");
    std::fs::create_dir_all(&work).expect("make a folder");
    std::fs::copy(testkit::image::busybox_tar(), work.join("busybox.tar")).expect("copy busybox");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/tutorial").join(name);
    let text = std::fs::read_to_string(&path).expect("read the tutorial");
    let programs =
        format!("{}:{}", testkit::engine::binary_dir().display(), std::env::var("PATH").unwrap_or_default());
    let all = steps(&text);
    assert!(all.len() > 10, "the tutorial has only {} commands", all.len());
    for step in all {
        // Whoever reads it waits until something is there; how long that takes depends on the machine.
        let pause = format!("sleep {}", testkit::patience(1).as_secs_f32() / 2.0);
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(step.command.replace("sleep 0.5", &pause))
            .current_dir(&work)
            .env("PATH", &programs)
            .env("DOCKER_HOST", engine.host())
            .env("DOCKER_CONFIG", engine.root().join("config"));
        let output = testkit::engine::run(&mut command, None);
        let printed: Vec<&str> = output.stdout.lines().chain(output.stderr.lines()).collect();
        assert!(
            agree(&step.answer, &printed),
            "{name}: {}\nshown: {:#?}\nprinted: {output:#?}",
            step.command,
            step.answer
        );
    }
}

#[test]
fn containers() {
    follow("1-containers.md");
}

#[test]
fn images() {
    follow("2-images.md");
}

#[test]
fn builds() {
    follow("3-builds.md");
}
