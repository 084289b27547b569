//! Who depends on whom: `docs/dependencies.txt`, and the check of licences and sources.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::{Outcome, root};

/// Licences that a dependency may have; each must be permissive and compatible with Apache-2.0.
const LICENCES: [&str; 12] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "bzip2-1.0.6",
];

/// One package of the dependency graph.
#[derive(Debug, Default)]
pub(crate) struct Package {
    /// Its folder below the root; empty for packages from the registry.
    pub folder: String,
    /// Names of the packages it uses in the product.
    pub uses: BTreeSet<String>,
    /// Names of the packages only its tests use.
    pub test_uses: BTreeSet<String>,
    /// The licence expression.
    pub licence: String,
    /// Where it comes from; empty for our own.
    pub source: String,
}

/// The workspace's packages and all they depend on, by name.
pub(crate) fn graph() -> Result<BTreeMap<String, Package>, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("start cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let document: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut names = BTreeMap::new();
    let mut packages = BTreeMap::new();
    let top = format!("{}/", root().display());
    for package in document["packages"].as_array().into_iter().flatten() {
        names.insert(text(&package["id"]), text(&package["name"]));
        let source = text(&package["source"]);
        let manifest = text(&package["manifest_path"]);
        let folder = if source.is_empty() {
            manifest.trim_start_matches(&top).trim_end_matches("/Cargo.toml").to_owned()
        } else {
            String::new()
        };
        packages.insert(
            text(&package["name"]),
            Package { folder, licence: text(&package["license"]), source, ..Package::default() },
        );
    }
    for node in document["resolve"]["nodes"].as_array().into_iter().flatten() {
        let Some(package) = names.get(&text(&node["id"])).and_then(|name| packages.get_mut(name)) else {
            continue;
        };
        for dependency in node["deps"].as_array().into_iter().flatten() {
            let Some(name) = names.get(&text(&dependency["pkg"])) else { continue };
            let only_tests = dependency["dep_kinds"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().all(|kind| kind["kind"] == "dev"));
            if only_tests { &mut package.test_uses } else { &mut package.uses }.insert(name.clone());
        }
    }
    Ok(packages)
}

/// All packages reachable from one, itself left out.
pub(crate) fn reachable<'a>(packages: &'a BTreeMap<String, Package>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        for used in packages.get(name).into_iter().flat_map(|package| &package.uses) {
            if found.insert(used.as_str()) {
                open.push(used);
            }
        }
    }
    found
}

/// `cargo xtask dependencies`.
pub(crate) fn write() -> Outcome {
    std::fs::write(root().join("docs/dependencies.txt"), text()?)
        .map_err(|error| format!("docs/dependencies.txt: {error}"))
}

/// The content docs/dependencies.txt has to have.
pub(crate) fn text() -> Result<String, String> {
    let packages = graph()?;
    let mut text = String::from(
        "Made by `cargo xtask dependencies`; a new arrow is a visible difference.\n\n\
         Our crates, by folder, with what they use:\n\n",
    );
    let mut own: Vec<(&String, &Package)> =
        packages.iter().filter(|(_, package)| !package.folder.is_empty()).collect();
    own.sort_by(|left, right| left.1.folder.cmp(&right.1.folder));
    for (_, package) in &own {
        let uses: Vec<&str> = package.uses.iter().map(String::as_str).collect();
        text.push_str(&format!("{}: {}\n", package.folder, uses.join(" ")));
    }
    text.push_str("\nPackages of the registry that the product uses directly, with their users:\n\n");
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, package) in own.iter().filter(|(_, package)| !package.folder.starts_with("xtask")) {
        for used in
            package.uses.iter().filter(|name| packages.get(*name).is_some_and(|used| used.folder.is_empty()))
        {
            users.entry(used).or_default().push(&package.folder);
        }
    }
    for (name, folders) in users {
        let reason =
            crate::tidy::REASONS.iter().find(|(known, _)| *known == name).map_or("", |(_, reason)| reason);
        text.push_str(&format!("{name} ({reason}): {}\n", folders.join(" ")));
    }
    Ok(text)
}

/// `cargo xtask deny`: licences and sources by our own list, and `cargo deny` with deny.toml where it is installed.
pub(crate) fn deny() -> Outcome {
    let mut wrong = Vec::new();
    for (name, package) in graph()?.iter().filter(|(_, package)| package.folder.is_empty()) {
        if !licence_is_permissive(&package.licence) {
            wrong.push(format!("{name}: licence {:?} is not on the list", package.licence));
        }
        if !package.source.starts_with("registry+") {
            wrong.push(format!("{name}: comes from {:?}, not from the registry", package.source));
        }
    }
    if !wrong.is_empty() {
        return Err(format!("dependencies:\n  {}", wrong.join("\n  ")));
    }
    let installed = Command::new("cargo")
        .args(["deny", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if installed {
        return crate::build::cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]);
    }
    Ok(())
}

/// Whether one way through the expression (`A OR B`, `A AND B`, `A/B`) has only listed licences.
fn licence_is_permissive(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" OR ").any(|choice| choice.split(" AND ").all(|licence| LICENCES.contains(&licence.trim())))
        || plain
            .split(" AND ")
            .all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}
