//! Credentials for registries: where they are kept (the configuration file, a helper, the environment) and who gets them.
//!
//! A credential belongs to the registry it was stored for and is given to nobody else. Docker's rules decide where
//! it is kept: the helper named for the registry, else the helper named for all, else a helper this machine is known to
//! have when nothing is configured yet, else the file.

pub mod entry;
pub mod helper;

use serde_json::{Map, Value as Json};

pub use entry::Credential;
use helper::Helper;
pub use registry_client::Secret;

use crate::config_file::ConfigFile;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::settings::Environment;

/// The key of Docker Hub's credentials.
pub const HUB: &str = "https://index.docker.io/v1/";

/// The key under which a registry's credentials are kept.
pub fn key_of(domain: &str) -> &str {
    if domain == "docker.io" { HUB } else { domain }
}

/// The host of what may have been typed as an address.
pub fn host_of(server: &str) -> &str {
    let bare = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    bare.split('/').next().unwrap_or_default()
}

/// The value of X-Registry-Auth for a registry.
///
/// # Errors
/// When a helper fails.
pub fn header(session: &Session, domain: &str) -> Result<String, Failure> {
    Ok(find(session, key_of(domain))?.unwrap_or_default().header())
}

/// The same where the engine may well do without: a helper that fails has told so itself.
pub fn header_if_any(session: &Session, domain: &str) -> String {
    header(session, domain).unwrap_or_else(|_| Credential::default().header())
}

/// What is known about a registry.
///
/// # Errors
/// When a helper fails.
pub fn find(session: &Session, key: &str) -> Result<Option<Credential>, Failure> {
    find_in(&session.environment, session.config(), key)
}

/// The same without a session, for those that look it up on a thread of their own.
///
/// # Errors
/// When a helper fails.
pub fn find_in(
    environment: &Environment,
    config: &ConfigFile,
    key: &str,
) -> Result<Option<Credential>, Failure> {
    if let Some(credential) = from_environment(environment, key) {
        return Ok(Some(credential));
    }
    if let Some(helper) = helper_of(environment, config, key) {
        return helper.get(key).map_err(|error| Failure::text(error.to_string()));
    }
    Ok(config.field("auths").and_then(|auths| from_auths(auths, key)))
}

/// The entry of that key, else one for the same host.
fn from_auths(auths: &Json, key: &str) -> Option<Credential> {
    let auths = auths.as_object()?;
    let same_host = || auths.iter().find(|(held, _)| host_of(held) == key);
    let (_, entry) = auths.get_key_value(key).or_else(same_host)?;
    let credential = Credential::from_entry(key, entry).ok()?;
    // An entry without anything only tells that a helper keeps it.
    (credential.document().as_object()?.len() > 1).then_some(credential)
}

/// DOCKER_AUTH_CONFIG: the `auths` of a configuration file, read before anything else.
fn from_environment(environment: &Environment, key: &str) -> Option<Credential> {
    let text = environment.own("AUTH_CONFIG")?;
    match serde_json::from_str::<Json>(text) {
        Ok(document) => from_auths(document.get("auths")?, key),
        Err(_) => {
            eprintln!("WARNING: DOCKER_AUTH_CONFIG is no JSON and is not used");
            None
        }
    }
}

/// The helper that keeps a registry's credentials, when one does.
fn helper_of(environment: &Environment, config: &ConfigFile, key: &str) -> Option<Helper> {
    let specific = config.texts("credHelpers").into_iter().find(|(held, _)| held == key);
    let name = specific.map(|(_, helper)| helper).or_else(|| store_of(environment, config))?;
    Some(Helper::new(&name))
}

/// The helper for all registries: as configured, or the usual one of this system when nothing is configured yet.
fn store_of(environment: &Environment, config: &ConfigFile) -> Option<String> {
    match config.text("credsStore") {
        "" => {}
        name => return Some(name.to_owned()),
    }
    let says_something =
        |name: &str| config.field(name).and_then(Json::as_object).is_some_and(|entries| !entries.is_empty());
    if says_something("auths") || says_something("credHelpers") {
        return None;
    }
    let usual = if on_path(environment, "pass") { "pass" } else { "secretservice" };
    on_path(environment, &format!("docker-credential-{usual}")).then(|| usual.to_owned())
}

