//! `moby.buildkit.v1.Control`: what builds, shows progress, lists and prunes.
//!
//! tidy: long file: the messages of one service, one after the other.

use std::collections::BTreeMap;

use grpc::status::RpcStatus;

use crate::ops::{Definition, ProgressGroup, Range, SourceInfo};
use crate::policy::Policy;
use crate::time::Timestamp;
use crate::worker::{BuildkitVersion, WorkerRecord};

/// The paths of the methods.
pub mod method {
    /// One request, one answer.
    pub const DISK_USAGE: &str = "/moby.buildkit.v1.Control/DiskUsage";
    /// One request, a record for each thing removed.
    pub const PRUNE: &str = "/moby.buildkit.v1.Control/Prune";
    /// One request, the answer at the end of the build.
    pub const SOLVE: &str = "/moby.buildkit.v1.Control/Solve";
    /// One request, progress until the build ends.
    pub const STATUS: &str = "/moby.buildkit.v1.Control/Status";
    /// A connection inside the connection.
    pub const SESSION: &str = "/moby.buildkit.v1.Control/Session";
    /// One request, one answer.
    pub const LIST_WORKERS: &str = "/moby.buildkit.v1.Control/ListWorkers";
    /// One request, one answer.
    pub const INFO: &str = "/moby.buildkit.v1.Control/Info";
    /// One request, events of the history.
    pub const LISTEN_BUILD_HISTORY: &str = "/moby.buildkit.v1.Control/ListenBuildHistory";
    /// One request, one answer.
    pub const UPDATE_BUILD_HISTORY: &str = "/moby.buildkit.v1.Control/UpdateBuildHistory";
}

/// What happened to a build in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum HistoryEvent {
    /// It started, or runs.
    Started = 0,
    /// It ended.
    Complete = 1,
    /// Its record was removed.
    Deleted = 2,
}

/// What to remove from the cache.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PruneRequest {
    /// Which records, all when empty.
    #[prost(string, repeated, tag = "1")]
    pub filter: Vec<String>,
    /// Internal and frontend records too.
    #[prost(bool, tag = "2")]
    pub all: bool,
    /// Nanoseconds since the last use within which records stay.
    #[prost(int64, tag = "3")]
    pub keep_duration: i64,
    /// Bytes to keep; newer clients say reserved space.
    #[prost(int64, tag = "4")]
    pub keep_bytes: i64,
    /// Bytes the cache may have.
    #[prost(int64, tag = "5")]
    pub max_used_space: i64,
    /// Bytes to be free on the disk.
    #[prost(int64, tag = "6")]
    pub min_free_space: i64,
}

/// Which records of the cache to list.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DiskUsageRequest {
    /// Which records, all when empty.
    #[prost(string, repeated, tag = "1")]
    pub filter: Vec<String>,
    /// Nanoseconds since the last use, 0 for any.
    #[prost(int64, tag = "2")]
    pub age_limit: i64,
}

/// The records of the cache.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DiskUsageResponse {
    /// The records.
    #[prost(message, repeated, tag = "1")]
    pub record: Vec<UsageRecord>,
}

/// One thing in the cache.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UsageRecord {
    /// Its id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Whether it can still change.
    #[prost(bool, tag = "2")]
    pub mutable: bool,
    /// Whether something uses it now.
    #[prost(bool, tag = "3")]
    pub in_use: bool,
    /// Bytes.
    #[prost(int64, tag = "4")]
    pub size: i64,
    /// The first of the parents, for old clients.
    #[prost(string, tag = "5")]
    pub parent: String,
    /// When it was made.
    #[prost(message, tag = "6")]
    pub created_at: Option<Timestamp>,
    /// When it was used last.
    #[prost(message, tag = "7")]
    pub last_used_at: Option<Timestamp>,
    /// How often it was used.
    #[prost(int64, tag = "8")]
    pub usage_count: i64,
    /// What made it, for people.
    #[prost(string, tag = "9")]
    pub description: String,
    /// `regular`, `source.local`, `exec.cachemount`, `frontend`, `internal` or `source.git.checkout`.
    #[prost(string, tag = "10")]
    pub record_type: String,
    /// Whether something else shares its bytes.
    #[prost(bool, tag = "11")]
    pub shared: bool,
    /// The records below it.
    #[prost(string, repeated, tag = "12")]
    pub parents: Vec<String>,
}

