//! The engine's process: reads flags and daemon.json, opens the engine, serves its API.
//!
//! Called as `dockerd` it has dockerd's default places. It owns the command line, the file, the log, the pid file,
//! the listening sockets and the signals; what containers are is the engine's business.
//!
//! Reading order: `arguments`, `options`, `file`, `settings` (what is wanted), then `daemon` (what is done).

#![forbid(unsafe_code)]

mod arguments;
mod build_gc;
mod daemon;
mod defaults;
mod file;
mod host;
mod image_gc;
mod listen;
mod lock;
mod log;
mod options;
mod pidfile;
mod remap;
mod settings;
mod usage;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;

use arguments::Arguments;
use defaults::Defaults;

/// A wrong command line.
const USAGE_FAULT: u8 = 125;

fn main() -> ExitCode {
    linux::memory::limit_arenas(2);
    let mut words = std::env::args();
    let program = words.next().unwrap_or_else(|| "wharfd".to_owned());
    let arguments = match Arguments::parse(words) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(USAGE_FAULT);
        }
    };
    let defaults = Defaults { environment: proxies(), ..Defaults::of_program(&program, shim_path()) };
    if arguments.help {
        print!("{}", usage::usage(&program, &defaults));
        return ExitCode::SUCCESS;
    }
    if arguments.version {
        print!("{}", usage::version(&program));
        return ExitCode::SUCCESS;
    }
    match start(&arguments, &defaults) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments, defaults: &Defaults) -> Result<(), String> {
    let path = arguments.config_file.as_deref().unwrap_or(&defaults.config_file);
    let settings = daemon::load(arguments, defaults, path)?;
    if arguments.validate {
        println!("configuration OK");
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("dockerd needs to be started with root privileges. To see how to run dockerd in rootless mode with unprivileged user, see the documentation".to_owned());
    }
    // Each client, container and file on its way takes some; whoever started us meant the limit for small programs.
    linux::rlimit::raise_files();
    // Sockets and folders get their modes from us, not from whoever started us.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match daemon::run(arguments, settings, defaults, passed_sockets()?)? {
        daemon::Outcome::Ended => {}
        daemon::Outcome::ServedAlready => log::info("an engine serves this root already"),
    }
    Ok(())
}

/// The shim beside our own binary, or where packages put it.
fn shim_path() -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(std::path::Path::parent).map(|folder| folder.join("wharf-shim"));
    beside
        .into_iter()
        .chain(["/usr/libexec/wharf/wharf-shim", "/usr/local/bin/wharf-shim"].map(PathBuf::from))
        .find(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from("/usr/bin/wharf-shim"))
}

/// Proxies of the environment, in either case of letters, as Go's programs take them.
fn proxies() -> BTreeMap<String, String> {
    let given = |name: &str| {
        let upper = name.replace('-', "_").to_uppercase();
        std::env::var(&upper)
            .or_else(|_| std::env::var(upper.to_lowercase()))
            .ok()
            .filter(|text| !text.is_empty())
    };
    let names = ["http-proxy", "https-proxy", "no-proxy"];
    names.iter().filter_map(|name| given(name).map(|value| ((*name).to_owned(), value))).collect()
}

/// Sockets a service manager opened for us, if they are meant for this process.
fn passed_sockets() -> Result<Vec<OwnedFd>, String> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = number("LISTEN_FDS").unwrap_or(0).min(64);
    transport::server::inherited(count as usize).map_err(|error| format!("socket activation: {error}"))
}
