//! The connection to one shim: requests out, answers back to who asked.

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::ContainerId;
use rustix::process::Signal;
use shim_protocol::{Answer, Command, Failure, FrameError, Reader, Request};

use super::ShimError;

/// The listening thread itself tells shims things, so it may not wait long for one that sleeps.
const TELL_PATIENCE: Duration = Duration::from_millis(100);

type Reply = Result<Answer, Failure>;

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: ContainerId,
    pub(super) token: u64,
    pub(super) socket: UnixStream,
    pub(super) reader: Mutex<Reader>,
    shim: Option<OwnedFd>,
    sending: Mutex<()>,
    next_request: AtomicU64,
    // None once the connection is closed: nobody is going to answer.
    pending: Mutex<Option<HashMap<u64, SyncSender<Reply>>>>,
    cgroup: Mutex<String>,
    /// The exit has been reported, or nobody wants to know.
    pub(super) done: AtomicBool,
    finished: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    pub(super) fn new(id: ContainerId, token: u64, socket: UnixStream, shim: Option<OwnedFd>) -> Self {
        Self {
            id,
            token,
            socket,
            reader: Mutex::default(),
            shim,
            sending: Mutex::default(),
            next_request: AtomicU64::new(1),
            pending: Mutex::new(Some(HashMap::new())),
            cgroup: Mutex::default(),
            done: AtomicBool::new(false),
            finished: AtomicBool::new(false),
        }
    }

    /// Sends a request and waits for its answer.
    pub(super) fn request(
        &self,
        command: Command,
        tail: &[u8],
        descriptors: &[BorrowedFd<'_>],
        patience: Duration,
    ) -> Result<Answer, ShimError> {
        let deadline = Instant::now() + patience;
        let request = Request { id: self.next_request.fetch_add(1, Ordering::Relaxed), command };
        let (sender, receiver) = sync_channel(1);
        match locked(&self.pending).as_mut() {
            Some(pending) => pending.insert(request.id, sender),
            None => return Err(self.gone()),
        };
        if let Err(error) = self.send(&request, tail, descriptors, deadline) {
            self.take_pending(request.id);
            return Err(match error {
                FrameError::Closed => self.gone(),
                FrameError::Deadline => ShimError::Deadline { id: self.id.to_string() },
                error => ShimError::Frame(error),
            });
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => Err(ShimError::Refused(failure)),
            Err(RecvTimeoutError::Disconnected) => Err(self.gone()),
            Err(RecvTimeoutError::Timeout) => {
                self.take_pending(request.id);
                Err(ShimError::Deadline { id: self.id.to_string() })
            }
        }
    }

    fn send(
        &self,
        request: &Request,
        tail: &[u8],
        descriptors: &[BorrowedFd<'_>],
        deadline: Instant,
    ) -> Result<(), FrameError> {
        let _sending = locked(&self.sending);
        let sent = shim_protocol::send(&self.socket, request, tail, descriptors, Some(deadline));
        if matches!(sent, Err(FrameError::Deadline | FrameError::Socket(_))) {
            // Half a frame may be out: what follows could not be understood. The shim takes a new connection.
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
        }
        sent
    }

    fn take_pending(&self, request: u64) -> Option<SyncSender<Reply>> {
        locked(&self.pending).as_mut()?.remove(&request)
    }

    fn gone(&self) -> ShimError {
        ShimError::Gone { id: self.id.to_string() }
    }

    /// An answer has come.
    pub(super) fn answered(&self, request: u64, reply: Reply) {
        if let Some(sender) = self.take_pending(request) {
            // Who asked may have given up.
            let _ = sender.try_send(reply);
        }
    }

    /// The connection is closed: everybody who waits learns it.
    pub(super) fn close(&self) {
        locked(&self.pending).take();
    }

    /// Lets the shim end.
    pub(super) fn finish(&self) {
        self.done.store(true, Ordering::Release);
        self.finished.store(true, Ordering::Release);
        if !self.tell(Command::Acknowledge) {
            self.kill_shim();
        }
    }

    /// Whether the shim has been let end.
    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Sends a request that is not answered; whether it got out.
    pub(super) fn tell(&self, command: Command) -> bool {
        let request = Request { id: 0, command };
        self.send(&request, &[], &[], Instant::now() + TELL_PATIENCE).is_ok()
    }

    /// Kills the shim (and with it the container).
    pub(super) fn kill_shim(&self) {
        if let Some(shim) = &self.shim {
            let _ = rustix::process::pidfd_send_signal(shim, Signal::KILL);
        }
    }

    pub(super) fn remember_cgroup(&self, path: String) {
        *locked(&self.cgroup) = path;
    }

    pub(super) fn cgroup(&self) -> String {
        locked(&self.cgroup).clone()
    }
}
