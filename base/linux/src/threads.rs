//! Threads that are used again: a new one costs a tenth of a millisecond, and begins with cold memory.

use std::ffi::CStr;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What a thread is called while it waits for its next job.
pub const SPARE: &CStr = c"spare";

/// Something to do.
type Job = Box<dyn FnOnce() + Send>;

/// Threads of one kind. Each job has one at once, however many there are; a few stay for the next job, and sleep without a
/// clock until then.
#[derive(Debug)]
pub struct Threads {
    name: &'static CStr,
    stack: usize,
    kept: usize,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    /// Each is somebody's who waits.
    jobs: Vec<Job>,
    waiting: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "State({} of {} wanted)", self.jobs.len(), self.waiting)
    }
}

impl Threads {
    /// Threads with a name and a stack, bytes (only touched pages count), of which some stay when nothing is to do.
    pub const fn new(name: &'static CStr, stack: usize, kept: usize) -> Self {
        let state = Mutex::new(State { jobs: Vec::new(), waiting: 0 });
        Self { name, stack, kept, state, wake: Condvar::new() }
    }

    /// Has a job done now. It must leave its thread as it found it: namespaces, priorities and the like stay.
    ///
    /// # Errors
    /// When no thread is to be had; the job is dropped then.
    pub fn run(&'static self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let job: Job = Box::new(job);
        let mut state = self.lock();
        if state.waiting > state.jobs.len() {
            state.jobs.push(job);
            drop(state);
            self.wake.notify_one();
            return Ok(());
        }
        drop(state);
        let name = self.name.to_string_lossy().into_owned();
        let builder = std::thread::Builder::new().name(name).stack_size(self.stack);
        builder.spawn(move || self.work(job)).map(drop)
    }

    fn work(&self, first: Job) {
        // One that panics takes its thread along, and nothing else.
        first();
        let mut state = self.lock();
        while state.waiting < self.kept {
            state.waiting += 1;
            // Whoever looks at the threads of a process sees what they are for; nothing else depends on it.
            let _ = crate::process::set_name(SPARE);
            let job = loop {
                match state.jobs.pop() {
                    Some(job) => break job,
                    None => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            state.waiting -= 1;
            drop(state);
            let _ = crate::process::set_name(self.name);
            job();
            state = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    fn wait_until(what: impl Fn() -> bool) {
        for _ in 0..2000 {
            if what() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it takes too long");
    }

    #[test]
    fn threads_serve_again_and_a_few_stay() {
        static THREADS: Threads = Threads::new(c"again", 256 << 10, 2);
        let mut seen = HashSet::new();
        for _ in 0..20 {
            let (told, heard) = channel();
            THREADS.run(move || told.send(std::thread::current().id()).unwrap()).unwrap();
            seen.insert(heard.recv().unwrap());
            wait_until(|| THREADS.lock().waiting > 0);
        }
        assert_eq!(seen.len(), 1, "one after the other needs one thread");
        // Jobs that wait for each other: each has a thread.
        let (meet, told) = (std::sync::Arc::new(std::sync::Barrier::new(9)), channel());
        for _ in 0..8 {
            let (meet, told) = (std::sync::Arc::clone(&meet), told.0.clone());
            THREADS
                .run(move || {
                    meet.wait();
                    told.send(()).unwrap();
                })
                .unwrap();
        }
        meet.wait();
        (0..8).for_each(|_| told.1.recv_timeout(Duration::from_secs(20)).unwrap());
        wait_until(|| THREADS.lock().waiting == 2);
        for _ in 0..10 {
            THREADS.run(|| panic!("on purpose")).unwrap();
            let (told, heard) = channel();
            THREADS.run(move || told.send(()).unwrap()).unwrap();
            heard.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        wait_until(|| THREADS.lock().jobs.is_empty());
    }
}
