//! The client's side of BuildKit's protocol: calls of the control service, and what a client serves in its session.
//!
//! ```text
//! connection 1   client → builder   Control: Solve, Status, DiskUsage, Prune, Info, the history     [`Builder`]
//! connection 2   builder → client   files, secrets, agents, credentials, bytes, blobs; results come back   [`Offer`]
//! ```

mod content;
mod folder;
mod follow;
mod layout;
mod offer;
mod output;
mod serve;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use grpc::{Cancellation, Client, ClientCall, Limits, Metadata, Status};

pub use layout::{Layout, LayoutError};
pub use offer::{Offer, Secret};
pub use output::Output;

use crate::control::{
    BuildHistoryEvent, BuildHistoryRequest, DiskUsageRequest, DiskUsageResponse, ListWorkersRequest,
    ListWorkersResponse, PruneRequest, SolveRequest, SolveResponse, StatusRequest, StatusResponse,
    UpdateBuildHistoryRequest, UpdateBuildHistoryResponse, UsageRecord, method,
};
use crate::gateway;

/// How long a question that needs no work may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A builder, seen through its control service. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Builder {
    client: Client,
}

impl Builder {
    /// Speaks to a builder on a connection; `early` is what was read from it already.
    ///
    /// # Errors
    /// When no thread or descriptor is to be had.
    pub fn new(socket: OwnedFd, early: Vec<u8>) -> io::Result<Self> {
        Ok(Self { client: Client::new(socket, early, Limits::DEFAULT)? })
    }

    /// Its workers.
    ///
    /// # Errors
    /// What it answers.
    pub fn workers(&self) -> Result<ListWorkersResponse, Status> {
        self.ask(method::LIST_WORKERS, &ListWorkersRequest::default())
    }

    /// The records of its cache.
    ///
    /// # Errors
    /// What it answers.
    pub fn usage(&self, request: &DiskUsageRequest) -> Result<DiskUsageResponse, Status> {
        self.ask(method::DISK_USAGE, request)
    }

    /// Builds; comes back when the build has ended, or was given up.
    ///
    /// # Errors
    /// Why it failed, with what is known about the place as details.
    pub fn solve(&self, request: &SolveRequest, until: &Cancellation) -> Result<SolveResponse, Status> {
        let mut answer = None;
        self.listen(method::SOLVE, Metadata::new(), request, until, &mut |response| answer = Some(response))?;
        answer.ok_or_else(|| Status::new(grpc::Code::Internal, "the build ended without an answer"))
    }

    /// Hears what a build says until it ends.
    ///
    /// # Errors
    /// When there is no such build, or the connection breaks.
    pub fn status(
        &self,
        reference: &str,
        until: &Cancellation,
        each: &mut dyn FnMut(StatusResponse),
    ) -> Result<(), Status> {
        let request = StatusRequest { reference: reference.to_owned() };
        self.listen(method::STATUS, Metadata::new(), &request, until, each)
    }

    /// Removes from the cache; hears what went.
    ///
    /// # Errors
    /// What it answers.
    pub fn prune(&self, request: &PruneRequest, each: &mut dyn FnMut(UsageRecord)) -> Result<(), Status> {
        self.listen(method::PRUNE, Metadata::new(), request, &Cancellation::new(), each)
    }

    /// Hears the history; it ends by itself when the request says so.
    ///
    /// # Errors
    /// What it answers.
    pub fn history(
        &self,
        request: &BuildHistoryRequest,
        each: &mut dyn FnMut(BuildHistoryEvent),
    ) -> Result<(), Status> {
        self.listen(method::LISTEN_BUILD_HISTORY, Metadata::new(), request, &Cancellation::new(), each)
    }

    /// Changes or removes a record of the history.
    ///
    /// # Errors
    /// What it answers.
    pub fn change_history(&self, request: &UpdateBuildHistoryRequest) -> Result<(), Status> {
        self.ask::<UpdateBuildHistoryResponse>(method::UPDATE_BUILD_HISTORY, request).map(|_| ())
    }

    /// Asks a frontend within a build that has no frontend of its own; comes back with its result.
    ///
    /// # Errors
    /// What the frontend says.
    pub fn ask_frontend(
        &self,
        build: &str,
        request: &gateway::SolveRequest,
        until: &Cancellation,
    ) -> Result<gateway::SolveResponse, Status> {
        let metadata = Metadata::new().with(gateway::method::BUILD_ID, build);
        let mut answer = None;
        self.listen(gateway::method::SOLVE, metadata, request, until, &mut |response| {
            answer = Some(response);
        })?;
        answer.ok_or_else(|| Status::new(grpc::Code::Internal, "the frontend ended without an answer"))
    }

    /// Says what a build gives that has no frontend of its own.
    ///
    /// # Errors
    /// When the builder takes it not.
    pub fn give_back(&self, build: &str, request: &gateway::ReturnRequest) -> Result<(), Status> {
        let metadata = Metadata::new().with(gateway::method::BUILD_ID, build);
        let answer: Result<gateway::ReturnResponse, Status> =
            self.client.unary(gateway::method::RETURN, metadata, Some(PATIENCE), request);
        answer.map(|_| ())
    }

    fn ask<A: prost::Message + Default>(
        &self,
        path: &str,
        request: &impl prost::Message,
    ) -> Result<A, Status> {
        self.client.unary(path, Metadata::new(), Some(PATIENCE), request)
    }

    /// Sends one message and hears all that come back.
    fn listen<A: prost::Message + Default>(
        &self,
        path: &str,
        metadata: Metadata,
        request: &impl prost::Message,
        until: &Cancellation,
        each: &mut dyn FnMut(A),
    ) -> Result<(), Status> {
        let ClientCall { mut inbound, outbound, cancellation } = self.client.start(path, metadata, None);
        let _hook = until.on_cancel(move || cancellation.cancel());
        // Why a call takes no message is what it ends with.
        let sent = outbound.send(request);
        drop(outbound);
        let mut heard = false;
        while let Some(answer) = inbound.recv()? {
            heard = true;
            each(answer);
        }
        if heard { Ok(()) } else { sent }
    }
}
