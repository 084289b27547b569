//! A blocking HTTP/1.1 server: one thread per connection, no timers, sockets that can be taken out of HTTP.

mod body;
mod connection;
mod date;
mod disconnect;
mod exchange;
mod head;
mod listener;
mod pace;
mod seat;
mod sendfile;
mod stream;
mod websocket;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use linux::threads::Threads;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

pub use body::Body;
pub use disconnect::DisconnectWatch;
pub use exchange::{Exchange, Hijacked, ResponseHead};
pub use head::{MAX_HEAD, MAX_HEADERS, RequestHead, percent_decode};
pub use listener::{ListenError, Listener, inherited};
pub use stream::StreamWriter;
pub use websocket::{WebSocketError, accept_websocket};

use crate::tls::TlsAcceptor;
use seat::{Seat, Seats};

/// Connections served at once when nothing else is said.
pub const MAX_CONNECTIONS: usize = 4096;
/// Clients that are told at once that there are too many; others wait until these are gone.
const TURNED_AWAY: usize = 32;
/// Connections take no more than one in so many of the descriptors this process may have: a bridged one needs three, and
/// what is asked for needs some too.
const DESCRIPTORS_EACH: u64 = 4;
/// Stack of a connection's thread, bytes; only touched pages count.
const STACK: usize = 512 * 1024;
/// A client has one or two at a time, and the next one comes right after it.
static CONNECTIONS: Threads = Threads::new(c"connection", STACK, 2);

/// Answers requests. Called on the connection's own thread, so it may block.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request; returning without an answer closes the connection.
    fn handle(&self, exchange: &mut Exchange<'_>);

    /// Answers a client that is one too many; the connection ends afterwards.
    fn turn_away(&self, exchange: &mut Exchange<'_>) {
        let head = ResponseHead::new(503).with("Retry-After", "5").content_type("text/plain; charset=utf-8");
        // Who does not hear it finds the connection closed.
        let _ = exchange.respond(&head, b"503 Service Unavailable: too many connections\n");
    }
}

/// What clients may take of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at once.
    pub connections: usize,
    /// What happens to more.
    pub beyond: Beyond,
    /// How long a client may keep the server waiting: between requests, for a head, for more of a body, and for the
    /// client to take more of an answer. Without it only heads have a limit.
    pub patience: Option<Duration>,
}

/// What happens to connections beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// They wait in the kernel's queue. A quarter of the places is for clients on this machine, so that those from elsewhere
    /// cannot shut them out.
    Wait,
    /// [`Handler::turn_away`] answers them.
    TurnAway,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: MAX_CONNECTIONS, beyond: Beyond::Wait, patience: None }
    }
}

/// Listeners being served.
pub struct Server {
    stop: Arc<OwnedFd>,
    door: Arc<Door>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Serves the listeners, each by a thread of its own, until [`Server::stop`].
    ///
    /// # Errors
    /// When no thread or descriptor is to be had.
    pub fn start(listeners: Vec<Listener>, handler: Arc<dyn Handler>) -> io::Result<Self> {
        Self::start_within(Limits::default(), listeners, handler)
    }

    /// As [`Server::start`], with limits of choice.
    ///
    /// # Errors
    /// When no thread or descriptor is to be had.
    pub fn start_within(
        limits: Limits,
        listeners: Vec<Listener>,
        handler: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let affordable =
            usize::try_from(linux::rlimit::files().soft / DESCRIPTORS_EACH).unwrap_or(usize::MAX);
        let door = Arc::new(Door {
            seats: Seats::new(limits.connections.min(affordable.max(1))),
            spare: Seats::new(TURNED_AWAY),
            limits,
            handler,
        });
        let mut threads = Vec::new();
        for listener in listeners {
            let (stop, door) = (Arc::clone(&stop), Arc::clone(&door));
            let accept = move || accept_all(&listener, &stop, &door);
            threads
                .push(std::thread::Builder::new().name("accept".to_owned()).stack_size(STACK).spawn(accept)?);
        }
        Ok(Self { stop, door, threads })
    }

    /// Accepts nobody any more and removes the sockets' files; connections there are go on.
    pub fn stop(self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        self.door.seats.close();
        self.door.spare.close();
        for thread in self.threads {
            // A panic there was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// What all acceptors of a server share.
struct Door {
    seats: Arc<Seats>,
    spare: Arc<Seats>,
    limits: Limits,
    handler: Arc<dyn Handler>,
}

impl Door {
    /// A place for one more connection, and whether it is served or turned away; none when the server stops.
    fn seat(&self, is_remote: bool) -> Option<(Seat, bool)> {
        match self.limits.beyond {
            Beyond::Wait if is_remote => Some((self.seats.take_but_a_quarter()?, true)),
            Beyond::Wait => Some((self.seats.take()?, true)),
            Beyond::TurnAway => match self.seats.try_take() {
                Some(seat) => Some((seat, true)),
                None => Some((self.spare.take()?, false)),
            },
        }
    }
}

fn accept_all(listener: &Listener, stop: &OwnedFd, door: &Arc<Door>) {
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        if !polled[1].revents().is_empty() {
            return;
        }
        match listener.accept() {
            Ok(Some(socket)) => {
                let Some(seat) = door.seat(listener.is_tcp()) else { return };
                spawn_connection(socket, listener.tls(), seat, door);
            }
            Ok(None) => {}
            // Out of descriptors: waiting for one to be closed is all there is to do.
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    }
}

fn spawn_connection(
    socket: UnixStream,
    tls: Option<Arc<TlsAcceptor>>,
    (seat, is_served): (Seat, bool),
    door: &Arc<Door>,
) {
    let door = Arc::clone(door);
    let serve = move || {
        let _seat = seat;
        let plain = match tls {
            None => Ok(socket),
            Some(tls) => tls.accept(socket),
        };
        match plain {
            Ok(plain) if is_served => connection::serve(plain, &*door.handler, door.limits.patience),
            Ok(plain) => connection::turn_away(plain, &*door.handler),
            // It has no valid certificate, or is gone.
            Err(_) => {}
        }
    };
    // When no thread is to be had the socket is dropped, which closes it: the client sees that at once.
    let _ = CONNECTIONS.run(serve);
}
