//! The server's side of a connection: one thread for the wire, one for each call.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::Request;
use linux::threads::Threads;
use tokio::sync::mpsc;

use crate::call::{self, Call, InboundSender, Outgoing};
use crate::cancellation::{CancelOnDrop, Cancellation};
use crate::head::{self, Refusal};
use crate::health;
use crate::io::Socket;
use crate::limits::Limits;
use crate::pump::{self, Owned, Sent};
use crate::status::{Code, Status};

/// Stack of a call's thread, bytes; only touched pages count.
const STACK: usize = 2 << 20;
/// A build is one call or two.
static CALLS: Threads = Threads::new(c"grpc-call", STACK, 2);

/// What answers calls.
pub trait Service: Send + Sync + 'static {
    /// Answers one call, in a thread of its own; what is returned ends the call.
    ///
    /// # Errors
    /// The status the caller gets.
    fn call(&self, call: Call) -> Result<(), Status>;
}

/// Serves a connection until it ends, in this thread. Calls still running then see their cancellation.
///
/// `early` is what was read from the socket already.
///
/// # Errors
/// When the peer breaks HTTP/2's rules or the socket fails; a peer that only goes away is no error.
pub fn serve(socket: OwnedFd, early: Vec<u8>, service: Arc<dyn Service>, limits: Limits) -> io::Result<()> {
    let runtime = runtime()?;
    let shared = Arc::new(Shared { service, limits, running: AtomicUsize::new(0) });
    runtime.block_on(async move {
        let socket = Socket::new(socket, early)?;
        let greeting = builder(&limits).handshake(socket);
        let mut connection = match tokio::time::timeout(limits.greeting, greeting).await {
            Ok(connection) => connection.map_err(as_io)?,
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer did not greet")),
        };
        while let Some(accepted) = connection.accept().await {
            let (request, respond) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_farewell(&error) => break,
                Err(error) => return Err(as_io(error)),
            };
            tokio::spawn(answer(request, respond, Arc::clone(&shared)));
        }
        Ok(())
    })
}

/// What all calls of a connection share.
struct Shared {
    service: Arc<dyn Service>,
    limits: Limits,
    running: AtomicUsize,
}

/// A runtime for one thread, which sleeps in the kernel while nothing happens.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()
}

/// Window of a call, in bytes: what may be under way before a handler has read.
pub(crate) const STREAM_WINDOW: u32 = 256 << 10;
/// Window of all calls together.
pub(crate) const CONNECTION_WINDOW: u32 = 1 << 20;

/// What small frames may cost, as `h2` counts it: 256 for each frame that waits, less its bytes. Its default ends a
/// connection after some thousand short messages that nobody has read yet, which is what a folder of many files is. This
/// is enough for a whole window of the shortest messages there are.
pub(crate) const SMALL_FRAMES: usize = 64 * CONNECTION_WINDOW as usize;

fn builder(limits: &Limits) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_list)
        .max_send_buffer_size(STREAM_WINDOW as usize)
        .data_frame_budget(SMALL_FRAMES);
    builder
}

pub(crate) fn as_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::Error::other("the connection failed"));
    }
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Whether a connection only ended.
fn is_farewell(error: &h2::Error) -> bool {
    error.reason() == Some(h2::Reason::NO_ERROR)
        || error.get_io().is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::UnexpectedEof
            )
        })
}

/// One call, from its head to its trailers.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, shared: Arc<Shared>) {
    let (parts, body) = request.into_parts();
    let (head, seat) = match head::read(&parts).and_then(|head| Ok((head, Seat::take(&shared)?))) {
        Ok(both) => both,
        Err(refusal) => {
            let _ = respond.send_response(head::refuse(&refusal), true);
            return;
        }
    };
    let Ok(mut stream) = respond.send_response(head::answer(), false) else { return };
    let cancellation = Cancellation::new();
    let _cancel = CancelOnDrop(cancellation.clone());
    let (arrivals, inbound) = call::inbound(shared.limits.waiting, Code::Cancelled);
    let (outbound, mut outgoing) = call::outbound(shared.limits.message);
    let _reader = Owned(tokio::spawn(read(body, arrivals, cancellation.clone(), shared.limits.message)));
    let timeout = head.timeout;
    let call = Call {
        path: head.path,
        metadata: head.metadata,
        deadline: timeout.and_then(|time| Instant::now().checked_add(time)),
        cancellation,
        inbound,
        outbound,
    };
    if handle(call, seat, &shared).is_err() {
        let _ =
            stream.send_trailers(pump::closing(&Status::new(Code::Unavailable, "no thread is to be had")));
        return;
    }
    if let Some(status) = send_within(timeout, &mut stream, &mut outgoing).await {
        let _ = stream.send_trailers(pump::closing(&status));
    }
}

/// Runs the handler in a thread of its own.
fn handle(call: Call, seat: Seat, shared: &Arc<Shared>) -> io::Result<()> {
    let service = Arc::clone(&shared.service);
    let closing = call.outbound.clone();
    let work = move || {
        let _seat = seat;
        let outcome = if call.path == health::CHECK { health::check(call) } else { service.call(call) };
        closing.end(outcome.err().unwrap_or_else(Status::ok));
    };
    CALLS.run(work)
}

/// Sends the answer; the status to end it with, unless there is nobody to tell.
async fn send_within(
    timeout: Option<Duration>,
    stream: &mut SendStream<Bytes>,
    outgoing: &mut mpsc::Receiver<Outgoing>,
) -> Option<Status> {
    let sending = pump::send(stream, outgoing);
    let sent = match timeout {
        None => Ok(sending.await),
        Some(time) => tokio::time::timeout(time, sending).await,
    };
    match sent {
        Ok(Sent::End(status)) => Some(status),
        Ok(Sent::Closed) => Some(Status::new(Code::Internal, "the handler ended without a word")),
        Ok(Sent::Reset) => None,
        Err(_) => Some(Status::new(Code::DeadlineExceeded, "context deadline exceeded")),
    }
}

/// Hands on what the caller sends.
async fn read(mut body: RecvStream, to: InboundSender, cancellation: Cancellation, limit: usize) {
    match pump::receive(&mut body, &to, limit).await {
        Ok(()) => to.end(Status::ok()),
        Err(status) => {
            to.end(status);
            cancellation.cancel();
        }
    }
}

/// The place of one handler among those that may run at once.
struct Seat(Arc<Shared>);

impl Seat {
    fn take(shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let taken = shared.running.fetch_add(1, Ordering::Relaxed);
        let seat = Self(Arc::clone(shared));
        if taken >= shared.limits.handlers {
            let status = Status::new(Code::ResourceExhausted, "too many calls at once");
            return Err(Refusal::Status(status));
        }
        Ok(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
