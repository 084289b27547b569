//! What the loop waits for: descriptors, each with a token that says whose it is.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

/// Whose descriptor is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A child ended, or somebody wants the shim to end.
    Signals,
    /// An engine connects.
    Listener,
    /// The engine speaks or has gone.
    Engine,
    /// The container ran out of memory.
    OutOfMemory,
    /// A process has written: its number, and 0 for standard output, 1 for standard error.
    Output(u32, u8),
    /// A process's standard input takes more.
    Input(u32),
    /// A client speaks, takes more or has gone.
    Client(u32),
}

impl Token {
    fn encode(self) -> EventData {
        let (kind, index, stream) = match self {
            Self::Signals => (0, 0, 0),
            Self::Listener => (1, 0, 0),
            Self::Engine => (2, 0, 0),
            Self::OutOfMemory => (3, 0, 0),
            Self::Output(index, stream) => (4, index, stream),
            Self::Input(index) => (5, index, 0),
            Self::Client(index) => (6, index, 0),
        };
        EventData::new_u64(kind << 40 | u64::from(stream) << 32 | u64::from(index))
    }

    fn decode(data: EventData) -> Option<Self> {
        let data = data.u64();
        let index = u32::try_from(data & u64::from(u32::MAX)).ok()?;
        let stream = u8::try_from(data >> 32 & 0xff).ok()?;
        Some(match data >> 40 {
            0 => Self::Signals,
            1 => Self::Listener,
            2 => Self::Engine,
            3 => Self::OutOfMemory,
            4 => Self::Output(index, stream),
            5 => Self::Input(index),
            6 => Self::Client(index),
            _ => return None,
        })
    }
}

/// The epoll instance.
#[derive(Debug)]
pub(crate) struct Watch {
    epoll: OwnedFd,
}

/// Events taken at once; more wait for the next round.
pub(crate) const BATCH: usize = 16;

impl Watch {
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    pub(crate) fn add(&self, descriptor: impl AsFd, token: Token, flags: EventFlags) -> Result<(), Errno> {
        epoll::add(&self.epoll, descriptor, token.encode(), flags)
    }

    pub(crate) fn change(&self, descriptor: impl AsFd, token: Token, flags: EventFlags) {
        let _ = epoll::modify(&self.epoll, descriptor, token.encode(), flags);
    }

    pub(crate) fn remove(&self, descriptor: impl AsFd) {
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Waits; how many tokens were filled in. None of them may be about a number that was given away meanwhile: the
    /// caller looks each one up.
    pub(crate) fn wait(
        &self,
        ready: &mut [(Option<Token>, EventFlags); BATCH],
        timeout: Option<std::time::Duration>,
    ) -> usize {
        let timeout = timeout.and_then(|timeout| rustix::time::Timespec::try_from(timeout).ok());
        let mut events = [epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; BATCH];
        let count = epoll::wait(&self.epoll, &mut events[..], timeout.as_ref()).unwrap_or(0);
        for (slot, event) in ready.iter_mut().zip(&events[..count]) {
            *slot = (Token::decode(event.data), event.flags);
        }
        count
    }
}
