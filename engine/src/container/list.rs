//! `ps`: the containers that Docker's filters choose, newest first.

use std::collections::HashMap;
use std::sync::Arc;

use ::container::{Container, ContainerRecord, HealthStatus, State};
use api::container::Summary;
use model::{Filters, Timestamp};

use super::parameters::ListParameters;
use super::pattern::Pattern;
use super::{port_spec, summary};
use crate::engine::Inner;
use crate::{Error, Result};

const FILTERS: [&str; 15] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
const STATES: [&str; 7] = ["created", "dead", "exited", "paused", "removing", "restarting", "running"];
const HEALTHS: [&str; 4] = ["starting", "healthy", "unhealthy", "none"];

/// The summaries, newest first.
pub(crate) fn list(inner: &Inner, parameters: &ListParameters) -> Result<Vec<Summary>> {
    let now = Timestamp::now();
    let chosen = choose(inner, parameters)?;
    Ok(chosen
        .iter()
        .map(|(container, record)| summary::summary(inner, container, record, now, parameters.size))
        .collect())
}

/// The summaries as somebody else encodes them, newest first. What was encoded before in the same `variant` is given
/// back as long as nothing in it has changed.
pub(crate) fn list_encoded<E: From<Error>>(
    inner: &Inner,
    parameters: &ListParameters,
    variant: u32,
    encode: impl Fn(Summary) -> std::result::Result<Vec<u8>, E>,
) -> std::result::Result<Vec<Arc<[u8]>>, E> {
    let now = Timestamp::now();
    let chosen = choose(inner, parameters)?;
    // Most containers are of a few images.
    let mut named = HashMap::new();
    let encoded = |(container, record): &'_ (Arc<Container>, Arc<ContainerRecord>)| {
        let make = || {
            encode(summary::summary(inner, container, record, now, parameters.size)).map(Arc::<[u8]>::from)
        };
        if parameters.size {
            // What is on disk changes without the engine's doing.
            return make();
        }
        let image = (record.image_reference.clone(), record.image_id.clone());
        let named = *named.entry(image).or_insert_with(|| summary::is_image_named(inner, record));
        container.listed().text(record, summary::shown(container, record, now, variant, named), make)
    };
    chosen.iter().map(encoded).collect()
}

type Chosen = Vec<(Arc<Container>, Arc<ContainerRecord>)>;

fn choose(inner: &Inner, parameters: &ListParameters) -> Result<Chosen> {
    let choice = Choice::new(inner, parameters)?;
    let limit = usize::try_from(parameters.limit).ok().filter(|&limit| limit > 0).unwrap_or(usize::MAX);
    let records = inner.containers.list().into_iter().map(|container| {
        let record = container.record();
        (container, record)
    });
    Ok(records.filter(|(container, record)| choice.takes(container, record)).take(limit).collect())
}

/// Checked filters.
struct Choice<'a> {
    filters: &'a Filters,
    everything: bool,
    exited: Vec<i32>,
    names: Vec<Pattern>,
    ancestors: Option<Vec<String>>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    published: Vec<(u16, u16, String)>,
    exposed: Vec<(u16, u16, String)>,
    networks: Vec<(String, String)>,
    is_task: Option<bool>,
}

impl<'a> Choice<'a> {
    fn new(inner: &Inner, parameters: &'a ListParameters) -> Result<Self> {
        let filters = &parameters.filters;
        filters.allow_only(&FILTERS).map_err(Error::from_kinded)?;
        let exited = filters.get("exited").map(parse_code).collect::<Result<Vec<_>>>()?;
        for status in filters.get("status") {
            if !STATES.contains(&status) {
                return Err(Error::invalid(format!("invalid filter 'status={status}'")));
            }
        }
        for health in filters.get("health") {
            if !HEALTHS.contains(&health) {
                return Err(Error::invalid(format!("unrecognized filter value for health: {health}")));
            }
        }
        let is_task = match filters.get("is-task").collect::<Vec<_>>().as_slice() {
            [] => None,
            ["true" | "1"] => Some(true),
            ["false" | "0"] => Some(false),
            words => return Err(Error::invalid(format!("invalid filter 'is-task=[{}]'", words.join(" ")))),
        };
        let moment = |key: &str| {
            filters
                .get(key)
                .next()
                .map(|name| inner.find(name).map(|found| found.record().created))
                .transpose()
        };
        let stated = filters.contains("status");
        Ok(Self {
            filters,
            everything: parameters.all
                || parameters.limit > 0
                || stated
                || filters.contains("exited")
                || filters.contains("before")
                || filters.contains("since"),
            exited,
            names: filters.get("name").map(Pattern::new).collect(),
            ancestors: filters.contains("ancestor").then(|| ancestors(inner, filters)),
            before: moment("before")?,
            since: moment("since")?,
            published: filters
                .get("publish")
                .map(|text| parse_ports("publish", text))
                .collect::<Result<_>>()?,
            exposed: filters.get("expose").map(|text| parse_ports("expose", text)).collect::<Result<_>>()?,
            networks: wanted_networks(inner, filters),
            is_task,
        })
    }