/// A build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SolveRequest {
    /// The client's name for this build.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// A graph of operations, when there is no frontend.
    #[prost(message, tag = "2")]
    pub definition: Option<Definition>,
    /// What becomes of the result, from old clients; the first of the exporters.
    #[prost(string, tag = "3")]
    pub exporter_deprecated: String,
    /// Options of that exporter.
    #[prost(btree_map = "string, string", tag = "4")]
    pub exporter_attrs_deprecated: BTreeMap<String, String>,
    /// The session with the client's files and secrets.
    #[prost(string, tag = "5")]
    pub session: String,
    /// `dockerfile.v0`, or empty when the client itself drives the build through the gateway.
    #[prost(string, tag = "6")]
    pub frontend: String,
    /// Options of the frontend.
    #[prost(btree_map = "string, string", tag = "7")]
    pub frontend_attrs: BTreeMap<String, String>,
    /// Where cache comes from and goes to.
    #[prost(message, tag = "8")]
    pub cache: Option<CacheOptions>,
    /// What the build may do beyond the usual.
    #[prost(string, repeated, tag = "9")]
    pub entitlements: Vec<String>,
    /// Graphs the frontend may name.
    #[prost(btree_map = "string, message", tag = "10")]
    pub frontend_inputs: BTreeMap<String, Definition>,
    /// Not to be kept in the history.
    #[prost(bool, tag = "11")]
    pub internal: bool,
    /// Rules for sources.
    #[prost(message, tag = "12")]
    pub source_policy: Option<Policy>,
    /// What becomes of the result.
    #[prost(message, repeated, tag = "13")]
    pub exporters: Vec<Exporter>,
    /// Whether the session may add exporters.
    #[prost(bool, tag = "14")]
    pub enable_session_exporter: bool,
    /// The session that is asked about sources.
    #[prost(string, tag = "15")]
    pub source_policy_session: String,
}

/// Where cache comes from and goes to.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CacheOptions {
    /// From clients before 0.4.
    #[prost(string, tag = "1")]
    pub export_ref_deprecated: String,
    /// From clients before 0.4.
    #[prost(string, repeated, tag = "2")]
    pub import_refs_deprecated: Vec<String>,
    /// From clients before 0.4.
    #[prost(btree_map = "string, string", tag = "3")]
    pub export_attrs_deprecated: BTreeMap<String, String>,
    /// Where it goes.
    #[prost(message, repeated, tag = "4")]
    pub exports: Vec<CacheOptionsEntry>,
    /// Where it comes from.
    #[prost(message, repeated, tag = "5")]
    pub imports: Vec<CacheOptionsEntry>,
}

/// One place of cache.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CacheOptionsEntry {
    /// `inline`, `registry`, `local` and others.
    #[prost(string, tag = "1")]
    pub r#type: String,
    /// Its options.
    #[prost(btree_map = "string, string", tag = "2")]
    pub attrs: BTreeMap<String, String>,
}

/// What becomes of a result.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exporter {
    /// `image`, `moby`, `docker`, `oci`, `tar`, `local` and others.
    #[prost(string, tag = "1")]
    pub r#type: String,
    /// Its options.
    #[prost(btree_map = "string, string", tag = "2")]
    pub attrs: BTreeMap<String, String>,
}

/// The end of a build that worked.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SolveResponse {
    /// What the exporters and the frontend have to say.
    #[prost(btree_map = "string, string", tag = "1")]
    pub exporter_response: BTreeMap<String, String>,
}

/// Which build's progress to send.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatusRequest {
    /// The client's name of it.
    #[prost(string, tag = "1")]
    pub reference: String,
}

