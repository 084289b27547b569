//! A corpus of Dockerfiles: each case is built by an engine, and what came out is written down.
//!
//! A case file holds the files of a folder and the commands to run in it:
//!
//! ```text
//! # What it shows.
//! $ docker build -t parity/corpus --build-arg A=1 .     the default, without the argument
//! -- Dockerfile
//! FROM busybox
//! COPY a /b
//! -- a 0600                                             a file with a mode; 0644 when none is given
//! content
//! -- link -> a                                          a symbolic link
//! -- folder/ 0700                                       a folder; 0755 when none is given
//! ```
//!
//! Cases are built through both of an engine's doors, with the docker command and with buildx, and recorded in
//! `NAME.golden` and `NAME.buildkit.golden`. What only BuildKit has is in cases called `NAME.buildkit.case`.
//!
//! Everything in the folder has the same time, so that what keeps it can be told from what gets a new one. The
//! recording holds what the commands printed, and of the image `parity/corpus`, when there is one in the end, its
//! configuration, its history, and what its file system has that the base image does not have (or the other way round):
//! path, mode, owner, size, sum, link text, and whether the time is that of the folder.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::http;
use crate::listing::listing;
use crate::parity::{Target, normalise, run_script, sorted};

/// The image that a case makes.
const IMAGE: &str = "parity/corpus";
/// The image that cases start from.
const BASE: &str = "busybox";
/// The time of everything in a case's folder: the first second of 2020.
pub(crate) const TIME: i64 = 1_577_836_800;

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The file's name without its ending.
    pub name: String,
    commands: Vec<String>,
    files: Vec<File>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    path: String,
    mode: Option<u32>,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(String),
    Link(String),
    Folder,
}

/// Which of an engine's two builders makes something of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `POST /build`.
    Classic,
    /// `/grpc`, with buildx as the client.
    BuildKit,
}

impl Door {
    /// The case files of a folder for this door, sorted by name.
    pub fn cases(self, folder: &Path) -> Vec<PathBuf> {
        let mut paths = files(folder);
        let is_buildkit = |path: &PathBuf| path.to_string_lossy().ends_with(".buildkit.case");
        paths.retain(|path| self == Self::BuildKit || !is_buildkit(path));
        paths
    }

    /// Where a case is recorded.
    pub fn golden(self, case: &Path) -> PathBuf {
        let bare = case.with_extension("");
        let bare = bare.to_string_lossy();
        match self {
            Self::Classic => PathBuf::from(format!("{bare}.golden")),
            Self::BuildKit => {
                PathBuf::from(format!("{}.buildkit.golden", bare.trim_end_matches(".buildkit")))
            }
        }
    }
}

/// The case files of a folder, sorted by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let list = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = list.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "case"));
    paths.sort();
    paths
}

/// Reads a case file.
pub fn read(path: &Path) -> Case {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    parse(&name, &text)
}

fn parse(name: &str, text: &str) -> Case {
    let mut case = Case { name: name.to_owned(), commands: Vec::new(), files: Vec::new() };
    for line in text.split_inclusive('\n') {
        if let Some(head) = line.strip_prefix("-- ") {
            case.files.push(parse_head(head.trim_end()));
        } else if let Some(File { content: Content::Text(text), .. }) = case.files.last_mut() {
            text.push_str(line);
        } else if let Some(command) = line.strip_prefix("$ ") {
            case.commands.push(command.trim_end().to_owned());
        } else {
            assert!(line.trim().is_empty() || line.starts_with('#'), "{name}: no part of a case: {line}");
        }
    }
    if case.commands.is_empty() {
        case.commands.push(format!("docker build -t {IMAGE} ."));
    }
    case
}

fn parse_head(head: &str) -> File {
    if let Some((path, target)) = head.split_once(" -> ") {
        return File { path: path.to_owned(), mode: None, content: Content::Link(target.to_owned()) };
    }
    let (path, mode) = match head.rsplit_once(' ') {
        Some((path, digits)) => match u32::from_str_radix(digits, 8) {
            Ok(mode) => (path, Some(mode)),
            Err(_) => (head, None),
        },
        None => (head, None),
    };
    let content = if path.ends_with('/') { Content::Folder } else { Content::Text(String::new()) };
    File { path: path.to_owned(), mode, content }
}

