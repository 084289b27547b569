//! The frame: how one message and its descriptors cross a unix stream socket.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use model::{ErrorKind, Kinded};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest JSON part, bytes.
pub const MAX_JSON: usize = 4 << 20;
/// Longest binary tail, bytes.
pub const MAX_TAIL: usize = 256 << 10;
/// Most descriptors of one frame.
pub const MAX_DESCRIPTORS: usize = 4;

/// Most descriptors that may wait for their frames; more are nobody's honest messages.
const MAX_WAITING: usize = 16 * MAX_DESCRIPTORS;

const HEADER: usize = 12;
const READ_STEP: usize = 16 << 10;

/// A message did not get across.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other end is gone.
    #[error("the other end closed the connection")]
    Closed,
    /// The other end did not take the message in time.
    #[error("the other end did not take the message in time")]
    Deadline,
    /// A part is longer than the limit.
    #[error("a message with {what} of {size} is over the limit")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        size: usize,
    },
    /// Fewer descriptors arrived than the header says, or more.
    #[error("a message came with wrong descriptors")]
    Descriptors,
    /// The JSON is not the message expected.
    #[error("a message can't be understood")]
    Document(#[source] serde_json::Error),
    /// The socket failed.
    #[error("the connection failed")]
    Socket(#[source] Errno),
}

impl Kinded for FrameError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Closed | Self::Deadline => ErrorKind::Unavailable,
            Self::TooLarge { .. } => ErrorKind::Invalid,
            _ => ErrorKind::Internal,
        }
    }
}

/// One received message.
#[derive(Debug)]
pub struct Frame {
    /// The JSON part.
    pub json: Vec<u8>,
    /// The binary tail.
    pub tail: Vec<u8>,
    /// The descriptors, in the sender's order.
    pub descriptors: Vec<OwnedFd>,
}

impl Frame {
    /// The message in the JSON part.
    ///
    /// # Errors
    /// [`FrameError::Document`] when it is another one.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        serde_json::from_slice(&self.json).map_err(FrameError::Document)
    }
}

/// Sends one message; waits for room until the deadline when the socket is full.
///
/// # Errors
/// When a part is too large, the other end is gone, or does not read in time.
pub fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    tail: &[u8],
    descriptors: &[BorrowedFd<'_>],
    deadline: Option<Instant>,
) -> Result<(), FrameError> {
    let bytes = encode_head(message, tail.len(), descriptors.len())?;
    let mut sent = 0;
    let total = bytes.len() + tail.len();
    while sent < total {
        let (first, second) = match bytes.get(sent..) {
            Some(rest) => (rest, tail),
            None => (&tail[sent - bytes.len()..], &[][..]),
        };
        let riders = if sent == 0 { descriptors } else { &[] };
        match send_part(socket.as_fd(), &[IoSlice::new(first), IoSlice::new(second)], riders) {
            Ok(count) => sent += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_writable(socket.as_fd(), deadline)?,
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(FrameError::Closed),
            Err(error) => return Err(FrameError::Socket(error)),
        }
    }
    Ok(())
}

/// One message without tail and descriptors as bytes, for senders that queue.
///
/// # Errors
/// When it is too large.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    encode_head(message, 0, 0)
}

fn encode_head(message: &impl Serialize, tail: usize, descriptors: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; HEADER];
    serde_json::to_writer(&mut bytes, message).map_err(FrameError::Document)?;
    let json_size = bytes.len() - HEADER;
    for (what, size, limit) in [
        ("JSON", json_size, MAX_JSON),
        ("data", tail, MAX_TAIL),
        ("descriptors", descriptors, MAX_DESCRIPTORS),
    ] {
        if size > limit {
            return Err(FrameError::TooLarge { what, size });
        }
    }
    let header = [json_size, tail, descriptors].map(|size| (size as u32).to_le_bytes()).concat();
    bytes[..HEADER].copy_from_slice(&header);
    Ok(bytes)
}

