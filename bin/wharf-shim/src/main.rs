//! The shim: parent, stdio owner and recorder of one container; it outlives the engine and needs none.
//!
//! `wharf-shim <id> <directory>` is started by the engine with its connection as standard input. It also runs as the
//! container's process 1 (`wharf-shim init ...`) where one is asked for. One thread, one epoll loop, nothing allocated
//! per byte; memory it used for a while is given back when it has been quiet for a second.
//!
//! Reading order: `shim` (the loop), `launch`, `process`, `output`, `input`, `client`, `exec`, `end`, `engine`.

#![forbid(unsafe_code)]

mod client;
mod end;
mod engine;
mod exec;
mod input;
mod launch;
mod output;
mod process;
mod shim;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

/// First argument that makes this program the container's process 1.
pub(crate) const INIT_ARGUMENT: &str = "init";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == INIT_ARGUMENT) {
        arguments.remove(1);
        return ExitCode::from(u8::try_from(runtime::init::run(&arguments)).unwrap_or(u8::MAX));
    }
    let [_, id, directory] = arguments.as_slice() else {
        println!("wharf-shim is started by wharfd: wharf-shim <container id> <directory>");
        return ExitCode::from(2);
    };
    // Each exec and each client takes some; the container's processes get the limit as it was.
    linux::rlimit::raise_files();
    match shim::Shim::open(id.clone(), PathBuf::from(directory)) {
        Ok(mut shim) => {
            drop(arguments);
            shim.run();
            ExitCode::SUCCESS
        }
        // Nobody reads this process's standard error: the engine sees the connection close.
        Err(_) => ExitCode::FAILURE,
    }
}
