//! The flags as the query and headers of `POST /build`.

use api_client::Query;
use base64::Engine as _;
use serde_json::{Map, Value as Json, json};

use crate::commands::container::options::{check, environment};
use crate::credentials;
use crate::failure::Failure;
use crate::matches::Matches;
use crate::session::Session;

/// Everything but the names of Dockerfile and context.
///
/// # Errors
/// When a value makes no sense.
pub(super) fn query(session: &Session, matches: &Matches) -> Result<Query, Failure> {
    let mut query = Query::new();
    for tag in matches.list("tag") {
        query = query.set("t", tag);
    }
    for option in matches.list("security-opt") {
        query = query.set("securityopt", option);
    }
    for host in matches.list("add-host") {
        query = query.set("extrahosts", host.replacen(['=', ':'], ":", 1));
    }
    query = query
        .flag("q", matches.on("quiet"))
        .flag("nocache", matches.on("no-cache"))
        .flag("forcerm", matches.on("force-rm"))
        .flag("pull", matches.on("pull"))
        .flag("squash", matches.on("squash"));
    if !matches.on("rm") {
        query = query.set("rm", "0");
    }
    query = limits(query, matches)?;
    for (name, key) in [("network", "networkmode"), ("isolation", "isolation")] {
        let value = matches.text(name);
        query = query.text(key, if value == "default" { "" } else { value });
    }
    let platform = match matches.list("platform").last() {
        Some(given) => given.as_str(),
        None => session.environment.own("DEFAULT_PLATFORM").unwrap_or_default(),
    };
    query = query.text("platform", &platform.to_lowercase()).text("target", matches.text("target"));
    let arguments = arguments(session, matches)?;
    let labels = environment::read_labels(&[], matches.list("label"))?;
    for (key, map) in [("buildargs", arguments), ("labels", labels)] {
        if !map.is_empty() {
            query = query.set(key, crate::json::compact(&Json::Object(map)));
        }
    }
    let images = cache_images(matches)?;
    if !images.is_empty() {
        query = query.set("cachefrom", crate::json::compact(&json!(images)));
    }
    // Builder version 1 is the classic one; engines whose default is BuildKit have to be told.
    Ok(query.set("version", "1"))
}

/// What the steps' containers may use.
fn limits(mut query: Query, matches: &Matches) -> Result<Query, Failure> {
    for (name, key) in [("cpu-shares", "cpushares"), ("cpu-quota", "cpuquota"), ("cpu-period", "cpuperiod")] {
        query = query.text(key, &unless_zero(matches.int(name)));
    }
    for (name, key) in [("memory", "memory"), ("memory-swap", "memswap"), ("shm-size", "shmsize")] {
        let amount = match matches.text(name) {
            "-1" => -1,
            text => crate::value::bytes(text).unwrap_or_default(),
        };
        query = query.text(key, &unless_zero(amount));
    }
    for (name, key) in
        [("cpuset-cpus", "cpusetcpus"), ("cpuset-mems", "cpusetmems"), ("cgroup-parent", "cgroupparent")]
    {
        query = query.text(key, matches.text(name));
    }
    let parsed = matches.list("ulimit").iter().map(|text| check::parse_ulimit(text));
    let mut ulimits = parsed.collect::<Result<Vec<_>, String>>().map_err(Failure::text)?;
    if ulimits.is_empty() {
        return Ok(query);
    }
    ulimits.sort_by(|one, other| one.name.cmp(&other.name));
    let list: Vec<Json> = ulimits
        .iter()
        .map(|limit| json!({"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft}))
        .collect();
    Ok(query.set("ulimits", crate::json::compact(&Json::Array(list))))
}

fn unless_zero(number: i64) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

/// Values for ARG: what was given (a name alone takes our own value, and is there without one when we have none), and
/// the proxies of the configuration file.
pub(super) fn arguments(session: &Session, matches: &Matches) -> Result<Map<String, Json>, Failure> {
    let given = environment::read_environment(&[], matches.list("build-arg"), &session.environment)?;
    let proxies = environment::proxies(session.config(), session.client()?.host(), &given);
    let mut arguments: Vec<(&str, Json)> = Vec::new();
    for text in proxies.iter().chain(&given) {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Json::from(value)),
            None => (text.as_str(), Json::Null),
        };
        arguments.retain(|(known, _)| *known != name);
        arguments.push((name, value));
    }
    arguments.sort_by_key(|(name, _)| *name);
    Ok(arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Images to take steps from: names separated by commas, or `type=registry,ref=NAME` as buildx has it.
fn cache_images(matches: &Matches) -> Result<Vec<String>, Failure> {
    let mut images = Vec::new();
    for text in matches.list("cache-from") {
        let fields: Vec<&str> = text.split(',').collect();
        if !fields.iter().any(|field| field.starts_with("type=")) {
            images.extend(fields.iter().map(|&name| name.to_owned()));
            continue;
        }
        let reference = fields.iter().find_map(|field| field.strip_prefix("ref="));
        match reference {
            Some(reference) if fields.contains(&"type=registry") => images.push(reference.to_owned()),
            _ => {
                let text = crate::value::quoted(text);
                return Err(Failure::text(format!(
                    "--cache-from={text} needs BuildKit's protocol, and this build goes through the classic one"
                )));
            }
        }
    }
    Ok(images)
}

/// The value of `X-Registry-Config`: all credentials, by registry.
pub(super) fn registry_config(session: &Session) -> String {
    let mut all: Vec<(String, Json)> = credentials::all(session);
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let document = Json::Object(all.into_iter().collect());
    base64::engine::general_purpose::URL_SAFE.encode(crate::json::compact(&document))
}
