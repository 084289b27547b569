//! Chance that is the same in every run, and death at a random moment.

use std::time::Duration;

use rustix::process::Signal;

/// A small generator of random numbers, the same for the same seed (which is not 0).
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// kill -9 of a process at a moment to come.
pub struct Killer(std::thread::JoinHandle<()>);

impl Killer {
    /// Kills a process the test started, after so long.
    pub fn of(pid: u32, moment: Duration) -> Self {
        Self(std::thread::spawn(move || {
            std::thread::sleep(moment);
            crate::engine::signal(pid, Signal::KILL);
        }))
    }

    /// Whether it is done.
    pub fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits until it is done.
    pub fn wait(self) {
        self.0.join().expect("the killer");
    }
}
