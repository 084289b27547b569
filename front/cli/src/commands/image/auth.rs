//! Credentials for registries: from the configuration file or a credential helper.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value as Json, json};

use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// The key of Docker Hub's credentials.
pub const HUB: &str = "https://index.docker.io/v1/";

/// The key under which a registry's credentials are kept.
pub fn key_of(domain: &str) -> &str {
    if domain == "docker.io" { HUB } else { domain }
}

/// The value of X-Registry-Auth for a registry.
pub fn header(session: &Session, domain: &str) -> String {
    let document = find(session, key_of(domain)).unwrap_or_else(|| json!({}));
    encode(&document)
}

/// A document as the header carries it.
pub fn encode(document: &Json) -> String {
    URL_SAFE.encode(crate::json::compact(document))
}

/// What is known about a registry.
pub fn find(session: &Session, key: &str) -> Option<Json> {
    if let Some(helper) = helper_of(session, key) {
        let answer: Json = serde_json::from_slice(&ask(&helper, "get", key.as_bytes()).ok()?).ok()?;
        let (user, secret) = (answer.get("Username")?.as_str()?, answer.get("Secret")?.as_str()?);
        if user == "<token>" {
            return Some(json!({"identitytoken": secret, "serveraddress": key}));
        }
        return Some(json!({"username": user, "password": secret, "serveraddress": key}));
    }
    let auths = session.config().field("auths")?.as_object()?;
    let plain = |text: &str| {
        let text = text.trim_start_matches("https://").trim_start_matches("http://");
        text.split('/').next().unwrap_or_default().to_owned()
    };
    let entry = auths
        .get(key)
        .or_else(|| auths.iter().find(|(held, _)| plain(held) == plain(key)).map(|(_, v)| v))?;
    if let Some(token) = entry.get("identitytoken").and_then(Json::as_str).filter(|token| !token.is_empty()) {
        return Some(json!({"identitytoken": token, "serveraddress": key}));
    }
    let decoded = STANDARD.decode(entry.get("auth")?.as_str()?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(json!({"username": user, "password": password.trim_end_matches('\0'), "serveraddress": key}))
}

fn helper_of(session: &Session, key: &str) -> Option<String> {
    let config = session.config();
    let specific =
        config.texts("credHelpers").into_iter().find(|(held, _)| held == key).map(|(_, helper)| helper);
    specific.or_else(|| Some(config.text("credsStore").to_owned())).filter(|name| !name.is_empty())
}

fn ask(helper: &str, verb: &str, input: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let answer = child.wait_with_output()?;
    if answer.status.success() { Ok(answer.stdout) } else { Err(std::io::Error::other("no credentials")) }
}

/// Keeps credentials after a login; false when they lie in the file unprotected.
pub fn store(session: &Session, key: &str, user: &str, password: &str, token: &str) -> Result<bool, Failure> {
    if let Some(helper) = helper_of(session, key) {
        let (user, secret) = if token.is_empty() { (user, password) } else { ("<token>", token) };
        let document = json!({"ServerURL": key, "Username": user, "Secret": secret});
        ask(&helper, "store", crate::json::compact(&document).as_bytes())
            .map_err(|error| Failure::text(format!("Error saving credentials: {error}")))?;
        return Ok(true);
    }
    let mut config = session.config().clone();
    let mut auths = config.field("auths").cloned().unwrap_or_else(|| json!({}));
    let entry = if token.is_empty() {
        json!({"auth": STANDARD.encode(format!("{user}:{password}"))})
    } else {
        json!({"auth": STANDARD.encode(format!("{user}:")), "identitytoken": token})
    };
    if let Some(auths) = auths.as_object_mut() {
        auths.insert(key.to_owned(), entry);
    }
    config.store("auths", Some(auths))?;
    Ok(false)
}

/// Forgets credentials; false when there were none.
pub fn erase(session: &Session, key: &str) -> Result<bool, Failure> {
    if let Some(helper) = helper_of(session, key) {
        return Ok(ask(&helper, "erase", key.as_bytes()).is_ok());
    }
    let mut config = session.config().clone();
    let Some(Json::Object(mut auths)) = config.field("auths").cloned() else { return Ok(false) };
    let found = auths.shift_remove(key).is_some();
    let outcome: Outcome = config.store("auths", Some(Json::Object(auths)));
    outcome.map(|()| found)
}
