//! `moby.buildkit.v1.frontend.LLBBridge`: a client that drives a build itself, step by step.
//!
//! tidy: long file: the messages of one service, one after the other.

use std::collections::BTreeMap;

use grpc::status::RpcStatus;

use crate::caps::ApiCap;
use crate::fsutil::Stat;
use crate::ops::{Definition, Platform, Range, SourceInfo, SourceOp};
use crate::policy::Policy;
use crate::worker::WorkerRecord;

/// What the paths of the methods begin with.
pub const SERVICE: &str = "/moby.buildkit.v1.frontend.LLBBridge/";

/// The paths of the methods; each takes one request and gives one answer.
pub mod method {
    /// What an image's config is.
    pub const RESOLVE_IMAGE_CONFIG: &str = "/moby.buildkit.v1.frontend.LLBBridge/ResolveImageConfig";
    /// What a source is.
    pub const RESOLVE_SOURCE_META: &str = "/moby.buildkit.v1.frontend.LLBBridge/ResolveSourceMeta";
    /// Builds.
    pub const SOLVE: &str = "/moby.buildkit.v1.frontend.LLBBridge/Solve";
    /// Reads a file of a result.
    pub const READ_FILE: &str = "/moby.buildkit.v1.frontend.LLBBridge/ReadFile";
    /// Lists a directory of a result.
    pub const READ_DIR: &str = "/moby.buildkit.v1.frontend.LLBBridge/ReadDir";
    /// Looks at a file of a result.
    pub const STAT_FILE: &str = "/moby.buildkit.v1.frontend.LLBBridge/StatFile";
    /// Builds a result that was only named so far.
    pub const EVALUATE: &str = "/moby.buildkit.v1.frontend.LLBBridge/Evaluate";
    /// What can be asked for.
    pub const PING: &str = "/moby.buildkit.v1.frontend.LLBBridge/Ping";
    /// Ends the build with a result or an error.
    pub const RETURN: &str = "/moby.buildkit.v1.frontend.LLBBridge/Return";
    /// The graphs given with the build.
    pub const INPUTS: &str = "/moby.buildkit.v1.frontend.LLBBridge/Inputs";
    /// Adds a warning.
    pub const WARN: &str = "/moby.buildkit.v1.frontend.LLBBridge/Warn";
    /// The metadata that names the build.
    pub const BUILD_ID: &str = "buildkit-controlapi-buildid";
}

/// A result, or one for each platform.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildResult {
    /// What was built.
    #[prost(oneof = "Built", tags = "1, 2, 3, 4")]
    pub built: Option<Built>,
    /// What else is known: the image's config, digests, answers of subrequests.
    #[prost(btree_map = "string, bytes", tag = "10")]
    pub metadata: BTreeMap<String, Vec<u8>>,
    /// What is said about it, by platform.
    #[prost(btree_map = "string, message", tag = "12")]
    pub attestations: BTreeMap<String, Attestations>,
}

/// What was built.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Built {
    /// One, from clients before arrays of references.
    #[prost(string, tag = "1")]
    OldOne(String),
    /// Several, from clients before arrays of references.
    #[prost(message, tag = "2")]
    OldMany(OldRefMap),
    /// One.
    #[prost(message, tag = "3")]
    One(Ref),
    /// Several, by platform.
    #[prost(message, tag = "4")]
    Many(RefMap),
}

/// Results by platform, from clients before arrays of references.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OldRefMap {
    /// Their ids.
    #[prost(btree_map = "string, string", tag = "1")]
    pub refs: BTreeMap<String, String>,
}

/// A result.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ref {
    /// What names it in this build.
    #[prost(string, tag = "1")]
    pub id: String,
    /// What it was built from.
    #[prost(message, tag = "2")]
    pub def: Option<Definition>,
}

/// Results by platform.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RefMap {
    /// The results.
    #[prost(btree_map = "string, message", tag = "1")]
    pub refs: BTreeMap<String, Ref>,
}

/// What is said about a result.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Attestations {
    /// The statements.
    #[prost(message, repeated, tag = "1")]
    pub attestation: Vec<Attestation>,
}

/// A statement.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Attestation {
    /// 0 an in-toto statement, 1 a bundle of them.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// About the statement.
    #[prost(btree_map = "string, bytes", tag = "2")]
    pub metadata: BTreeMap<String, Vec<u8>>,
    /// The result that has it as a file.
    #[prost(message, tag = "3")]
    pub reference: Option<Ref>,
    /// The file.
    #[prost(string, tag = "4")]
    pub path: String,
    /// What is stated.
    #[prost(string, tag = "5")]
    pub in_toto_predicate_type: String,
    /// About what.
    #[prost(message, repeated, tag = "6")]
    pub in_toto_subjects: Vec<InTotoSubject>,
}

/// What a statement is about.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InTotoSubject {
    /// 0 the result itself, 1 what is named here.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Its digests.
    #[prost(string, repeated, tag = "2")]
    pub digest: Vec<String>,
    /// Its name.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// The end of a build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReturnRequest {
    /// What it gives.
    #[prost(message, tag = "1")]
    pub result: Option<BuildResult>,
    /// Why it failed.
    #[prost(message, tag = "2")]
    pub error: Option<RpcStatus>,
}

/// Nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReturnResponse {}

/// Nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InputsRequest {}

/// The graphs given with the build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InputsResponse {
    /// By name.
    #[prost(btree_map = "string, message", tag = "1")]
    pub definitions: BTreeMap<String, Definition>,
}

