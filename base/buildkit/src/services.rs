//! The messages of a session's services: what the client offers to the builder.

use std::collections::BTreeMap;

/// The paths of the methods.
pub mod method {
    /// Files of a folder of the client: packets both ways.
    pub const FILE_SYNC: &str = "/moby.filesync.v1.FileSync/DiffCopy";
    /// Bytes or files for the client: bytes, or packets both ways.
    pub const FILE_SEND: &str = "/moby.filesync.v1.FileSend/DiffCopy";
    /// Name and password for a registry.
    pub const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
    /// A token of a registry, which the client fetches.
    pub const FETCH_TOKEN: &str = "/moby.filesync.v1.Auth/FetchToken";
    /// The key under which the client would share tokens.
    pub const GET_TOKEN_AUTHORITY: &str = "/moby.filesync.v1.Auth/GetTokenAuthority";
    /// Proof that two clients have the same password.
    pub const VERIFY_TOKEN_AUTHORITY: &str = "/moby.filesync.v1.Auth/VerifyTokenAuthority";
    /// A secret.
    pub const GET_SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
    /// Whether there is an agent.
    pub const CHECK_AGENT: &str = "/moby.sshforward.v1.SSH/CheckAgent";
    /// A connection to an agent: bytes both ways.
    pub const FORWARD_AGENT: &str = "/moby.sshforward.v1.SSH/ForwardAgent";
    /// Bytes the client has in memory, a Dockerfile or context from its stdin.
    pub const PULL: &str = "/moby.upload.v1.Upload/Pull";
    /// What is known of a blob in a store of the client's.
    pub const CONTENT_INFO: &str = "/containerd.services.content.v1.Content/Info";
    /// A blob out of a store of the client's.
    pub const CONTENT_READ: &str = "/containerd.services.content.v1.Content/Read";
    /// A blob into a store of the client's.
    pub const CONTENT_WRITE: &str = "/containerd.services.content.v1.Content/Write";
    /// What a result should become beyond what the build asked for.
    pub const FIND_EXPORTERS: &str = "/moby.exporter.v1.Exporter/FindExporters";
}

/// A piece of bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BytesMessage {
    /// The bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

/// For which registry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CredentialsRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub host: String,
}

/// What to say to it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CredentialsResponse {
    /// Empty with a token as the secret.
    #[prost(string, tag = "1")]
    pub username: String,
    /// Empty when there is nothing.
    #[prost(string, tag = "2")]
    pub secret: String,
}

/// Which token.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FetchTokenRequest {
    /// Who asks.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// Of which registry.
    #[prost(string, tag = "2")]
    pub host: String,
    /// Where it is fetched.
    #[prost(string, tag = "3")]
    pub realm: String,
    /// For which service.
    #[prost(string, tag = "4")]
    pub service: String,
    /// To do what.
    #[prost(string, repeated, tag = "5")]
    pub scopes: Vec<String>,
}

/// A token.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FetchTokenResponse {
    /// The token.
    #[prost(string, tag = "1")]
    pub token: String,
    /// Seconds it is good for.
    #[prost(int64, tag = "2")]
    pub expires_in: i64,
    /// When it was made, in seconds since 1970.
    #[prost(int64, tag = "3")]
    pub issued_at: i64,
}

/// For which registry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetTokenAuthorityRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub host: String,
    /// The builder's salt.
    #[prost(bytes = "vec", tag = "2")]
    pub salt: Vec<u8>,
}

/// The client's key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetTokenAuthorityResponse {
    /// The key.
    #[prost(bytes = "vec", tag = "1")]
    pub public_key: Vec<u8>,
}

/// What to sign.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VerifyTokenAuthorityRequest {
    /// For which registry.
    #[prost(string, tag = "1")]
    pub host: String,
    /// The bytes to sign.
    #[prost(bytes = "vec", tag = "2")]
    pub payload: Vec<u8>,
    /// The builder's salt.
    #[prost(bytes = "vec", tag = "3")]
    pub salt: Vec<u8>,
}

