//! Recorded conversations with a Docker engine: the same command lines and API calls, their normalised answers.
//!
//! A case file has blocks; each block starts from an engine without containers and volumes:
//!
//! ```text
//! == exit code of the command
//! $ run --rm busybox sh -c 'exit 3'      a command line, its output and exit code are recorded
//! > run -d --name x busybox sleep 60     the same, but only the exit code is recorded
//! @ GET /containers/x/json State.Status  an API call: status, and the named fields of the answer (all if none)
//! @ POST /containers/create?name=y {"Image":"busybox"}
//! ~ 0.2                                  wait so many seconds
//! ```
//!
//! `<registry>` in a step stands for the address of an open registry, `<accounts>` for one with accounts; a file that names
//! one gets both, with the images of [`crate::registry::Registry`] in them.
//!
//! The recording (`golden/<file>`) repeats each step with what was seen; [`normalise`] replaces what differs from
//! run to run: ids, digests, times, spans of time, addresses, ephemeral ports, column padding.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// How to reach the engine, and which program is the command line.
#[derive(Debug, Clone)]
pub struct Target {
    /// The program, called under the name `docker`.
    pub program: std::path::PathBuf,
    /// The engine's socket.
    pub socket: std::path::PathBuf,
    /// A folder for the client's configuration and the working directory of commands.
    pub work_dir: std::path::PathBuf,
    /// Addresses of the registries beside it, for files that need them.
    pub registries: Option<Registries>,
}

/// Where the registries are.
#[derive(Debug, Clone)]
pub struct Registries {
    /// Anybody may do everything.
    pub open: String,
    /// The account of [`crate::registry`] may.
    pub accounts: String,
}

impl Registries {
    fn insert(&self, text: &str) -> String {
        text.replace("<registry>", &self.open).replace("<accounts>", &self.accounts)
    }

    fn remove(&self, text: &str) -> String {
        // File names have a dash where addresses have a colon.
        let dashed = |address: &str| address.replace(':', "-");
        // Registries word it differently; which one answers is not what is compared.
        text.replace("manifest unknown to registry", "manifest unknown")
            .replace(&self.open, "<registry>")
            .replace(&self.accounts, "<accounts>")
            .replace(&dashed(&self.open), "<registry->")
            .replace(&dashed(&self.accounts), "<accounts->")
    }
}

/// Whether steps name a registry.
pub fn needs_registries(blocks: &[Block]) -> bool {
    let names_one = |step: &String| step.contains("<registry>") || step.contains("<accounts>");
    blocks.iter().flat_map(|block| &block.steps).any(names_one)
}

/// The API version that recordings are made with: the newest that Docker 26.1 speaks.
pub const API_VERSION: &str = "1.45";

/// What Docker's command line tells before every classic build.
const CLASSIC_NOTICE: &str =
    "DEPRECATED: The legacy builder is deprecated and will be removed in a future release.
            BuildKit is currently disabled; enable it by removing the DOCKER_BUILDKIT=0
            environment-variable.

";

/// One block of a case file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it shows.
    pub title: String,
    /// Its steps, as written.
    pub steps: Vec<String>,
}

/// Splits a case file, or a recording, into blocks.
pub fn parse(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("== ") {
            blocks.push(Block { title: title.to_owned(), steps: Vec::new() });
        } else if let Some(block) = blocks.last_mut()
            && !line.trim().is_empty()
            && !line.starts_with('#')
        {
            block.steps.push(line.to_owned());
        }
    }
    blocks
}

/// Runs one block on a cleaned engine; the answer is the block with what was seen after each step.
pub fn run_block(target: &Target, block: &Block) -> Block {
    clean(target);
    let mut seen = Vec::new();
    for step in &block.steps {
        seen.push(step.clone());
        let (kind, rest) = step.split_at(step.find(' ').unwrap_or(step.len()));
        let rest = rest.trim();
        let rest = &target.registries.as_ref().map_or_else(|| rest.to_owned(), |known| known.insert(rest));
        match kind {
            "$" => seen.extend(run_script(target, rest, true)),
            ">" => seen.extend(run_script(target, rest, false)),
            "@" => seen.extend(call(target, rest)),
            "~" => std::thread::sleep(std::time::Duration::from_secs_f64(
                rest.parse().expect("a number of seconds"),
            )),
            other => panic!("a step starts with $ > @ or ~, not {other:?}: {step}"),
        }
    }
    clean(target);
    Block { title: block.title.clone(), steps: seen }
}

