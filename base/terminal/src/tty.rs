//! Whether a descriptor is a terminal, its size, and raw mode that is undone when dropped.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// Whether the descriptor is a terminal.
pub fn is_terminal(descriptor: impl AsFd) -> bool {
    rustix::termios::isatty(descriptor)
}

/// The size of the terminal, if it is one and knows it.
pub fn size(descriptor: impl AsFd) -> Option<Size> {
    let found = tcgetwinsize(descriptor).ok()?;
    (found.ws_col > 0).then_some(Size { height: found.ws_row, width: found.ws_col })
}

/// A terminal in raw mode; dropping it puts the former mode back.
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Switches the terminal: no echo, no line editing, no signals from keys. Output processing stays off too.
    ///
    /// # Errors
    /// When the descriptor is no terminal.
    pub fn enter(terminal: BorrowedFd<'_>) -> std::io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(terminal, OptionalActions::Now, &raw)?;
        Ok(Self { terminal: terminal.try_clone_to_owned()?, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Reads one line without echo, for passwords. `ask` shows the question; it is called when the echo is off already, so
/// that nobody answers too early and is seen.
///
/// # Errors
/// When the descriptor is no terminal, asking or reading fails.
pub fn read_secret(
    terminal: BorrowedFd<'_>,
    ask: impl FnOnce() -> std::io::Result<()>,
) -> std::io::Result<String> {
    let before = tcgetattr(terminal)?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(rustix::termios::LocalModes::ECHO);
    tcsetattr(terminal, OptionalActions::Now, &quiet)?;
    let line = ask().and_then(|()| read_line(terminal));
    tcsetattr(terminal, OptionalActions::Now, &before)?;
    Ok(String::from_utf8_lossy(&line?).trim_end_matches('\r').to_owned())
}

fn read_line(terminal: BorrowedFd<'_>) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match rustix::io::read(terminal, &mut byte) {
            Ok(0) => return Ok(line),
            Ok(_) if byte == [b'\n'] => return Ok(line),
            Ok(_) => line.extend_from_slice(&byte),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
