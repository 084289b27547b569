//! A blocking HTTP/1.1 server: one thread per connection, no timers, sockets that can be taken out of HTTP.

mod body;
mod connection;
mod date;
mod disconnect;
mod exchange;
mod head;
mod listener;
mod sendfile;
mod stream;
mod websocket;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

pub use body::Body;
pub use disconnect::DisconnectWatch;
pub use exchange::{Exchange, Hijacked, ResponseHead};
pub use head::{MAX_HEAD, MAX_HEADERS, RequestHead, percent_decode};
pub use listener::{ListenError, Listener, inherited};
pub use stream::StreamWriter;
pub use websocket::{WebSocketError, accept_websocket};

use crate::tls::TlsAcceptor;

/// Connections served at once; more wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 4096;
/// Stack of a connection's thread, bytes; only touched pages count.
const STACK: usize = 512 * 1024;

/// Answers requests. Called on the connection's own thread, so it may block.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request; returning without an answer closes the connection.
    fn handle(&self, exchange: &mut Exchange<'_>);
}

/// Listeners being served.
pub struct Server {
    stop: Arc<OwnedFd>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Serves the listeners, each by a thread of its own, until [`Server::stop`].
    ///
    /// # Errors
    /// When no thread or descriptor is to be had.
    pub fn start(listeners: Vec<Listener>, handler: Arc<dyn Handler>) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let seats = Arc::new(Seats::default());
        let mut threads = Vec::new();
        for listener in listeners {
            let (stop, seats, handler) = (Arc::clone(&stop), Arc::clone(&seats), Arc::clone(&handler));
            let accept = move || accept_all(&listener, &stop, &seats, &handler);
            threads
                .push(std::thread::Builder::new().name("accept".to_owned()).stack_size(STACK).spawn(accept)?);
        }
        Ok(Self { stop, threads })
    }

    /// Accepts nobody any more and removes the sockets' files; connections there are go on.
    pub fn stop(self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        for thread in self.threads {
            // A panic there was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// Counts connections, and makes the acceptors wait when there are too many.
#[derive(Default)]
struct Seats {
    taken: Mutex<usize>,
    freed: Condvar,
}

impl Seats {
    fn take(self: &Arc<Self>) -> Seat {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= MAX_CONNECTIONS {
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        Seat(Arc::clone(self))
    }
}

struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}

fn accept_all(listener: &Listener, stop: &OwnedFd, seats: &Arc<Seats>, handler: &Arc<dyn Handler>) {
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
            Ok(Some(socket)) => spawn_connection(socket, listener.tls(), seats.take(), handler),
            Ok(None) => {}
            // Out of descriptors: waiting for one to be closed is all there is to do.
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    }
}

fn spawn_connection(
    socket: UnixStream,
    tls: Option<Arc<TlsAcceptor>>,
    seat: Seat,
    handler: &Arc<dyn Handler>,
) {
    let handler = Arc::clone(handler);
    let serve = move || {
        let _seat = seat;
        match tls {
            None => connection::serve(socket, &*handler),
            Some(tls) => {
                if let Ok(plain) = tls.accept(socket) {
                    connection::serve(plain, &*handler);
                }
            }
        }
    };
    // When no thread is to be had the socket is dropped, which closes it: the client sees that at once.
    let _ = std::thread::Builder::new().name("connection".to_owned()).stack_size(STACK).spawn(serve);
}