/// Which image's config.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResolveImageConfigRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// For which platform.
    #[prost(message, tag = "2")]
    pub platform: Option<Platform>,
    /// `default`, `pull` or `local`.
    #[prost(string, tag = "3")]
    pub resolve_mode: String,
    /// What to show meanwhile.
    #[prost(string, tag = "4")]
    pub log_name: String,
    /// 0 a registry, 1 a store of the session.
    #[prost(int32, tag = "5")]
    pub resolver_type: i32,
    /// Whose store.
    #[prost(string, tag = "6")]
    pub session_id: String,
    /// Which store.
    #[prost(string, tag = "7")]
    pub store_id: String,
    /// Rules for sources.
    #[prost(message, repeated, tag = "8")]
    pub source_policies: Vec<Policy>,
}

/// An image's config.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResolveImageConfigResponse {
    /// The digest of its manifest or index.
    #[prost(string, tag = "1")]
    pub digest: String,
    /// The config as it is.
    #[prost(bytes = "vec", tag = "2")]
    pub config: Vec<u8>,
    /// The name it was found by.
    #[prost(string, tag = "3")]
    pub reference: String,
}

/// Which source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResolveSourceMetaRequest {
    /// The source.
    #[prost(message, tag = "1")]
    pub source: Option<SourceOp>,
    /// For which platform.
    #[prost(message, tag = "2")]
    pub platform: Option<Platform>,
    /// What to show meanwhile.
    #[prost(string, tag = "3")]
    pub log_name: String,
    /// `default`, `pull` or `local`.
    #[prost(string, tag = "4")]
    pub resolve_mode: String,
    /// Rules for sources.
    #[prost(message, repeated, tag = "8")]
    pub source_policies: Vec<Policy>,
}

/// What a source is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResolveSourceMetaResponse {
    /// The source as it was resolved.
    #[prost(message, tag = "1")]
    pub source: Option<SourceOp>,
    /// More, when it is an image.
    #[prost(message, tag = "2")]
    pub image: Option<ResolveSourceImageResponse>,
}

/// An image.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResolveSourceImageResponse {
    /// The digest of its manifest or index.
    #[prost(string, tag = "1")]
    pub digest: String,
    /// The config as it is.
    #[prost(bytes = "vec", tag = "2")]
    pub config: Vec<u8>,
}

/// What to build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SolveRequest {
    /// A graph, when there is no frontend.
    #[prost(message, tag = "1")]
    pub definition: Option<Definition>,
    /// `dockerfile.v0`.
    #[prost(string, tag = "2")]
    pub frontend: String,
    /// Options of the frontend.
    #[prost(btree_map = "string, string", tag = "3")]
    pub frontend_opt: BTreeMap<String, String>,
    /// Whether the client reads the result's newer form.
    #[prost(bool, tag = "5")]
    pub allow_result_return: bool,
    /// Whether it reads references as messages.
    #[prost(bool, tag = "6")]
    pub allow_result_array_ref: bool,
    /// Whether this ends the build; old clients only.
    #[prost(bool, tag = "10")]
    pub is_final: bool,
    /// With that.
    #[prost(bytes = "vec", tag = "11")]
    pub exporter_attr: Vec<u8>,
    /// Where cache comes from.
    #[prost(message, repeated, tag = "12")]
    pub cache_imports: Vec<CacheOptionsEntry>,
    /// Graphs the frontend may name.
    #[prost(btree_map = "string, message", tag = "13")]
    pub frontend_inputs: BTreeMap<String, Definition>,
    /// Whether to build before answering.
    #[prost(bool, tag = "14")]
    pub evaluate: bool,
    /// Rules for sources.
    #[prost(message, repeated, tag = "15")]
    pub source_policies: Vec<Policy>,
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

/// What was built.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SolveResponse {
    /// Its id, for old clients.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// The result.
    #[prost(message, tag = "3")]
    pub result: Option<BuildResult>,
}

/// Which file to read.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadFileRequest {
    /// In which result.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// Its path.
    #[prost(string, tag = "2")]
    pub file_path: String,
    /// Which part; all when missing.
    #[prost(message, tag = "3")]
    pub range: Option<FileRange>,
}

/// A part of a file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FileRange {
    /// From this byte.
    #[prost(int64, tag = "1")]
    pub offset: i64,
    /// So many; 0 for all.
    #[prost(int64, tag = "2")]
    pub length: i64,
}

/// The bytes of a file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadFileResponse {
    /// The bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

/// Which directory to list.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadDirRequest {
    /// In which result.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// Its path.
    #[prost(string, tag = "2")]
    pub dir_path: String,
    /// Which names; all when empty.
    #[prost(string, tag = "3")]
    pub include_pattern: String,
}

/// The entries of a directory.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadDirResponse {
    /// The entries.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Stat>,
}

/// Which file to look at.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatFileRequest {
    /// In which result.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// Its path.
    #[prost(string, tag = "2")]
    pub path: String,
}

/// A file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatFileResponse {
    /// The file.
    #[prost(message, tag = "1")]
    pub stat: Option<Stat>,
}

/// Which result to build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EvaluateRequest {
    /// Its id.
    #[prost(string, tag = "1")]
    pub reference: String,
}

/// Nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EvaluateResponse {}

/// Nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PingRequest {}

/// What can be asked for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PongResponse {
    /// Of the gateway.
    #[prost(message, repeated, tag = "1")]
    pub frontend_api_caps: Vec<ApiCap>,
    /// Of operations.
    #[prost(message, repeated, tag = "2")]
    pub llb_caps: Vec<ApiCap>,
    /// Who builds.
    #[prost(message, repeated, tag = "3")]
    pub workers: Vec<WorkerRecord>,
}

/// A warning.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WarnRequest {
    /// The step it is about.
    #[prost(string, tag = "1")]
    pub digest: String,
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

/// Nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WarnResponse {}
