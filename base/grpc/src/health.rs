//! `grpc.health.v1`: whoever asks is told that the server serves.

use crate::call::Call;
use crate::status::Status;

/// The method every server here has.
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// Which service is asked for.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CheckRequest {
    /// Empty for the whole server.
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

/// How it is.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CheckResponse {
    /// 0 unknown, 1 serving, 2 not serving.
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

/// Answers a check.
pub(crate) fn check(mut call: Call) -> Result<(), Status> {
    call.unary(|_, _: CheckRequest| Ok(CheckResponse { status: 1 }))
}
