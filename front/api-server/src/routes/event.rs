//! The stream of events.

use std::io::Write;
use std::os::fd::AsFd;

use engine::event::EventFilter;
use model::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::call::{Call, encode};
use crate::failure::Failure;
use crate::shape;

/// `GET /events`: what was since a time, then what comes, until a time or for ever.
pub(crate) fn events(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let since = call.query.time("since")?;
    let until = call.query.time("until")?;
    let filter = EventFilter::new(call.query.filters()?)?;
    let version = call.version;
    let (content_type, separated) = shape::event_content_type(call.exchange.head.header("accept"), version);
    let subscription = call.engine.events().subscribe(filter, since)?;
    let mut output = call.stream(content_type)?;
    let client = output.socket();
    loop {
        while let Some(event) = subscription.try_next() {
            if until.is_some_and(|until| event.time > until) {
                return Ok(output.finish()?);
            }
            if let Some(document) = shape::event(&event, version) {
                let mut record = if separated { vec![0x1e] } else { Vec::new() };
                record.extend(encode(&document)?);
                output.write_all(&record)?;
            }
        }
        if !wait(&subscription, client, until) {
            return Ok(output.finish()?);
        }
    }
}

/// Sleeps until there is an event; `false` when the client has gone or the time is over.
fn wait(events: impl AsFd, client: impl AsFd, until: Option<Timestamp>) -> bool {
    loop {
        let left = until.map(|until| until.since(Timestamp::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let mut polled = [
            PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(client.as_fd(), PollFlags::RDHUP),
        ];
        match poll(&mut polled, timeout.as_ref()) {
            Ok(0) => return false,
            Ok(_) => {
                let [_, client] = polled;
                return client.revents().is_empty();
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
