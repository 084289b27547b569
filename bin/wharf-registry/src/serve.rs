//! From a command line to a serving registry, until a signal ends it.

use std::net::ToSocketAddrs as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use linux::event::Signals;
use registry::server::RegistryServer;
use registry::storage::LocalStorage;
use registry::{Options, Registry};
use rustix::event::{PollFd, PollFlags, poll};
use transport::server::{Listener, Server};

use crate::arguments::Serve;

const HANGUP: i32 = 1;
const INTERRUPT: i32 = 2;
const TERMINATE: i32 = 15;

const DEFAULT_ROOT: &str = "/var/lib/registry";
const DEFAULT_ADDRESS: &str = "0.0.0.0:5000";

/// Serves until it is told to end.
///
/// # Errors
/// With one line that says why it can't.
pub(crate) fn run(options: &Serve) -> Result<(), String> {
    // Before any thread starts, so that every thread has them blocked and only the descriptor tells of them.
    let signals =
        Signals::new(&[HANGUP, INTERRUPT, TERMINATE]).map_err(|error| format!("signals: {error}"))?;
    let root = options.root.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_ROOT));
    let registry = open(&root)?;
    let mut listeners = Vec::new();
    let default = [DEFAULT_ADDRESS.to_owned()];
    let addresses = if options.listen.is_empty() { &default[..] } else { &options.listen };
    for address in addresses {
        listeners.extend(listen(address)?);
    }
    for listener in &listeners {
        if let Some(address) = listener.local_address() {
            eprintln!("listening on {address}");
        }
    }
    let server = Server::start(listeners, Arc::new(RegistryServer::new(registry)))
        .map_err(|error| format!("start: {error}"))?;
    linux::memory::trim();
    wait_for_end(&signals);
    server.stop();
    Ok(())
}

fn open(root: &Path) -> Result<Arc<Registry>, String> {
    let storage =
        LocalStorage::open(root).map_err(|error| format!("open {}: {}", root.display(), chain(&error)))?;
    Registry::open(Arc::new(storage), &root.join("uploads"), Options::default())
        .map(Arc::new)
        .map_err(|error| chain(&error))
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    model::error::chain(error)
}

/// Binds every address a text stands for.
fn listen(text: &str) -> Result<Vec<Listener>, String> {
    let text = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let addresses = text.to_socket_addrs().map_err(|error| format!("listen on {text}: {error}"))?;
    addresses.map(|address| Listener::tcp(address, None).map_err(|error| chain(&error))).collect()
}

fn wait_for_end(signals: &Signals) {
    loop {
        match signals.next() {
            Ok(Some(arrived)) if arrived.number != HANGUP => return,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                let mut polled = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
                // An interrupted wait is simply repeated.
                let _ = poll(&mut polled, None);
            }
        }
    }
}
