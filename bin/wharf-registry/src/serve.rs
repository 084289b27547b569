//! From a configuration to a serving registry, until a signal ends it.

use std::net::ToSocketAddrs as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use linux::event::Signals;
use registry::server::{AccessLog, AdminServer, RegistryServer};
use rustix::event::{PollFd, PollFlags, poll};
use transport::server::{Listener, Server};
use transport::tls::TlsAcceptor;

use crate::arguments::Place;
use crate::config::Config;

const HANGUP: i32 = 1;
const INTERRUPT: i32 = 2;
const TERMINATE: i32 = 15;
/// Requests under way have so long to end after the signal.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until it is told to end.
///
/// # Errors
/// With one line that says why it can't.
pub(crate) fn run(place: &Place) -> Result<(), String> {
    // Before any thread starts, so that every thread has them blocked and only the descriptor tells of them.
    let signals =
        Signals::new(&[HANGUP, INTERRUPT, TERMINATE]).map_err(|error| format!("signals: {error}"))?;
    let config = Config::load(place)?;
    let acceptor = config.acceptor()?.map(Arc::new);
    if place.check {
        config.settings()?;
        println!("configuration OK");
        return Ok(());
    }
    linux::rlimit::raise_files();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let registry = config.open()?;
    let log = match config.access_log {
        true => Some(AccessLog::start(Box::new(std::io::stdout())).map_err(|error| error.to_string())?),
        false => None,
    };
    let server = Arc::new(RegistryServer::new(registry, config.settings()?, log));
    let listeners = listen(&config, acceptor.as_ref())?;
    for address in listeners.iter().filter_map(Listener::local_address) {
        eprintln!("listening on {address}");
    }
    let admin = admin_listener(&config)?;
    let started = |result: std::io::Result<Server>| result.map_err(|error| format!("start: {error}"));
    let admin = started(Server::start(vec![admin], Arc::new(AdminServer(Arc::clone(&server)))))?;
    let clients = started(Server::start_within(config.limits(), listeners, Arc::clone(&server) as Arc<_>))?;
    if let Some(seconds) = config.collect.every {
        collect_every(&server, Duration::from_secs(seconds.max(1)))?;
    }
    linux::memory::trim();
    wait_for_end(&signals, || reload(place, &server, acceptor.as_ref()));
    clients.stop();
    admin.stop();
    server.rest(PATIENCE);
    Ok(())
}

/// Binds every address.
fn listen(config: &Config, acceptor: Option<&Arc<TlsAcceptor>>) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for text in &config.listen {
        let text = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.clone() };
        let addresses = text.to_socket_addrs().map_err(|error| format!("listen on {text}: {error}"))?;
        for address in addresses {
            let listener = Listener::tcp(address, acceptor.cloned());
            listeners.push(listener.map_err(|error| model::error::chain(&error))?);
        }
    }
    Ok(listeners)
}

/// The socket for administrators: only the user that the registry runs as may open it.
fn admin_listener(config: &Config) -> Result<Listener, String> {
    let path = config.admin_socket();
    let group = rustix::process::getegid().as_raw();
    let listener = Listener::unix(&path, Some(group)).map_err(|error| model::error::chain(&error))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(listener)
}

fn collect_every(server: &Arc<RegistryServer>, pause: Duration) -> Result<(), String> {
    let server = Arc::clone(server);
    let work = move || {
        loop {
            std::thread::sleep(pause);
            match server.collect() {
                Ok(collected) => eprintln!("collected {} blobs, {} bytes", collected.blobs, collected.bytes),
                Err(error) => eprintln!("collection failed: {}", model::error::chain(&error)),
            }
        }
    };
    std::thread::Builder::new()
        .name("collect".to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Reads the file again; a fault in it leaves everything as it is.
fn reload(place: &Place, server: &RegistryServer, acceptor: Option<&Arc<TlsAcceptor>>) {
    let fresh = Config::load(place).and_then(|config| Ok((config.settings()?, config.acceptor()?)));
    match fresh {
        Ok((settings, certificates)) => {
            server.reload(settings);
            if let (Some(held), Some(fresh)) = (acceptor, certificates) {
                held.replace(fresh);
            }
            eprintln!("configuration reloaded");
        }
        Err(why) => eprintln!("configuration not reloaded: {why}"),
    }
}

fn wait_for_end(signals: &Signals, mut reload: impl FnMut()) {
    loop {
        match signals.next() {
            Ok(Some(arrived)) if arrived.number == HANGUP => reload(),
            Ok(Some(_)) => return,
            Ok(None) | Err(_) => {
                let mut polled = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
                // An interrupted wait is simply repeated.
                let _ = poll(&mut polled, None);
            }
        }
    }
}
