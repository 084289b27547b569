//! Credentials of one registry, and their form in `config.json` and in the header X-Registry-Auth.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use registry_client::{Credentials, Secret};
use serde_json::{Map, Value as Json, json};

/// What is known about a registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credential {
    /// The key it is kept under: the registry's host, or the hub's address.
    pub server: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: Secret,
    /// A token that stands for both, to get access tokens with.
    pub identity_token: Secret,
    /// A token that is sent to the registry as it is.
    pub registry_token: Secret,
    /// Of old registries.
    pub email: String,
}

/// The user that helpers give when the secret is an identity token.
const TOKEN_USER: &str = "<token>";

impl Credential {
    /// The document of X-Registry-Auth and of `POST /auth`; fields that say nothing are left out.
    pub fn document(&self) -> Json {
        let mut fields = Map::new();
        for (name, value) in [
            ("username", self.user.as_str()),
            ("password", self.password.reveal()),
            ("email", &self.email),
            ("serveraddress", &self.server),
            ("identitytoken", self.identity_token.reveal()),
            ("registrytoken", self.registry_token.reveal()),
        ] {
            if !value.is_empty() {
                fields.insert(name.to_owned(), json!(value));
            }
        }
        Json::Object(fields)
    }

    /// What the client itself shows to the registry.
    pub fn for_registry(self) -> Credentials {
        if !self.registry_token.is_empty() {
            return Credentials::Registry(self.registry_token);
        }
        if !self.identity_token.is_empty() {
            return Credentials::Identity { user: self.user, token: self.identity_token };
        }
        Credentials::password(&self.user, self.password.reveal())
    }

    /// The document as the header carries it.
    pub fn header(&self) -> String {
        URL_SAFE.encode(crate::json::compact(&self.document()))
    }

    /// The credential of an entry in `auths`.
    ///
    /// # Errors
    /// Docker's words when its `auth` is no base64 of a user and a password.
    pub fn from_entry(server: &str, entry: &Json) -> Result<Self, String> {
        let text = |name: &str| entry.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let (user, password) = match text("auth") {
            auth if auth.is_empty() => (text("username"), text("password")),
            auth => decode(&auth)?,
        };
        Ok(Self {
            server: server.to_owned(),
            user,
            password: Secret::new(password),
            identity_token: Secret::new(text("identitytoken")),
            registry_token: Secret::new(text("registrytoken")),
            email: text("email"),
        })
    }

    /// The entry in `auths`.
    pub fn entry(&self) -> Json {
        let mut fields = Map::new();
        if !self.user.is_empty() || !self.password.is_empty() {
            let auth = STANDARD.encode(format!("{}:{}", self.user, self.password.reveal()));
            fields.insert("auth".to_owned(), json!(auth));
        }
        for (name, value) in [
            ("email", self.email.as_str()),
            ("identitytoken", self.identity_token.reveal()),
            ("registrytoken", self.registry_token.reveal()),
        ] {
            if !value.is_empty() {
                fields.insert(name.to_owned(), json!(value));
            }
        }
        Json::Object(fields)
    }

    /// What a helper answered: the secret of the user `<token>` is an identity token.
    pub fn from_helper(server: &str, user: &str, secret: Secret) -> Self {
        let server = server.to_owned();
        if user == TOKEN_USER {
            return Self { server, identity_token: secret, ..Self::default() };
        }
        Self { server, user: user.to_owned(), password: secret, ..Self::default() }
    }

    /// User and secret as a helper keeps them.
    pub fn for_helper(&self) -> (&str, &Secret) {
        if self.identity_token.is_empty() {
            (&self.user, &self.password)
        } else {
            (TOKEN_USER, &self.identity_token)
        }
    }
}

fn decode(auth: &str) -> Result<(String, String), String> {
    let bytes = STANDARD.decode(auth).map_err(|error| {
        let place = match error {
            base64::DecodeError::InvalidByte(place, _) | base64::DecodeError::InvalidLastSymbol(place, _) => {
                place
            }
            _ => auth.len(),
        };
        format!("illegal base64 data at input byte {place}")
    })?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (user, password) = text.split_once(':').ok_or("Invalid auth configuration file")?;
    Ok((user.to_owned(), password.trim_matches('\0').to_owned()))
}

/// Why an entry of `auths` can't be read, if one can't.
pub fn fault(auths: &Json) -> Option<String> {
    auths.as_object()?.iter().find_map(|(server, entry)| Credential::from_entry(server, entry).err())
}

/// The `auths` as docker writes them; what can't be read stays as it is.
pub fn canonical(auths: &Json) -> Json {
    let Json::Object(map) = auths else { return Json::Object(Map::new()) };
    let written = |server: &str, entry: &Json| {
        Credential::from_entry(server, entry).map_or_else(|_| entry.clone(), |credential| credential.entry())
    };
    Json::Object(map.iter().map(|(server, entry)| (server.clone(), written(server, entry))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_written() {
        let entry = json!({"auth": "dTpwOnE=", "email": "e", "identitytoken": "T"});
        let credential = Credential::from_entry("h", &entry).unwrap();
        assert_eq!((credential.user.as_str(), credential.password.reveal()), ("u", "p:q"));
        assert_eq!(credential.entry(), entry);
        let header = URL_SAFE.decode(credential.header()).unwrap();
        assert_eq!(
            String::from_utf8(header).unwrap(),
            r#"{"username":"u","password":"p:q","email":"e","serveraddress":"h","identitytoken":"T"}"#
        );
        assert_eq!(Credential::default().header(), "e30=");
        let check = |auth: &str, wanted: &str| {
            assert_eq!(Credential::from_entry("h", &json!({"auth": auth})).unwrap_err(), wanted);
        };
        check("!!!", "illegal base64 data at input byte 0");
        check("bm9jb2xvbg==", "Invalid auth configuration file");
    }

    #[test]
    fn secrets_do_not_print() {
        let credential = Credential::from_helper("h", "u", Secret::new("canary"));
        assert!(!format!("{credential:?}").contains("canary"));
        let token = Credential::from_helper("h", "<token>", Secret::new("canary"));
        assert_eq!((token.identity_token.reveal(), token.for_helper().0), ("canary", "<token>"));
    }
}
