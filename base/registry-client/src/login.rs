//! Checks credentials with a registry, as `login` does.

use transport::client::Body;

use crate::challenge::Challenge;
use crate::error::RegistryError;
use crate::session::{Ask, Session, skip};
use crate::{Client, Credentials, Place, Secret};

/// A registry took the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// What to keep instead of the password, if the registry gave it.
    pub identity: Option<Secret>,
}

impl Client {
    /// Shows credentials to a registry (`docker.io`, `host:port`).
    ///
    /// # Errors
    /// When it cannot be reached or does not take them.
    pub fn login(&self, registry: &str, credentials: &Credentials) -> Result<Login, RegistryError> {
        let place = Place::of(registry, self.settings())?;
        // What is known may be old: a login is rare and has to be right.
        let known = self.greet(&place)?;
        let bearer = known.challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, .. } => Some((realm.clone(), service.clone())),
            Challenge::Basic => None,
        });
        let session = Session::new(self.clone(), place, known, credentials.clone());
        let mut identity = None;
        if let Some((realm, service)) = bearer
            && !matches!(credentials, Credentials::Registry(_))
        {
            identity = session.fetch_token(&realm, &service, &[], true)?.refresh;
        }
        let ask = Ask { method: "GET", url: session.url(""), headers: &[], body: &|| Body::Empty };
        skip(session.send(&ask)?);
        Ok(Login { identity })
    }
}