/// Signed bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VerifyTokenAuthorityResponse {
    /// The bytes and the signature.
    #[prost(bytes = "vec", tag = "1")]
    pub signed: Vec<u8>,
}

/// Which secret.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetSecretRequest {
    /// Its id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// More about it.
    #[prost(btree_map = "string, string", tag = "2")]
    pub annotations: BTreeMap<String, String>,
}

/// A secret.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetSecretResponse {
    /// Its bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

/// Which agent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckAgentRequest {
    /// Its id, empty or `default` for the usual one.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// Nothing: it is there.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckAgentResponse {}

/// What was built.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FindExportersRequest {
    /// What is known about it.
    #[prost(btree_map = "string, bytes", tag = "1")]
    pub metadata: BTreeMap<String, Vec<u8>>,
    /// The results.
    #[prost(string, repeated, tag = "2")]
    pub refs: Vec<String>,
}

/// What it should become.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FindExportersResponse {
    /// The exporters.
    #[prost(message, repeated, tag = "1")]
    pub exporters: Vec<ExporterRequest>,
}

/// One exporter.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExporterRequest {
    /// As in a build.
    #[prost(string, tag = "1")]
    pub r#type: String,
    /// Its options.
    #[prost(btree_map = "string, string", tag = "2")]
    pub attrs: BTreeMap<String, String>,
}

/// Which blob.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InfoRequest {
    /// Its digest.
    #[prost(string, tag = "1")]
    pub digest: String,
}

/// What is known of it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InfoResponse {
    /// That.
    #[prost(message, tag = "1")]
    pub info: Option<BlobInfo>,
}

/// A blob.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BlobInfo {
    /// Its digest.
    #[prost(string, tag = "1")]
    pub digest: String,
    /// Its bytes.
    #[prost(int64, tag = "2")]
    pub size: i64,
}

/// Which part of which blob.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadContentRequest {
    /// Its digest.
    #[prost(string, tag = "1")]
    pub digest: String,
    /// From here.
    #[prost(int64, tag = "2")]
    pub offset: i64,
    /// So many bytes; 0 for all.
    #[prost(int64, tag = "3")]
    pub size: i64,
}

/// A piece of a blob.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadContentResponse {
    /// Where it begins.
    #[prost(int64, tag = "1")]
    pub offset: i64,
    /// The bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
}

/// What is done with a blob that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum WriteAction {
    /// How far it is.
    Stat = 0,
    /// More bytes.
    Write = 1,
    /// More bytes, the last ones.
    Commit = 2,
}

/// A step of writing a blob.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteContentRequest {
    /// What is done.
    #[prost(enumeration = "WriteAction", tag = "1")]
    pub action: i32,
    /// Tells writers apart.
    #[prost(string, tag = "2")]
    pub reference: String,
    /// Bytes in all.
    #[prost(int64, tag = "3")]
    pub total: i64,
    /// The digest at the end.
    #[prost(string, tag = "4")]
    pub expected: String,
    /// Where the bytes go.
    #[prost(int64, tag = "5")]
    pub offset: i64,
    /// The bytes.
    #[prost(bytes = "vec", tag = "6")]
    pub data: Vec<u8>,
    /// What the store keeps beside it.
    #[prost(btree_map = "string, string", tag = "7")]
    pub labels: BTreeMap<String, String>,
}

/// How far a blob is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteContentResponse {
    /// What was done.
    #[prost(enumeration = "WriteAction", tag = "1")]
    pub action: i32,
    /// Bytes that are there.
    #[prost(int64, tag = "4")]
    pub offset: i64,
    /// Bytes in all.
    #[prost(int64, tag = "5")]
    pub total: i64,
    /// The digest so far.
    #[prost(string, tag = "6")]
    pub digest: String,
}
