//! Tokens: which server may be asked for them, and how.

use std::time::{Duration, Instant};

use serde::Deserialize;
use transport::client::Body;

use crate::error::RegistryError;
use crate::session::{Session, label, read_limited, refusal};
use crate::url::{Url, escape};
use crate::{Credentials, Secret};

/// How token servers know us: Docker's own name, since some give other programs less.
const CLIENT_ID: &str = "docker";
/// Bytes of a token server's answer.
const ANSWER_LIMIT: u64 = 1 << 20;
/// Life of a token that does not say how long it lives, and the shortest believed (distribution's token specification).
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// A token is renewed so long before its end.
const MARGIN: Duration = Duration::from_secs(10);

/// A token and its end.
pub(crate) struct Token {
    pub(crate) text: Secret,
    pub(crate) refresh: Option<Secret>,
    until: Instant,
}

impl Token {
    pub(crate) fn is_fresh(&self) -> bool {
        Instant::now() + MARGIN < self.until
    }
}

/// A token server's answer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<f64>,
}

impl Session {
    /// Gets a token. An identity token is traded by POST; name and password are shown to GET, and where that form is
    /// not known, to POST. With `offline` an identity token is asked for.
    pub(crate) fn fetch_token(
        &self,
        realm: &str,
        service: &str,
        scopes: &[String],
        offline: bool,
    ) -> Result<Token, RegistryError> {
        let realm = self.approve(realm)?;
        match &self.credentials {
            Credentials::Identity { token, .. } => {
                let grant = [("grant_type", "refresh_token"), ("refresh_token", token.reveal())];
                self.post_token(&realm, service, scopes, &grant, offline)
            }
            Credentials::Password { user, password } => {
                match self.get_token(&realm, service, scopes, offline) {
                    Err(error) if matches!(error.status(), Some(404 | 405)) => {
                        let grant = [
                            ("grant_type", "password"),
                            ("username", user.as_str()),
                            ("password", password.reveal()),
                        ];
                        self.post_token(&realm, service, scopes, &grant, offline)
                    }
                    outcome => outcome,
                }
            }
            Credentials::Anonymous | Credentials::Registry(_) => {
                self.get_token(&realm, service, scopes, false)
            }
        }
    }

    /// The realm is what the registry itself named over its own connection; it is not gone to when that would give
    /// credentials away in the clear, or turn us against our own machine.
    fn approve(&self, realm: &str) -> Result<Url, RegistryError> {
        let registry = &self.base.origin;
        let refused = |reason| RegistryError::Realm {
            registry: self.place.host.clone(),
            realm: realm.chars().filter(|letter| !letter.is_control()).take(256).collect(),
            reason,
        };
        let url = Url::parse(realm).ok_or_else(|| refused("it is no http address"))?;
        if url.origin.is_local() && !registry.is_local() {
            return Err(refused("it is on this machine, the registry is not"));
        }
        if !url.origin.tls && registry.tls {
            return Err(refused("it is not reached through TLS, the registry is"));
        }
        if !url.origin.tls && !self.client.settings().is_insecure(&url.origin.authority()) {
            return Err(refused("it is not reached through TLS and is no insecure registry"));
        }
        if !self.credentials.is_anonymous()
            && !self.client.settings().may_see_credentials(&url.origin, registry)
        {
            return Err(refused("it is on another host, which is not configured to see credentials"));
        }
        Ok(url)
    }

    fn get_token(
        &self,
        realm: &Url,
        service: &str,
        scopes: &[String],
        offline: bool,
    ) -> Result<Token, RegistryError> {
        let mut url = realm.clone();
        if let Credentials::Password { user, .. } = &self.credentials {
            url = url.with_query("account", user);
        }
        if offline {
            url = url.with_query("client_id", CLIENT_ID).with_query("offline_token", "true");
        }
        for scope in scopes {
            url = url.with_query("scope", scope);
        }
        if !service.is_empty() {
            url = url.with_query("service", service);
        }
        let proof = self.credentials.basic();
        let headers: Vec<(&str, &str)> =
            proof.iter().map(|proof| ("Authorization", proof.reveal())).collect();
        self.token_answer(&url, "GET", &headers, Body::Empty)
    }

