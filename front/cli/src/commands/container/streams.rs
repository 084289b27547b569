//! The streams of an attached process: one thread copies what it says, one sends what is typed and signalled.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api_client::stdio::demultiplex;
use api_client::{Client, Query, Socket, Upgraded};
use linux::event::Signals as SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use terminal::RawMode;

use super::detach::Filter;
use crate::failure::Failure;

/// What is attached to.
pub struct Attachment {
    /// The raw connection.
    pub upgraded: Upgraded,
    /// Whether the process has a terminal: its output is then one raw stream.
    pub tty: bool,
    /// Whether our input goes to it.
    pub stdin: bool,
    /// Whether its output is shown.
    pub stdout: bool,
    /// Whether its errors are.
    pub stderr: bool,
    /// Keys that detach, when our input is a terminal.
    pub detach_keys: Vec<u8>,
    /// `/containers/ID` or `/exec/ID`.
    pub resize_path: Option<String>,
    /// `/containers/ID`, when signals are passed on.
    pub signal_path: Option<String>,
}

/// How an attachment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The process closed its streams.
    Closed,
    /// The user typed the keys.
    Detached,
}

/// Signals that are not passed on: they are about us, not the container.
const OURS: [i32; 6] = [9, 13, 17, 19, 23, 28];

/// Signals taken over while attached; made before the process starts, so that none is lost.
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks signals in this thread and all later ones.
    pub fn take_over() -> Option<Self> {
        let numbers: Vec<i32> =
            (1..=31).filter(|number| ![9, 13, 17, 19, 11, 8, 4, 7].contains(number)).collect();
        SignalFd::new(&numbers).ok().map(Self)
    }
}

/// Tells the engine the size of our terminal.
pub fn resize(client: &Client, path: &str) {
    let Some(size) = terminal::size(std::io::stdout()).or_else(|| terminal::size(std::io::stdin())) else {
        return;
    };
    let query = Query::new().set("h", size.height.to_string()).set("w", size.width.to_string());
    let _ = client.call("POST", &format!("{path}/resize"), &query);
}

/// Changes the size and back, which makes a shell that waits draw its prompt again for whoever has just attached.
pub fn redraw(client: &Client, path: &str) {
    let Some(size) = terminal::size(std::io::stdout()).or_else(|| terminal::size(std::io::stdin())) else {
        return;
    };
    let (height, width) = (u32::from(size.height) + 1, u32::from(size.width) + 1);
    let query = Query::new().set("h", height.to_string()).set("w", width.to_string());
    let _ = client.call("POST", &format!("{path}/resize"), &query);
    resize(client, path);
}

/// Raw mode for our terminal, when both sides have one.
///
/// # Errors
/// When the terminal refuses.
pub fn raw_mode(tty: bool, stdin: bool) -> Result<Option<RawMode>, Failure> {
    let input = std::io::stdin();
    if !tty || !stdin || !terminal::is_terminal(&input) {
        return Ok(None);
    }
    Ok(Some(RawMode::enter(input.as_fd())?))
}

impl Attachment {
    /// Copies until the process ends or the user detaches.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn run(self, client: &Arc<Client>, signals: Option<Signals>) -> Result<Ended, Failure> {
        let raw = raw_mode(self.tty, self.stdin)?;
        let Self { upgraded, tty, stdin, stdout, stderr, detach_keys, resize_path, signal_path } = self;
        let Upgraded { socket, early, .. } = upgraded;
        let detached = Arc::new(AtomicBool::new(false));
        let input = Input {
            socket: socket.clone(),
            client: Arc::clone(client),
            filter: (tty && raw.is_some()).then(|| Filter::new(detach_keys)),
            detached: Arc::clone(&detached),
            resize_path: if tty { resize_path } else { None },
            signal_path,
        };
        if !stdin {
            let _ = socket.close_write();
        }
        if stdin || signals.is_some() {
            std::thread::spawn(move || input.run(stdin, signals));
        }
        let mut source = early.as_slice().chain(socket);
        let result = copy_output(&mut source, tty, stdout, stderr);
        drop(raw);
        if detached.load(Ordering::SeqCst) {
            return Ok(Ended::Detached);
        }
        result.map(|()| Ended::Closed)
    }
}

