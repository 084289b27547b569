//! Waiting for a log to grow, to be turned, or to end.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

/// When following ends.
#[derive(Debug, Clone, Copy)]
pub struct Follow<'a> {
    /// Becomes readable or hung up when nothing more will be written (the container ended); what is there is read
    /// first. None follows for ever.
    pub ended: Option<BorrowedFd<'a>>,
    /// The client: when it hangs up, following ends at once.
    pub cancelled: Option<BorrowedFd<'a>>,
}

/// Why waiting is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    Changed,
    Ended,
    Cancelled,
}

/// A watch on the log's directory, which sees writes as well as renames.
pub(crate) struct Watch<'a> {
    events: Option<OwnedFd>,
    follow: &'a Follow<'a>,
}

/// How often the log is looked at where the machine has no inotify instance left.
const WITHOUT_EVENTS: Duration = Duration::from_millis(200);

impl<'a> Watch<'a> {
    pub(crate) fn new(path: &Path, follow: &'a Follow<'a>) -> Self {
        Self { events: watch_directory(path).ok(), follow }
    }

    /// Waits for a change; the end of the wanted time counts as the end.
    pub(crate) fn wait(&self, until: Option<i64>) -> Woken {
        let left = until.map(time_left);
        let mut timeout = left;
        if self.events.is_none() {
            timeout = Some(left.map_or(WITHOUT_EVENTS, |left| left.min(WITHOUT_EVENTS)));
        }
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let (changed, ended, cancelled) = self.ready(timeout.as_ref());
        if cancelled {
            return Woken::Cancelled;
        }
        if changed && let Some(events) = &self.events {
            let mut buffer = [0u8; 4096];
            let _ = rustix::io::read(events, &mut buffer[..]);
        }
        let over = left.is_some() && until.map(time_left) == Some(Duration::ZERO);
        if ended || over { Woken::Ended } else { Woken::Changed }
    }

    /// Which of events, end and client are ready.
    fn ready(&self, timeout: Option<&Timespec>) -> (bool, bool, bool) {
        let sources = [
            (self.events.as_ref().map(|events| events.as_fd()), PollFlags::IN),
            (self.follow.ended, PollFlags::IN),
            (self.follow.cancelled, PollFlags::RDHUP),
        ];
        let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(3);
        polled.extend(
            sources.iter().filter_map(|(fd, flags)| fd.map(|fd| PollFd::from_borrowed_fd(fd, *flags))),
        );
        if poll(&mut polled, timeout).is_err() {
            return (false, false, false);
        }
        let mut results = polled.iter().map(|one| !one.revents().is_empty());
        let mut ready = sources.iter().map(|(fd, _)| fd.is_some() && results.next().unwrap_or(false));
        let mut next = || ready.next().unwrap_or(false);
        (next(), next(), next())
    }
}

fn watch_directory(path: &Path) -> io::Result<OwnedFd> {
    let events = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE;
    add_watch(&events, directory, flags)?;
    Ok(events)
}

fn time_left(until: i64) -> Duration {
    let until = Duration::from_nanos(u64::try_from(until).unwrap_or(0));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    until.saturating_sub(now)
}
