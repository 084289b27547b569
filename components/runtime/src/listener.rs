//! Handing a filter's listener to whoever answers for it (`linux.seccomp.listenerPath`).

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use oci::runtime::State;

use crate::error::{Error, Result};
use crate::step::Step;

/// The document sent along, as the runtime specification defines it.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'a str,
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: &'a State,
}

/// Connects to the agent's socket and sends the descriptor with the state.
pub(crate) fn hand_over(listener: &OwnedFd, path: &str, metadata: &str, state: &State) -> Result<()> {
    let failed = |error: std::io::Error| Error::System {
        step: Step::Seccomp,
        subject: path.to_owned(),
        errno: linux::Errno::from_io_error(&error).unwrap_or(linux::Errno::IO),
    };
    let document = ContainerProcessState {
        oci_version: oci::runtime::VERSION,
        fds: ["seccompFd"],
        pid: state.pid,
        metadata,
        state,
    };
    let text = serde_json::to_vec(&document).map_err(|error| failed(error.into()))?;
    let socket = UnixStream::connect(path).map_err(failed)?;
    linux::descriptor::send(&socket, &text, &[listener.as_fd()])
        .map(drop)
        .map_err(|errno| failed(errno.into()))
}
