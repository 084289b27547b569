//! Reads the workspace's Rust files and tells functions, comments and tests apart by rustfmt's layout.

use std::path::{Path, PathBuf};

use crate::root;

/// One Rust file.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// The path below the root.
    pub path: PathBuf,
    /// All lines.
    pub lines: Vec<String>,
    /// The number of lines before the file's test module.
    pub code_end: usize,
    /// Whether the whole file is test code.
    pub is_test: bool,
}

/// One function and its place.
#[derive(Debug)]
pub(crate) struct Function {
    /// Its name.
    pub name: String,
    /// The first line, counted from 1.
    pub line: usize,
    /// Lines from the signature to the closing brace.
    pub length: usize,
}

/// All Rust files of the workspace, sorted by path.
pub(crate) fn files() -> Vec<SourceFile> {
    let root = root();
    let mut paths = Vec::new();
    for top in ["base", "components", "engine", "front", "bin", "tests", "xtask"] {
        collect(&root.join(top), &mut paths);
    }
    paths.sort();
    paths.into_iter().filter_map(|path| read(&root, &path)).collect()
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn read(root: &Path, path: &Path) -> Option<SourceFile> {
    let text = std::fs::read_to_string(path).ok()?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let code_end = lines.iter().position(|line| line == "#[cfg(test)]").unwrap_or(lines.len());
    let path = path.strip_prefix(root).ok()?.to_owned();
    let is_test = path
        .components()
        .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "testkit" | "benches")))
        || path.file_name().is_some_and(|name| name == "tests.rs");
    Some(SourceFile { path, lines, code_end, is_test })
}

impl SourceFile {
    /// The functions outside the test module.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let code = &self.lines[..self.code_end];
        let mut found = Vec::new();
        for (at, line) in code.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let indent = line.len() - line.trim_start().len();
            let closing = format!("{}}}", " ".repeat(indent));
            let one_line = line.trim_end().ends_with('}');
            let length = if one_line {
                1
            } else {
                let end = code[at..]
                    .iter()
                    .position(|later| *later == closing || later.starts_with(&format!("{closing} ")));
                match end {
                    Some(end) if !declares_only(&code[at..at + end]) => end + 1,
                    _ => continue,
                }
            };
            found.push(Function { name: name.to_owned(), line: at + 1, length });
        }
        found
    }
}

/// A trait's method without a body: the signature ends in a semicolon before any brace opens.
fn declares_only(lines: &[String]) -> bool {
    lines
        .iter()
        .map(|line| line.trim_end())
        .find(|line| line.ends_with('{') || line.ends_with(';'))
        .is_some_and(|line| line.ends_with(';'))
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for prefix in ["pub(crate) ", "pub(super) ", "pub ", "const ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}
