//! `cargo xtask tidy`: the rules of the house as checks.

use std::collections::BTreeMap;

use crate::dependencies::{self, Package};
use crate::source::{self, SourceFile};
use crate::{Outcome, root};

/// Why each package of the registry is there, in a few words.
pub(crate) const REASONS: [(&str, &str); 30] = [
    ("base64", "headers and tokens"),
    ("bcrypt", "passwords of the registry's accounts"),
    ("bytes", "pieces of messages that HTTP/2 keeps and sends"),
    ("bzip2", "archives users upload"),
    ("flate2", "gzip layers"),
    ("h2", "HTTP/2 below gRPC"),
    ("http", "heads of HTTP/2 messages"),
    ("httparse", "heads of HTTP messages"),
    ("jiff", "calendar and time zones"),
    ("libc", "system calls rustix does not have"),
    ("lzma-rust2", "xz archives users upload"),
    ("proptest", "property tests"),
    ("prost", "messages of BuildKit's protocol"),
    ("rcgen", "certificates for tests"),
    ("redb", "transactional tables"),
    ("ring", "hashes, signatures"),
    ("rustix", "system calls with owned descriptors"),
    ("rustls", "TLS"),
    ("rustls-pki-types", "PEM files"),
    ("serde", "documents"),
    ("serde_json", "documents"),
    ("thiserror", "error types"),
    ("tokio", "drives HTTP/2 in base/grpc, nowhere else"),
    ("zstd", "zstd layers"),
    ("expect-test", "expected text inline"),
    ("crossbeam", ""),
    ("memchr", "searching bytes"),
    ("unicode-width", "columns of wide characters"),
    ("linux-raw-sys", "constants of the kernel"),
    ("itoa", "numbers to text"),
];

/// Ranks by folder; a crate may use crates of a lower rank, and base crates only those before them in this list.
const BASE_ORDER: [&str; 20] = [
    "base/model",
    "base/oci",
    "base/api",
    "base/linux",
    "base/netlink",
    "base/jsonlog",
    "base/shim-protocol",
    "base/store",
    "base/archive",
    "base/build-context",
    "base/erofs",
    "base/transport",
    "base/registry-client",
    "base/grpc",
    "base/buildkit",
    "base/ssh-agent",
    "base/api-client",
    "base/terminal",
    "base/testkit",
    "",
];

/// Longest file, in lines before its test module.
const LONGEST_FILE: usize = 400;
/// Longest function, in lines, unless it says why with an `expect`.
const LONGEST_FUNCTION: usize = 60;

/// Runs all checks and lists everything that is wrong.
pub(crate) fn run() -> Outcome {
    let packages = dependencies::graph()?;
    let files = source::files();
    let mut wrong = Vec::new();
    tiers(&packages, &mut wrong);
    reach(&packages, &mut wrong);
    for file in &files {
        purpose(file, &mut wrong);
        unsafe_code(file, &mut wrong);
        sizes(file, &mut wrong);
    }
    architecture(&mut wrong);
    generated(&mut wrong)?;
    named_tests("docs/security.md", &files, &mut wrong);
    named_tests("docs/mission.md", &files, &mut wrong);
    if wrong.is_empty() {
        println!(
            "tidy: {} files, {} crates, nothing to say",
            files.len(),
            packages.values().filter(|p| !p.folder.is_empty()).count()
        );
        return Ok(());
    }
    Err(format!("tidy: {} findings:\n  {}", wrong.len(), wrong.join("\n  ")))
}

fn rank(folder: &str) -> usize {
    let top = folder.split('/').next().unwrap_or_default();
    ["base", "components", "engine", "front", "bin", "tests", "xtask"]
        .iter()
        .position(|known| *known == top)
        .unwrap_or(9)
}

fn tiers(packages: &BTreeMap<String, Package>, wrong: &mut Vec<String>) {
    let own = |name: &str| {
        packages.get(name).map(|package| package.folder.as_str()).filter(|folder| !folder.is_empty())
    };
    for package in packages.values().filter(|package| !package.folder.is_empty()) {
        let from = package.folder.as_str();
        for to in package.uses.iter().filter_map(|name| own(name)) {
            let allowed = match rank(from).cmp(&rank(to)) {
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Equal => from.starts_with("base/") && base_place(to) < base_place(from),
                std::cmp::Ordering::Less => false,
            };
            if !allowed {
                wrong.push(format!("{from} may not depend on {to}: arrows point down, never sideways"));
            }
        }
    }
}

