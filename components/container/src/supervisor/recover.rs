//! Finding the shims, exits and losses an earlier engine left.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use linux::cgroup::Hierarchies;
use model::ContainerId;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use shim_protocol::{Answer, Command, Exit, Phase, Snapshot};

use super::spawn::Remembered;
use super::{Shared, ShimError, pump};

/// How a container was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// Its shim is connected again. The snapshot may say that the container has exited meanwhile.
    Alive {
        /// The container.
        id: ContainerId,
        /// What its shim knows.
        snapshot: Box<Snapshot>,
    },
    /// Its shim is connected but does not answer.
    Silent {
        /// The container.
        id: ContainerId,
    },
    /// It ended while no engine was there.
    Exited {
        /// The container.
        id: ContainerId,
        /// How.
        exit: Exit,
    },
    /// Its shim is gone without a word; what was left of it has been killed.
    Lost {
        /// The container.
        id: ContainerId,
        /// The end to record.
        exit: Exit,
    },
}

const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
const EMPTY_PATIENCE: Duration = Duration::from_secs(5);

/// Looks at every container's directory.
pub(super) fn all(shared: &Shared) -> Result<Vec<Recovered>, ShimError> {
    let fail = |cause| ShimError::Directory { path: shared.containers_dir.clone(), cause };
    let mut found = Vec::new();
    let mut connected = Vec::new();
    for entry in std::fs::read_dir(&shared.containers_dir).map_err(fail)?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<ContainerId>().ok()) else {
            continue;
        };
        let directory = entry.path();
        let Some(remembered) = Remembered::read(&directory) else {
            // The last engine ended before it had asked for a container; the shim ends by itself then.
            let _ = std::fs::remove_file(directory.join(shim_protocol::SOCKET_NAME));
            let _ = std::fs::remove_dir(&directory);
            continue;
        };
        match connect(&directory) {
            Some(socket) => {
                let link = pump::watch(shared, &id, socket, None)?;
                link.remember_cgroup(remembered.cgroup);
                connected.push(link);
            }
            None => found.push(match read_exit(&directory) {
                Some(exit) => Recovered::Exited { id, exit },
                None => {
                    empty(&remembered);
                    Recovered::Lost { id, exit: pump::lost_now() }
                }
            }),
        }
    }
    // All are asked before any is waited for: one sleeping shim costs one deadline, not one each.
    let deadline = Instant::now() + ANSWER_DEADLINE;
    std::thread::scope(|scope| {
        let asked: Vec<_> = connected
            .iter()
            .map(|link| {
                scope.spawn(move || {
                    let left = deadline.saturating_duration_since(Instant::now());
                    link.request(Command::State, &[], &[], left)
                })
            })
            .collect();
        for (link, asked) in connected.iter().zip(asked) {
            let id = link.id.clone();
            found.push(match asked.join() {
                Ok(Ok(Answer::State(snapshot))) => {
                    if matches!(snapshot.phase, Phase::Exited(_)) {
                        link.done.store(true, std::sync::atomic::Ordering::Release);
                    }
                    Recovered::Alive { id, snapshot }
                }
                Ok(Err(ShimError::Gone { .. })) => continue,
                _ => Recovered::Silent { id },
            });
        }
    });
    Ok(found)
}

/// Connects to the shim in a container's directory. The path may be longer than a socket address takes, so it is
/// reached through the directory's descriptor.
fn connect(directory: &Path) -> Option<UnixStream> {
    let opened =
        rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .ok()?;
    let path = format!("/proc/self/fd/{}/{}", opened.as_raw_fd(), shim_protocol::SOCKET_NAME);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
    // A listening socket takes connections without its process's help, so this never blocks.
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).ok()?).ok()?;
    Some(UnixStream::from(socket))
}

/// The exit record in a container's directory.
pub(super) fn read_exit(directory: &Path) -> Option<Exit> {
    serde_json::from_slice(&std::fs::read(directory.join(shim_protocol::EXIT_NAME)).ok()?).ok()
}

/// Kills every process in the cgroup of a container whose shim is gone, and removes the cgroup.
pub(super) fn empty(remembered: &Remembered) {
    if remembered.cgroup.is_empty() {
        return;
    }
    let Ok(cgroup) = Hierarchies::detect().and_then(|hierarchies| hierarchies.open(&remembered.cgroup))
    else {
        return;
    };
    // A frozen process does not die.
    let _ = cgroup.thaw(EMPTY_PATIENCE);
    let _ = cgroup.kill_all(EMPTY_PATIENCE);
    let _ = cgroup.remove(EMPTY_PATIENCE);
}