/// The text of a recording.
pub fn render(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        text.push_str(&format!("== {}\n", block.title));
        for step in &block.steps {
            text.push_str(step);
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// How many steps of a file are compared.
pub fn count_steps(blocks: &[Block]) -> usize {
    blocks.iter().flat_map(|block| &block.steps).filter(|step| !step.starts_with('~')).count()
}

/// Removes all containers and volumes, and the images that cases make (`parity/...`) or get from registries.
pub fn clean(target: &Target) {
    if target.registries.is_some() {
        // Who was logged in no longer is.
        let _ = std::fs::remove_dir_all(target.work_dir.join("config"));
    }
    let list = |path: &str| {
        crate::http::get(&target.socket, path).map(|answer| answer.json()).unwrap_or(Value::Null)
    };
    for container in list("/containers/json?all=1").as_array().into_iter().flatten() {
        if let Some(id) = container["Id"].as_str() {
            let _ =
                crate::http::request(&target.socket, "POST", &format!("/containers/{id}/unpause"), &[], b"");
            let _ = crate::http::request(
                &target.socket,
                "DELETE",
                &format!("/containers/{id}?force=1&v=1"),
                &[],
                b"",
            );
        }
    }
    for volume in list("/volumes")["Volumes"].as_array().into_iter().flatten() {
        if let Some(name) = volume["Name"].as_str() {
            let _ =
                crate::http::request(&target.socket, "DELETE", &format!("/volumes/{name}?force=1"), &[], b"");
        }
    }
    for image in list("/images/json").as_array().into_iter().flatten() {
        let tags = image["RepoTags"].as_array().cloned().unwrap_or_default();
        let of_case = |tag: &&str| tag.starts_with("parity") || tag.starts_with("127.0.0.1:");
        for tag in tags.iter().filter_map(Value::as_str).filter(of_case) {
            let _ =
                crate::http::request(&target.socket, "DELETE", &format!("/images/{tag}?force=1"), &[], b"");
        }
        if tags.iter().all(|tag| tag.as_str().is_some_and(|tag| tag.starts_with("<none>")))
            && let Some(id) = image["Id"].as_str()
        {
            let _ =
                crate::http::request(&target.socket, "DELETE", &format!("/images/{id}?force=1"), &[], b"");
        }
    }
}

/// Runs a line of a case; what it printed, and its exit code.
pub(crate) fn run_script(target: &Target, line: &str, record: bool) -> Vec<String> {
    let config = target.work_dir.join("config");
    std::fs::create_dir_all(&config).expect("make a configuration folder");
    // The shell splits the line; `docker` in it is the program under test, so pipes and $(docker ...) work too.
    let script = format!("docker() {{ \"$PARITY_PROGRAM\" \"$@\"; }}\n{}", as_script(line));
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(script)
        .current_dir(&target.work_dir)
        .env("HOME", "/root")
        .env("PARITY_PROGRAM", &target.program)
        .env("DOCKER_HOST", format!("unix://{}", target.socket.display()))
        .env("DOCKER_CONFIG", config)
        .env("DOCKER_API_VERSION", API_VERSION)
        .env("DOCKER_CLI_HINTS", "false")
        // Recordings are of the classic builder.
        .env("DOCKER_BUILDKIT", "0");
    let mut output = crate::engine::run(&mut command, None);
    let work_dir = target.work_dir.to_string_lossy().into_owned();
    output.stdout = output.stdout.replace(&work_dir, "<work>").replace(CLASSIC_NOTICE, "");
    output.stderr = output.stderr.replace(&work_dir, "<work>").replace(CLASSIC_NOTICE, "");
    if let Some(known) = &target.registries {
        output.stdout = known.remove(&output.stdout);
        output.stderr = known.remove(&output.stderr);
    }
    let mut seen = Vec::new();
    if record {
        let lines = |text: &str| -> Vec<String> {
            normalise(text).lines().filter(|line| !is_passing(line)).map(str::to_owned).collect()
        };
        seen.extend(lines(&output.stdout).iter().map(|line| format!("1| {line}").trim_end().to_owned()));
        seen.extend(lines(&output.stderr).iter().map(|line| format!("2| {line}").trim_end().to_owned()));
    } else if output.code != 0 {
        seen.extend(normalise(&output.stderr).lines().map(|line| format!("2| {line}").trim_end().to_owned()));
    }
    seen.push(format!("[{}]", output.code));
    seen
}

/// What is told of a layer only when there is time to.
fn is_passing(line: &str) -> bool {
    ["Verifying Checksum", "Waiting"].iter().any(|word| line.ends_with(&format!(": {word}")))
}

/// `docker` is left out in case files unless the line is a pipeline of its own (it then starts with `!`).
fn as_script(line: &str) -> String {
    line.strip_prefix("! ").map_or_else(|| format!("docker {line}"), str::to_owned)
}

fn call(target: &Target, line: &str) -> Vec<String> {
    let mut parts = line.splitn(3, ' ');
    let method = parts.next().unwrap_or_default();
    let path = parts.next().expect("an API step names a path");
    let rest = parts.next().unwrap_or_default().trim();
    let (body, fields) = if rest.starts_with('{') || rest.starts_with('[') {
        rest.rsplit_once(" => ").unwrap_or((rest, ""))
    } else {
        ("", rest)
    };
    let headers: &[(&str, &str)] =
        if body.is_empty() { &[] } else { &[("Content-Type", "application/json")] };
    let answer = crate::http::request(
        &target.socket,
        method,
        &format!("/v{API_VERSION}{path}"),
        headers,
        body.as_bytes(),
    )
    .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let body = target.registries.as_ref().map_or_else(|| body.clone(), |known| known.remove(&body));
    let mut seen = vec![format!("[{}]", answer.status)];
    match serde_json::from_str::<Value>(&body) {
        Ok(document) if fields.is_empty() => seen.extend(pretty(&document)),
        Ok(document) => {
            for field in fields.split_whitespace() {
                let value = normalise(
                    &select(&document, field).map_or("(absent)".to_owned(), |value| value.to_string()),
                );
                seen.push(format!("J| {field} = {value}"));
            }
        }
        Err(_) => {
            seen.extend(normalise(&body).lines().map(|line| format!("B| {line}").trim_end().to_owned()))
        }
    }
    seen
}

fn pretty(document: &Value) -> Vec<String> {
    let text = serde_json::to_string_pretty(&sorted(document)).unwrap_or_default();
    normalise(&text).lines().map(|line| format!("J| {line}")).collect()
}

/// Keys in alphabetical order, whatever order the engine sent.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            Value::Object(keys.into_iter().map(|key| (key.clone(), sorted(&map[key]))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// A field by its path, dots between keys, numbers for places in lists; `#` is the count, `@` the sorted keys.
fn select(document: &Value, path: &str) -> Option<Value> {
    let mut place = document.clone();
    for key in path.split('.') {
        place = match (key, &place) {
            ("#", Value::Array(list)) => Value::from(list.len()),
            ("#", Value::Object(map)) => Value::from(map.len()),
            ("@", Value::Object(map)) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                Value::from(keys.into_iter().cloned().collect::<Vec<String>>())
            }
            (_, Value::Array(list)) => list.get(key.parse::<usize>().ok()?)?.clone(),
            (_, Value::Object(map)) => map.get(key)?.clone(),
            _ => return None,
        };
    }
    Some(sorted(&place))
}

/// Replaces what differs from run to run by a word in angle brackets.
pub fn normalise(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        out.push_str(&squeeze(&sizes(&processors(&spans(&ports(&addresses(&times(&hexadecimal(
            &visible(line),
        )))))))));
    }
    out
}