    fn post_token(
        &self,
        realm: &Url,
        service: &str,
        scopes: &[String],
        grant: &[(&str, &str)],
        offline: bool,
    ) -> Result<Token, RegistryError> {
        let scope = scopes.join(" ");
        let mut fields = grant.to_vec();
        fields.extend([("service", service), ("client_id", CLIENT_ID), ("scope", &scope)]);
        if offline {
            fields.push(("access_type", "offline"));
        }
        let form: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        self.token_answer(realm, "POST", &headers, Body::Bytes(form.join("&").into_bytes()))
    }

    /// Redirects of a token server are not followed: nobody approved of where they lead.
    fn token_answer(
        &self,
        url: &Url,
        method: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Token, RegistryError> {
        let request = label(method, url);
        let verify = !self.client.settings().is_insecure(&url.origin.authority());
        let answer = self.client.send(url, verify, method, headers, body)?;
        if answer.head.status != 200 {
            return Err(refusal(answer, request));
        }
        let bytes = read_limited(answer, ANSWER_LIMIT, &request)?;
        let malformed =
            |reason: &str| RegistryError::Malformed { request: request.clone(), reason: reason.to_owned() };
        let answer: Answer =
            serde_json::from_slice(&bytes).map_err(|_| malformed("unable to decode token response"))?;
        let text = answer.token.or(answer.access_token).filter(|text| !text.is_empty());
        let text =
            text.ok_or_else(|| malformed("authorization server did not include a token in the response"))?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("the token has letters no token has"));
        }
        let life = Duration::try_from_secs_f64(answer.expires_in.unwrap_or(0.0)).unwrap_or(SHORTEST_LIFE);
        Ok(Token {
            text: Secret::new(text),
            refresh: answer.refresh_token.filter(|text| !text.is_empty()).map(Secret::new),
            until: Instant::now() + life.clamp(SHORTEST_LIFE, LONGEST_LIFE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Known;
    use crate::{Client, Place, Settings};

    fn approve(
        registry: &str,
        token_hosts: Option<&[&str]>,
        credentials: Credentials,
        realm: &str,
    ) -> Result<String, String> {
        let token_hosts = token_hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
        let insecure = vec!["insecure.example".to_owned()];
        let client = Client::new(Settings { insecure, token_hosts, ..Settings::default() });
        let place = Place::of("registry.example", client.settings()).unwrap();
        let known = Known { base: Url::parse(registry).unwrap(), challenges: Vec::new() };
        let session = Session::new(client, place, known, credentials);
        session.approve(realm).map(|url| url.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn realms_are_refused_where_they_give_credentials_or_this_machine_away() {
        let (far, plain, here) =
            ("https://registry.example/", "http://insecure.example/", "http://127.0.0.1:5000/");
        let local = "it is on this machine, the registry is not";
        let downgrade = "it is not reached through TLS, the registry is";
        let open = "it is not reached through TLS and is no insecure registry";
        let other = "it is on another host, which is not configured to see credentials";
        let some = || Credentials::password("me", "canary");
        for (registry, hosts, credentials, realm, refused) in [
            (far, None, some(), "https://auth.example/token", None),
            (far, None, some(), "https://localhost/token", Some(local)),
            (far, None, Credentials::Anonymous, "https://127.0.0.1:2375/", Some(local)),
            (far, None, Credentials::Anonymous, "https://169.254.169.254/", Some(local)),
            (far, None, some(), "http://insecure.example/", Some(downgrade)),
            (far, None, some(), "http://registry.example/", Some(downgrade)),
            (plain, None, some(), "http://insecure.example/token", None),
            (plain, None, some(), "http://auth.example/token", Some(open)),
            (here, None, some(), "http://127.0.0.1:6000/token", None),
            (far, Some(&[][..]), some(), "https://registry.example:444/token", None),
            (far, Some(&[]), some(), "https://auth.example/token", Some(other)),
            (far, Some(&["auth.example"]), some(), "https://auth.example/token", None),
            (far, Some(&["auth.example:444"]), some(), "https://auth.example/token", Some(other)),
            (far, Some(&[]), Credentials::Anonymous, "https://auth.example/token", None),
            (far, None, some(), "ftp://auth.example/", Some("it is no http address")),
        ] {
            match (approve(registry, hosts, credentials, realm), refused) {
                (Ok(url), None) => assert_eq!(url, realm),
                (Err(text), Some(reason)) => {
                    assert!(text.ends_with(reason) && !text.contains("canary"), "{realm}: {text}");
                }
                (found, _) => panic!("{realm} for {registry}: {found:?}"),
            }
        }
    }
}
