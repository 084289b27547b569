//! User namespaces that exist only to hold an id mapping for mounts.

use std::os::fd::{AsFd, OwnedFd};

use linux::clone::Clone;
use linux::namespace::Namespaces;
use oci::runtime::IdMapping;

use crate::error::{Error, Result};
use crate::plan::map_lines;
use crate::step::Step;

/// The namespaces made so far, by their mappings.
#[derive(Debug, Default)]
pub(crate) struct IdMaps {
    made: Vec<(String, String, OwnedFd)>,
}

impl IdMaps {
    /// A user namespace with these mappings.
    pub(crate) fn namespace(&mut self, uids: &[IdMapping], gids: &[IdMapping]) -> Result<&OwnedFd> {
        let (uids, gids) = (map_lines(uids)?, map_lines(gids)?);
        let found = self.made.iter().position(|(uid, gid, _)| *uid == uids && *gid == gids);
        let index = match found {
            Some(index) => index,
            None => {
                let namespace = make(&uids, &gids)?;
                self.made.push((uids, gids, namespace));
                self.made.len() - 1
            }
        };
        self.made.get(index).map(|(.., namespace)| namespace).ok_or(Error::Lost)
    }
}

/// A process that does nothing holds the namespace until it is mapped and open.
fn make(uids: &str, gids: &str) -> Result<OwnedFd> {
    let clone = Clone { namespaces: Namespaces::USER, ..Clone::default() };
    let child = clone
        .run(|| {
            rustix::event::pause();
            0
        })
        .map_err(Error::system(Step::IdMap, ""))?;
    let result = write(child.pid, uids, gids).and_then(|()| open(child.pid));
    let _ = linux::pidfd::send_signal(child.pidfd.as_fd(), 9);
    let _ = linux::pidfd::wait(child.pidfd.as_fd());
    result
}

/// Writes the mappings of a process's new user namespace.
pub(crate) fn write(pid: i32, uids: &str, gids: &str) -> Result<()> {
    for (file, lines) in [("uid_map", uids), ("gid_map", gids)] {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, lines).map_err(|error| Error::System {
            step: Step::IdMap,
            subject: path,
            errno: linux::Errno::from_io_error(&error).unwrap_or(linux::Errno::IO),
        })?;
    }
    Ok(())
}

fn open(pid: i32) -> Result<OwnedFd> {
    let path = crate::plan::c_string(format!("/proc/{pid}/ns/user"))?;
    linux::namespace::open(&path).map_err(Error::system(Step::IdMap, ""))
}