fn hexadecimal(line: &str) -> String {
    replace_runs(
        line,
        |c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase(),
        |run, before| {
            let is_id = run.bytes().any(|b| b.is_ascii_digit()) && (run.len() == 64 || run.len() == 12);
            match (is_id, run.len()) {
                (true, 64) if before.ends_with("sha256:") => Some("<digest>".to_owned()),
                (true, 64) => Some("<id>".to_owned()),
                (true, _) if before.ends_with("sha256:") => Some("<digest>".to_owned()),
                (true, _) => Some("<short-id>".to_owned()),
                _ => None,
            }
        },
    )
}

/// Calls back for each longest run of matching characters, which may be replaced.
fn replace_runs(
    line: &str,
    matches: impl Fn(char) -> bool,
    replace: impl Fn(&str, &str) -> Option<String>,
) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(&matches) {
        out.push_str(&rest[..start]);
        let run_and_more = &rest[start..];
        let end = run_and_more.find(|c| !matches(c)).unwrap_or(run_and_more.len());
        let run = &run_and_more[..end];
        let word_before = out.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
        let word_after = run_and_more[end..].chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        match replace(run, &out).filter(|_| !word_before && !word_after) {
            Some(word) => out.push_str(&word),
            None => out.push_str(run),
        }
        rest = &run_and_more[end..];
    }
    out.push_str(rest);
    out
}

