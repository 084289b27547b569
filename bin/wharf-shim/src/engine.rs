//! The engine at the other end: the connection it left us, and those a restarted engine makes.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::event::epoll::EventFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use shim_protocol::{Event, Frame, FrameError, Reader, ShimMessage};

use crate::shim::Shim;
use crate::watch::{Token, Watch};

/// Bytes that may wait for an engine that sleeps; what comes then is lost, it asks for the state later.
const QUEUE_LIMIT: usize = 256 << 10;

/// A connected engine.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: OwnedFd,
    reader: Reader,
    queue: Vec<u8>,
}

impl Engine {
    pub(crate) fn new(socket: OwnedFd, watch: &Watch) -> Result<Self, Errno> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        watch.add(&socket, Token::Engine, EventFlags::IN)?;
        Ok(Self { socket, reader: Reader::new(), queue: Vec::new() })
    }

    fn say(&mut self, message: &ShimMessage, watch: &Watch) {
        let Ok(bytes) = shim_protocol::encode(message) else { return };
        if self.queue.len() + bytes.len() <= QUEUE_LIMIT {
            self.queue.extend_from_slice(&bytes);
        }
        self.flush(watch);
    }

    pub(crate) fn flush(&mut self, watch: &Watch) {
        let had = self.queue.len();
        while !self.queue.is_empty() {
            match rustix::net::send(&self.socket, &self.queue, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(count) => drop(self.queue.drain(..count)),
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        if self.queue.is_empty() {
            self.queue = Vec::new();
        }
        let wanted = if self.queue.is_empty() { EventFlags::IN } else { EventFlags::IN | EventFlags::OUT };
        if had > 0 {
            watch.change(&self.socket, Token::Engine, wanted);
        }
    }

    /// The next request; None when nothing is there now.
    fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Ok(Some(frame));
            }
            if !self.reader.fill(&self.socket)? {
                return Ok(None);
            }
        }
    }
}

/// Opens the socket restarted engines connect to. Its path may be longer than a socket address takes, so it is
/// reached through its directory's descriptor.
pub(crate) fn listen(directory: &Path) -> Result<OwnedFd, Errno> {
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let opened =
        rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let path = format!("/proc/self/fd/{}/{}", number_of(&opened), shim_protocol::SOCKET_NAME);
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, 4)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(socket)
}

fn number_of(descriptor: &OwnedFd) -> i32 {
    use std::os::fd::AsRawFd;
    descriptor.as_raw_fd()
}

impl Shim {
    /// A restarted engine connects; the newest one counts.
    pub(crate) fn engine_connects(&mut self) {
        let Ok(socket) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) else { return };
        let own = rustix::process::geteuid();
        let trusted = rustix::net::sockopt::socket_peercred(&socket)
            .is_ok_and(|peer| peer.uid.is_root() || peer.uid == own);
        if !trusted {
            return;
        }
        if let Ok(engine) = Engine::new(socket, &self.watch)
            && let Some(old) = self.engine.replace(engine)
        {
            self.watch.remove(&old.socket);
        }
    }

    /// The engine speaks, takes more, or has gone.
    pub(crate) fn engine_ready(&mut self, flags: EventFlags) {
        let Some(engine) = &mut self.engine else { return };
        if flags.contains(EventFlags::OUT) {
            engine.flush(&self.watch);
        }
        loop {
            let Some(engine) = &mut self.engine else { return };
            match engine.next() {
                Ok(Some(frame)) => self.handle(frame),
                Ok(None) => return,
                Err(_) => return self.engine_gone(),
            }
        }
    }

    fn engine_gone(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.watch.remove(engine.socket.as_fd());
        }
        // Nobody is going to note the ends of execs now.
        let waiting: Vec<u32> = self
            .processes
            .iter()
            .filter(|(_, process)| process.exit.is_some())
            .map(|(index, _)| *index)
            .collect();
        for index in waiting {
            self.exec_collected(index);
        }
    }

    /// Sends a message if an engine is there; whether one is.
    pub(crate) fn say(&mut self, message: &ShimMessage) -> bool {
        match &mut self.engine {
            Some(engine) => {
                engine.say(message, &self.watch);
                true
            }
            None => false,
        }
    }

    /// Reports an event if an engine is there; whether one is.
    pub(crate) fn report(&mut self, event: Event) -> bool {
        self.say(&ShimMessage::Event(event))
    }
}