/// News of a build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatusResponse {
    /// Steps that are new or changed.
    #[prost(message, repeated, tag = "1")]
    pub vertexes: Vec<Vertex>,
    /// Progress inside steps.
    #[prost(message, repeated, tag = "2")]
    pub statuses: Vec<VertexStatus>,
    /// Output of steps.
    #[prost(message, repeated, tag = "3")]
    pub logs: Vec<VertexLog>,
    /// Warnings about the Dockerfile.
    #[prost(message, repeated, tag = "4")]
    pub warnings: Vec<VertexWarning>,
}

/// A step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Vertex {
    /// What names it in this stream.
    #[prost(string, tag = "1")]
    pub digest: String,
    /// The steps it needs.
    #[prost(string, repeated, tag = "2")]
    pub inputs: Vec<String>,
    /// For people.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Whether it did not have to run.
    #[prost(bool, tag = "4")]
    pub cached: bool,
    /// When it started; none before.
    #[prost(message, tag = "5")]
    pub started: Option<Timestamp>,
    /// When it ended; none before.
    #[prost(message, tag = "6")]
    pub completed: Option<Timestamp>,
    /// Why it failed.
    #[prost(string, tag = "7")]
    pub error: String,
    /// Steps to be shown as one.
    #[prost(message, tag = "8")]
    pub progress_group: Option<ProgressGroup>,
}

/// Progress inside a step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VertexStatus {
    /// What names it in the step.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The step.
    #[prost(string, tag = "2")]
    pub vertex: String,
    /// For people.
    #[prost(string, tag = "3")]
    pub name: String,
    /// How much is done.
    #[prost(int64, tag = "4")]
    pub current: i64,
    /// Of how much; 0 when nobody knows.
    #[prost(int64, tag = "5")]
    pub total: i64,
    /// When this was so.
    #[prost(message, tag = "6")]
    pub timestamp: Option<Timestamp>,
    /// When it started.
    #[prost(message, tag = "7")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[prost(message, tag = "8")]
    pub completed: Option<Timestamp>,
}

/// Output of a step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VertexLog {
    /// The step.
    #[prost(string, tag = "1")]
    pub vertex: String,
    /// When it came.
    #[prost(message, tag = "2")]
    pub timestamp: Option<Timestamp>,
    /// 1 for stdout, 2 for stderr.
    #[prost(int64, tag = "3")]
    pub stream: i64,
    /// The bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub msg: Vec<u8>,
}

/// A warning.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VertexWarning {
    /// The step it is about.
    #[prost(string, tag = "1")]
    pub vertex: String,
    /// How bad, 1 is worst.
    #[prost(int64, tag = "2")]
    pub level: i64,
    /// The first line.
    #[prost(bytes = "vec", tag = "3")]
    pub short: Vec<u8>,
    /// More lines.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub detail: Vec<Vec<u8>>,
    /// Where to read more.
    #[prost(string, tag = "5")]
    pub url: String,
    /// The file it is about.
    #[prost(message, tag = "6")]
    pub info: Option<SourceInfo>,
    /// The places in it.
    #[prost(message, repeated, tag = "7")]
    pub ranges: Vec<Range>,
}

/// A piece of a connection inside the connection.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BytesMessage {
    /// The bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

/// Which workers to list.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListWorkersRequest {
    /// All when empty.
    #[prost(string, repeated, tag = "1")]
    pub filter: Vec<String>,
}

/// The workers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListWorkersResponse {
    /// The workers.
    #[prost(message, repeated, tag = "1")]
    pub record: Vec<WorkerRecord>,
}

/// Nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InfoRequest {}

/// What serves.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InfoResponse {
    /// Its version.
    #[prost(message, tag = "1")]
    pub buildkit_version: Option<BuildkitVersion>,
}

/// Which builds of the history to tell about.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildHistoryRequest {
    /// Only those that run.
    #[prost(bool, tag = "1")]
    pub active_only: bool,
    /// Only this one, when not empty.
    #[prost(string, tag = "2")]
    pub reference: String,
    /// Whether to end after what is there now.
    #[prost(bool, tag = "3")]
    pub early_exit: bool,
    /// Which ones, all when empty.
    #[prost(string, repeated, tag = "4")]
    pub filter: Vec<String>,
    /// At most so many, 0 for all.
    #[prost(int32, tag = "5")]
    pub limit: i32,
}

