//! Containers: their records, states, supervision through shims, and everything read from their processes.
//!
//! Purpose: one noun of the engine. The engine tells what to run; this component remembers it, decides which step is legal,
//! talks to the shim that holds the process, and says how the container is.
//!
//! Owns: `ContainerRecord` and its store, the state machine and its refusals (Docker's wording), the supervisor with one
//! connection per shim, exec records, restart back-off, health decisions, waiting, log reading, stats, process lists.
//!
//! Must not know: images, snapshots, networks, volumes (their results arrive as plain data), HTTP, Docker's documents
//! (kept as opaque JSON for inspect).
//!
//! Reading order: [`record`], [`state`], [`store`] and `container`, [`supervisor`]; then [`restart`], [`health`], [`wait`], [`exec`];
//! then what is read: [`logs`], [`stats`], [`top`], [`status`].

#![forbid(unsafe_code)]

mod container;
mod document;
pub mod exec;
pub mod health;
mod listed;
pub mod logs;
pub mod record;
mod refusal;
pub mod restart;
pub mod state;
pub mod stats;
pub mod status;
pub mod store;
pub mod supervisor;
pub mod top;
pub mod wait;

pub use document::Document;
pub use exec::{ExecRecord, ExecState, ExecStore};
pub use health::{Health, HealthCheck, HealthResult, HealthStatus, ProbeTest};
pub use listed::{Listed, Shown};
pub use record::{
    Config, ContainerRecord, Documents, LogConfig, MountPoint, NetworkAttachment, NetworkSettings, Paths,
    PortBinding,
};
pub use restart::{BackOff, RestartPolicy};
pub use state::{Lifecycle, Refusal, State, Transition};
pub use store::{Container, ContainerStore, LookupError, StoreError};
pub use supervisor::{Recovered, ShimError, ShimEvent, ShimGroup, Supervisor, SupervisorConfig};
pub use wait::{WaitCondition, WaitResult, Waiter};
