//! `network create`.

use std::net::IpAddr;

use api_client::Query;
use serde_json::{Map, Value as Json, json};

use crate::command::Kind::{List, Strings, Switch, Text};
use crate::command::{Arity, Command, Flag, flag, long};
use crate::commands::volume::create::pairs;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("attachable", Switch, "Let containers attach that a cluster does not run"),
    long("aux-address", List, "Address the driver uses itself, as NAME=ADDRESS"),
    long("config-from", Text, "Take the configuration from this network"),
    long("config-only", Switch, "Make only a configuration"),
    flag("driver", 'd', Text, "bridge", "Driver that makes it"),
    long("gateway", Strings, "Address of the subnet's gateway"),
    long("ingress", Switch, "Make the network of a cluster's published ports"),
    long("internal", Switch, "No way out of the network"),
    long("ip-range", Strings, "Give containers addresses from this part of the subnet"),
    flag("ipam-driver", '\0', Text, "default", "Driver that gives addresses"),
    long("ipam-opt", List, "Option of that driver, as NAME=VALUE"),
    flag("ipv4", '\0', Switch, "true", "Give IPv4 addresses"),
    long("ipv6", Switch, "Give IPv6 addresses"),
    long("label", List, "Attach metadata, as KEY=VALUE"),
    flag("opt", 'o', List, "", "Option of the driver, as NAME=VALUE"),
    long("scope", Text, "Reach of the network, local or swarm"),
    long("subnet", Strings, "Subnet, 10.5.0.0/16 say"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Create a network",
    usage: &["[OPTIONS] NETWORK"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["network create --subnet 10.5.0.0/16 back"],
    run,
};

/// A subnet by address and length of its prefix.
#[derive(Clone, Copy)]
struct Subnet {
    address: IpAddr,
    prefix: u8,
}

impl Subnet {
    fn parse(text: &str) -> Result<Self, Failure> {
        let bad = || Failure::text(format!("invalid CIDR address: {text}"));
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if prefix > most { Err(bad()) } else { Ok(Self { address, prefix }) }
    }

    fn contains(self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let ((own, width), (other, other_width)) = (bits(self.address), bits(address));
        let shift = width - u32::from(self.prefix);
        width == other_width && (shift >= 128 || own >> shift == other >> shift)
    }
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let config = addresses(matches)?;
    let mut body = json!({
        "Name": matches.arg(0), "CheckDuplicate": true, "Driver": matches.text("driver"),
        "Scope": matches.text("scope"),
        "IPAM": {"Driver": matches.text("ipam-driver"), "Options": pairs(matches.list("ipam-opt")), "Config": config},
        "Internal": matches.on("internal"), "Attachable": matches.on("attachable"),
        "Ingress": matches.on("ingress"), "ConfigOnly": matches.on("config-only"), "ConfigFrom": null,
        "Options": pairs(matches.list("opt")), "Labels": pairs(matches.list("label")),
    });
    if let Some(fields) = body.as_object_mut() {
        for (flag, name) in [("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")] {
            if matches.given(flag) {
                fields.insert(name.to_owned(), json!(matches.on(flag)));
            }
        }
        if matches.given("config-from") {
            fields.insert("ConfigFrom".to_owned(), json!({"Network": matches.text("config-from")}));
        }
    }
    let answer: Json = session.client()?.post("/networks/create", &Query::new(), &body)?;
    if let Some(warning) = answer.get("Warning").and_then(Json::as_str).filter(|text| !text.is_empty()) {
        eprintln!("WARNING: {warning}");
    }
    println!("{}", answer.get("Id").and_then(Json::as_str).unwrap_or_default());
    Ok(())
}

/// Subnets with what belongs to each.
fn addresses(matches: &Matches) -> Result<Json, Failure> {
    let (subnets, ranges, gateways) =
        (matches.list("subnet"), matches.list("ip-range"), matches.list("gateway"));
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err(Failure::text("every ip-range or gateway must have a corresponding subnet"));
    }
    let mut list: Vec<(Subnet, Map<String, Json>)> = Vec::new();
    for text in subnets {
        // What is no subnet is left to the engine to refuse.
        let subnet = Subnet::parse(text)
            .unwrap_or(Subnet { address: IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), prefix: 128 });
        if list.iter().any(|(held, _)| held.contains(subnet.address) || subnet.contains(held.address)) {
            return Err(Failure::text("multiple overlapping subnet configuration is not supported"));
        }
        list.push((subnet, Map::from_iter([("Subnet".to_owned(), json!(text))])));
    }
    let mut place = |address: IpAddr, key: &str, value: Json, missing: String, twice: String| -> Outcome {
        let Some((_, fields)) = list.iter_mut().find(|(subnet, _)| subnet.contains(address)) else {
            return Err(Failure::text(missing));
        };
        if fields.insert(key.to_owned(), value).is_some() { Err(Failure::text(twice)) } else { Ok(()) }
    };
    for text in ranges {
        let range = Subnet::parse(text)?;
        place(
            range.address,
            "IPRange",
            json!(text),
            format!("no matching subnet for range {text}"),
            format!("cannot configure multiple ranges ({text}) on the same subnet"),
        )?;
    }
    for text in gateways {
        let address =
            text.parse().map_err(|_| Failure::text(format!("no matching subnet for gateway {text}")))?;
        place(
            address,
            "Gateway",
            json!(text),
            format!("no matching subnet for gateway {text}"),
            format!("cannot configure multiple gateways ({text}) for the same subnet"),
        )?;
    }
    for text in matches.list("aux-address") {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let missing = format!("no matching subnet for aux-address {value}");
        let address: IpAddr = value.parse().map_err(|_| Failure::text(missing.clone()))?;
        let Some((_, fields)) = list.iter_mut().find(|(subnet, _)| subnet.contains(address)) else {
            return Err(Failure::text(missing));
        };
        let table = fields.entry("AuxiliaryAddresses").or_insert_with(|| json!({}));
        if let Some(table) = table.as_object_mut() {
            table.insert(name.to_owned(), json!(value));
        }
    }
    Ok(Json::Array(list.into_iter().map(|(_, fields)| Json::Object(fields)).collect()))
}