fn on_path(environment: &Environment, program: &str) -> bool {
    let paths = environment.get("PATH").unwrap_or_default();
    std::env::split_paths(paths).any(|folder| folder.join(program).is_file())
}

/// Keeps a credential after a login.
///
/// # Errors
/// When the helper fails or the file can't be written.
pub fn store(session: &Session, credential: &Credential) -> Outcome {
    let saving = |reason: String| Failure::text(format!("Error saving credentials: {reason}"));
    let server = credential.server.as_str();
    let helper = helper_of(&session.environment, session.config(), server);
    if let Some(helper) = &helper {
        helper.store(credential).map_err(|error| saving(error.to_string()))?;
    }
    // The file names the registries whose credentials a helper keeps.
    let kept = if helper.is_some() { Credential::default() } else { credential.clone() };
    let newly_usual = store_of(&session.environment, session.config())
        .filter(|_| session.config().text("credsStore").is_empty());
    let mut changed = false;
    session
        .config()
        .update(|fields| {
            changed = change_auths(fields, |auths| {
                let entry = kept.entry();
                let before = auths.insert(server.to_owned(), entry.clone());
                before != Some(entry)
            });
            if let Some(name) = newly_usual {
                fields.insert("credsStore".to_owned(), Json::from(name));
                changed = true;
            }
            changed
        })
        .map_err(|failure| saving(failure.message()))?;
    if changed && helper.is_none() && !credential.password.is_empty() {
        let path = session.config().path().display();
        eprintln!(
            "\nWARNING! Your credentials are stored unencrypted in '{path}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n"
        );
    }
    Ok(())
}

/// Forgets the credentials under all these keys; those that could not be forgotten, with the reason.
pub fn erase(session: &Session, keys: &[String]) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let mut gone = Vec::new();
    for key in keys {
        match helper_of(&session.environment, session.config(), key).map(|helper| helper.erase(key)) {
            Some(Err(error)) => faults.push((key.clone(), error.to_string())),
            Some(Ok(())) | None => gone.push(key.as_str()),
        }
    }
    let written = session.config().update(|fields| {
        change_auths(fields, |auths| {
            let before = auths.len();
            auths.retain(|held, _| !gone.contains(&held.as_str()));
            auths.len() != before
        })
    });
    if let Err(failure) = written {
        faults.extend(gone.iter().map(|&key| (key.to_owned(), failure.message())));
    }
    faults
}

/// Registries that credentials are kept for, for completion.
pub fn servers(session: &Session) -> Vec<String> {
    let config = session.config();
    let mut found: Vec<String> = match config.field("auths") {
        Some(Json::Object(auths)) => auths.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let helper = store_of(&session.environment, config).map(|name| Helper::new(&name));
    found.extend(helper.and_then(|helper| helper.list().ok()).unwrap_or_default());
    found.sort();
    found.dedup();
    found
}

/// Every credential there is, as documents by registry; a helper that fails leaves its registry out.
pub fn all(session: &Session) -> Vec<(String, Json)> {
    let known = |server: &String| find(session, server).ok().flatten();
    let mut found: Vec<(String, Json)> = Vec::new();
    let config = session.config();
    let of_helpers = config.texts("credHelpers").into_iter().map(|(server, _)| server);
    for server in servers(session).into_iter().chain(of_helpers) {
        if found.iter().any(|(held, _)| *held == server) {
            continue;
        }
        if let Some(credential) = known(&server) {
            found.push((server, credential.document()));
        }
    }
    found
}

/// Changes the `auths` among the fields.
fn change_auths(fields: &mut Map<String, Json>, change: impl FnOnce(&mut Map<String, Json>) -> bool) -> bool {
    let mut auths = match fields.shift_remove("auths") {
        Some(Json::Object(map)) => map,
        _ => Map::new(),
    };
    let changed = change(&mut auths);
    fields.insert("auths".to_owned(), Json::Object(auths));
    changed
}
