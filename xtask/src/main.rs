//! The repository's own commands: `cargo xtask demo | test | long | bench | tidy | metrics | golden | real | deny | dependencies | build`.

#![forbid(unsafe_code)]

mod bench;
mod build;
mod demo;
mod dependencies;
mod golden;
mod metrics;
mod packages;
mod plugins;
mod real;
mod reference;
mod source;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  demo           build wharf, make a Debian image, run containers with it, clean up
  test           everything that has to be green: format, lints, tidy, licences, all tests
  bench [NAME]   measure wharf beside Docker and Podman, print ratios and a JSON line
  tidy           check the rules of the house (tiers, files, documents)
  metrics        sizes of functions and files, comments, tests
  golden [FILE]  record the parity suite anew from a live Docker engine (--check compares only)
  real [NAME]    build Dockerfiles of real software with Docker and with wharf, compare the images (fetches packages)
  deny           check the licences and sources of all dependencies
  dependencies   write docs/dependencies.txt anew
  vm [FILTER]    run end-to-end tests in an emulated machine on cgroup v2 (--all: every one, in parts; takes hours)
  long           the long forms of the tests about leaks, races and crashes (ten thousand rounds), stories, and real
  build [--dist] build the release binaries and print where they are
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let result = match arguments.first().map(String::as_str) {
        Some("demo") => demo::run(),
        Some("test") => test::run(rest),
        Some("bench") => bench::run(rest),
        Some("tidy") => tidy::run(),
        Some("metrics") => metrics::run(),
        Some("golden") => golden::run(rest),
        Some("real") => real::run(rest),
        Some("deny") => dependencies::deny(),
        Some("dependencies") => dependencies::write(),
        Some("vm") => vm::run(rest),
        Some("long") => test::long_forms(),
        Some("build") => build::run(rest),
        _ => {
            print!("{HELP}");
            return if arguments.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What an xtask command returns: nothing, or the reason it failed, ready to be read.
pub(crate) type Outcome = Result<(), String>;

/// The root of the checkout.
pub(crate) fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(std::path::Path::new(".")).to_owned()
}
