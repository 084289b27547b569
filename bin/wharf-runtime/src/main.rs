//! `wharf-runtime`: the runtime library with runc's command line.

#![forbid(unsafe_code)]

mod arguments;
mod command;
mod failure;
mod log;
mod reexec;

use std::process::ExitCode;

use arguments::{Flag, Parsed};
use failure::{Failure, Result};

/// Flags before the command's name.
const GLOBAL: [Flag; 8] = [
    Flag::switch("debug"),
    Flag::value("log"),
    Flag::value("log-format"),
    Flag::value("root"),
    Flag::value("criu"),
    Flag::switch("systemd-cgroup"),
    Flag::value("rootless"),
    Flag::short_switch("version", 'v'),
];

const USAGE: &str =
    "usage: wharf-runtime [--root DIR] [--log FILE] [--log-format text|json] [--systemd-cgroup] COMMAND

commands:
  create    make a container
  start     run the command of a made container
  run       make a container and run its command
  exec      run one more command in a container
  kill      send a signal to a container
  delete    remove a container
  state     show a container's state
  list      show all containers
  ps        show a container's processes
  pause     stop all processes of a container where they are
  resume    let them go on
  update    change a container's limits
  events    show a container's statistics
  spec      write a specification to start from
  features  show what the runtime can do
";

/// What all commands get.
pub(crate) struct Context {
    /// Where containers are remembered.
    pub(crate) store: runtime::store::Store,
}

fn main() -> ExitCode {
    linux::memory::stay_small();
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    let global = match arguments::parse(&arguments, &GLOBAL, true) {
        Ok(global) => global,
        Err(error) => return log::Log::default().fail(&error),
    };
    let log = log::Log::new(global.get("log"), global.get("log-format"));
    match run(&global, &arguments) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => log.fail(&error),
    }
}

fn run(global: &Parsed, arguments: &[String]) -> Result<i32> {
    if global.has("version") {
        println!("wharf-runtime version {}\nspec: {}", env!("CARGO_PKG_VERSION"), oci::runtime::VERSION);
        return Ok(0);
    }
    let Some((name, rest)) = global.rest.split_first() else {
        print!("{USAGE}");
        return Ok(0);
    };
    let root = global.get("root").unwrap_or("/run/wharf-runtime");
    let context = Context { store: runtime::store::Store::new(root) };
    if matches!(name.as_str(), "create" | "run" | "exec") {
        reexec::from_protected_copy(arguments)?;
    }
    dispatch(name, &context, rest)
}

fn dispatch(name: &str, context: &Context, rest: &[String]) -> Result<i32> {
    match name {
        "create" => command::create::run(context, rest),
        "start" => command::start::run(context, rest),
        "run" => command::run::run(context, rest),
        "exec" => command::exec::run(context, rest),
        "kill" => command::kill::run(context, rest),
        "delete" => command::delete::run(context, rest),
        "state" => command::state::run(context, rest),
        "list" => command::list::run(context, rest),
        "ps" => command::ps::run(context, rest),
        "pause" => command::pause::pause(context, rest),
        "resume" => command::pause::resume(context, rest),
        "update" => command::update::run(context, rest),
        "events" => command::events::run(context, rest),
        "spec" => command::spec::run(rest),
        "features" => command::features::run(),
        "help" | "-h" | "--help" => {
            print!("{USAGE}");
            Ok(0)
        }
        "checkpoint" | "restore" => Err(Failure::new(format!("{name} is not supported"))),
        other => Err(Failure::new(format!("No help topic for '{other}'"))),
    }
}
