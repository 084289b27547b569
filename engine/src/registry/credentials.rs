//! Credentials as clients send them.

use api::system::AuthConfig;
use base64::Engine;
use registry_client::{Credentials, Secret};

/// What a document (`X-Registry-Auth`, the body of `/auth`) shows a registry.
pub fn from_document(document: &AuthConfig) -> Credentials {
    if !document.registrytoken.is_empty() {
        return Credentials::Registry(Secret::new(document.registrytoken.clone()));
    }
    if !document.identitytoken.is_empty() {
        let token = Secret::new(document.identitytoken.clone());
        return Credentials::Identity { user: document.username.clone(), token };
    }
    if document.username.is_empty()
        && let Some((user, password)) = decode(&document.auth)
    {
        return Credentials::password(&user, &password);
    }
    Credentials::password(&document.username, &document.password)
}

/// `user:password` in base64, as configuration files hold it.
fn decode(text: &str) -> Option<(String, String)> {
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let document = |username: &str, password: &str, auth: &str, identity: &str| AuthConfig {
            username: username.to_owned(),
            password: password.to_owned(),
            auth: auth.to_owned(),
            identitytoken: identity.to_owned(),
            ..AuthConfig::default()
        };
        assert_eq!(from_document(&document("", "", "", "")), Credentials::Anonymous);
        assert_eq!(from_document(&document("a", "b", "", "")), Credentials::password("a", "b"));
        assert_eq!(from_document(&document("", "", "YTpiOmM=", "")), Credentials::password("a", "b:c"));
        assert_eq!(from_document(&document("", "", "???", "")), Credentials::Anonymous);
        let identity = Credentials::Identity { user: "a".to_owned(), token: Secret::new("t") };
        assert_eq!(from_document(&document("a", "b", "", "t")), identity);
    }
}
