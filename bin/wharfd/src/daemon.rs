//! From settings to a serving engine, until a signal ends it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api_server::ApiServer;
use engine::Engine;
use linux::event::Signals;
use rustix::event::{PollFd, PollFlags, poll};
use transport::server::{Listener, Server};

use crate::arguments::Arguments;
use crate::defaults::Defaults;
use crate::host::Host;
use crate::pidfile::PidFile;
use crate::settings::Settings;
use crate::{file, listen, lock, log};

const HANGUP: i32 = 1;
const INTERRUPT: i32 = 2;
const TERMINATE: i32 = 15;
/// So many requests to end make it end at once, as in dockerd.
const IMPATIENCE: u32 = 3;

/// How a start went.
pub(crate) enum Outcome {
    /// Served, and was told to end.
    Ended,
    /// Another engine serves this root already, which is what was wanted.
    ServedAlready,
}

/// Runs the daemon.
///
/// # Errors
/// With one line that says why it can't serve.
pub(crate) fn run(
    arguments: &Arguments,
    settings: Settings,
    defaults: &Defaults,
    passed: Vec<OwnedFd>,
) -> Result<Outcome, String> {
    log::configure(settings.log_level, settings.log_json);
    for key in &settings.idle_options {
        log::warn(&format!("option {key} has no meaning for wharf and is ignored"));
    }
    for (name, runtime) in settings.engine.runtimes.iter().filter(|(_, runtime)| !runtime.is_ours()) {
        log::warn(&format!(
            "runtime {name} ({}) cannot be used: containers are run with our own only",
            runtime.path
        ));
    }
    let exec_root = settings.engine.exec_root.clone();
    let held = lock::take(&exec_root)
        .map_err(|error| format!("failed to start daemon: lock {}: {error}", exec_root.display()))?;
    let Some(_held) = held else {
        return already_served(arguments, &settings, defaults);
    };
    // Before any thread starts, so that every thread has them blocked and only the descriptor tells of them.
    let signals = Signals::new(&[HANGUP, INTERRUPT, TERMINATE])
        .map_err(|error| format!("failed to start daemon: signals: {error}"))?;
    let _pidfile = PidFile::create(&settings.pidfile)?;
    // Bound before the engine opens: a client that comes meanwhile waits in the kernel's queue instead of failing.
    let listeners = listen::open(&settings, &defaults.socket, passed)?;
    let engine = Engine::open(settings.engine)
        .map_err(|error| format!("failed to start daemon: {}", model::error::chain(&error)))?;
    serve(arguments, defaults, &engine, listeners, settings.min_api, &signals)?;
    Ok(Outcome::Ended)
}

fn already_served(
    arguments: &Arguments,
    settings: &Settings,
    defaults: &Defaults,
) -> Result<Outcome, String> {
    let socket: PathBuf = match settings.hosts.first() {
        Some(Host::Unix(Some(path))) => path.clone(),
        _ => defaults.socket.clone(),
    };
    if arguments.on_demand && lock::wait_for_listener(&socket) {
        return Ok(Outcome::ServedAlready);
    }
    Err(format!("failed to start daemon: another engine runs on {}", settings.engine.exec_root.display()))
}

fn serve(
    arguments: &Arguments,
    defaults: &Defaults,
    engine: &Engine,
    listeners: Vec<Listener>,
    min_api: api::ApiVersion,
    signals: &Signals,
) -> Result<(), String> {
    let server = Server::start(listeners, Arc::new(ApiServer::new(engine.clone(), min_api)))
        .map_err(|error| format!("failed to start daemon: {error}"))?;
    log::info("Daemon has completed initialization");
    // What opening the engine needed for a moment is given back.
    linux::memory::trim();
    wait_for_end(signals, || reload(arguments, defaults, engine));
    server.stop();
    let done = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).ok();
    let signal_done = done.as_ref();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            engine.shutdown();
            if let Some(done) = signal_done {
                let _ = rustix::io::write(done, &1u64.to_ne_bytes());
            }
        });
        if let Some(done) = signal_done {
            stay_for_impatience(signals, done);
        }
    });
    log::info("Daemon shutdown complete");
    Ok(())
}

fn wait_for_end(signals: &Signals, mut reload: impl FnMut()) {
    loop {
        match next_signal(signals, None) {
            Some(HANGUP) => reload(),
            Some(number) => {
                log::info(&format!("Processing signal '{}'", name(number)));
                return;
            }
            None => {}
        }
    }
}

/// While containers are being stopped: repeated requests to end are obeyed at once.
fn stay_for_impatience(signals: &Signals, done: &OwnedFd) {
    let mut asked = 1;
    while let Some(number) = next_signal(signals, Some(done)) {
        asked += u32::from(number != HANGUP);
        if asked >= IMPATIENCE {
            log::error("Forcing docker daemon shutdown without cleanup; 3 interrupts received");
            // Nothing of ours can be trusted to end by itself now.
            let _ = linux::signal::send(i32::try_from(std::process::id()).unwrap_or(0), 9);
        }
    }
}

/// The next signal; `None` when `other` became readable first.
fn next_signal(signals: &Signals, other: Option<&OwnedFd>) -> Option<i32> {
    loop {
        if let Ok(Some(arrived)) = signals.next() {
            return Some(arrived.number);
        }
        let mut polled = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        polled.extend(other.map(|other| PollFd::from_borrowed_fd(other.as_fd(), PollFlags::IN)));
        // An interrupted wait is simply repeated.
        let _ = poll(&mut polled, None);
        if polled.get(1).is_some_and(|other| !other.revents().is_empty()) {
            return None;
        }
    }
}

fn name(number: i32) -> &'static str {
    match number {
        INTERRUPT => "interrupt",
        TERMINATE => "terminated",
        _ => "hangup",
    }
}

/// Reads the file again; a fault in it leaves everything as it is.
fn reload(arguments: &Arguments, defaults: &Defaults, engine: &Engine) {
    let path = arguments.config_file.as_deref().unwrap_or(&defaults.config_file);
    log::info(&format!("Got signal to reload configuration, reloading from: {}", path.display()));
    let fresh = load(arguments, defaults, path);
    match fresh {
        Ok(settings) => {
            log::configure(settings.log_level, settings.log_json);
            if let Err(error) = engine.reload(settings.engine) {
                log::error(&format!("Error reconfiguring the daemon: {error}"));
            }
        }
        Err(why) => log::error(&format!("Error reconfiguring the daemon: {why}")),
    }
}

/// Flags and file together.
///
/// # Errors
/// With dockerd's words.
pub(crate) fn load(arguments: &Arguments, defaults: &Defaults, path: &Path) -> Result<Settings, String> {
    let values = file::read(path, arguments.config_file.is_some(), &arguments.values)?;
    Settings::from_values(&values, defaults)
}
