//! A call as its handler and its caller see it: messages in, messages out, and the end.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::cancellation::Cancellation;
use crate::framing;
use crate::metadata::Metadata;
use crate::status::{Code, Status};

/// A call a handler answers.
#[derive(Debug)]
pub struct Call {
    /// `/package.Service/Method`.
    pub path: String,
    /// What the caller sent along.
    pub metadata: Metadata,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The word that the caller is gone, gave up, or that its time is over.
    pub cancellation: Cancellation,
    /// What the caller sends.
    pub inbound: Inbound,
    /// What the caller is sent.
    pub outbound: Outbound,
}

impl Call {
    /// Answers one message with one: reads the request, calls `answer`, sends what it gives.
    ///
    /// # Errors
    /// What `answer` gives; a request that is missing, twice there or not of its type.
    pub fn unary<Q, A>(
        &mut self,
        answer: impl FnOnce(&mut Self, Q) -> Result<A, Status>,
    ) -> Result<(), Status>
    where
        Q: prost::Message + Default,
        A: prost::Message,
    {
        let request = self.request()?;
        let reply = answer(self, request)?;
        self.outbound.send(&reply)
    }

    /// The only message of a caller that sends one.
    ///
    /// # Errors
    /// When there is none, more than one, or one of another type.
    pub fn request<Q: prost::Message + Default>(&mut self) -> Result<Q, Status> {
        let request = self.inbound.recv()?;
        let more = self.inbound.recv_bytes()?;
        match (request, more) {
            (Some(request), None) => Ok(request),
            (None, _) => Err(Status::new(Code::InvalidArgument, "the call has no request")),
            (_, Some(_)) => Err(Status::new(Code::InvalidArgument, "the call has more than one request")),
        }
    }
}

/// Messages that come.
#[derive(Debug)]
pub struct Inbound {
    messages: mpsc::Receiver<Arrived>,
    end: Arc<OnceLock<Status>>,
    /// What the end means when nobody said how it ended.
    torn: Code,
}

/// A message and its part of the bytes that may wait.
#[derive(Debug)]
struct Arrived {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Inbound {
    /// Waits for the next message; `None` at the end.
    ///
    /// # Errors
    /// The status the call ended with when that is not success, also when the connection broke or the call was
    /// cancelled; a message of another type.
    pub fn recv<M: prost::Message + Default>(&mut self) -> Result<Option<M>, Status> {
        let Some(bytes) = self.recv_bytes()? else { return Ok(None) };
        let message = M::decode(bytes).map_err(|error| {
            Status::new(Code::Internal, format!("failed to unmarshal the message: {error}"))
        })?;
        Ok(Some(message))
    }

    /// Waits for the next message and leaves it as it is.
    ///
    /// # Errors
    /// As [`Self::recv`].
    pub fn recv_bytes(&mut self) -> Result<Option<Bytes>, Status> {
        if let Some(arrived) = self.messages.blocking_recv() {
            return Ok(Some(arrived.bytes));
        }
        match self.end.get() {
            Some(status) if status.code == Code::Ok => Ok(None),
            Some(status) => Err(status.clone()),
            None if self.torn == Code::Cancelled => Err(over()),
            None => Err(Status::new(self.torn, "the connection ended")),
        }
    }
}

/// Messages that go.
#[derive(Debug, Clone)]
pub struct Outbound {
    messages: mpsc::Sender<Outgoing>,
    limit: usize,
}

/// What goes to the thread that serves the connection.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A message with its prefix.
    Message(Bytes),
    /// The end of an answer.
    End(Status),
}

impl Outbound {
    /// Sends a message; waits while the peer takes none.
    ///
    /// # Errors
    /// When it is too long, or the call is over.
    pub fn send(&self, message: &impl prost::Message) -> Result<(), Status> {
        let frame = framing::frame(message, self.limit)?;
        self.messages.blocking_send(Outgoing::Message(frame)).map_err(|_| over())
    }

    /// Ends an answer; nobody listens any more when that fails.
    pub(crate) fn end(&self, status: Status) {
        let _ = self.messages.blocking_send(Outgoing::End(status));
    }
}

fn over() -> Status {
    Status::new(Code::Cancelled, "the call is over")
}

/// The connection's end of [`Inbound`].
#[derive(Debug)]
pub(crate) struct InboundSender {
    messages: mpsc::Sender<Arrived>,
    room: Arc<Semaphore>,
    waiting: usize,
    end: Arc<OnceLock<Status>>,
}

impl InboundSender {
    /// Hands a message on when there is room for it; whether anybody still listens.
    pub(crate) async fn send(&self, bytes: Bytes) -> bool {
        let size = u32::try_from(bytes.len().clamp(1, self.waiting)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(size).await else { return false };
        self.messages.send(Arrived { bytes, _room: room }).await.is_ok()
    }

    /// Says how the call ended; the first word counts.
    pub(crate) fn end(&self, status: Status) {
        let _ = self.end.set(status);
    }

    /// Waits until nobody listens.
    pub(crate) async fn closed(&self) {
        self.messages.closed().await;
    }
}

/// Messages from the connection; at most `waiting` bytes of them wait, or one. `torn` is how a call ends whose
/// connection says nothing.
pub(crate) fn inbound(waiting: usize, torn: Code) -> (InboundSender, Inbound) {
    let (sender, receiver) = mpsc::channel(MESSAGES_IN);
    let end = Arc::new(OnceLock::new());
    let room = Arc::new(Semaphore::new(waiting));
    (
        InboundSender { messages: sender, room, waiting, end: Arc::clone(&end) },
        Inbound { messages: receiver, end, torn },
    )
}

/// Messages to the connection.
pub(crate) fn outbound(limit: usize) -> (Outbound, mpsc::Receiver<Outgoing>) {
    let (sender, receiver) = mpsc::channel(MESSAGES_OUT);
    (Outbound { messages: sender, limit }, receiver)
}

/// Messages that wait for a handler, besides the limit in bytes.
const MESSAGES_IN: usize = 256;
/// Messages that wait for the wire.
const MESSAGES_OUT: usize = 16;
