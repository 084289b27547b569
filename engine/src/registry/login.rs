//! Login: whether a registry takes credentials.

use api::system::{AuthConfig, AuthResponse};
use model::{ErrorKind, Kinded};
use registry_client::{HUB, RegistryError};

use super::{Caller, credentials, failure};
use crate::engine::Inner;
use crate::{Error, Result};

pub(super) fn login(inner: &Inner, document: &AuthConfig, caller: &Caller) -> Result<AuthResponse> {
    let registry = registry_of(&document.serveraddress);
    let client = inner.registries.client(caller);
    match client.login(registry, &credentials(document)) {
        Ok(login) => Ok(AuthResponse {
            identity_token: login.identity.map(|token| token.reveal().to_owned()).unwrap_or_default(),
            status: "Login Succeeded".to_owned(),
        }),
        Err(error) => Err(refused(error)),
    }
}

/// The host of an address as clients send it: Docker Hub's is a URL, others may be.
fn registry_of(address: &str) -> &str {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
    match bare.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" | HUB => HUB,
        host => host,
    }
}

fn refused(error: RegistryError) -> Error {
    match &error {
        // Basic: the registry says nothing but no.
        RegistryError::Refused { status: 401, request, .. } if request.ends_with("/v2/\"") => {
            let url = request.split('"').nth(1).unwrap_or_default().to_owned();
            let text = format!("login attempt to {url} failed with status: 401 Unauthorized");
            // Docker 26 counts this as a failure of its own, and only what a token server refuses as unauthorised.
            Error::internal(text)
        }
        RegistryError::NoCredentials { .. } => Error::from_kinded(error).with_kind(ErrorKind::Unauthorized),
        _ if matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden) => {
            Error::from_kinded(error).with_kind(ErrorKind::Unauthorized)
        }
        _ => failure(error),
    }
}

#[cfg(test)]
mod tests {
    use super::registry_of;

    #[test]
    fn addresses() {
        for (address, registry) in [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("localhost:5000", "localhost:5000"),
            ("https://r.example/v2/", "r.example"),
        ] {
            assert_eq!(registry_of(address), registry);
        }
    }
}
