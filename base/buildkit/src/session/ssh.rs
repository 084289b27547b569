//! The client's ssh agent, as a socket a step can use.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use grpc::{Cancellation, Metadata, Status};

use super::{Session, Under, tunnel};
use crate::services::{CheckAgentRequest, CheckAgentResponse, method};

/// Connections to one agent at once.
const MOST: usize = 64;

impl Session {
    /// Whether the client has an agent of this id.
    ///
    /// # Errors
    /// What the client answers when it has none.
    pub fn check_agent(&self, id: &str) -> Result<(), Status> {
        let request = CheckAgentRequest { id: id.into() };
        self.ask::<CheckAgentResponse>(method::CHECK_AGENT, &request).map(|_| ())
    }

    /// Connects everybody who comes to a listener with the client's agent, until what is returned is dropped.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub fn forward_agent(self: &Arc<Self>, id: &str, listener: UnixListener) -> io::Result<AgentForward> {
        let (stop, stopped) = UnixStream::pair()?;
        let forwarder = Forwarder {
            session: Arc::clone(self),
            id: id.to_owned(),
            until: Cancellation::new(),
            open: Arc::new(AtomicUsize::new(0)),
        };
        let until = forwarder.until.clone();
        thread::Builder::new()
            .name("ssh-agent".into())
            .spawn(move || forwarder.accept(&listener, &stopped))?;
        Ok(AgentForward { until, _stop: stop })
    }
}

/// A listener whose visitors talk to the client's agent; dropping it ends that.
#[derive(Debug)]
pub struct AgentForward {
    until: Cancellation,
    /// Its end wakes the thread that accepts.
    _stop: UnixStream,
}

impl Drop for AgentForward {
    fn drop(&mut self) {
        self.until.cancel();
    }
}

struct Forwarder {
    session: Arc<Session>,
    id: String,
    until: Cancellation,
    open: Arc<AtomicUsize>,
}

impl Forwarder {
    /// Accepts until the other end of `stopped` is closed.
    fn accept(&self, listener: &UnixListener, stopped: &UnixStream) {
        use rustix::event::{PollFd, PollFlags, poll};
        loop {
            let mut waiting = [PollFd::new(listener, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
            match poll(&mut waiting, None) {
                Ok(_) if !waiting[1].revents().is_empty() => return,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            }
            let Ok((visitor, _)) = listener.accept() else { return };
            if self.open.fetch_add(1, Ordering::Relaxed) >= MOST || self.connect(visitor).is_err() {
                self.open.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn connect(&self, visitor: UnixStream) -> io::Result<()> {
        let metadata = Metadata::new().with("buildkit.ssh.id", self.id.as_str());
        let Under { call, _hook: hook } =
            self.session.start(method::FORWARD_AGENT, metadata, &self.until).map_err(io::Error::other)?;
        let open = Arc::clone(&self.open);
        let work = move || {
            // How a visitor's talk ends is between it and the agent.
            let _ = tunnel::carry(visitor, call.inbound, call.outbound);
            drop(hook);
            open.fetch_sub(1, Ordering::Relaxed);
        };
        thread::Builder::new().name("ssh-agent".into()).spawn(work).map(|_| ())
    }
}