fn base_place(folder: &str) -> usize {
    BASE_ORDER.iter().position(|known| *known == folder).unwrap_or(BASE_ORDER.len())
}

fn reach(packages: &BTreeMap<String, Package>, wrong: &mut Vec<String>) {
    for program in ["wharf-shim", "wharf-runtime"] {
        for name in dependencies::reachable(packages, program) {
            if ["tokio", "h2", "hyper", "rustls", "redb", "tracing"].contains(&name) {
                wrong.push(format!(
                    "{program} reaches {name}: the process that lives with a container stays small"
                ));
            }
        }
    }
    for name in dependencies::reachable(packages, "wharf") {
        let folder = packages.get(name).map_or("", |package| package.folder.as_str());
        if folder == "engine" || folder.starts_with("components/") {
            wrong.push(format!(
                "bin/wharf reaches {folder}: the command line talks to the engine only through its API"
            ));
        }
    }
}

fn purpose(file: &SourceFile, wrong: &mut Vec<String>) {
    let first = file.lines.first().map_or("", String::as_str);
    if !first.starts_with("//! ") || first.contains("Placeholder") {
        wrong.push(format!("{}: the first line has to say the purpose (//! ...)", file.path.display()));
    }
}

fn unsafe_code(file: &SourceFile, wrong: &mut Vec<String>) {
    if file.path.starts_with("base/linux") || file.path.starts_with("xtask") {
        return;
    }
    for (at, line) in file.lines.iter().enumerate() {
        let code = line.trim_start();
        if !code.starts_with("//")
            && (code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl"))
        {
            wrong.push(format!("{}:{}: unsafe code belongs into base/linux", file.path.display(), at + 1));
        }
    }
}

fn sizes(file: &SourceFile, wrong: &mut Vec<String>) {
    if file.is_test {
        return;
    }
    let reasoned = file.lines.iter().take(20).any(|line| line.contains("tidy: long file:"));
    if file.code_end > LONGEST_FILE && !reasoned {
        wrong.push(format!("{}: {} lines, more than {LONGEST_FILE}", file.path.display(), file.code_end));
    }
    for function in file.functions().iter().filter(|function| function.length > LONGEST_FUNCTION) {
        let before = &file.lines[function.line.saturating_sub(8)..function.line];
        if !before.iter().any(|line| line.contains("too_many_lines")) {
            wrong.push(format!(
                "{}:{}: {} has {} lines, more than {LONGEST_FUNCTION}",
                file.path.display(),
                function.line,
                function.name,
                function.length
            ));
        }
    }
}

/// Every path that ARCHITECTURE.md names in backquotes has to exist.
fn architecture(wrong: &mut Vec<String>) {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap_or_default();
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2).filter(|word| is_repository_path(word)) {
        named += 1;
        if !root().join(word.trim_end_matches('/')).exists() {
            wrong.push(format!("ARCHITECTURE.md names {word}, which does not exist"));
        }
    }
    if named < 20 {
        wrong.push(format!(
            "ARCHITECTURE.md names only {named} paths: it has to tell the walk of a run file by file"
        ));
    }
}

fn is_repository_path(word: &str) -> bool {
    let tops = ["base/", "components/", "engine/", "front/", "bin/", "tests/", "xtask/", "docs/"];
    tops.iter().any(|top| word.starts_with(top)) && !word.contains([' ', '*', '<', '{'])
}

fn generated(wrong: &mut Vec<String>) -> Outcome {
    let committed = std::fs::read_to_string(root().join("docs/dependencies.txt")).unwrap_or_default();
    if committed != dependencies::text()? {
        wrong.push("docs/dependencies.txt is out of date: run `cargo xtask dependencies`".to_owned());
    }
    Ok(())
}

/// A document that names a test in each row of its table; the tests have to exist.
fn named_tests(document: &str, files: &[SourceFile], wrong: &mut Vec<String>) {
    let text = std::fs::read_to_string(root().join(document)).unwrap_or_default();
    let mut named = 0;
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        for word in line.split('`').skip(1).step_by(2) {
            named += 1;
            let last = word.rsplit("::").next().unwrap_or(word);
            let recorded = root().join(format!("tests/e2e/parity/{last}.golden")).exists();
            let wanted = format!("fn {last}(");
            if !recorded && !files.iter().any(|file| file.lines.iter().any(|line| line.contains(&wanted))) {
                wrong.push(format!("{document} names the test {word}, which does not exist"));
            }
        }
    }
    if named < 10 {
        wrong.push(format!("{document} names only {named} tests"));
    }
}
