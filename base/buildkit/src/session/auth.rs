//! Credentials and tokens for registries.

use grpc::Status;

use super::{Session, optional};
use crate::services::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, method,
};

/// What to say to a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Empty when the secret is an identity token.
    pub username: String,
    /// A password or an identity token.
    pub secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A token a client fetched.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The token.
    pub token: String,
    /// Seconds it is good for; 0 when nobody said.
    pub expires_in: i64,
    /// When it was made, in seconds since 1970; 0 when nobody said.
    pub issued_at: i64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Token").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Which token is wanted, as a registry's challenge says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenWish {
    /// The registry.
    pub host: String,
    /// Where tokens are fetched.
    pub realm: String,
    /// For which service.
    pub service: String,
    /// To do what.
    pub scopes: Vec<String>,
}

impl Session {
    /// What the client would say to a registry; `None` when it has nothing to say.
    ///
    /// # Errors
    /// When the client fails.
    pub fn credentials(&self, host: &str) -> Result<Option<Credentials>, Status> {
        let request = CredentialsRequest { host: host.into() };
        let answer = optional(self.ask::<CredentialsResponse>(method::CREDENTIALS, &request))?;
        Ok(answer
            .map(|answer| Credentials { username: answer.username, secret: answer.secret })
            .filter(|credentials| !credentials.secret.is_empty()))
    }

    /// A token the client fetches with its own credentials, which then never leave it; `None` when it does not do that.
    ///
    /// # Errors
    /// When the client fails, or the token server refuses.
    pub fn token(&self, wish: TokenWish) -> Result<Option<Token>, Status> {
        let request = FetchTokenRequest {
            client_id: "wharf".into(),
            host: wish.host,
            realm: wish.realm,
            service: wish.service,
            scopes: wish.scopes,
        };
        let answer = optional(self.ask::<FetchTokenResponse>(method::FETCH_TOKEN, &request))?;
        Ok(answer.filter(|answer| !answer.token.is_empty()).map(|answer| Token {
            token: answer.token,
            expires_in: answer.expires_in,
            issued_at: answer.issued_at,
        }))
    }
}
