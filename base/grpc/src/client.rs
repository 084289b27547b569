//! The client's side of a connection: calls from any thread, one thread for the wire.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use tokio::sync::mpsc;

use crate::call::{self, Inbound, InboundSender, Outbound, Outgoing};
use crate::cancellation::{CancelOnDrop, Cancellation};
use crate::head;
use crate::io::Socket;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::pump::{self, First, Owned, Sent, first};
use crate::server::{CONNECTION_WINDOW, SMALL_FRAMES, STREAM_WINDOW, as_io, runtime};
use crate::status::{Code, Status};

/// Makes calls on one connection; clones share it, and it is closed when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Client {
    calls: mpsc::Sender<Opening>,
    gone: Cancellation,
    limits: Limits,
}

/// A call under way. Dropping [`Self::outbound`] ends what is sent, dropping [`Self::inbound`] gives the call up.
#[derive(Debug)]
pub struct ClientCall {
    /// What the server sends.
    pub inbound: Inbound,
    /// What the server is sent.
    pub outbound: Outbound,
    /// Gives the call up from another thread.
    pub cancellation: Cancellation,
}

/// What the connection's thread needs to make a call.
#[derive(Debug)]
struct Opening {
    path: String,
    metadata: Metadata,
    timeout: Option<Duration>,
    arrivals: InboundSender,
    outgoing: mpsc::Receiver<Outgoing>,
    cancellation: Cancellation,
}

impl Client {
    /// Speaks to a server on a socket; `early` is what was read from it already.
    ///
    /// # Errors
    /// When no thread or descriptor is to be had. Whether anybody answers shows with the first call.
    pub fn new(socket: OwnedFd, early: Vec<u8>, limits: Limits) -> io::Result<Self> {
        let (calls, openings) = mpsc::channel(CALLS);
        let gone = Cancellation::new();
        let told = CancelOnDrop(gone.clone());
        let runtime = runtime()?;
        let wire = move || {
            let _told = told;
            // Every call of a broken connection says so itself; there is nobody else to tell.
            let _ = runtime.block_on(drive(socket, early, openings, limits));
        };
        thread::Builder::new().name("grpc-client".into()).spawn(wire)?;
        Ok(Self { calls, gone, limits })
    }

    /// The word that the connection is gone.
    pub fn gone(&self) -> &Cancellation {
        &self.gone
    }

    /// Starts a call of any kind.
    pub fn start(&self, path: &str, metadata: Metadata, timeout: Option<Duration>) -> ClientCall {
        let (arrivals, inbound) = call::inbound(self.limits.waiting, Code::Unavailable);
        let (outbound, outgoing) = call::outbound(self.limits.message);
        let cancellation = Cancellation::new();
        let call = ClientCall { inbound, outbound, cancellation: cancellation.clone() };
        // When nobody takes it, its channels are dropped, and the call says that the connection ended.
        let opening = Opening { path: path.to_owned(), metadata, timeout, arrivals, outgoing, cancellation };
        let _ = self.calls.blocking_send(opening);
        call
    }

    /// Sends one message and waits for one.
    ///
    /// # Errors
    /// The status of the call when that is not success; an answer that is missing or of another type.
    pub fn unary<A: prost::Message + Default>(
        &self,
        path: &str,
        metadata: Metadata,
        timeout: Option<Duration>,
        request: &impl prost::Message,
    ) -> Result<A, Status> {
        let ClientCall { mut inbound, outbound, .. } = self.start(path, metadata, timeout);
        // Why a call takes no message is what it ends with.
        let sent = outbound.send(request);
        drop(outbound);
        let Some(answer) = inbound.recv()? else {
            sent?;
            return Err(Status::new(Code::Internal, "the call ended without an answer"));
        };
        while inbound.recv_bytes()?.is_some() {}
        Ok(answer)
    }

    /// Asks the server whether it serves.
    ///
    /// # Errors
    /// The status of the call.
    pub fn check_health(&self, timeout: Option<Duration>) -> Result<bool, Status> {
        let request = crate::health::CheckRequest::default();
        let answer: crate::health::CheckResponse =
            self.unary(crate::health::CHECK, Metadata::new(), timeout, &request)?;
        Ok(answer.status == 1)
    }
}

