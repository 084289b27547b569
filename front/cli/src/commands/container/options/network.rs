//! `--network`: a name, or `name=...,alias=...,ip=...`; and the flags that belong to the only network.

use serde_json::{Map, Value as Json, json};

use super::device::csv;
use crate::failure::Failure;
use crate::matches::Matches;

/// Whether the text is a network.
pub fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

/// One network to connect to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    pub target: String,
    pub aliases: Vec<String>,
    pub driver_options: Map<String, Json>,
    pub ip: String,
    pub ip6: String,
    pub mac: String,
    pub link_local: Vec<String>,
    pub links: Vec<String>,
    pub gateway_priority: i64,
}

/// # Errors
/// With docker's text.
pub fn parse(text: &str) -> Result<Wish, String> {
    let mut wish = Wish::default();
    if !text.contains('=') {
        text.clone_into(&mut wish.target);
        return Ok(wish);
    }
    for field in csv(text)? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(format!("invalid field '{field}'"));
        };
        let value = value.trim();
        match key.trim().to_lowercase().as_str() {
            "name" => value.clone_into(&mut wish.target),
            "alias" => wish.aliases.push(value.to_owned()),
            "ip" => value.clone_into(&mut wish.ip),
            "ip6" => value.clone_into(&mut wish.ip6),
            "mac-address" => value.clone_into(&mut wish.mac),
            "link-local-ip" => wish.link_local.push(value.to_owned()),
            "gw-priority" => {
                wish.gateway_priority = value.parse().map_err(|_| {
                    format!("invalid gw-priority ({}): invalid syntax", crate::value::quoted(value))
                })?;
            }
            "driver-opt" => {
                let Some((name, option)) = value.split_once('=') else {
                    return Err("invalid key value pair format in driver options".to_owned());
                };
                wish.driver_options.insert(name.to_lowercase(), json!(option.to_lowercase()));
            }
            other => return Err(format!("invalid field key {other}")),
        }
    }
    if wish.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(wish)
}

/// The network mode and the endpoints' documents.
///
/// # Errors
/// When flags contradict each other.
pub fn collect(matches: &Matches) -> Result<(String, Map<String, Json>), Failure> {
    let mut wishes = Vec::new();
    for text in matches.list("network") {
        wishes.push(parse(text).map_err(Failure::text)?);
    }
    if wishes.is_empty() {
        wishes.push(Wish { target: "default".to_owned(), ..Wish::default() });
    }
    if wishes.len() > 1 && wishes.iter().any(|wish| wish.target.starts_with("container:")) {
        return Err(Failure::text(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ));
    }
    if let Some(first) = wishes.first_mut() {
        let given = |one: &str, flag: &str, field: &str| {
            if !one.is_empty() && matches.given(flag) {
                return Err(Failure::text(format!(
                    "conflicting options: cannot specify both --{flag} and per-network {field}"
                )));
            }
            Ok(())
        };
        if !first.aliases.is_empty() && matches.given("network-alias") {
            return Err(Failure::text(
                "conflicting options: cannot specify both --network-alias and per-network alias",
            ));
        }
        given(&first.ip, "ip", "IPv4 address")?;
        given(&first.ip6, "ip6", "IPv6 address")?;
        given(&first.mac, "mac-address", "MAC address")?;
        first.aliases.extend(matches.list("network-alias").iter().cloned());
        first.link_local.extend(matches.list("link-local-ip").iter().cloned());
        if user_defined(&first.target) {
            first.links.extend(matches.list("link").iter().cloned());
        }
        for (flag, slot) in [("ip", &mut first.ip), ("ip6", &mut first.ip6), ("mac-address", &mut first.mac)]
        {
            if matches.given(flag) {
                matches.text(flag).clone_into(slot);
            }
        }
    }
    let mode = wishes.first().map(|wish| wish.target.clone()).unwrap_or_default();
    let mut endpoints = Map::new();
    for wish in &wishes {
        if endpoints.insert(wish.target.clone(), wish.document()?).is_some() {
            return Err(Failure::text(format!(
                "network {} is specified multiple times",
                crate::value::quoted(&wish.target)
            )));
        }
    }
    Ok((mode, endpoints))
}

/// Whether the name is one of a network somebody made.
fn user_defined(name: &str) -> bool {
    !matches!(name, "bridge" | "default" | "host" | "none" | "") && !name.starts_with("container:")
}

impl Wish {
    fn document(&self) -> Result<Json, Failure> {
        if !self.aliases.is_empty() && !user_defined(&self.target) {
            return Err(Failure::text("network-scoped aliases are only supported for user-defined networks"));
        }
        if !self.mac.is_empty() && !is_mac(&self.mac) {
            return Err(Failure::text(format!("{} is not a valid mac address", self.mac)));
        }
        let some = |list: &[String]| if list.is_empty() { Json::Null } else { json!(list) };
        let ipam = if self.ip.is_empty() && self.ip6.is_empty() && self.link_local.is_empty() {
            Json::Null
        } else {
            let mut ipam = Map::new();
            for (name, value) in [("IPv4Address", &self.ip), ("IPv6Address", &self.ip6)] {
                if !value.is_empty() {
                    ipam.insert(name.to_owned(), json!(value));
                }
            }
            if !self.link_local.is_empty() {
                ipam.insert("LinkLocalIPs".to_owned(), json!(self.link_local));
            }
            Json::Object(ipam)
        };
        let options = if self.driver_options.is_empty() {
            Json::Null
        } else {
            Json::Object(self.driver_options.clone())
        };
        Ok(json!({
            "IPAMConfig": ipam, "Links": some(&self.links), "Aliases": some(&self.aliases),
            "MacAddress": self.mac, "DriverOpts": options, "GwPriority": self.gateway_priority,
            "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0,
            "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": null,
        }))
    }
}

/// Whether the text is a hardware address.
pub fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    matches!(parts.len(), 6 | 8 | 20)
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
