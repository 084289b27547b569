//! One process of the container with the shim's ends of its standard streams.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use shim_protocol::Exit;

use crate::watch::{Token, Watch};

/// The init process, or an exec process.
#[derive(Debug, Default)]
pub(crate) struct Process {
    /// None for the init process.
    pub(crate) exec_id: Option<String>,
    pub(crate) pid: i32,
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) tty: bool,
    pub(crate) stdin: Option<OwnedFd>,
    /// Input the process has not taken yet.
    pub(crate) stdin_queue: Vec<u8>,
    /// Standard input ends when the queue is empty.
    pub(crate) stdin_ending: bool,
    /// The queue waits until the process takes more.
    pub(crate) stdin_waiting: bool,
    /// A client's end of input ends the process's.
    pub(crate) stdin_once: bool,
    pub(crate) outputs: [Option<Output>; 2],
    /// The terminal's master end, for its size.
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) exit: Option<Exit>,
    /// When clients are told of the end even if the engine has not noted it.
    pub(crate) collect_by: Option<std::time::Instant>,
}

/// The shim's end of an output stream.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) descriptor: OwnedFd,
    /// Not read now, because a client is full.
    pub(crate) held: bool,
}

/// The shim's ends of new streams, and the process's.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    pub(crate) stdio: runtime::Stdio,
}

impl Streams {
    /// Pipes, or a terminal that the runtime makes.
    pub(crate) fn new(tty: bool, size: (u16, u16), open_stdin: bool) -> Result<Self, Errno> {
        if tty {
            let stdio = runtime::Stdio::Terminal { rows: size.0, columns: size.1 };
            return Ok(Self { stdin: None, stdout: None, stderr: None, stdio });
        }
        let (stdin_end, stdin) = if open_stdin {
            let (reader, writer) = pipe()?;
            (reader, Some(writer))
        } else {
            (rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?, None)
        };
        let (stdout, stdout_end) = pipe()?;
        let (stderr, stderr_end) = pipe()?;
        let stdio = runtime::Stdio::Descriptors { stdin: stdin_end, stdout: stdout_end, stderr: stderr_end };
        Ok(Self { stdin, stdout: Some(stdout), stderr: Some(stderr), stdio })
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
}

impl Process {
    /// Takes over the shim's ends and begins to watch them.
    pub(crate) fn connect(
        &mut self,
        number: u32,
        ends: [Option<OwnedFd>; 3],
        master: Option<OwnedFd>,
        watch: &Watch,
    ) -> Result<(), Errno> {
        let [stdin, stdout, stderr] = ends;
        self.stdin = stdin;
        for (stream, descriptor) in [stdout, stderr].into_iter().enumerate() {
            self.outputs[stream] = descriptor.map(|descriptor| Output { descriptor, held: false });
        }
        if let Some(master) = master {
            // Descriptors of its own for each direction, so that each can be watched alone.
            self.stdin = Some(rustix::io::fcntl_dupfd_cloexec(&master, 3)?);
            let output = rustix::io::fcntl_dupfd_cloexec(&master, 3)?;
            self.outputs[0] = Some(Output { descriptor: output, held: false });
            self.terminal = Some(master);
        }
        if let Some(stdin) = &self.stdin {
            rustix::io::ioctl_fionbio(stdin, true)?;
        }
        for (stream, output) in (0u8..).zip(self.outputs.iter().flatten()) {
            rustix::io::ioctl_fionbio(&output.descriptor, true)?;
            watch.add(&output.descriptor, Token::Output(number, stream), EventFlags::IN)?;
        }
        Ok(())
    }

    /// Stops or resumes reading all its outputs. A descriptor that is not read must not be watched at all: its
    /// hang-up would wake the loop without end.
    pub(crate) fn hold_outputs(&mut self, number: u32, held: bool, watch: &Watch) {
        for (stream, output) in (0u8..).zip(self.outputs.iter_mut().flatten()) {
            if output.held != held {
                output.held = held;
                if held {
                    watch.remove(&output.descriptor);
                } else {
                    let _ = watch.add(&output.descriptor, Token::Output(number, stream), EventFlags::IN);
                }
            }
        }
    }

    /// Gives up an output stream.
    pub(crate) fn close_output(&mut self, stream: u8, watch: &Watch) {
        if let Some(output) = self.outputs[usize::from(stream & 1)].take()
            && !output.held
        {
            watch.remove(output.descriptor.as_fd());
        }
    }
}
