//! BuildKit's control service as clients see it, over whatever builds behind it.
//!
//! ```text
//! Control.Solve, frontend dockerfile.v0:   build → export → answer
//! Control.Solve, no frontend:              wait ─────────────────────────┐
//!   LLBBridge.Solve:                       build, the result gets an id  │
//!   LLBBridge.Return (a result's id):      ──────────────────────────────┴→ export → answer
//! Control.Status:                          what the build said so far, and what it says until it ends
//! ```

mod backend;
mod builds;
mod control;
mod gateway;
mod history;
mod named_session;
mod progress;
#[cfg(test)]
mod tests;
mod wish;

use std::sync::Arc;

use grpc::{Call, Service, Status};

pub use backend::{Backend, Export, Job};
pub use named_session::NamedSession;
pub use progress::Progress;
pub use wish::{Context, Place, Wish, one_word};

use crate::session::Sessions;
use crate::{control as api, gateway as bridge};
use builds::Builds;

/// The services of a builder, for any number of connections.
#[derive(Debug)]
pub struct Doors<B: Backend> {
    backend: B,
    sessions: Arc<Sessions>,
    builds: Arc<Builds<B::Built>>,
}

impl<B: Backend> Doors<B> {
    /// Over a backend; sessions come from elsewhere too, where they are upgraded out of HTTP/1.
    pub fn new(backend: B, sessions: Arc<Sessions>) -> Self {
        Self { backend, sessions, builds: Arc::default() }
    }

    /// The sessions builds name.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// What builds.
    pub fn backend(&self) -> &B {
        &self.backend
    }
}

/// The spans clients report of themselves; taken and forgotten, so that they do not complain.
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

impl<B: Backend> Service for Doors<B> {
    fn call(&self, mut call: Call) -> Result<(), Status> {
        match call.path.clone().as_str() {
            api::method::SOLVE => call.unary(|call, request| self.solve(call, request)),
            api::method::STATUS => self.status(&mut call),
            api::method::SESSION => self.session(call),
            api::method::LIST_WORKERS => call.unary(|_, _: api::ListWorkersRequest| {
                Ok(api::ListWorkersResponse { record: self.backend.workers() })
            }),
            api::method::INFO => call.unary(|_, _: api::InfoRequest| {
                Ok(api::InfoResponse { buildkit_version: Some(self.backend.version()) })
            }),
            api::method::DISK_USAGE => call.unary(|_, request: api::DiskUsageRequest| {
                Ok(api::DiskUsageResponse { record: self.backend.usage(&request)? })
            }),
            api::method::PRUNE => self.prune(&mut call),
            api::method::LISTEN_BUILD_HISTORY => self.listen(&mut call),
            api::method::UPDATE_BUILD_HISTORY => call.unary(|_, request| self.update(&request)),
            TRACES => call.unary(|_, _: bridge::PingRequest| Ok(bridge::EvaluateResponse {})),
            path if path.starts_with(bridge::SERVICE) => self.bridge(&mut call),
            path => Err(Status::unimplemented(path)),
        }
    }
}
