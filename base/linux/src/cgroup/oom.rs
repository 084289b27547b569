//! Learning that the kernel ran a group out of memory.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fs::{Mode, OFlags, openat};

use super::statistics::field;
use super::{Cgroup, Error, Layout, Result};

/// A descriptor that becomes ready when the group runs out of memory.
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
    unified: bool,
}

impl OomWatch {
    /// What to wait for: `IN` on version 1, `PRI` on version 2.
    pub fn interest(&self) -> PollFlags {
        if self.unified { PollFlags::PRI } else { PollFlags::IN }
    }

    /// Clears the readiness and says whether the group ran out of memory. Readiness also comes when the group is
    /// removed, or when another memory event happened: then it is false.
    pub fn acknowledge(&self, group: &Cgroup) -> bool {
        if self.unified {
            let mut text = [0u8; 512];
            let length = rustix::io::pread(&self.fd, &mut text[..], 0).unwrap_or(0);
            let text = std::str::from_utf8(&text[..length]).unwrap_or_default();
            return field(text, "oom_kill") > 0 || field(text, "oom") > 0;
        }
        let mut count = [0u8; 8];
        let signalled = rustix::io::read(&self.fd, &mut count[..]).is_ok();
        signalled
            && group
                .directory("memory")
                .is_some_and(|directory| directory.text("memory.oom_control").is_some())
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Cgroup {
    /// A watch for out-of-memory events of this group; nothing where the memory controller is missing.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>> {
        let Some(directory) = self.directory("memory") else { return Ok(None) };
        let unified = self.layout == Layout::Unified;
        let file = if unified { "memory.events" } else { "memory.oom_control" };
        let read_error = |source: rustix::io::Errno| Error::Read {
            file: file.into(),
            path: directory.path.clone(),
            source: source.into(),
        };
        let events = match openat(&directory.fd, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(events) => events,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(read_error(error)),
        };
        if unified {
            return Ok(Some(OomWatch { fd: events, unified }));
        }
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(read_error)?;
        directory.write("cgroup.event_control", &format!("{} {}", fd.as_raw_fd(), events.as_raw_fd()))?;
        Ok(Some(OomWatch { fd, unified }))
    }

    /// How many processes the kernel has killed in this group for lack of memory so far.
    pub fn oom_kills(&self) -> u64 {
        let file = if self.layout == Layout::Unified { "memory.events" } else { "memory.oom_control" };
        let text = self.directory("memory").and_then(|directory| directory.text(file));
        text.map(|text| field(&text, "oom_kill")).unwrap_or(0)
    }
}
