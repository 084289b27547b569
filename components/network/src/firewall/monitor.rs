//! Hears of changes other programs make to the rules and has ours put back.
//!
//! A thread blocked in receive; it ends when told so through a pipe-like event descriptor.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use netlink::nft::read::{Change, Object};
use netlink::nft::{Family, NftMonitor};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::Firewall;

/// The running monitor; dropping it ends its thread.
#[derive(Debug)]
pub(crate) struct Monitor {
    stop: Arc<OwnedFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Monitor {
    /// Starts hearing.
    pub(crate) fn start(firewall: Arc<Firewall>) -> Result<Self, netlink::Error> {
        let failed = |operation| move |source| netlink::Error::Socket { operation, source };
        let socket = NftMonitor::open()?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|errno| failed("event descriptor")(std::io::Error::from(errno)))?;
        let stop = Arc::new(stop);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("firewall-monitor".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || run(socket, &firewall, &stopped))
            .map_err(failed("thread"))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(mut socket: NftMonitor, firewall: &Firewall, stop: &OwnedFd) {
    let mut concerns_us = false;
    while wait_readable(&socket, stop) {
        let mut check = false;
        let complete = socket.wait(|notification| match notification.change {
            Change::Generation { process } => {
                check |= concerns_us && !is_own_thread(process);
                concerns_us = false;
            }
            change => {
                let ours = notification.table == Some(firewall.table());
                let foreign = matches!(notification.family, Some(Family::Ip | Family::Ip6))
                    && notification.table == Some("filter")
                    && matches!(notification.object, Object::Chain | Object::Rule | Object::Table);
                concerns_us |= (ours && change == Change::Deleted) || foreign;
            }
        });
        match complete {
            Ok(all) if all && !check => {}
            // Something was lost or concerns us. A failed check is repeated with the next change.
            Ok(_) => drop(firewall.check()),
            Err(_) => return,
        }
    }
}

fn wait_readable(socket: &NftMonitor, stop: &OwnedFd) -> bool {
    loop {
        let mut descriptors =
            [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut descriptors, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) => return descriptors.last().is_some_and(|stop| stop.revents().is_empty()),
        }
    }
}

fn is_own_thread(thread: u32) -> bool {
    std::path::Path::new(&format!("/proc/self/task/{thread}")).exists()
}
