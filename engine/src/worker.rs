//! Background work: threads that appear when there is something to do and sleep without a clock when there is not.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Something to do.
pub type Job = Box<dyn FnOnce() + Send>;

/// Threads at most; a thousand exits at once are worked off by these.
const MOST_THREADS: usize = 8;
/// Threads that stay when nothing is to do.
const KEPT_THREADS: usize = 2;

/// Runs jobs now or later.
#[derive(Clone, Default)]
pub struct Worker {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    clock: Mutex<Clock>,
    tick: Condvar,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    sleeping: usize,
    closing: bool,
}

#[derive(Default)]
struct Clock {
    due: BinaryHeap<Reverse<Due>>,
    running: bool,
    next: u64,
    closing: bool,
}

struct Due {
    at: Instant,
    order: u64,
    job: Job,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Worker")
    }
}

impl Worker {
    /// Has a job done soon.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.shared.state);
        if state.closing {
            return;
        }
        state.jobs.push_back(Box::new(job));
        if state.sleeping >= state.jobs.len() {
            self.shared.wake.notify_one();
        } else if state.threads < MOST_THREADS {
            state.threads += 1;
            let shared = Arc::clone(&self.shared);
            let started =
                std::thread::Builder::new().name("engine-worker".to_owned()).spawn(move || work(&shared));
            if started.is_err() {
                // Another thread takes the job when it is done with its own; without one the job waits for the next call.
                state.threads -= 1;
            }
        }
    }

    /// Has a job done after a while.
    pub fn run_after(&self, delay: Duration, job: impl FnOnce() + Send + 'static) {
        let mut clock = lock(&self.shared.clock);
        if clock.closing {
            return;
        }
        let order = clock.next;
        clock.next += 1;
        clock.due.push(Reverse(Due { at: Instant::now() + delay, order, job: Box::new(job) }));
        if clock.running {
            self.shared.tick.notify_one();
            return;
        }
        let worker = self.clone();
        let started =
            std::thread::Builder::new().name("engine-clock".to_owned()).spawn(move || worker.keep_time());
        clock.running = started.is_ok();
    }

    fn keep_time(&self) {
        let mut clock = lock(&self.shared.clock);
        while !clock.closing {
            let now = Instant::now();
            clock = match clock.due.peek().map(|next| next.0.at) {
                None => self.shared.tick.wait(clock).unwrap_or_else(PoisonError::into_inner),
                Some(at) if at > now => {
                    self.shared.tick.wait_timeout(clock, at - now).unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    if let Some(Reverse(due)) = clock.due.pop() {
                        self.run(due.job);
                    }
                    clock
                }
            };
        }
        clock.running = false;
    }

    /// Waits until nothing is to do now (jobs for later do not count), at most so long.
    pub fn settle(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.shared.state);
        while !(state.jobs.is_empty() && state.sleeping == state.threads) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            state = self.shared.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes no more jobs and lets the threads end.
    pub fn close(&self) {
        lock(&self.shared.state).closing = true;
        self.shared.wake.notify_all();
        let mut clock = lock(&self.shared.clock);
        clock.closing = true;
        clock.due.clear();
        self.shared.tick.notify_all();
    }
}

fn work(shared: &Shared) {
    let mut state = lock(&shared.state);
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            job();
            state = lock(&shared.state);
            continue;
        }
        if state.closing || state.threads > KEPT_THREADS {
            state.threads -= 1;
            shared.idle.notify_all();
            return;
        }
        state.sleeping += 1;
        shared.idle.notify_all();
        state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.sleeping -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_now_and_later_in_order() {
        let worker = Worker::default();
        let (sender, receiver) = mpsc::channel();
        for (delay, name) in [(30, "later"), (10, "sooner")] {
            let sender = sender.clone();
            worker.run_after(Duration::from_millis(delay), move || sender.send(name).unwrap());
        }
        for _ in 0..50 {
            let sender = sender.clone();
            worker.run(move || sender.send("now").unwrap());
        }
        drop(sender);
        worker.settle(Duration::from_secs(5));
        let order: Vec<&str> = receiver.iter().collect();
        assert_eq!(order.iter().filter(|name| **name == "now").count(), 50);
        assert_eq!(order[order.len() - 1], "later");
        worker.close();
    }
}