fn send_part(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL);
    }
    rustix::net::sendmsg(socket, parts, &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

fn wait_writable(socket: BorrowedFd<'_>, deadline: Option<Instant>) -> Result<(), FrameError> {
    let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if timeout == Some(Duration::ZERO) {
        return Err(FrameError::Deadline);
    }
    let timeout = timeout.and_then(|timeout| rustix::time::Timespec::try_from(timeout).ok());
    let mut waits = [PollFd::new(&socket, PollFlags::OUT)];
    match rustix::event::poll(&mut waits, timeout.as_ref()) {
        Ok(0) => Err(FrameError::Deadline),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(FrameError::Socket(error)),
    }
}

/// Collects frames from a socket, blocking or not.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Reader {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads once what is there; false when the socket would block.
    ///
    /// # Errors
    /// [`FrameError::Closed`] at the end of the stream, or the socket's failure.
    pub fn fill(&mut self, socket: impl AsFd) -> Result<bool, FrameError> {
        let start = self.bytes.len();
        self.bytes.resize(start + READ_STEP, 0);
        let result = self.receive(socket.as_fd(), start);
        self.bytes.truncate(start + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => Err(FrameError::Closed),
            Ok(_) if self.descriptors.len() > MAX_WAITING => Err(FrameError::Descriptors),
            Ok(_) | Err(Errno::INTR) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(Errno::CONNRESET) => Err(FrameError::Closed),
            Err(error) => Err(FrameError::Socket(error)),
        }
    }

    fn receive(&mut self, socket: BorrowedFd<'_>, start: usize) -> Result<usize, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let free = &mut self.bytes[start..];
        let message = rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(free)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        for rider in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = rider {
                self.descriptors.extend(descriptors);
            }
        }
        Ok(message.bytes)
    }

    /// Takes the next whole frame, if there is one.
    ///
    /// # Errors
    /// When the header is over a limit or descriptors are missing; the connection is of no use then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(header) = self.bytes.first_chunk::<HEADER>() else { return Ok(None) };
        let number = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize
        };
        let (json_size, tail_size, descriptor_count) = (number(0), number(4), number(8));
        for (what, size, limit) in [
            ("JSON", json_size, MAX_JSON),
            ("data", tail_size, MAX_TAIL),
            ("descriptors", descriptor_count, MAX_DESCRIPTORS),
        ] {
            if size > limit {
                return Err(FrameError::TooLarge { what, size });
            }
        }
        let total = HEADER + json_size + tail_size;
        if self.bytes.len() < total {
            return Ok(None);
        }
        if self.descriptors.len() < descriptor_count {
            return Err(FrameError::Descriptors);
        }
        let json = self.bytes[HEADER..HEADER + json_size].to_vec();
        let tail = self.bytes[HEADER + json_size..total].to_vec();
        let descriptors = self.descriptors.drain(..descriptor_count).collect();
        self.bytes.drain(..total);
        if self.bytes.is_empty() {
            // A parked shim keeps nothing of the largest message it ever got.
            self.bytes = Vec::new();
        }
        Ok(Some(Frame { json, tail, descriptors }))
    }

    /// Blocks until a whole frame is there.
    ///
    /// # Errors
    /// As [`Reader::fill`] and [`Reader::next_frame`].
    pub fn read_frame(&mut self, socket: impl AsFd) -> Result<Frame, FrameError> {
        loop {
            if let Some(frame) = self.next_frame()? {
                return Ok(frame);
            }
            if !self.fill(socket.as_fd())? {
                let socket = socket.as_fd();
                let mut waits = [PollFd::new(&socket, PollFlags::IN)];
                match rustix::event::poll(&mut waits, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(FrameError::Socket(error)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::{Command, Request};

    fn request(id: u64) -> Request {
        Request { id, command: Command::State }
    }

    #[test]
    fn frames_keep_their_descriptors_and_tails() {
        let (left, right) = UnixStream::pair().unwrap();
        let (first, mut first_end) = UnixStream::pair().unwrap();
        let (second, mut second_end) = UnixStream::pair().unwrap();
        send(&left, &request(1), b"abc", &[first.as_fd()], None).unwrap();
        send(&left, &request(2), b"", &[], None).unwrap();
        send(&left, &request(3), &[7; 1000], &[second.as_fd(), first.as_fd()], None).unwrap();
        let mut reader = Reader::new();
        let frames: Vec<Frame> = (0..3).map(|_| reader.read_frame(&right).unwrap()).collect();
        let ids: Vec<u64> = frames.iter().map(|frame| frame.parse::<Request>().unwrap().id).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(frames.iter().map(|frame| frame.tail.len()).collect::<Vec<_>>(), [3, 0, 1000]);
        assert_eq!(frames.iter().map(|frame| frame.descriptors.len()).collect::<Vec<_>>(), [1, 0, 2]);
        let mut got = UnixStream::from(frames[2].descriptors[0].try_clone().unwrap());
        got.write_all(b"x").unwrap();
        let mut buffer = [0; 1];
        second_end.read_exact(&mut buffer).unwrap();
        let mut got = UnixStream::from(frames[2].descriptors[1].try_clone().unwrap());
        got.write_all(b"y").unwrap();
        first_end.read_exact(&mut buffer).unwrap();
        drop(left);
        assert!(matches!(reader.read_frame(&right), Err(FrameError::Closed)));
    }

    #[test]
    fn nothing_over_a_limit_is_believed() {
        for header in [[u32::MAX, 0, 0], [0, u32::MAX, 0], [0, 0, 5]] {
            let (mut left, right) = UnixStream::pair().unwrap();
            left.write_all(&header.map(u32::to_le_bytes).concat()).unwrap();
            assert!(matches!(Reader::new().read_frame(&right), Err(FrameError::TooLarge { .. })));
        }
        let (mut left, right) = UnixStream::pair().unwrap();
        left.write_all(&[2, 0, 1].map(u32::to_le_bytes).concat()).unwrap();
        left.write_all(b"{}").unwrap();
        assert!(matches!(Reader::new().read_frame(&right), Err(FrameError::Descriptors)));
    }

    /// Random bytes in random pieces, half of them behind a header that makes sense: a message, a wait or a refusal.
    #[test]
    fn random_bytes_never_panic() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..2000 {
            let (mut left, right) = UnixStream::pair().unwrap();
            let size = usize::try_from(random() % 300).unwrap();
            let mut bytes: Vec<u8> = (0..size).map(|_| random().to_le_bytes()[0]).collect();
            if round % 2 == 0 {
                let header = [random() % 200, random() % 100, 0];
                let header = header.map(|number| u32::try_from(number).unwrap().to_le_bytes()).concat();
                bytes.splice(0..0, header);
            }
            for piece in bytes.chunks(20 + usize::try_from(random() % 50).unwrap()) {
                left.write_all(piece).unwrap();
            }
            drop(left);
            let mut reader = Reader::new();
            while let Ok(frame) = reader.read_frame(&right) {
                assert!(frame.json.len() + frame.tail.len() <= bytes.len());
                let _ = frame.parse::<Request>();
                let _ = frame.parse::<crate::ShimMessage>();
            }
        }
    }

    #[test]
    fn a_flood_of_descriptors_ends_the_connection() {
        let (left, right) = UnixStream::pair().unwrap();
        let mut reader = Reader::new();
        let outcome = (0..1000).try_for_each(|_| {
            send_part(left.as_fd(), &[IoSlice::new(&[0])], &[left.as_fd(); MAX_DESCRIPTORS]).unwrap();
            reader.fill(&right).map(drop)
        });
        assert!(matches!(outcome, Err(FrameError::Descriptors)));
    }

    #[test]
    fn a_reader_that_sleeps_does_not_hold_the_sender() {
        let (left, _right) = UnixStream::pair().unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let outcome =
            (0..100).try_for_each(|id| send(&left, &request(id), &[0; 200_000], &[], Some(deadline)));
        assert!(matches!(outcome, Err(FrameError::Deadline)));
    }
}
