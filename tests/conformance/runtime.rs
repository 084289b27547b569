//! Which runtime is checked.

use std::path::PathBuf;
use std::process::Command;

/// The runtime's program.
///
/// # Panics
/// When there is none.
pub fn program() -> PathBuf {
    if let Some(given) = std::env::var_os("CONFORMANCE_RUNTIME") {
        return given.into();
    }
    if let Some(given) = std::env::var_os("WHARF_BIN_DIR") {
        return PathBuf::from(given).join("wharf-runtime");
    }
    let own = std::env::current_exe().expect("this program has a path");
    let built = own.ancestors().map(|dir| dir.join("wharf-runtime")).find(|path| path.is_file());
    built.unwrap_or_else(|| {
        panic!("no wharf-runtime near {}: run `cargo build -p wharf-runtime` first", own.display())
    })
}

/// Whether our own runtime is checked, which has to have everything.
pub fn is_wharf() -> bool {
    program().file_name().is_some_and(|name| name == "wharf-runtime")
}

/// Whether a check of a newer part of the specification can run; says so when it cannot.
pub fn needs(what: &str) -> bool {
    let can = is_wharf();
    if !can {
        println!("passed over: {} may lack {what}", program().display());
    }
    can
}

/// The program with a state directory.
pub fn command(state: &std::path::Path) -> Command {
    let mut command = Command::new(program());
    command.arg("--root").arg(state);
    command
}

/// Whether the machine's limits are governed by cgroup version 2.
pub fn is_unified() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}
