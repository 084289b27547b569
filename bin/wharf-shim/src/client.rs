//! A client on its socket: output goes out framed or raw, what it does not take at once waits in a bounded queue.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use shim_protocol::{Attach, Target};

use crate::watch::{Token, Watch};

/// Bytes that may wait for a slow client before its process has to wait too, as with Docker.
pub(crate) const QUEUE_LIMIT: usize = 1 << 20;
const FRAME_HEADER: usize = 8;

/// One attached client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) key: u64,
    pub(crate) target: Target,
    /// The number of its process.
    pub(crate) process: u32,
    number: u32,
    socket: OwnedFd,
    wants: [bool; 2],
    framed: bool,
    queue: Vec<u8>,
    queue_start: usize,
    /// Its input is wanted and has not ended.
    pub(crate) stdin_open: bool,
    /// Its input is not read now, because the process has not taken the last piece.
    stdin_held: bool,
    pub(crate) keys: crate::input::DetachKeys,
    /// Nothing more is going to be queued: it is closed when the queue is empty.
    pub(crate) ending: bool,
    registered: EventFlags,
    /// It is gone, or no more can be sent.
    pub(crate) broken: bool,
}

/// What came from a client's socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Bytes(usize),
    Nothing,
    End,
}

impl Client {
    pub(crate) fn new(attach: &Attach, socket: OwnedFd, number: u32, process: u32) -> Self {
        let _ = rustix::io::ioctl_fionbio(&socket, true);
        Self {
            key: attach.key,
            target: attach.target.clone(),
            process,
            number,
            socket,
            wants: [attach.stdout, attach.stderr],
            framed: attach.framed,
            queue: Vec::new(),
            queue_start: 0,
            stdin_open: attach.stdin,
            stdin_held: false,
            keys: crate::input::DetachKeys::new(attach.detach_keys.clone()),
            ending: false,
            registered: EventFlags::empty(),
            broken: false,
        }
    }

    pub(crate) fn register(&mut self, watch: &Watch) -> Result<(), Errno> {
        watch.add(&self.socket, Token::Client(self.number), EventFlags::empty())?;
        self.update_interest(watch);
        Ok(())
    }

    fn update_interest(&mut self, watch: &Watch) {
        let mut wanted = EventFlags::empty();
        if self.stdin_open && !self.stdin_held {
            wanted |= EventFlags::IN;
        }
        if self.queued() > 0 {
            wanted |= EventFlags::OUT;
        }
        if wanted != self.registered {
            watch.change(&self.socket, Token::Client(self.number), wanted);
            self.registered = wanted;
        }
    }

    /// Stops or resumes reading its input.
    pub(crate) fn hold_stdin(&mut self, held: bool, watch: &Watch) {
        self.stdin_held = held;
        self.update_interest(watch);
    }

    /// Whether its input may be read now.
    pub(crate) fn can_read(&self) -> bool {
        self.stdin_open && !self.stdin_held && !self.ending
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len() - self.queue_start
    }

    /// Whether its process has to wait until it has taken something.
    pub(crate) fn is_full(&self) -> bool {
        !self.broken && self.queued() >= QUEUE_LIMIT
    }

    pub(crate) fn wants(&self, stream: u8) -> bool {
        self.wants[usize::from(stream & 1)] && !self.ending && !self.broken
    }

    /// Sends a piece of output, or queues what does not fit.
    pub(crate) fn push(&mut self, stream: u8, bytes: &[u8], watch: &Watch) {
        let mut header = [0; FRAME_HEADER];
        header[0] = stream + 1;
        // Pieces are never longer than the read buffer.
        header[4..].copy_from_slice(&(bytes.len() as u32).to_be_bytes());
        let header = if self.framed { &header[..] } else { &[] };
        let mut sent = 0;
        if self.queued() == 0 {
            match send(&self.socket, &[IoSlice::new(header), IoSlice::new(bytes)]) {
                Ok(count) => sent = count,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => self.broken = true,
            }
        }
        if self.broken || sent == header.len() + bytes.len() {
            return;
        }
        self.queue.extend_from_slice(header.get(sent..).unwrap_or_default());
        self.queue.extend_from_slice(&bytes[sent.saturating_sub(header.len())..]);
        self.update_interest(watch);
    }

    /// Sends what is queued, as far as it goes.
    pub(crate) fn flush(&mut self, watch: &Watch) {
        while self.queued() > 0 && !self.broken {
            match send(&self.socket, &[IoSlice::new(&self.queue[self.queue_start..])]) {
                Ok(count) => self.queue_start += count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => self.broken = true,
            }
        }
        if self.queued() == 0 {
            self.queue = Vec::new();
            self.queue_start = 0;
        } else if self.queue_start > QUEUE_LIMIT {
            self.queue.drain(..self.queue_start);
            self.queue_start = 0;
        }
        self.update_interest(watch);
    }

    /// Reads input.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Incoming {
        match rustix::io::read(&self.socket, buffer) {
            Ok(0) => Incoming::End,
            Ok(count) => Incoming::Bytes(count),
            Err(Errno::AGAIN | Errno::INTR) => Incoming::Nothing,
            Err(_) => {
                self.broken = true;
                Incoming::End
            }
        }
    }

    /// Ends the connection in both directions, whoever else holds the socket.
    pub(crate) fn close(self, watch: &Watch) {
        watch.remove(&self.socket);
        // Closing with unread input would make the other end lose output it has not read yet.
        let mut scratch = [0; 4096];
        for _ in 0..64 {
            match rustix::net::recv(&self.socket, &mut scratch[..], RecvFlags::DONTWAIT) {
                Ok((_, count)) if count > 0 => {}
                _ => break,
            }
        }
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }
}

fn send(socket: &OwnedFd, parts: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let mut space: [MaybeUninit<u8>; 0] = [];
    let mut control = SendAncillaryBuffer::new(&mut space);
    rustix::net::sendmsg(socket, parts, &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}
