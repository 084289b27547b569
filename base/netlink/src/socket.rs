//! A netlink socket: batches of requests, dumps, notifications.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use model::{ErrorKind, Kinded};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink, sockopt,
};

use crate::message::{ACKNOWLEDGE, Attributes, DUMP, Message, Received, read_i32, read_u32, split};

const ERROR: u16 = 2;
const DONE: u16 = 3;
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
const FLAG_CAPPED: u16 = 0x100;
const FLAG_ACK_ATTRIBUTES: u16 = 0x200;
const ACK_TEXT: u16 = 1;
const RECEIVE_BUFFER: usize = 32 * 1024;
/// The kernel queues one acknowledgement for each message of a batch; the default buffer overruns at a few hundred.
const KERNEL_BUFFER: usize = 4 * 1024 * 1024;
const DUMP_ATTEMPTS: u32 = 10;

/// A failed netlink operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket itself failed.
    #[error("netlink {operation}")]
    Socket {
        /// Which system call.
        operation: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel refused a request.
    #[error("netlink request {index} refused{}{}", if text.is_empty() { "" } else { ": " }, text)]
    Refused {
        /// Place of the request in its batch, from 0.
        index: usize,
        /// The kernel's extended-acknowledgement text, if it gave one.
        text: String,
        /// The error number.
        source: std::io::Error,
    },
    /// The kernel's tables changed during each of several dumps.
    #[error("netlink dump interrupted {DUMP_ATTEMPTS} times")]
    DumpInterrupted,
}

impl Error {
    /// The error number, if the kernel gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Socket { source, .. } | Self::Refused { source, .. } => Errno::from_io_error(source),
            Self::DumpInterrupted => None,
        }
    }
}

impl Kinded for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// Which kernel subsystem a socket talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Interfaces, addresses, routes.
    Route,
    /// nf_tables and conntrack.
    Netfilter,
}

/// A netlink socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
    send_buffer: Vec<u8>,
    receive_buffer: Vec<u8>,
}

fn failed(operation: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::Socket { operation, source: errno.into() }
}

