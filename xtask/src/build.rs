//! Builds the binaries that are shipped, and runs cargo for the other commands.

use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, root};

/// The programs a user installs.
pub(crate) const PROGRAMS: [&str; 5] = ["wharf", "wharfd", "wharf-shim", "wharf-runtime", "wharf-registry"];

/// `cargo xtask build [--dist]`.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let profile = if arguments.iter().any(|argument| argument == "--dist") { "dist" } else { "release" };
    let dir = binaries(profile)?;
    let mut total = 0;
    for program in PROGRAMS {
        let size = std::fs::metadata(dir.join(program)).map_err(|error| format!("{program}: {error}"))?.len();
        total += size;
        println!("{:>8.2} MB  {}", megabytes(size), dir.join(program).display());
    }
    println!("{:>8.2} MB  in all", megabytes(total));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files, shown with two digits")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The folder that holds what `WHARF_BIN_DIR` names, or else the programs newly built with a profile.
pub(crate) fn binaries(profile: &str) -> Result<PathBuf, String> {
    if let Some(dir) = std::env::var_os("WHARF_BIN_DIR").filter(|_| profile != "dist") {
        return Ok(PathBuf::from(dir));
    }
    let mut arguments = vec!["build", "--profile", if profile == "debug" { "dev" } else { profile }];
    for program in PROGRAMS {
        arguments.extend(["--package", program]);
    }
    cargo(&arguments)?;
    Ok(target_dir()?.join(profile))
}

/// Runs cargo in the checkout.
pub(crate) fn cargo(arguments: &[&str]) -> Outcome {
    // What `cargo run` tells of this package, build scripts of others watch: they would run again, and all that needs them.
    let told = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    });
    let mut command = Command::new("cargo");
    told.for_each(|name| {
        command.env_remove(name);
    });
    let status = command
        .args(arguments)
        .current_dir(root())
        .status()
        .map_err(|error| format!("start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", arguments.join(" "))) }
}

/// The folder below which cargo puts the profiles: the target folder and the machine's target triple.
pub(crate) fn target_dir() -> Result<PathBuf, String> {
    let base = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let output =
        Command::new("rustc").arg("-vV").output().map_err(|error| format!("start rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let triple =
        text.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc -vV names no host")?;
    Ok(base.join(triple))
}
