//! The flags as options of the Dockerfile frontend.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::fields;
use crate::commands::build::request;
use crate::commands::container::options::{check, environment};
use crate::failure::Failure;
use crate::matches::Matches;
use crate::session::Session;

/// Options of the frontend, by name.
pub(super) type Attributes = BTreeMap<String, String>;

/// Everything but the names of Dockerfile and contexts; `host_gateway` is the builder's address for that word, if it
/// has told one.
///
/// # Errors
/// When a value makes no sense.
pub(super) fn read(
    session: &Session,
    matches: &Matches,
    host_gateway: impl FnOnce() -> Option<String>,
) -> Result<Attributes, Failure> {
    let mut attributes = Attributes::new();
    let mut set = |name: &str, value: String| drop(attributes.insert(name.to_owned(), value));
    for (name, value) in request::arguments(session, matches)? {
        // A name without a value here says nothing.
        if let Json::String(value) = value {
            set(&format!("build-arg:{name}"), value);
        }
    }
    for (name, value) in environment::read_labels(&[], matches.list("label"))? {
        set(&format!("label:{name}"), value.as_str().unwrap_or_default().to_owned());
    }
    for (name, value) in attestations(matches)? {
        set(&format!("attest:{name}"), value);
    }
    if matches.on("no-cache") {
        set("no-cache", String::new());
    } else if !matches.list("no-cache-filter").is_empty() {
        set("no-cache", matches.list("no-cache-filter").join(","));
    }
    if matches.on("pull") {
        set("image-resolve-mode", "pull".to_owned());
    }
    let hosts = hosts(matches.list("add-host"), host_gateway);
    let ulimits = matches.list("ulimit").iter().map(|text| ulimit(text)).collect::<Result<Vec<_>, _>>()?;
    let network = match matches.text("network") {
        "default" => "",
        network => network,
    };
    for (name, value) in [
        ("target", matches.text("target").to_owned()),
        ("platform", platforms(session, matches)),
        ("force-network-mode", network.to_owned()),
        ("add-hosts", hosts),
        ("ulimit", ulimits.join(",")),
        ("cgroup-parent", matches.text("cgroup-parent").to_owned()),
        ("shm-size", shm_size(matches)),
    ] {
        if !value.is_empty() {
            set(name, value);
        }
    }
    // Builds that are to be the same every time say it by this; BuildKit's clients pass it on.
    if let Some(epoch) = session.environment.get("SOURCE_DATE_EPOCH") {
        attributes.entry("build-arg:SOURCE_DATE_EPOCH".into()).or_insert_with(|| epoch.to_owned());
    }
    Ok(attributes)
}

/// What the build may do beyond the usual.
pub(super) fn entitlements(matches: &Matches) -> Vec<String> {
    let mut all = matches.list("allow").to_vec();
    if matches.text("network") == "host" && !all.iter().any(|one| one == "network.host") {
        all.push("network.host".into());
    }
    all
}

fn platforms(session: &Session, matches: &Matches) -> String {
    let given = matches.list("platform");
    let given = match given {
        [] => session.environment.own("DEFAULT_PLATFORM").into_iter().map(str::to_owned).collect(),
        given => given.to_vec(),
    };
    let whole = |text: &String| match text.trim() {
        "local" => {
            let host = oci::Platform::host();
            format!("{}/{}", host.os, host.architecture)
        }
        text => text.to_lowercase(),
    };
    given.iter().map(whole).collect::<Vec<_>>().join(",")
}

fn shm_size(matches: &Matches) -> String {
    match crate::value::bytes(matches.text("shm-size")).unwrap_or_default() {
        0 => String::new(),
        bytes => bytes.to_string(),
    }
}

fn ulimit(text: &str) -> Result<String, Failure> {
    let limit = check::parse_ulimit(text).map_err(Failure::text)?;
    Ok(format!("{}={}:{}", limit.name, limit.soft, limit.hard))
}

