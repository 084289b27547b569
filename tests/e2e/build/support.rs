//! Contexts and builds as the classic door takes them.

use std::path::Path;
use std::process::Command;

use testkit::{Engine, http};

/// Files of a context by name.
pub type Files<'f> = &'f [(&'f str, &'f str)];

/// A context: files by name; folders are made.
pub fn context(engine: &Engine, name: &str, files: Files<'_>) -> Vec<u8> {
    let folder = engine.root().join(name);
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(&path, text).expect("a file");
    }
    pack(&folder)
}

/// A folder as a tar.
pub fn pack(folder: &Path) -> Vec<u8> {
    let packed = Command::new("tar").arg("-C").arg(folder).args(["-c", "."]).output().expect("tar runs");
    assert!(packed.status.success());
    packed.stdout
}

/// What a build said, line by line, and how it ended.
#[derive(Debug)]
pub struct Build {
    pub status: u16,
    pub lines: Vec<serde_json::Value>,
}

impl Build {
    /// Builds a context.
    pub fn run(engine: &Engine, query: &str, context: &[u8]) -> Self {
        let target = format!("/build?{query}");
        let headers = [("Content-Type", "application/x-tar")];
        let answer =
            http::request(&engine.socket_path(), "POST", &target, &headers, context).expect("an answer");
        let text = answer.text();
        let lines = text.lines().filter(|line| !line.is_empty());
        let lines =
            lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
        Self { status: answer.status, lines }
    }

    /// What people read.
    pub fn text(&self) -> String {
        self.lines.iter().filter_map(|line| line["stream"].as_str()).collect()
    }

    /// Why it failed; empty when it did not.
    pub fn error(&self) -> &str {
        let last = self.lines.last();
        let text = last.and_then(|line| line["error"].as_str().or_else(|| line["message"].as_str()));
        text.unwrap_or_default()
    }

    /// What people read of a build that succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status == 200 && self.error().is_empty(), "{} {:?}", self.status, self.lines);
        self.text()
    }
}

/// Whether git is here; a test that needs it says so and ends where it is not.
pub fn has_git() -> bool {
    let there = Command::new("git").arg("--version").output().is_ok();
    if !there {
        println!("skipped: git is not installed");
    }
    there
}
