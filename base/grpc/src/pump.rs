//! Between HTTP/2's streams and the channels of a call.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use tokio::sync::mpsc;

use crate::call::{InboundSender, Outgoing};
use crate::framing::Assembler;
use crate::status::{Code, Status};

/// How sending ended.
#[derive(Debug)]
pub(crate) enum Sent {
    /// The sender said how the call ends.
    End(Status),
    /// The sender went away without a word.
    Closed,
    /// The peer gave the call up, or the connection is gone.
    Reset,
}

/// Sends messages as they come and as the peer's window allows.
pub(crate) async fn send(stream: &mut SendStream<Bytes>, messages: &mut mpsc::Receiver<Outgoing>) -> Sent {
    loop {
        let next = first(messages.recv(), poll_fn(|cx| stream.poll_reset(cx))).await;
        let message = match next {
            First::Left(Some(Outgoing::Message(message))) => message,
            First::Left(Some(Outgoing::End(status))) => return Sent::End(status),
            First::Left(None) => return Sent::Closed,
            First::Right(_) => return Sent::Reset,
        };
        if send_message(stream, message).await.is_err() {
            return Sent::Reset;
        }
    }
}

/// Sends one message in pieces for which the peer has room.
async fn send_message(stream: &mut SendStream<Bytes>, mut message: Bytes) -> Result<(), h2::Error> {
    while !message.is_empty() {
        stream.reserve_capacity(message.len().min(PIECE));
        let room = match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(room) => room?,
            None => return Err(h2::Reason::CANCEL.into()),
        };
        let piece = message.split_to(room.min(message.len()));
        if !piece.is_empty() {
            stream.send_data(piece, false)?;
        }
    }
    Ok(())
}

/// Bytes asked room for at once.
const PIECE: usize = 256 << 10;

/// Hands on the messages of a body until it ends.
///
/// The window opens again only when the messages in what came were taken over: a handler that does not read stops
/// its peer.
pub(crate) async fn receive(body: &mut RecvStream, to: &InboundSender, limit: usize) -> Result<(), Status> {
    let mut assembler = Assembler::new(limit);
    loop {
        let piece = match first(body.data(), to.closed()).await {
            First::Left(Some(piece)) => piece.map_err(|error| broken(&error))?,
            First::Left(None) if assembler.is_torn() => {
                return Err(Status::new(Code::Internal, "the stream ends inside a message"));
            }
            First::Left(None) => return Ok(()),
            First::Right(()) => return Err(Status::new(Code::Cancelled, "nobody reads this call any more")),
        };
        assembler.push(&piece);
        while let Some(message) = assembler.next()? {
            if !to.send(message).await {
                return Err(Status::new(Code::Cancelled, "nobody reads this call any more"));
            }
        }
        body.flow_control().release_capacity(piece.len()).map_err(|error| broken(&error))?;
    }
}

/// The status in the trailers of a body that ended.
pub(crate) async fn trailers(body: &mut RecvStream) -> Status {
    match body.trailers().await {
        Ok(trailers) => Status::read_from(&trailers.unwrap_or_default())
            .unwrap_or_else(|| Status::new(Code::Unknown, "the answer ended without a status")),
        Err(error) => broken(&error),
    }
}

/// Trailers that say a status.
pub(crate) fn closing(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    status.write_to(&mut trailers);
    trailers
}

/// What a failure of HTTP/2 means for a call.
pub(crate) fn broken(error: &h2::Error) -> Status {
    let code = match error.reason() {
        Some(h2::Reason::CANCEL | h2::Reason::NO_ERROR) => Code::Cancelled,
        Some(h2::Reason::REFUSED_STREAM) => Code::Unavailable,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Code::ResourceExhausted,
        Some(_) if error.is_reset() => Code::Internal,
        _ => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}

/// Which of two came first.
#[derive(Debug)]
pub(crate) enum First<A, B> {
    /// The first named.
    Left(A),
    /// The second named.
    Right(B),
}

/// Waits for one of two; the first named goes first when both are there.
pub(crate) async fn first<A: Future, B: Future>(left: A, right: B) -> First<A::Output, B::Output> {
    let mut left = pin!(left);
    let mut right = pin!(right);
    poll_fn(|cx| {
        if let Poll::Ready(value) = left.as_mut().poll(cx) {
            return Poll::Ready(First::Left(value));
        }
        right.as_mut().poll(cx).map(First::Right)
    })
    .await
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(crate) struct Owned(pub(crate) tokio::task::JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}