impl Socket {
    /// Opens a socket for requests.
    ///
    /// # Errors
    /// When the kernel refuses (no descriptors left, protocol missing).
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        Self::open_with_groups(protocol, 0)
    }

    /// Opens a socket that also gets the notifications of multicast groups (bit n-1 for group n).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_groups(protocol: Protocol, groups: u32) -> Result<Self, Error> {
        let number = match protocol {
            Protocol::Route => None,
            Protocol::Netfilter => Some(rustix::net::netlink::NETFILTER),
        };
        let descriptor =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, number)
                .map_err(failed("socket"))?;
        rustix::net::bind(&descriptor, &SocketAddrNetlink::new(0, groups)).map_err(failed("bind"))?;
        if protocol == Protocol::Netfilter
            && sockopt::set_socket_recv_buffer_size_force(&descriptor, KERNEL_BUFFER).is_err()
        {
            // Without CAP_NET_ADMIN in the first user namespace only the system's limit can be had.
            let _ = sockopt::set_socket_recv_buffer_size(&descriptor, KERNEL_BUFFER);
        }
        // Kernels before 4.12 refuse without words.
        let _ = linux::socket_option::explain_netlink_refusals(descriptor.as_fd());
        Ok(Self { descriptor, sequence: 0, send_buffer: Vec::new(), receive_buffer: Vec::new() })
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    fn send(&mut self) -> Result<(), Error> {
        let to_kernel = SocketAddrNetlink::new(0, 0);
        loop {
            match rustix::net::sendto(&self.descriptor, &self.send_buffer, SendFlags::empty(), &to_kernel) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("send")(errno)),
            }
        }
    }

    fn receive(&mut self) -> Result<usize, Error> {
        self.receive_buffer.resize(RECEIVE_BUFFER, 0);
        loop {
            match rustix::net::recv(&self.descriptor, &mut self.receive_buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => return Ok(length.min(RECEIVE_BUFFER)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("receive")(errno)),
            }
        }
    }

    /// Sends all messages at once and waits for each one's acknowledgement. The kernel carries out every message,
    /// also those after a refused one; the first refusal is returned.
    ///
    /// # Errors
    /// The first refusal, or a failure of the socket.
    pub fn execute(&mut self, messages: &[Message]) -> Result<(), Error> {
        self.execute_with(messages, |_| {})
    }

    /// As [`Self::execute`]; answers other than acknowledgements (echoes) go to the closure.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn execute_with(
        &mut self,
        messages: &[Message],
        mut answer: impl FnMut(Received<'_>),
    ) -> Result<(), Error> {
        self.send_buffer.clear();
        let first = self.next_sequence();
        for (index, message) in messages.iter().enumerate() {
            let sequence = if index == 0 { first } else { self.next_sequence() };
            let mut message = message.clone();
            message.add_flags(ACKNOWLEDGE);
            message.write_to(&mut self.send_buffer, sequence);
        }
        self.send()?;
        let mut waiting = messages.len();
        let mut refusal = None;
        while waiting > 0 {
            let length = self.receive()?;
            for received in split(self.receive_buffer.get(..length).unwrap_or_default()) {
                let index = received.sequence.wrapping_sub(first) as usize;
                if index >= messages.len() {
                    continue;
                }
                if received.kind != ERROR {
                    answer(received);
                    continue;
                }
                waiting = waiting.saturating_sub(1);
                if let Some(error) = refusal_of(received, index) {
                    refusal.get_or_insert(error);
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Sends messages of which only the first and last can be answered (an nf_tables batch): waits for the
    /// acknowledgement of the last command or a refusal of the batch itself.
    ///
    /// # Errors
    /// The first refusal, whose index counts the batch's begin message as 0.
    pub(crate) fn execute_batch(&mut self, messages: &[Message], last_command: usize) -> Result<(), Error> {
        self.send_buffer.clear();
        let first = self.next_sequence();
        for (index, message) in messages.iter().enumerate() {
            let sequence = if index == 0 { first } else { self.next_sequence() };
            message.write_to(&mut self.send_buffer, sequence);
        }
        self.send()?;
        let mut refusal = None;
        loop {
            let length = self.receive()?;
            for received in split(self.receive_buffer.get(..length).unwrap_or_default()) {
                let index = received.sequence.wrapping_sub(first) as usize;
                if received.kind != ERROR || index >= messages.len() {
                    continue;
                }
                if let Some(error) = refusal_of(received, index) {
                    refusal.get_or_insert(error);
                }
                if index == last_command || (index == 0 && refusal.is_some()) {
                    return refusal.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Asks for all objects and hands each one's message to the closure, which makes a value of it or skips it.
    /// Starts over when the kernel says that the tables changed meanwhile.
    ///
    /// # Errors
    /// A refusal, or tables that never hold still.
    pub fn dump<T>(
        &mut self,
        message: &Message,
        mut read: impl FnMut(Received<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut values = Vec::new();
            match self.dump_once(message, |received| values.extend(read(received)))? {
                true => return Ok(values),
                false => continue,
            }
        }
        Err(Error::DumpInterrupted)
    }

    fn dump_once(&mut self, message: &Message, mut read: impl FnMut(Received<'_>)) -> Result<bool, Error> {
        let mut message = message.clone();
        message.add_flags(DUMP);
        let sequence = self.next_sequence();
        self.send_buffer.clear();
        message.write_to(&mut self.send_buffer, sequence);
        self.send()?;
        let mut whole = true;
        loop {
            let length = self.receive()?;
            for received in split(self.receive_buffer.get(..length).unwrap_or_default()) {
                if received.sequence != sequence {
                    continue;
                }
                whole &= received.flags & FLAG_DUMP_INTERRUPTED == 0;
                match received.kind {
                    DONE => return done(received, whole),
                    ERROR => return refusal_of(received, 0).map_or(Ok(whole), Err),
                    _ => read(received),
                }
            }
        }
    }

    /// Sends one request that is answered by one message, made into a value by the closure.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn get<T>(
        &mut self,
        message: &Message,
        mut read: impl FnMut(Received<'_>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let mut value = None;
        self.execute_with(std::slice::from_ref(message), |received| {
            if value.is_none() {
                value = read(received);
            }
        })?;
        Ok(value)
    }

    /// Waits for one datagram of notifications and hands its messages to the closure. `false` says that some were
    /// lost because the buffer overran.
    ///
    /// # Errors
    /// A failure of the socket.
    pub fn notifications(&mut self, mut read: impl FnMut(Received<'_>)) -> Result<bool, Error> {
        match self.receive() {
            Ok(length) => {
                split(self.receive_buffer.get(..length).unwrap_or_default()).for_each(&mut read);
                Ok(true)
            }
            Err(error) if error.errno() == Some(Errno::NOBUFS) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn done(received: Received<'_>, whole: bool) -> Result<bool, Error> {
    match read_i32(received.body, 0) {
        Some(code) if code < 0 && Errno::from_raw_os_error(-code) != Errno::INTR => Err(Error::Refused {
            index: 0,
            text: String::new(),
            source: std::io::Error::from_raw_os_error(-code),
        }),
        Some(code) => Ok(whole && code == 0),
        None => Ok(whole),
    }
}

/// The error an `NLMSG_ERROR` message tells, `None` for an acknowledgement.
fn refusal_of(received: Received<'_>, index: usize) -> Option<Error> {
    let code = read_i32(received.body, 0)?;
    if code == 0 {
        return None;
    }
    let text = extended_text(received).unwrap_or_default().to_owned();
    Some(Error::Refused { index, text, source: std::io::Error::from_raw_os_error(code.saturating_neg()) })
}

fn extended_text(received: Received<'_>) -> Option<&str> {
    if received.flags & FLAG_ACK_ATTRIBUTES == 0 {
        return None;
    }
    // The kernel repeats the request's header, and its payload unless capped, before the attributes.
    let request = if received.flags & FLAG_CAPPED == 0 { read_u32(received.body, 4)? as usize } else { 16 };
    Attributes::new(received.body.get(4 + request.next_multiple_of(4)..)?).text(ACK_TEXT)
}