    fn takes(&self, container: &Container, record: &ContainerRecord) -> bool {
        let state = &record.lifecycle.state;
        (self.everything || state.is_running())
            && self.is_task != Some(true)
            && self.before.is_none_or(|before| record.created < before)
            && self.since.is_none_or(|since| record.created > since)
            && (self.exited.is_empty()
                || (self.exited.contains(&record.lifecycle.exit_code) && *state == State::Exited))
            && self.filters.any("status", |status| status == state.name())
            && self.filters.any("health", |health| {
                let shown = if record.config.health.is_some() {
                    container.health().status
                } else {
                    HealthStatus::None
                };
                health == shown.name()
            })
            && self.filters.any("id", |id| record.id.as_str().starts_with(id))
            && (self.names.is_empty() || self.names.iter().any(|name| name.matches_name(&record.name)))
            && self.filters.match_labels(&record.config.labels)
            && self.takes_mounts(record)
            && self.takes_network(record)
            && self.takes_ports(record)
            && self.ancestors.as_ref().is_none_or(|ids| ids.contains(&record.image_id))
    }

    fn takes_mounts(&self, record: &ContainerRecord) -> bool {
        self.filters.any("volume", |wanted| {
            record
                .mounts
                .iter()
                .any(|mount| mount.name == wanted || mount.destination == wanted || mount.source == wanted)
        })
    }

    fn takes_network(&self, record: &ContainerRecord) -> bool {
        if !self.filters.contains("network") {
            return true;
        }
        let networks = &record.network.networks;
        self.networks.iter().any(|(name, id)| {
            networks
                .iter()
                .any(|(held, attachment)| held == name || (!id.is_empty() && attachment.network_id == *id))
        })
    }

    fn takes_ports(&self, record: &ContainerRecord) -> bool {
        let ports = &record.network.ports;
        let within = |(first, last, protocol): &(u16, u16, String), key: &str| {
            port_spec::parse_key(key)
                .is_ok_and(|(port, held)| (*first..=*last).contains(&port) && held == *protocol)
        };
        let on_host =
            |wanted: &(u16, u16, String), key: &str, bindings: &Option<Vec<::container::PortBinding>>| {
                let (first, last, protocol) = wanted;
                let same_protocol = port_spec::parse_key(key).is_ok_and(|(_, held)| held == *protocol);
                let within = |binding: &::container::PortBinding| {
                    binding.host_port.parse::<u16>().is_ok_and(|port| (*first..=*last).contains(&port))
                };
                same_protocol && bindings.iter().flatten().any(within)
            };
        let published = self.published.is_empty()
            || self
                .published
                .iter()
                .any(|wanted| ports.iter().any(|(key, bindings)| on_host(wanted, key, bindings)));
        let exposed = self.exposed.is_empty()
            || self.exposed.iter().any(|wanted| ports.keys().any(|key| within(wanted, key)));
        published && exposed
    }
}

fn parse_code(text: &str) -> Result<i32> {
    text.parse().map_err(|_| {
        Error::invalid(format!(
            "invalid filter 'exited={text}': strconv.Atoi: parsing \"{text}\": invalid syntax"
        ))
    })
}

fn parse_ports(filter: &str, text: &str) -> Result<(u16, u16, String)> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let parse = |part: &str| {
        part.parse::<u16>().map_err(|error| {
            let why = if *error.kind() == std::num::IntErrorKind::PosOverflow {
                "value out of range"
            } else {
                "invalid syntax"
            };
            Error::internal(format!(
                "error while looking up for {filter} {text}: strconv.ParseUint: parsing \"{part}\": {why}"
            ))
        })
    };
    Ok((parse(first)?, parse(last)?, protocol.to_ascii_lowercase()))
}

fn ancestors(inner: &Inner, filters: &Filters) -> Vec<String> {
    filters.get("ancestor").flat_map(|name| inner.storage.descendants(name)).collect()
}

fn wanted_networks(inner: &Inner, filters: &Filters) -> Vec<(String, String)> {
    filters
        .get("network")
        .map(|name| match inner.networks.find(name) {
            Ok(network) => (network.name, network.id.to_string()),
            Err(_) => (name.to_owned(), String::new()),
        })
        .collect()
}

/// `until` of the prune filters: a time, or a duration before now.
pub(crate) fn parse_until(filters: &Filters) -> Result<Option<Timestamp>> {
    let values: Vec<&str> = filters.get("until").collect();
    let [text] = values.as_slice() else {
        return match values.len() {
            0 => Ok(None),
            _ => Err(Error::invalid("more than one until filter specified")),
        };
    };
    parse_moment(text).map(Some)
}

/// A time as seconds, as RFC 3339, or as a Go duration before now.
pub(crate) fn parse_moment(text: &str) -> Result<Timestamp> {
    let bad = || Error::invalid(format!("failed to parse value as time or duration: \"{text}\""));
    if let Ok(nanoseconds) = model::duration::parse_nanoseconds(text)
        && text.ends_with(|last: char| last.is_ascii_alphabetic())
    {
        let moment = Timestamp::now().nanoseconds().saturating_sub(nanoseconds);
        let part = i32::try_from(moment.rem_euclid(1_000_000_000)).unwrap_or(0);
        return Ok(Timestamp::from_unix(moment.div_euclid(1_000_000_000), part));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if let Ok(seconds) = seconds.parse::<i64>() {
        let digits: String = format!("{fraction:0<9}").chars().take(9).collect();
        return Ok(Timestamp::from_unix(seconds, digits.parse().map_err(|_| bad())?));
    }
    let completed = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    };
    completed.parse().map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_durations() {
        assert_eq!(parse_moment("10.5").unwrap(), Timestamp::from_unix(10, 500_000_000));
        assert_eq!(parse_moment("1970-01-01T00:00:10Z").unwrap(), Timestamp::from_unix(10, 0));
        assert!(parse_moment("10m").unwrap() < Timestamp::now());
        assert_eq!(
            parse_moment("bogus").unwrap_err().message(),
            "failed to parse value as time or duration: \"bogus\""
        );
    }
}
