//! Secrets the client lends for a step.

use grpc::{Code, Status};

use super::{Session, optional};
use crate::services::{GetSecretRequest, GetSecretResponse, method};

/// Longest secret, in bytes; BuildKit's limit.
const LONGEST: usize = 500 << 10;

/// The bytes of a secret, which are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Secret({} bytes)", self.0.len())
    }
}

impl Session {
    /// The secret of an id; `None` when the client has none.
    ///
    /// # Errors
    /// When the client fails, or the secret is too long.
    pub fn secret(&self, id: &str) -> Result<Option<Secret>, Status> {
        let request = GetSecretRequest { id: id.into(), ..GetSecretRequest::default() };
        let Some(answer) = optional(self.ask::<GetSecretResponse>(method::GET_SECRET, &request))? else {
            return Ok(None);
        };
        if answer.data.len() > LONGEST {
            let text = format!("secret {id} has {} bytes, more than {LONGEST}", answer.data.len());
            return Err(Status::new(Code::ResourceExhausted, text));
        }
        Ok(Some(Secret(answer.data)))
    }
}
