//! The small process 1 that starts the container's command, passes signals on and reaps orphans.
//!
//! Its words and exit codes are those of tini, which Docker's `--init` runs.

use std::ffi::{CString, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;

use linux::Errno;
use linux::arguments::Arguments;
use linux::clone::{Child, Clone};
use linux::event::Signals;
use rustix::event::{PollFd, PollFlags, poll};

/// Signals that say something about this very process; they are never passed on.
const OWN: [i32; 9] = [4, 5, 6, 7, 8, 11, 31, 32, 33];
const CHILD_ENDED: i32 = 17;
const TERMINAL_INPUT: i32 = 21;
const TERMINAL_OUTPUT: i32 = 22;

/// Runs as process 1: `arguments` are those of the program, its own name and an optional `--` first; the command gets
/// the environment unchanged. Returns the exit code for the process to end with.
pub fn run(arguments: &[String]) -> i32 {
    // What people look for in `ps`; without it the name of a memory file shows.
    let _ = linux::process::set_name(c"docker-init");
    let command = arguments.get(1..).unwrap_or_default();
    let command = command.strip_prefix(&["--".to_owned()]).unwrap_or(command);
    let Some(name) = command.first() else {
        eprintln!("[FATAL tini (1)] no command was given");
        return 1;
    };
    match start(name, command) {
        Ok((signals, child)) => watch(&signals, &child),
        Err(error) => {
            eprintln!("[FATAL tini (1)] {name}: {}", linux::errno::text(error));
            1
        }
    }
}

fn start(name: &str, command: &[String]) -> Result<(Signals, Child), Errno> {
    let arguments = Arguments::new(command).map_err(|_| Errno::INVAL)?;
    let environment = Arguments::new(std::env::vars_os().map(assignment)).map_err(|_| Errno::INVAL)?;
    let programs = candidates(name, environment.value_of(b"PATH"));
    linux::signal::ignore(TERMINAL_INPUT)?;
    linux::signal::ignore(TERMINAL_OUTPUT)?;
    let passed: Vec<i32> = (1..=64).filter(|number| !OWN.contains(number)).collect();
    let signals = Signals::new(&passed)?;
    let child = Clone::default().run(|| become_command(name, &programs, &arguments, &environment))?;
    Ok((signals, child))
}

fn assignment((name, value): (OsString, OsString)) -> Vec<u8> {
    [name.as_bytes(), b"=", value.as_bytes()].concat()
}

/// Where the command may be, in the order of PATH.
fn candidates(name: &str, list: Option<&[u8]>) -> Vec<CString> {
    if name.contains('/') {
        return CString::new(name).into_iter().collect();
    }
    let list = String::from_utf8_lossy(list.unwrap_or(b"/usr/local/bin:/bin:/usr/bin"));
    list.split(':').filter_map(|directory| CString::new(format!("{directory}/{name}")).ok()).collect()
}

/// A process group of its own, in the foreground of the terminal if there is one, then the command.
fn become_command(name: &str, programs: &[CString], arguments: &Arguments, environment: &Arguments) -> i32 {
    let _ = rustix::process::setpgid(None, None);
    let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpid());
    linux::signal::restore_defaults();
    let mut reason = Errno::NOENT;
    for program in programs {
        match linux::execute::path(program, arguments, environment) {
            Errno::NOENT | Errno::NOTDIR => {}
            error => reason = error,
        }
    }
    let pid = rustix::process::getpid().as_raw_nonzero();
    eprintln!("[FATAL tini ({pid})] exec {name} failed: {}", capitalised(linux::errno::text(reason)));
    match reason {
        Errno::NOENT => 127,
        Errno::ACCESS => 126,
        _ => 1,
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// Until the command has ended; whatever it left behind ends with this process.
fn watch(signals: &Signals, child: &Child) -> i32 {
    loop {
        let _ = poll(&mut [PollFd::new(signals, PollFlags::IN)], None);
        while let Ok(Some(arrived)) = signals.next() {
            if arrived.number != CHILD_ENDED {
                let _ = linux::pidfd::send_signal(child.pidfd.as_fd(), arrived.number);
            }
        }
        while let Ok(Some((pid, exit))) = linux::process::reap_any() {
            if pid == child.pid {
                return exit.shell_code();
            }
        }
    }
}
