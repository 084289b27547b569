//! Who waits for a container's end, and how they are told.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::pipe::PipeFlags;

use crate::State;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// Not running: true at once for a container that does not run.
    NotRunning,
    /// The next end, also when it does not run now.
    NextExit,
    /// The removal.
    Removed,
}

impl WaitCondition {
    /// From the API's word; the empty one is `not-running`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "" | "not-running" => Some(Self::NotRunning),
            "next-exit" => Some(Self::NextExit),
            "removed" => Some(Self::Removed),
            _ => None,
        }
    }
}

/// What a waiter is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitResult {
    /// The exit code.
    pub exit_code: i32,
    /// Why the container could not be run or removed, if it was that.
    pub error: Option<String>,
}

#[derive(Debug, Default)]
struct Slot {
    result: Mutex<Option<WaitResult>>,
    filled: Condvar,
    // Closed when the result is there, which makes its other end readable.
    signal: Mutex<Option<OwnedFd>>,
}

impl Slot {
    fn fill(&self, told: WaitResult) {
        *locked(&self.result) = Some(told);
        self.filled.notify_all();
        locked(&self.signal).take();
    }
}

/// The waiters of one container.
#[derive(Debug, Default)]
pub struct WaitRegistry {
    waiters: Mutex<Vec<(WaitCondition, Arc<Slot>)>>,
    // Made readable at the next end; the other end is in the reader's hands.
    signals: Mutex<Vec<OwnedFd>>,
}

/// One registered waiter.
#[derive(Debug)]
pub struct Waiter {
    slot: Arc<Slot>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WaitRegistry {
    /// Registers a waiter. `state` and `last_exit_code` must be read while no transition can happen, or be re-checked by
    /// the caller: [`crate::Container::wait`] does it right.
    pub fn register(&self, condition: WaitCondition, state: &State, last_exit_code: i32) -> Waiter {
        let slot = Arc::new(Slot::default());
        if condition == WaitCondition::NotRunning && !state.is_running() {
            *locked(&slot.result) = Some(WaitResult { exit_code: last_exit_code, error: None });
        } else {
            locked(&self.waiters).push((condition, Arc::clone(&slot)));
        }
        Waiter { slot }
    }

    /// A descriptor that becomes readable at the container's next end; at once when it does not run. For readers that
    /// wait for descriptors, such as log followers.
    ///
    /// # Errors
    /// When the machine has no descriptor left.
    pub fn end_descriptor(&self, state: &State) -> io::Result<OwnedFd> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        if state.has_process() {
            let mut signals = locked(&self.signals);
            // A reader that has gone is forgotten when the next one comes.
            signals.retain(|signal| !is_abandoned(signal));
            signals.push(writer);
        }
        Ok(reader)
    }

    /// The container ended (and is not going to be restarted by its policy, or is: `next-exit` waiters hear of each end).
    pub fn exited(&self, result: &WaitResult, restarting: bool) {
        // Closing a pipe's writing end makes the other one readable for ever.
        locked(&self.signals).clear();
        self.tell(result, |condition| match condition {
            WaitCondition::NextExit => true,
            WaitCondition::NotRunning => !restarting,
            WaitCondition::Removed => false,
        });
    }

    /// The container is gone.
    pub fn removed(&self, result: &WaitResult) {
        locked(&self.signals).clear();
        self.tell(result, |_| true);
    }

    fn tell(&self, result: &WaitResult, concerned: impl Fn(WaitCondition) -> bool) {
        locked(&self.waiters).retain(|(condition, slot)| {
            if concerned(*condition) {
                slot.fill(result.clone());
                return false;
            }
            // The only other reference is the waiter's: without it nobody listens any more.
            Arc::strong_count(slot) > 1
        });
    }
}

/// Whether nobody holds a pipe's reading end any more.
fn is_abandoned(writer: &OwnedFd) -> bool {
    let mut waits = [PollFd::new(writer, PollFlags::empty())];
    let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut waits, Some(&now)), Ok(1..))
}

impl Waiter {
    /// Blocks until told.
    pub fn wait(&self) -> WaitResult {
        let mut result = locked(&self.slot.result);
        loop {
            match &*result {
                Some(result) => return result.clone(),
                None => result = self.slot.filled.wait(result).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// A descriptor that becomes readable when the waiter is told, to wait for it together with a client's socket.
    ///
    /// # Errors
    /// When the machine has no descriptor left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let result = locked(&self.slot.result);
        if result.is_none() {
            *locked(&self.slot.signal) = Some(writer);
        }
        Ok(reader)
    }

    /// Blocks until told, at most so long (callers look between two waits whether their client is still there).
    pub fn wait_timeout(&self, timeout: Duration) -> Option<WaitResult> {
        let deadline = Instant::now().checked_add(timeout);
        let mut result = locked(&self.slot.result);
        while result.is_none() {
            let left = deadline?.checked_duration_since(Instant::now())?;
            let waited = self.slot.filled.wait_timeout(result, left);
            result = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        result.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: State = State::Running { pid: 1 };

    fn told(waiter: &Waiter) -> Option<i32> {
        waiter.wait_timeout(Duration::ZERO).map(|result| result.exit_code)
    }

    fn result(exit_code: i32) -> WaitResult {
        WaitResult { exit_code, error: None }
    }

    #[test]
    fn each_condition_hears_its_own() {
        let registry = WaitRegistry::default();
        let at_once = registry.register(WaitCondition::NotRunning, &State::Created, 0);
        assert_eq!(told(&at_once), Some(0));
        let not_running = registry.register(WaitCondition::NotRunning, &RUNNING, 0);
        let next_exit = registry.register(WaitCondition::NextExit, &State::Created, 0);
        let removed = registry.register(WaitCondition::Removed, &State::Exited, 0);
        registry.exited(&result(3), true);
        assert_eq!([told(&not_running), told(&next_exit), told(&removed)], [None, Some(3), None]);
        registry.exited(&result(4), false);
        assert_eq!([told(&not_running), told(&next_exit), told(&removed)], [Some(4), Some(3), None]);
        registry.removed(&result(5));
        assert_eq!(told(&removed), Some(5));
    }

    #[test]
    fn descriptors_become_readable_at_the_end() {
        let registry = WaitRegistry::default();
        let readable = |descriptor: &OwnedFd| {
            let mut waits = [PollFd::new(descriptor, PollFlags::IN)];
            let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
            rustix::event::poll(&mut waits, Some(&now)).unwrap() > 0
        };
        assert!(readable(&registry.end_descriptor(&State::Exited).unwrap()));
        let waiter = registry.register(WaitCondition::NextExit, &RUNNING, 0);
        let told = waiter.descriptor().unwrap();
        assert!(!readable(&told));
        drop(registry.end_descriptor(&RUNNING).unwrap());
        let descriptor = registry.end_descriptor(&RUNNING).unwrap();
        assert_eq!(locked(&registry.signals).len(), 1);
        assert!(!readable(&descriptor));
        registry.exited(&result(0), true);
        assert!(readable(&descriptor) && readable(&told) && readable(&waiter.descriptor().unwrap()));
    }

    #[test]
    fn a_sleeping_waiter_is_woken_and_a_gone_one_forgotten() {
        let registry = Arc::new(WaitRegistry::default());
        let waiter = registry.register(WaitCondition::NextExit, &RUNNING, 0);
        drop(registry.register(WaitCondition::Removed, &RUNNING, 0));
        let teller = Arc::clone(&registry);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            teller.exited(&result(7), false);
        });
        assert_eq!(waiter.wait().exit_code, 7);
        thread.join().unwrap();
        assert!(locked(&registry.waiters).is_empty());
    }
}