/// News of the history.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildHistoryEvent {
    /// What happened.
    #[prost(enumeration = "HistoryEvent", tag = "1")]
    pub r#type: i32,
    /// To which build.
    #[prost(message, tag = "2")]
    pub record: Option<BuildHistoryRecord>,
}

/// A build that was.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildHistoryRecord {
    /// The client's name of it.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// Its frontend.
    #[prost(string, tag = "2")]
    pub frontend: String,
    /// The options of the frontend.
    #[prost(btree_map = "string, string", tag = "3")]
    pub frontend_attrs: BTreeMap<String, String>,
    /// What became of the result.
    #[prost(message, repeated, tag = "4")]
    pub exporters: Vec<Exporter>,
    /// Why it failed.
    #[prost(message, tag = "5")]
    pub error: Option<RpcStatus>,
    /// When it started.
    #[prost(message, tag = "6")]
    pub created_at: Option<Timestamp>,
    /// When it ended.
    #[prost(message, tag = "7")]
    pub completed_at: Option<Timestamp>,
    /// Its progress and output, as a blob.
    #[prost(message, tag = "8")]
    pub logs: Option<Descriptor>,
    /// What the exporters had to say.
    #[prost(btree_map = "string, string", tag = "9")]
    pub exporter_response: BTreeMap<String, String>,
    /// The result for one platform.
    #[prost(message, tag = "10")]
    pub result: Option<BuildResultInfo>,
    /// The results by platform.
    #[prost(btree_map = "string, message", tag = "11")]
    pub results: BTreeMap<String, BuildResultInfo>,
    /// Counts changes of this record.
    #[prost(int32, tag = "12")]
    pub generation: i32,
    /// Its trace, as a blob.
    #[prost(message, tag = "13")]
    pub trace: Option<Descriptor>,
    /// Whether it stays when others are removed.
    #[prost(bool, tag = "14")]
    pub pinned: bool,
    /// Steps that did not have to run.
    #[prost(int32, tag = "15")]
    pub num_cached_steps: i32,
    /// All steps.
    #[prost(int32, tag = "16")]
    pub num_total_steps: i32,
    /// Steps that ended.
    #[prost(int32, tag = "17")]
    pub num_completed_steps: i32,
    /// The error as a blob, when it is long.
    #[prost(message, tag = "18")]
    pub external_error: Option<Descriptor>,
    /// Warnings.
    #[prost(int32, tag = "19")]
    pub num_warnings: i32,
}

/// A change to a record of the history.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateBuildHistoryRequest {
    /// Which.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// Whether it stays when others are removed.
    #[prost(bool, tag = "2")]
    pub pinned: bool,
    /// Whether to remove it.
    #[prost(bool, tag = "3")]
    pub delete: bool,
    /// Whether to write its trace now.
    #[prost(bool, tag = "4")]
    pub finalize: bool,
}

/// Nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateBuildHistoryResponse {}

/// A blob's place.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Descriptor {
    /// What it is.
    #[prost(string, tag = "1")]
    pub media_type: String,
    /// Its digest.
    #[prost(string, tag = "2")]
    pub digest: String,
    /// Bytes.
    #[prost(int64, tag = "3")]
    pub size: i64,
    /// More about it.
    #[prost(btree_map = "string, string", tag = "5")]
    pub annotations: BTreeMap<String, String>,
}

/// A result.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildResultInfo {
    /// The result, for old clients.
    #[prost(message, tag = "1")]
    pub result_deprecated: Option<Descriptor>,
    /// What is said about it.
    #[prost(message, repeated, tag = "2")]
    pub attestations: Vec<Descriptor>,
    /// The results by exporter.
    #[prost(btree_map = "int64, message", tag = "3")]
    pub results: BTreeMap<i64, Descriptor>,
}
