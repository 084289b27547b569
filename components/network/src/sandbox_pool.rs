//! The thread that makes sandboxes, and the few that are kept ready.
//!
//! A namespace is made by a thread that moves into it, so one thread of our own does nothing else. It sleeps while the
//! wanted number is there. Whoever finds none ready waits for the next one.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use netlink::route::{RouteSocket, link};

use crate::sandbox::{PlugSettings, Sandbox, SandboxError, ended_thread, turn_ipv6_off};

#[derive(Debug)]
struct Order {
    plug: Option<PlugSettings>,
    answer: std::sync::mpsc::SyncSender<Result<Sandbox, SandboxError>>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Sandbox>,
    orders: VecDeque<Order>,
    waiting: usize,
    failure: Option<SandboxError>,
    /// A failed attempt is not repeated before somebody asks again.
    paused: bool,
    closed: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    made: Condvar,
    default_plug: Option<PlugSettings>,
    wanted: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ready sandboxes and their maker.
#[derive(Debug)]
pub(crate) struct SandboxPool {
    shared: Arc<Shared>,
    maker: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl SandboxPool {
    /// Starts the maker; it fills the pool in the background.
    pub(crate) fn start(default_plug: Option<PlugSettings>, wanted: usize) -> std::io::Result<Self> {
        let wanted = if default_plug.is_some() { wanted } else { 0 };
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            made: Condvar::new(),
            default_plug,
            wanted,
        });
        let for_maker = Arc::clone(&shared);
        let host: OwnedFd = std::fs::File::open("/proc/thread-self/ns/net")?.into();
        let maker = std::thread::Builder::new()
            .name("sandbox-maker".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || run(&for_maker, &host))?;
        Ok(Self { shared, maker: Mutex::new(Some(maker)) })
    }

    /// A sandbox plugged into the default bridge.
    pub(crate) fn take(&self) -> Result<Sandbox, SandboxError> {
        if self.shared.default_plug.is_none() {
            return self.order(None);
        }
        let mut state = self.shared.lock();
        state.paused = false;
        state.waiting += 1;
        let result = loop {
            if let Some(sandbox) = state.ready.pop_front() {
                break Ok(sandbox);
            }
            if let Some(error) = state.failure.take() {
                break Err(error);
            }
            if state.closed {
                break Err(ended_thread());
            }
            self.shared.work.notify_one();
            state = self.shared.made.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        state.waiting -= 1;
        // Whoever else waits deserves an attempt of their own after a failed one.
        state.paused &= state.waiting == 0;
        let urgent = state.ready.is_empty();
        drop(state);
        if urgent {
            self.refill();
        }
        result
    }

    /// Has the maker fill up what was taken.
    pub(crate) fn refill(&self) {
        self.shared.work.notify_one();
    }

    /// A sandbox made to order: bare, or plugged in as wished.
    pub(crate) fn order(&self, plug: Option<PlugSettings>) -> Result<Sandbox, SandboxError> {
        let (answer, result) = std::sync::mpsc::sync_channel(1);
        let mut state = self.shared.lock();
        if state.closed {
            return Err(ended_thread());
        }
        state.orders.push_back(Order { plug, answer });
        drop(state);
        self.shared.work.notify_one();
        result.recv().unwrap_or_else(|_| Err(ended_thread()))
    }

    /// Ends the maker and drops what was ready.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let ready = std::mem::take(&mut state.ready);
        state.orders.clear();
        drop(state);
        drop(ready);
        self.shared.work.notify_all();
        self.shared.made.notify_all();
        let maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(maker) = maker {
            let _ = maker.join();
        }
    }
}

impl Drop for SandboxPool {
    fn drop(&mut self) {
        self.close();
    }
}

enum Task {
    Order(Order),
    Refill,
    End,
}

fn next_task(shared: &Shared) -> Task {
    let mut state = shared.lock();
    loop {
        if state.closed {
            return Task::End;
        }
        if let Some(order) = state.orders.pop_front() {
            return Task::Order(order);
        }
        if !state.paused && state.ready.len() < shared.wanted.max(state.waiting) {
            return Task::Refill;
        }
        state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

fn run(shared: &Shared, host_namespace: &OwnedFd) {
    // Opened before the first move, so it stays with the host's namespace.
    let mut host = RouteSocket::open().ok();
    loop {
        match next_task(shared) {
            Task::End => break,
            Task::Order(order) => {
                let _ = order.answer.send(make(host.as_mut(), order.plug.as_ref()));
            }
            Task::Refill => {
                let result = make(host.as_mut(), shared.default_plug.as_ref());
                let mut state = shared.lock();
                match result {
                    Ok(sandbox) => state.ready.push_back(sandbox),
                    Err(error) => {
                        state.failure = (state.waiting > 0).then_some(error);
                        state.paused = true;
                    }
                }
                shared.made.notify_one();
            }
        }
        leave(host_namespace);
    }
}

/// Back to the host's namespace: an idle maker must not keep the last sandbox's alive.
fn leave(host_namespace: &OwnedFd) {
    let _ = rustix::thread::move_into_link_name_space(
        host_namespace.as_fd(),
        Some(rustix::thread::LinkNameSpaceType::Network),
    );
}

fn make(host: Option<&mut RouteSocket>, plug: Option<&PlugSettings>) -> Result<Sandbox, SandboxError> {
    let sandbox = Sandbox::make_on_this_thread()?;
    if let (Some(settings), Some(host)) = (plug, host) {
        let made = sandbox.plug_in(host, settings, "eth0")?;
        if !settings.ipv6 {
            turn_ipv6_off("eth0");
        }
        // Up already: the carrier's news travel slowly, and the address can be changed on a running veth.
        sandbox.routes().execute(&[link::up(made.index)])?;
        sandbox.set_ready(made);
    }
    Ok(sandbox)
}
