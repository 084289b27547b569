//! The registry's process: command line, listeners, signals.
//!
//! `wharf-registry serve` answers docker, podman, skopeo and everything else that speaks to registries;
//! `wharf-registry image` writes itself as an image named `registry`, to be loaded by any engine.

#![forbid(unsafe_code)]

mod arguments;
mod collect;
mod config;
mod image;
mod serve;

use std::process::ExitCode;

use arguments::Command;

/// A wrong command line.
const USAGE_FAULT: u8 = 125;

fn main() -> ExitCode {
    linux::memory::limit_arenas(2);
    let command = match Command::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(why) => {
            eprintln!("wharf-registry: {why}\n\n{}", arguments::USAGE);
            return ExitCode::from(USAGE_FAULT);
        }
    };
    let result = match command {
        Command::Help => {
            print!("{}", arguments::USAGE);
            Ok(())
        }
        Command::Version => {
            println!("wharf-registry {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Command::Serve(place) => serve::run(&place),
        Command::Collect(place) => collect::run(&place),
        Command::Password => password(),
        Command::Image(name) => image::write(&name, &mut std::io::stdout().lock()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("wharf-registry: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Hashes the line that standard input gives.
fn password() -> Result<(), String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| error.to_string())?;
    println!("{}", registry::auth::hash(line.trim_end_matches(['\r', '\n']))?);
    Ok(())
}
