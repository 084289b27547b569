//! Waiting for a process in the foreground: signals passed on, its terminal joined to the caller's.

use std::os::fd::{AsFd, OwnedFd};

use linux::event::Signals;
use linux::terminal::Raw;
use linux::{Errno, SysResult};
use rustix::event::{PollFd, PollFlags, poll};

use crate::failure::Result;

const CHILD_ENDED: i32 = 17;
const WINDOW_CHANGED: i32 = 28;
/// Signals that are about this process itself: faults, and those that cannot be passed on.
const OWN: [i32; 10] = [4, 5, 6, 7, 8, 9, 11, 19, 31, 23];

/// All signals that are passed on, as a stream. Called before the process is made, so that none is lost.
pub(super) fn signals() -> Result<Signals> {
    let numbers: Vec<i32> = (1..=64).filter(|number| !OWN.contains(number)).collect();
    Ok(Signals::new(&numbers)?)
}

/// Waits for the end; the exit code is the process's, or 128 and its signal's number.
pub(super) fn wait(signals: &Signals, process: &OwnedFd, pid: i32, terminal: Option<OwnedFd>) -> Result<i32> {
    let mut copy = terminal.map(Copy::new);
    if let Some(copy) = &copy {
        copy.resize();
    }
    loop {
        let mut interest = vec![PollFd::new(signals, PollFlags::IN)];
        if let Some(copy) = &copy {
            interest.extend(copy.interest());
        }
        match poll(&mut interest, None) {
            Err(Errno::INTR) => continue,
            result => result?,
        };
        let ready: Vec<bool> = interest.iter().skip(1).map(|one| !one.revents().is_empty()).collect();
        drop(interest);
        if let Some(copy) = &mut copy {
            copy.step(&ready);
        }
        while let Some(arrived) = signals.next()? {
            match (arrived.number, &copy) {
                (CHILD_ENDED, _) => {}
                (WINDOW_CHANGED, Some(copy)) => copy.resize(),
                (number, _) => drop(linux::pidfd::send_signal(process.as_fd(), number)),
            }
        }
        while let Ok(Some((ended, exit))) = linux::process::reap_any() {
            if ended == pid {
                if let Some(copy) = &mut copy {
                    copy.drain();
                }
                return Ok(exit.shell_code());
            }
        }
    }
}

/// The caller's terminal joined to the process's.
struct Copy {
    master: OwnedFd,
    raw: Option<Raw<rustix::fd::BorrowedFd<'static>>>,
    input: bool,
    output: bool,
}

impl Copy {
    fn new(master: OwnedFd) -> Self {
        Self { master, raw: Raw::new(rustix::stdio::stdin()).ok(), input: true, output: true }
    }

    fn resize(&self) {
        if self.raw.is_some()
            && let Ok((rows, columns)) = linux::terminal::size(rustix::stdio::stdin())
        {
            let _ = linux::terminal::resize(&self.master, rows, columns);
        }
    }

    /// The process's output first, then the caller's input; a closed one is not asked again.
    fn interest(&self) -> Vec<PollFd<'_>> {
        let wanted = |on| if on { PollFlags::IN } else { PollFlags::empty() };
        let mut interest = vec![PollFd::new(&self.master, wanted(self.output))];
        if self.input {
            interest.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
        }
        interest
    }

    fn step(&mut self, ready: &[bool]) {
        if ready.first() == Some(&true) && self.output {
            self.output = pump(self.master.as_fd(), rustix::stdio::stdout()) == Ok(true);
        }
        if ready.get(1) == Some(&true) {
            self.input = pump(rustix::stdio::stdin(), self.master.as_fd()) == Ok(true);
        }
    }

    /// What the process has printed before it ended.
    fn drain(&mut self) {
        let waiting = || linux::event::readable_bytes(&self.master).unwrap_or(0) > 0;
        while self.output && waiting() {
            self.output = pump(self.master.as_fd(), rustix::stdio::stdout()) == Ok(true);
        }
    }
}

/// Copies what is there; false at the end.
fn pump(from: impl AsFd, to: impl AsFd) -> SysResult<bool> {
    let mut buffer = [0; 4096];
    let length = rustix::io::read(from, &mut buffer)?;
    let mut rest = buffer.get(..length).unwrap_or_default();
    while !rest.is_empty() {
        let written = rustix::io::write(&to, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(length > 0)
}
