//! The command line program: `wharf`, and `docker` when called so.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    cli::run(std::env::args_os(), cli::Environment::new(environment))
}