/// What an engine makes of cases.
pub struct Corpus<'t> {
    target: &'t Target,
    door: Door,
    base: BTreeMap<String, String>,
    counts_layers: bool,
}

impl<'t> Corpus<'t> {
    /// Cases that start from busybox. Looks at the base image first.
    pub fn new(target: &'t Target, door: Door) -> Self {
        Self::on(target, door, BASE)
    }

    /// Cases that start from an image.
    pub fn on(target: &'t Target, door: Door, base: &str) -> Self {
        let base = listing(target, base).expect("the base image is there");
        Self { target, door, base, counts_layers: false }
    }

    /// Tells how many layers an image has, too: of a step of history without size, whether there is one.
    #[must_use]
    pub fn counting_layers(mut self) -> Self {
        self.counts_layers = true;
        self
    }

    /// Runs a case; the text of its recording.
    pub fn run(&self, case: &Case) -> String {
        crate::parity::clean(self.target);
        // What an earlier case made must not be there for this one.
        http::request(&self.target.socket, "POST", "/build/prune?all=1", &[], b"").expect("prune");
        let folder = self.target.work_dir.join("case");
        let _ = std::fs::remove_dir_all(&folder);
        write(&folder, case);
        let mut text = String::new();
        for command in &case.commands {
            text.push_str(&format!("$ {command}\n"));
            let mut lines = run_script(self.target, &format!("! cd case && {command}"), true);
            if self.door == Door::BuildKit {
                lines = crate::progress::essence(&lines);
            }
            for line in lines.iter().filter(|line| !is_about_sending(line)) {
                // Where red begins and ends depends on how the output was cut into pieces.
                text.push_str(line.replace("\\x1b[91m", "").replace("\\x1b[0m", "").trim_end());
                text.push('\n');
            }
        }
        let image =
            http::get(&self.target.socket, &format!("/images/{IMAGE}/json")).expect("ask for the image");
        if image.status == 200 {
            text.push_str(&self.result(&image.json()));
        }
        crate::parity::clean(self.target);
        let _ = std::fs::remove_dir_all(&folder);
        text
    }

    fn result(&self, image: &Value) -> String {
        let mut text = String::new();
        for field in ["Architecture", "Os", "Author", "Comment"] {
            text.push_str(&format!("I| {field} = {}\n", image[field]));
        }
        if self.counts_layers {
            let layers = image["RootFS"]["Layers"].as_array().map_or(0, Vec::len);
            text.push_str(&format!("I| layers = {layers}\n"));
        }
        for (key, value) in image["Config"].as_object().into_iter().flatten().collect::<BTreeMap<_, _>>() {
            // Empty, null and absent mean the same, and engines differ in which they write.
            let says_nothing = matches!(value, Value::Null | Value::Bool(false))
                || value == ""
                || value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(serde_json::Map::is_empty);
            // Of the container that made the image.
            if !says_nothing && !matches!(key.as_str(), "Hostname" | "Image") {
                text.push_str(&format!("C| {key} = {}\n", normalise(&sorted(value).to_string()).trim_end()));
            }
        }
        let history =
            http::get(&self.target.socket, &format!("/images/{IMAGE}/history")).expect("ask for history");
        for entry in history.json().as_array().into_iter().flatten().rev() {
            let made = sums(entry["CreatedBy"].as_str().unwrap_or_default());
            let comment = entry["Comment"].as_str().unwrap_or_default();
            // The base image, which has what this machine's busybox has.
            if comment.starts_with("Imported from") {
                continue;
            }
            text.push_str(&format!(
                "H| {} | {} | {}\n",
                entry["Size"],
                normalise(&made).trim_end(),
                normalise(comment).trim_end()
            ));
        }
        let found = listing(self.target, IMAGE).expect("the image's files");
        for (path, line) in &found {
            if self.base.get(path) != Some(line) {
                text.push_str(&format!("F| {path} {line}\n"));
            }
        }
        for path in self.base.keys().filter(|path| !found.contains_key(*path)) {
            // Of a folder that is gone, what was in it goes without saying.
            let above = Path::new(path).parent().and_then(Path::to_str).unwrap_or_default();
            if above.is_empty() || found.contains_key(above) {
                text.push_str(&format!("F| {path} is gone\n"));
            }
        }
        text
    }
}

