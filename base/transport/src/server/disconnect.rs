//! Notices that a client went away while its answer is still being made.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// Stack of the watching thread, bytes.
const STACK: usize = 64 * 1024;

/// A thread that sleeps until the client closes its side; dropping this ends it.
#[derive(Debug)]
pub struct DisconnectWatch {
    wake: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl DisconnectWatch {
    /// Watches a socket; `gone` runs on the watching thread.
    ///
    /// # Errors
    /// When no thread or descriptor is to be had.
    pub fn start(socket: &UnixStream, gone: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC)?;
        let (watched, woken) = (socket.try_clone()?, wake.try_clone()?);
        let thread = std::thread::Builder::new()
            .name("disconnect".to_owned())
            .stack_size(STACK)
            .spawn(move || watch(&watched, &woken, gone))?;
        Ok(Self { wake, thread: Some(thread) })
    }
}

/// Half-closing counts as going away, as it does for Go's HTTP server.
fn watch(socket: &UnixStream, woken: &OwnedFd, gone: impl FnOnce()) {
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::RDHUP),
            PollFd::from_borrowed_fd(woken.as_fd(), PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        let [client, wake] = polled;
        if !wake.revents().is_empty() {
            return;
        }
        if client.revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR) {
            return gone();
        }
    }
}

impl Drop for DisconnectWatch {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // The callback never blocks for long, and a panic in it is reported by its own thread.
            let _ = thread.join();
        }
    }
}
