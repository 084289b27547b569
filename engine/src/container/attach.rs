//! `attach`: the client's connection goes to the shim, at once or at the start.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ::container::Container;
use shim_protocol::{Attach, Target};

use super::live::{Announced, WaitingClient};
use super::parameters::{AttachParameters, LogParameters};
use super::{events, logs};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// A permitted attachment; [`Attachment::run`] connects it.
pub struct Attachment {
    inner: Arc<Inner>,
    container: Arc<Container>,
    parameters: AttachParameters,
    keys: Vec<u8>,
    announced: Announced,
    /// Whether the container has a terminal.
    pub tty: bool,
    /// Whether output gets frame headers.
    pub framed: bool,
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Attachment").field("container", self.container.id()).finish_non_exhaustive()
    }
}

pub(crate) fn attach(
    inner: &Arc<Inner>,
    reference: &str,
    parameters: AttachParameters,
) -> Result<Attachment> {
    let container = inner.find(reference)?;
    let record = container.record();
    if let Some(refusal) = record.lifecycle.refuse_attach(reference) {
        return Err(Error::from_kinded(refusal));
    }
    let keys = detach_keys(parameters.detach_keys.as_deref())
        .map_err(|error| error.with_kind(model::ErrorKind::Invalid))?;
    let tty = record.config.tty;
    let framed = !tty && !parameters.never_framed;
    let announced = inner.live(container.id()).announce();
    Ok(Attachment { inner: Arc::clone(inner), container, parameters, keys, announced, tty, framed })
}

impl Attachment {
    /// Connects the client: first what was recorded, then, when wanted, the living streams. Returns when the shim has
    /// the connection, not when the streams end.
    ///
    /// `take_over` answers the client and gives its connection with the bytes already read. A client may ask for the
    /// start as soon as it has its answer: that start waits until this attachment, announced before, is known.
    ///
    /// # Errors
    /// The outer one is `take_over`'s; the inner one is that the client has gone or the shim refuses.
    pub fn run<E>(
        self,
        take_over: impl FnOnce() -> std::result::Result<(OwnedFd, Vec<u8>), E>,
    ) -> std::result::Result<Result<()>, E> {
        let (client, early_input) = take_over()?;
        Ok(self.connect(client, early_input))
    }

    fn connect(self, client: OwnedFd, early_input: Vec<u8>) -> Result<()> {
        let record = self.container.record();
        events::container(&self.inner, &record, "attach", &[]);
        if self.parameters.logs {
            self.replay(&client)?;
        }
        if !self.parameters.stream {
            return Ok(());
        }
        let live = self.inner.live(self.container.id());
        let attach = Attach {
            key: live.next_key(),
            target: Target::Init,
            stdin: self.parameters.stdin && record.config.open_stdin,
            stdout: self.parameters.stdout,
            stderr: self.parameters.stderr,
            framed: self.framed,
            // Keys are only typed where there is a terminal.
            detach_keys: if self.tty { self.keys } else { Vec::new() },
            early_input,
        };
        let direct = live.keep_for_start(WaitingClient { attach, socket: client });
        drop(self.announced);
        let Some(WaitingClient { attach, socket }) = direct else { return Ok(()) };
        self.inner.supervisor.attach(self.container.id(), attach, socket.as_fd()).map_err(Error::from_kinded)
    }

    fn replay(&self, client: &OwnedFd) -> Result<()> {
        let parameters = LogParameters {
            stdout: self.parameters.stdout,
            stderr: self.parameters.stderr,
            ..LogParameters::default()
        };
        let stream = logs::of_container(&self.inner, &self.container, parameters)?;
        let copy = client.try_clone().doing(|| "replaying the log".to_owned())?;
        let mut out = std::io::BufWriter::new(std::fs::File::from(copy));
        stream.with_frames(self.framed).write_to(&mut out, None)?;
        out.flush().doing(|| "replaying the log".to_owned())
    }
}

/// `ctrl-p,ctrl-q` to bytes; the default when nothing is said.
///
/// # Errors
/// `Invalid escape keys (x) provided`.
pub(crate) fn detach_keys(text: Option<&str>) -> Result<Vec<u8>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(vec![16, 17]) };
    let bad = || Error::internal(format!("Invalid escape keys ({text}) provided"));
    text.split(',')
        .map(|key| match key.strip_prefix("ctrl-") {
            Some(letter) => match letter.as_bytes() {
                [letter @ (b'a'..=b'z')] => Ok(letter - b'a' + 1),
                b"@" => Ok(0),
                b"[" => Ok(27),
                b"\\" => Ok(28),
                b"]" => Ok(29),
                b"^" => Ok(30),
                b"_" => Ok(31),
                _ => Err(bad()),
            },
            None => match key.as_bytes() {
                [byte] => Ok(*byte),
                b"DEL" => Ok(127),
                _ => Err(bad()),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bytes() {
        assert_eq!(detach_keys(None).unwrap(), [16, 17]);
        assert_eq!(detach_keys(Some("ctrl-a,b")).unwrap(), [1, b'b']);
        let error = detach_keys(Some("bogus-")).unwrap_err();
        assert_eq!(error.message(), "Invalid escape keys (bogus-) provided");
    }
}
