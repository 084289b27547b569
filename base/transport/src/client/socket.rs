//! A connected descriptor that several threads may read, write and half-close.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

/// A connection, whatever carries it; clones share the descriptor.
#[derive(Debug, Clone)]
pub struct Socket(Arc<OwnedFd>, Fault);

/// Why a connection ended, where something between its ends knows.
pub(super) type Fault = Arc<OnceLock<String>>;

impl Socket {
    /// Takes over a connected stream socket.
    pub fn new(descriptor: OwnedFd) -> Self {
        Self(Arc::new(descriptor), Fault::default())
    }

    /// The same with a place for the reason of its end.
    pub(super) fn with_fault(descriptor: OwnedFd, fault: Fault) -> Self {
        Self(Arc::new(descriptor), fault)
    }

    /// Why it ended, if that is known.
    pub(super) fn fault(&self) -> Option<&str> {
        self.1.get().map(String::as_str)
    }

    /// Ends the direction towards the engine; answers can still be read.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn close_write(&self) -> std::io::Result<()> {
        Ok(rustix::net::shutdown(&*self.0, rustix::net::Shutdown::Write)?)
    }

    /// The descriptor on its own.
    pub(super) fn try_clone_owned(&self) -> std::io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Whether the other end has closed or sent something although nothing was asked.
    pub(super) fn is_stale(&self) -> bool {
        let mut polled = [rustix::event::PollFd::new(&*self.0, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut polled, Some(&now)).is_ok_and(|count| count > 0)
    }

    /// Ends both directions, which wakes a thread that reads.
    pub fn close(&self) {
        let _ = rustix::net::shutdown(&*self.0, rustix::net::Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(rustix::io::read(&*self.0, buffer)?)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        (&*self).write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Write for &Socket {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        // NOSIGNAL: an engine that went away is an error to report, not a signal to die of.
        Ok(rustix::net::send(&*self.0, buffer, rustix::net::SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