fn copy_output(source: &mut dyn Read, tty: bool, stdout: bool, stderr: bool) -> Result<(), Failure> {
    let mut out: Box<dyn Write> =
        if stdout || tty { Box::new(std::io::stdout().lock()) } else { Box::new(std::io::sink()) };
    let mut err: Box<dyn Write> =
        if stderr { Box::new(std::io::stderr().lock()) } else { Box::new(std::io::sink()) };
    if !tty {
        return match demultiplex(source, &mut out, &mut err) {
            Ok(()) => Ok(()),
            Err(api_client::stdio::StdioError::Connection(error)) if is_reset(&error) => Ok(()),
            Err(error) => Err(Failure::text(error.to_string())),
        };
    }
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                out.write_all(buffer.get(..count).unwrap_or_default())?;
                out.flush()?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if is_reset(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_reset(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionReset
}

/// The other thread: typed bytes and signals towards the engine.
struct Input {
    socket: Socket,
    client: Arc<Client>,
    filter: Option<Filter>,
    detached: Arc<AtomicBool>,
    resize_path: Option<String>,
    signal_path: Option<String>,
}

impl Input {
    fn run(mut self, stdin: bool, signals: Option<Signals>) {
        let input = std::io::stdin();
        let mut open = stdin;
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let mut waits = Vec::with_capacity(2);
            if let Some(Signals(signals)) = &signals {
                waits.push(PollFd::new(signals, PollFlags::IN));
            }
            if open {
                waits.push(PollFd::new(&input, PollFlags::IN));
            }
            if waits.is_empty() || poll(&mut waits, None).is_err_and(|error| error != rustix::io::Errno::INTR)
            {
                return;
            }
            let ready: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
            let first_is_signal = signals.is_some();
            drop(waits);
            if first_is_signal
                && ready.first() == Some(&true)
                && let Some(Signals(signals)) = &signals
            {
                self.signalled(signals);
            }
            if open && ready.last() == Some(&true) && (ready.len() == 2 || !first_is_signal) {
                match rustix::io::read(&input, &mut buffer) {
                    Ok(0) => {
                        open = false;
                        let _ = self.socket.close_write();
                    }
                    Ok(count) => open = self.typed(buffer.get(..count).unwrap_or_default()),
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                    Err(_) => {
                        open = false;
                        let _ = self.socket.close_write();
                    }
                }
            }
        }
    }

    /// Passes bytes on; false when no more shall be read.
    fn typed(&mut self, bytes: &[u8]) -> bool {
        let Some(filter) = &mut self.filter else { return (&self.socket).write_all(bytes).is_ok() };
        let (out, found) = filter.feed(bytes);
        if !out.is_empty() && (&self.socket).write_all(&out).is_err() {
            return false;
        }
        if found {
            self.detached.store(true, Ordering::SeqCst);
            self.socket.close();
        }
        !found
    }

    fn signalled(&self, signals: &SignalFd) {
        while let Ok(Some(arrived)) = signals.next() {
            let number = arrived.number;
            if number == 28 {
                if let Some(path) = &self.resize_path {
                    resize(&self.client, path);
                }
                continue;
            }
            if OURS.contains(&number) {
                continue;
            }
            match (&self.signal_path, model::Signal::from_number(number)) {
                (Some(path), Some(signal)) => {
                    let query = Query::new().set("signal", signal.name());
                    let _ = self.client.call("POST", &format!("{path}/kill"), &query);
                }
                // Nobody to pass it to: end as the signal would have ended us.
                (None, _) if matches!(number, 1 | 2 | 3 | 15) => self.socket.close(),
                _ => {}
            }
        }
    }
}