fn hosts(given: &[String], host_gateway: impl FnOnce() -> Option<String>) -> String {
    let split = |text: &String| {
        let at = text.find(['=', ':']).unwrap_or(text.len());
        (text[..at].to_owned(), text.get(at + 1..).unwrap_or_default().to_owned())
    };
    let mut hosts: Vec<(String, String)> = given.iter().map(split).collect();
    if hosts.iter().any(|(_, address)| address == "host-gateway")
        && let Some(gateway) = host_gateway()
    {
        for (_, address) in hosts.iter_mut().filter(|(_, address)| address == "host-gateway") {
            address.clone_from(&gateway);
        }
    }
    let bare = |address: &str| address.trim_start_matches('[').trim_end_matches(']').to_owned();
    hosts.iter().map(|(host, address)| format!("{host}={}", bare(address))).collect::<Vec<_>>().join(",")
}

/// `--attest`, `--provenance` and `--sbom`: what is attached, by type; the last word about a type counts.
fn attestations(matches: &Matches) -> Result<BTreeMap<String, String>, Failure> {
    let mut lines: Vec<String> = matches.list("attest").to_vec();
    for (flag, kind) in [("provenance", "provenance"), ("sbom", "sbom")] {
        if !matches.given(flag) {
            continue;
        }
        let text = matches.text(flag);
        lines.push(match crate::value::truth(text) {
            Ok(true) => format!("type={kind}"),
            Ok(false) => format!("type={kind},disabled=true"),
            Err(_) => format!("type={kind},{text}"),
        });
    }
    let mut all = BTreeMap::new();
    for line in lines {
        let mut fields = fields::pairs(&line)?;
        let kind = fields::take(&mut fields, "type")
            .ok_or_else(|| Failure::text("attestation type not specified"))?;
        let is_off =
            fields::take(&mut fields, "disabled").is_some_and(|off| crate::value::truth(&off) == Ok(true));
        let rest: Vec<String> = fields.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        all.remove(&kind);
        if !is_off {
            all.insert(kind, fields::join(&rest));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::build::flags::FLAGS;

    static TABLES: [&[crate::command::Flag]; 1] = [FLAGS];

    fn matches(line: &str) -> Matches {
        let words: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Matches::parse(&TABLES, true, &words).unwrap()
    }

    #[test]
    fn attestations_are_told_by_their_types() {
        let read = |line: &str| {
            let all = attestations(&matches(line)).unwrap();
            all.into_iter().map(|(kind, value)| format!("{kind}:{value}")).collect::<Vec<_>>()
        };
        assert_eq!(read("--provenance=true --sbom=true"), ["provenance:", "sbom:"]);
        assert_eq!(read("--provenance=mode=max"), ["provenance:mode=max"]);
        assert_eq!(read("--attest type=provenance,mode=min --provenance=false"), [""; 0]);
        assert_eq!(read("--attest type=sbom,generator=x/y"), ["sbom:generator=x/y"]);
        assert!(attestations(&matches("--attest mode=min")).is_err());
    }

    #[test]
    fn hosts_are_pairs_and_the_gateway_is_an_address() {
        let given: Vec<String> =
            ["a:1.2.3.4", "b=::1", "c:[fe80::1]", "d:host-gateway"].map(str::to_owned).into();
        assert_eq!(hosts(&given, || Some("172.17.0.1".into())), "a=1.2.3.4,b=::1,c=fe80::1,d=172.17.0.1");
        assert_eq!(hosts(&given[3..], || None), "d=host-gateway");
        assert_eq!(hosts(&given[..1], || panic!("nobody asked")), "a=1.2.3.4");
    }

    #[test]
    fn the_hosts_network_is_an_entitlement() {
        assert_eq!(entitlements(&matches("--network host")), ["network.host"]);
        assert_eq!(
            entitlements(&matches("--allow network.host --allow security.insecure --network host")),
            ["network.host", "security.insecure"]
        );
        assert!(entitlements(&matches("--network none")).is_empty());
    }
}