/// A program called `docker` that builds with buildx and leaves all else to another one.
///
/// # Panics
/// When it cannot be written.
pub fn docker_with_buildx(folder: &Path, buildx: &Path, program: &Path) -> PathBuf {
    let (buildx, program) = (buildx.display(), program.display());
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = build ]; then exec '{buildx}' \"$@\"; fi\nexec '{program}' \"$@\"\n"
    );
    std::fs::create_dir_all(folder).expect("make a folder for the program");
    let path = folder.join("docker");
    std::fs::write(&path, script).expect("write the program");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("make it a program");
    path
}

/// How a context gets to the engine is its client's business.
fn is_about_sending(line: &str) -> bool {
    line.contains("Sending build context to Docker daemon")
}

/// The sums of COPY and ADD in the history, which say nothing to anybody else.
fn sums(text: &str) -> String {
    let mut out = text.to_owned();
    for kind in ["file:", "dir:", "multi:"] {
        let mut from = 0;
        while let Some(at) = out.get(from..).and_then(|rest| rest.find(kind)) {
            let start = from + at + kind.len();
            let end =
                out[start..].find(|c: char| !c.is_ascii_hexdigit()).map_or(out.len(), |end| start + end);
            if end - start == 64 {
                out.replace_range(start..end, "<sum>");
            }
            from = start;
        }
    }
    out
}

/// Puts the files of a case into a folder.
pub fn write(folder: &Path, case: &Case) {
    std::fs::create_dir_all(folder).expect("make the case's folder");
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set a mode");
    };
    set_mode(folder, 0o755);
    for file in &case.files {
        let path = folder.join(&file.path);
        let above = path.parent().expect("a path below the folder");
        if !above.is_dir() {
            std::fs::create_dir_all(above).expect("make a folder");
            set_mode(above, 0o755);
        }
        match &file.content {
            Content::Text(text) => {
                std::fs::write(&path, text).expect("write a file");
                set_mode(&path, file.mode.unwrap_or(0o644));
            }
            Content::Link(target) => std::os::unix::fs::symlink(target, &path).expect("make a link"),
            Content::Folder => {
                std::fs::create_dir_all(&path).expect("make a folder");
                set_mode(&path, file.mode.unwrap_or(0o755));
            }
        }
    }
    let mut touch = Command::new("find");
    touch.arg(folder).args(["-exec", "touch", "-h", "-d", &format!("@{TIME}"), "{}", "+"]);
    let touched = crate::engine::run(&mut touch, None);
    assert_eq!(touched.code, 0, "{}", touched.stderr);
}

/// Where a recording and what was seen differ, in lines; empty when they do not.
pub fn differences(name: &str, golden: &str, seen: &str) -> String {
    if golden == seen {
        return String::new();
    }
    let (golden, seen): (Vec<&str>, Vec<&str>) = (golden.lines().collect(), seen.lines().collect());
    let mut report = format!("== {name}\n");
    report.extend(golden.iter().filter(|line| !seen.contains(line)).map(|line| format!("    - {line}\n")));
    report.extend(seen.iter().filter(|line| !golden.contains(line)).map(|line| format!("    + {line}\n")));
    if report.lines().count() == 1 {
        report.push_str("    (the same lines, in another order or number)\n");
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read() {
        let case = parse(
            "x",
            "# About.\n$ docker build .\n-- Dockerfile\nFROM a\n# b\n-- l -> a b\n-- d/ 0700\n-- f g 0600\n",
        );
        let file = |path: &str, mode, content| File { path: path.to_owned(), mode, content };
        let files = vec![
            file("Dockerfile", None, Content::Text("FROM a\n# b\n".to_owned())),
            file("l", None, Content::Link("a b".to_owned())),
            file("d/", Some(0o700), Content::Folder),
            file("f g", Some(0o600), Content::Text(String::new())),
        ];
        assert_eq!(case, Case { name: "x".to_owned(), commands: vec!["docker build .".to_owned()], files });
        assert_eq!(parse("y", "-- Dockerfile\n").commands, ["docker build -t parity/corpus ."]);
    }

    #[test]
    fn sums_of_copies_are_replaced() {
        let sum = "0123456789abcdef".repeat(4);
        let text = format!("/bin/sh -c #(nop) COPY file:{sum} in /profile:x ");
        assert_eq!(sums(&text), "/bin/sh -c #(nop) COPY file:<sum> in /profile:x ");
    }
}