impl ClientCall {
    /// Ends what is sent and gives the messages that come.
    pub fn finish(self) -> Inbound {
        self.inbound
    }
}

/// Calls that wait for the connection's thread.
const CALLS: usize = 16;

/// Serves the connection until all clients are gone or it breaks.
async fn drive(
    socket: OwnedFd,
    early: Vec<u8>,
    mut openings: mpsc::Receiver<Opening>,
    limits: Limits,
) -> io::Result<()> {
    let socket = Socket::new(socket, early)?;
    let (calls, connection) = builder(&limits).handshake::<_, Bytes>(socket).await.map_err(as_io)?;
    let limits = Arc::new(limits);
    let mut connection = std::pin::pin!(connection);
    loop {
        match first(openings.recv(), connection.as_mut()).await {
            First::Left(Some(opening)) => {
                tokio::spawn(make(opening, calls.clone(), Arc::clone(&limits)));
            }
            First::Left(None) => break,
            First::Right(ended) => return ended.map_err(as_io),
        }
    }
    // No new calls; the ones under way go on to their ends.
    drop(calls);
    connection.await.map_err(as_io)
}

fn builder(limits: &Limits) -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(limits.header_list.max(512 << 10))
        .max_send_buffer_size(STREAM_WINDOW as usize)
        .data_frame_budget(SMALL_FRAMES);
    builder
}

/// One call, from its head to the answer's trailers.
async fn make(opening: Opening, calls: SendRequest<Bytes>, limits: Arc<Limits>) {
    let Opening { path, metadata, timeout, arrivals, outgoing, cancellation } = opening;
    let limited = async {
        let call = talk(&path, &metadata, timeout, &arrivals, outgoing, calls, limits.message);
        match timeout {
            None => call.await,
            Some(time) => tokio::time::timeout(time, call)
                .await
                .unwrap_or_else(|_| Err(Status::new(Code::DeadlineExceeded, "context deadline exceeded"))),
        }
    };
    let ended = match first(limited, cancellation.cancelled()).await {
        First::Left(ended) => ended,
        First::Right(()) => Err(Status::new(Code::Cancelled, "context canceled")),
    };
    arrivals.end(ended.err().unwrap_or_else(Status::ok));
}

async fn talk(
    path: &str,
    metadata: &Metadata,
    timeout: Option<Duration>,
    arrivals: &InboundSender,
    outgoing: mpsc::Receiver<Outgoing>,
    calls: SendRequest<Bytes>,
    limit: usize,
) -> Result<(), Status> {
    let request = head::call(path, metadata, timeout)?;
    let mut calls = calls.ready().await.map_err(|error| pump::broken(&error))?;
    let (response, stream) = calls.send_request(request, false).map_err(|error| pump::broken(&error))?;
    drop(calls);
    let _writer = Owned(tokio::spawn(write(stream, outgoing)));
    receive(response, arrivals, limit).await
}

/// Sends what the caller gives until it ends.
async fn write(mut stream: SendStream<Bytes>, mut outgoing: mpsc::Receiver<Outgoing>) {
    match pump::send(&mut stream, &mut outgoing).await {
        Sent::Closed | Sent::End(_) => {
            let _ = stream.send_data(Bytes::new(), true);
        }
        Sent::Reset => {}
    }
}

async fn receive(response: ResponseFuture, arrivals: &InboundSender, limit: usize) -> Result<(), Status> {
    let response = match first(response, arrivals.closed()).await {
        First::Left(response) => response.map_err(|error| pump::broken(&error))?,
        First::Right(()) => return Err(Status::new(Code::Cancelled, "context canceled")),
    };
    head::check_answer(&response)?;
    let is_whole = Status::read_from(response.headers()).is_some();
    let mut body = response.into_body();
    if is_whole {
        return Ok(());
    }
    pump::receive(&mut body, arrivals, limit).await?;
    let status = pump::trailers(&mut body).await;
    if status.code == Code::Ok { Ok(()) } else { Err(status) }
}
