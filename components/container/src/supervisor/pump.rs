//! The thread that listens to all shims.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{ContainerId, Timestamp};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use shim_protocol::{Command, Event, Exit, FrameError, ShimMessage};

use super::link::Link;
use super::spawn::{Remembered, ShimProcess};
use super::{Links, Shared, ShimError, ShimEvent};

const WAKE_TOKEN: u64 = 0;
/// Set in the token of a shim's process, clear in that of its connection.
const PROCESS_BIT: u64 = 1 << 63;
const BATCH: usize = 32;
/// The exit code of a container whose shim was killed.
const LOST_CODE: i32 = 137;

/// Starts the thread.
pub(super) fn start(shared: Arc<Shared>) -> Result<(), ShimError> {
    add(&shared, shared.wake.as_fd(), WAKE_TOKEN)?;
    std::thread::Builder::new()
        .name("shims".to_owned())
        .stack_size(256 << 10)
        .spawn(move || listen(&shared))
        .map(|_| ())
        .map_err(ShimError::Spawn)
}

/// Adds a connection, and the shim's process when it is our child.
pub(super) fn watch(
    shared: &Shared,
    id: &ContainerId,
    socket: UnixStream,
    process: Option<ShimProcess>,
) -> Result<Arc<Link>, ShimError> {
    socket.set_nonblocking(true).map_err(ShimError::Spawn)?;
    let pidfd = match &process {
        Some(process) => Some(process.pidfd.try_clone().map_err(ShimError::Spawn)?),
        None => peer_pidfd(&socket),
    };
    let mut links = shared.links();
    if links.by_container.contains_key(id) {
        return Err(ShimError::Exists { id: id.to_string() });
    }
    links.next_token += 1;
    let token = links.next_token;
    let link = Arc::new(Link::new(id.clone(), token, socket, pidfd));
    links.by_container.insert(id.clone(), Arc::clone(&link));
    links.by_token.insert(token, Arc::clone(&link));
    if let Some(process) = process {
        add(shared, process.pidfd.as_fd(), token | PROCESS_BIT)?;
        links.children.insert(token, process);
    }
    drop(links);
    add(shared, link.socket.as_fd(), token)?;
    Ok(link)
}

/// The process at the other end, as it was when it began to listen.
fn peer_pidfd(socket: &UnixStream) -> Option<OwnedFd> {
    let peer = rustix::net::sockopt::socket_peercred(socket).ok()?;
    rustix::process::pidfd_open(peer.pid, rustix::process::PidfdFlags::empty()).ok()
}

fn add(shared: &Shared, descriptor: impl AsFd, token: u64) -> Result<(), ShimError> {
    epoll::add(&shared.epoll, descriptor, EventData::new_u64(token), EventFlags::IN).map_err(ShimError::Watch)
}

fn listen(shared: &Arc<Shared>) {
    let mut events = Vec::with_capacity(BATCH);
    loop {
        events.clear();
        match epoll::wait(&shared.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        for event in &events {
            let token = event.data.u64();
            if token == WAKE_TOKEN {
                if shared.links().closing {
                    return;
                }
            } else if token & PROCESS_BIT != 0 {
                collect(shared, token & !PROCESS_BIT);
            } else {
                let link = shared.links().by_token.get(&token).map(Arc::clone);
                if let Some(link) = link {
                    read(shared, &link);
                }
            }
        }
    }
}

fn collect(shared: &Shared, token: u64) {
    let mut links = shared.links();
    if links.children.get(&token).is_some_and(ShimProcess::collect)
        && let Some(process) = links.children.remove(&token)
    {
        let _ = epoll::delete(&shared.epoll, &process.pidfd);
    }
}

fn read(shared: &Arc<Shared>, link: &Arc<Link>) {
    loop {
        let frame = {
            let mut reader = link.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match reader.next_frame() {
                Ok(Some(frame)) => Ok(frame),
                Ok(None) => match reader.fill(&link.socket) {
                    Ok(true) => continue,
                    Ok(false) => return,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            }
        };
        match frame.and_then(|frame| frame.parse::<ShimMessage>()) {
            Ok(message) => deliver(shared, link, message),
            Err(error) => return disconnected(shared, link, &error),
        }
    }
}

fn deliver(shared: &Shared, link: &Link, message: ShimMessage) {
    match message {
        ShimMessage::Answer { id, result } => link.answered(id, result),
        ShimMessage::Event(event) => {
            if matches!(event, Event::Exited(_)) && link.done.swap(true, Ordering::AcqRel) {
                return;
            }
            let ended_exec = match &event {
                Event::ExecExited { id, .. } => Some(id.clone()),
                _ => None,
            };
            (shared.on_event)(&link.id, ShimEvent::Said(event));
            if let Some(id) = ended_exec {
                // The engine knows the exit code now, so the exec's client may see its stream end.
                link.tell(Command::ExecCollected { id });
            }
        }
    }
}

impl Links {
    fn remove(&mut self, link: &Link) {
        self.by_token.remove(&link.token);
        if self.by_container.get(&link.id).is_some_and(|known| known.token == link.token) {
            self.by_container.remove(&link.id);
        }
    }
}

/// The shim has closed the connection (it ended or was killed), or talks nonsense.
fn disconnected(shared: &Arc<Shared>, link: &Arc<Link>, error: &FrameError) {
    let _ = epoll::delete(&shared.epoll, &link.socket);
    shared.links().remove(link);
    shared.unlinked.notify_all();
    if !matches!(error, FrameError::Closed) {
        link.kill_shim();
    }
    if link.done.swap(true, Ordering::AcqRel) {
        return link.close();
    }
    match super::recover::read_exit(&shared.directory(&link.id)) {
        Some(exit) => {
            (shared.on_event)(&link.id, ShimEvent::Said(Event::Exited(exit)));
            link.close();
        }
        None => {
            // Emptying a cgroup can take a while; other shims are listened to meanwhile.
            let (shared, link) = (Arc::clone(shared), Arc::clone(link));
            let thread = std::thread::Builder::new().name("lost-shim".to_owned());
            let _ = thread.spawn(move || lost(&shared, &link));
        }
    }
}

/// The shim was killed. Requests still waiting fail after the event is out, so that nobody acts on a container thought
/// alive.
fn lost(shared: &Shared, link: &Link) {
    super::recover::empty(&Remembered { cgroup: link.cgroup() });
    (shared.on_event)(&link.id, ShimEvent::Lost(lost_now()));
    link.close();
}

/// The end of a container whose shim is gone.
pub(super) fn lost_now() -> Exit {
    Exit { code: LOST_CODE, signal: Some(9), oom_killed: false, at: Timestamp::now() }
}
