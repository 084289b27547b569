//! `wait`: registered before the answer's headers go out.

use std::os::fd::{AsFd, BorrowedFd};

use ::container::{WaitCondition, WaitResult, Waiter};
use api::container::{WaitError, WaitResponse};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::engine::Inner;
use crate::{Error, Result};

/// A registered waiter.
#[derive(Debug)]
pub struct Waiting {
    waiter: Waiter,
}

pub(crate) fn wait(inner: &Inner, reference: &str, condition: Option<&str>) -> Result<Waiting> {
    let word = condition.unwrap_or("");
    let condition =
        WaitCondition::parse(word).ok_or_else(|| Error::invalid(format!("invalid condition: \"{word}\"")))?;
    let container = inner.find(reference)?;
    Ok(Waiting { waiter: container.wait(condition) })
}

impl Waiting {
    /// Blocks until the container has ended (or is gone); `None` when the client has hung up before.
    pub fn wait(self, client: Option<BorrowedFd<'_>>) -> Option<WaitResponse> {
        if let (Some(client), Ok(told)) = (client, self.waiter.descriptor())
            && !told_first(told.as_fd(), client)
        {
            return None;
        }
        Some(response(self.waiter.wait()))
    }
}

/// Whether the waiter was told before the client's connection broke.
fn told_first(told: BorrowedFd<'_>, client: BorrowedFd<'_>) -> bool {
    loop {
        let mut waits = [PollFd::new(&told, PollFlags::IN), PollFd::new(&client, PollFlags::RDHUP)];
        match rustix::event::poll(&mut waits, None) {
            Err(Errno::INTR) => {}
            Err(_) => return true,
            Ok(_) if !waits[0].revents().is_empty() => return true,
            Ok(_) if !waits[1].revents().is_empty() => return false,
            Ok(_) => {}
        }
    }
}

fn response(result: WaitResult) -> WaitResponse {
    WaitResponse {
        status_code: i64::from(result.exit_code),
        error: result.error.map(|message| WaitError { message }),
    }
}