/// RFC 3339 times, and `2006-01-02 15:04:05 +0000 UTC`.
fn times(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(place) =
        (0..rest.len()).find(|&place| rest.is_char_boundary(place) && is_time(&rest[place..]))
    {
        out.push_str(&rest[..place]);
        out.push_str("<time>");
        let tail = &rest[place..];
        let mut end = tail
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | ':' | 'T' | '.' | 'Z' | '+' | ' ')))
            .unwrap_or(tail.len());
        if tail[end..].starts_with("UTC") {
            end += 3;
        } else {
            end = tail[..end].trim_end().len();
        }
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}

fn is_time(text: &str) -> bool {
    let pattern = b"dddd-dd-dd_dd:dd:dd";
    text.len() >= pattern.len()
        && !text.starts_with("0001-01-01")
        && text.bytes().zip(pattern).all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            b'_' => matches!(byte, b'T' | b' '),
            other => byte == *other,
        })
}

/// Addresses of private bridges and made-up hardware addresses.
fn addresses(line: &str) -> String {
    let line = replace_runs(
        line,
        |c| c.is_ascii_digit() || c == '.',
        |run, _| {
            let parts: Vec<&str> = run.trim_end_matches('.').split('.').collect();
            let bridge = matches!(parts[..], ["172", ..])
                || matches!(parts[..], ["10", range, ..] if range.parse().is_ok_and(|range: u8| range >= crate::slot::FIRST_RANGE));
            (parts.len() == 4 && bridge).then(|| format!("<net>.{}", parts[3]))
        },
    );
    replace_runs(
        &line,
        |c| c.is_ascii_hexdigit() || c == ':',
        |run, _| (run.len() == 17 && run.split(':').count() == 6).then(|| "<mac>".to_owned()),
    )
}

/// Ephemeral ports.
fn ports(line: &str) -> String {
    replace_runs(
        line,
        |c| c.is_ascii_digit(),
        |run, before| {
            let ephemeral = run.parse::<u32>().is_ok_and(|port| (32_768..=60_999).contains(&port));
            (ephemeral && before.ends_with([':', '"'])).then(|| "<port>".to_owned())
        },
    )
}

/// `3 seconds`, `About a minute`, `Less than a second`.
fn spans(line: &str) -> String {
    let mut out = line.replace("Less than a second", "<span>").replace("About a minute", "<span>");
    for unit in ["seconds", "second", "minutes", "minute", "hours", "hour"] {
        let needle = format!(" {unit}");
        let mut from = 0;
        while let Some(found) = out[from..].find(&needle) {
            let place = from + found;
            let digits = out[..place].chars().rev().take_while(char::is_ascii_digit).count();
            if digits == 0 {
                from = place + needle.len();
                continue;
            }
            out.replace_range(place - digits..place + needle.len(), "<span>");
            from = place - digits + "<span>".len();
        }
    }
    out
}

