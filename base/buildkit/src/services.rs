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