/// Control characters, tab and line ends aside, as `\x01`.
fn visible(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        if c.is_control() && !matches!(c, '\t' | '\n') {
            out.push_str(&format!("\\x{:02x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// The size of a pushed manifest, which depends on how an engine writes it.
fn sizes(line: &str) -> String {
    match line.split_once(": digest: ").and_then(|_| line.rsplit_once(" size: ")) {
        Some((start, size)) if size.trim_end().bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{start} size: <n>{}", size.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        _ => line.to_owned(),
    }
}

/// How many processors the recording machine had.
fn processors(line: &str) -> String {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    line.replace(
        &format!("to {count}.00, as there are only {count} CPUs"),
        "to <n>.00, as there are only <n> CPUs",
    )
    .replace(&format!("available: 0-{}", count.saturating_sub(1)), "available: 0-<n>")
}

/// Two or more spaces inside a line are column padding.
fn squeeze(line: &str) -> String {
    let body = line.trim_start_matches(' ');
    let indent = line.len() - body.len();
    let mut out = " ".repeat(indent);
    let mut spaces = 0;
    for c in body.chars() {
        if c == ' ' {
            spaces += 1;
            if spaces > 2 {
                continue;
            }
        } else {
            spaces = 0;
        }
        out.push(c);
    }
    out
}

/// A step with what was seen after it.
fn exchanges(block: &Block) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in &block.steps {
        if line.starts_with("$ ")
            || line.starts_with("> ")
            || line.starts_with("@ ")
            || line.starts_with("~ ")
        {
            found.push((line, Vec::new()));
        } else if let Some((_, answer)) = found.last_mut() {
            answer.push(line);
        }
    }
    found
}

/// A readable account of where two recordings differ, step by step; empty when they are equal.
pub fn differences(golden: &[Block], seen: &[Block]) -> String {
    let mut report = String::new();
    for block in seen {
        let Some(wanted) = golden.iter().find(|wanted| wanted.title == block.title) else {
            report.push_str(&format!("== {}\n  (not recorded: run `cargo xtask golden`)\n", block.title));
            continue;
        };
        let (left, right) = (exchanges(wanted), exchanges(block));
        let different: Vec<_> = left.iter().zip(&right).filter(|(left, right)| left != right).collect();
        if left.len() == right.len() && different.is_empty() {
            continue;
        }
        report.push_str(&format!("== {}\n", block.title));
        if left.len() != right.len() {
            report.push_str("  (recorded with other steps: run `cargo xtask golden`)\n");
        }
        for ((_, wanted), (step, seen)) in different {
            report.push_str(&format!("  {step}\n"));
            report.extend(
                wanted.iter().filter(|line| !seen.contains(line)).map(|line| format!("    - {line}\n")),
            );
            report.extend(
                seen.iter().filter(|line| !wanted.contains(line)).map(|line| format!("    + {line}\n")),
            );
        }
    }
    report
}

/// Reads and parses a file.
pub fn read(path: &Path) -> Vec<Block> {
    parse(&std::fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_replaced() {
        for (text, wanted) in [
            (
                "sha256:1111111111111111111111111111111111111111111111111111111111111111 x",
                "sha256:<digest> x",
            ),
            ("1a2b3c4d5e6f   busybox", "<short-id>  busybox"),
            ("Up 3 seconds (healthy)", "Up <span> (healthy)"),
            ("Exited (0) Less than a second ago", "Exited (0) <span> ago"),
            ("2026-01-02T03:04:05.123456789Z hi", "<time> hi"),
            ("2026-01-02 03:04:05 +0000 UTC", "<time>"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("inet 10.213.4.2/24 and 172.17.0.2", "inet <net>.2/24 and <net>.2"),
            ("0.0.0.0:49153->80/tcp", "0.0.0.0:<port>->80/tcp"),
            ("0.0.0.0:8080->80/tcp", "0.0.0.0:8080->80/tcp"),
            ("02:42:ac:11:00:02", "<mac>"),
            ("deadbeef cafe", "deadbeef cafe"),
            ("1: digest: sha256:x size: 527\n", "1: digest: sha256:x size: <n>\n"),
        ] {
            assert_eq!(normalise(text), wanted);
        }
    }

    #[test]
    fn recordings_parse_back() {
        let blocks =
            vec![Block { title: "a".into(), steps: vec!["$ ps".into(), "1| x".into(), "[0]".into()] }];
        assert_eq!(parse(&render(&blocks)), blocks);
        assert_eq!(differences(&blocks, &blocks), "");
    }

    #[test]
    fn fields_are_selected_by_path() {
        let document = serde_json::json!({"a": [{"b": 1}], "c": {"y": 1, "x": 2}});
        assert_eq!(select(&document, "a.0.b"), Some(Value::from(1)));
        assert_eq!(select(&document, "c.@"), Some(serde_json::json!(["x", "y"])));
        assert_eq!(select(&document, "a.#"), Some(Value::from(1)));
        assert_eq!(select(&document, "nope"), None);
    }
}
