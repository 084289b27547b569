//! `ps`: lists containers.

use api_client::Query;
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::command::Kind::{Filter, Int, Switch};
use crate::command::{Arity, Command, FORMAT, Flag, flag, long, switch};
use crate::failure::Outcome;
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;
use crate::template::Value;

const FLAGS: &[Flag] = &[
    switch("all", 'a', "Show stopped containers too"),
    flag("filter", 'f', Filter, "", "Show only what fits, as status=exited, label=x, name=web, ..."),
    FORMAT,
    flag("last", 'n', Int, "-1", "Show the newest so many, whatever their state"),
    switch("latest", 'l', "Show the newest, whatever its state"),
    long("no-trunc", Switch, "Show everything in full"),
    switch("quiet", 'q', "Show only ids"),
    switch("size", 's', "Show how much is written"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "List containers",
    usage: &["[OPTIONS]"],
    spellings: &["container ls", "container list", "container ps", "ps"],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["ps -a", "ps --filter status=exited --format '{{.Names}}: {{.Status}}'"],
    run,
};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Summary {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    ports: Option<Vec<Port>>,
    #[serde(rename = "SizeRw")]
    size_rw: i64,
    #[serde(rename = "SizeRootFs")]
    size_root: i64,
    labels: Option<BTreeMap<String, String>>,
    state: String,
    status: String,
    mounts: Option<Vec<Mount>>,
    network_settings: Option<Networks>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Networks {
    networks: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Mount {
    name: String,
    source: String,
    driver: String,
}

/// A port of a container in a list.
#[derive(Deserialize, Default, Clone, PartialEq, Eq)]
#[serde(rename_all = "PascalCase", default)]
pub struct Port {
    /// Host address.
    #[serde(rename = "IP")]
    pub ip: String,
    /// Inside.
    pub private_port: u16,
    /// Outside; 0 when not published.
    pub public_port: u16,
    /// Protocol.
    #[serde(rename = "Type")]
    pub protocol: String,
}

struct Row {
    summary: Summary,
    whole: bool,
}

impl Row {
    fn names(&self) -> String {
        let names = self.summary.names.iter().flatten().map(|name| name.strip_prefix('/').unwrap_or(name));
        // Names with a further slash are links of other containers.
        let own: Vec<&str> =
            if self.whole { names.collect() } else { names.filter(|name| !name.contains('/')).collect() };
        own.join(",")
    }

    fn image(&self) -> String {
        let Summary { image, image_id, .. } = &self.summary;
        if image.is_empty() {
            return "<no image>".to_owned();
        }
        if self.whole {
            return image.clone();
        }
        // An image that lost its name is shown by the short form of its id.
        if image == image_id || image.starts_with("sha256:") {
            return human::short_id(image).to_owned();
        }
        crate::commands::image::reference::without_digest(image)
    }

    fn command(&self) -> String {
        let text = if self.whole {
            self.summary.command.clone()
        } else {
            human::ellipsis(&self.summary.command, 20)
        };
        crate::value::quoted(&text)
    }

    fn size(&self) -> String {
        let written = human::size3(self.summary.size_rw as f64);
        if self.summary.size_root > 0 {
            format!("{written} (virtual {})", human::size3(self.summary.size_root as f64))
        } else {
            written
        }
    }

    fn mounts(&self) -> String {
        let mounts: Vec<String> = self
            .summary
            .mounts
            .iter()
            .flatten()
            .map(|mount| {
                let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
                if self.whole { name.clone() } else { human::ellipsis(name, 15) }
            })
            .collect();
        mounts.join(",")
    }

    fn labels(&self) -> String {
        let labels: Vec<String> =
            self.summary.labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        labels.join(",")
    }

    fn networks(&self) -> String {
        let networks = self.summary.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        networks.map(|networks| networks.keys().cloned().collect::<Vec<_>>().join(",")).unwrap_or_default()
    }

    fn local_volumes(&self) -> String {
        self.summary.mounts.iter().flatten().filter(|mount| mount.driver == "local").count().to_string()
    }
}

const COLUMNS: &[Column<Row>] = &[
    column("ID", "CONTAINER ID", |row| {
        if row.whole { row.summary.id.as_str() } else { human::short_id(&row.summary.id) }.into()
    }),
    column("Names", "NAMES", |row| row.names().into()),
    column("Image", "IMAGE", |row| row.image().into()),
    column("Command", "COMMAND", |row| row.command().into()),
    column("CreatedAt", "CREATED AT", |row| human::date(row.summary.created).into()),
    column("RunningFor", "CREATED", |row| human::ago(row.summary.created).into()),
    column("Ports", "PORTS", |row| ports(row.summary.ports.as_deref().unwrap_or_default()).into()),
    column("State", "STATE", |row| row.summary.state.as_str().into()),
    column("Status", "STATUS", |row| row.summary.status.as_str().into()),
    column("Platform", "PLATFORM", |_| Value::Missing),
    column("Size", "SIZE", |row| row.size().into()),
    column("Labels", "LABELS", |row| row.labels().into()),
    column("Mounts", "MOUNTS", |row| row.mounts().into()),
    column("LocalVolumes", "LOCAL VOLUMES", |row| row.local_volumes().into()),
    column("Networks", "NETWORKS", |row| row.networks().into()),
];

static LISTING: Listing<Row> = Listing {
    type_name: "*formatter.ContainerContext",
    columns: COLUMNS,
    table: "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    raw: RAW,
    label: Some(|row, key| {
        row.summary.labels.as_ref().and_then(|labels| labels.get(key)).cloned().unwrap_or_default()
    }),
};

const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate:{{pad .State 1 0}}\nstatus:{{pad .Status 1 0}}\nnames: {{.Names}}\nlabels:{{pad .Labels 1 0}}\nports:{{pad .Ports 1 0}}\n";

const TABLE_WITH_SIZE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";

fn run(session: &Session, matches: &Matches) -> Outcome {
    let quiet = matches.on("quiet");
    if quiet && !matches.text("format").is_empty() {
        eprintln!("WARNING: Ignoring custom format, because both --format and --quiet are set.");
    }
    let with_size;
    let format = match (matches.text("format"), quiet) {
        ("raw", true) => "container_id: {{.ID}}",
        (_, true) => "{{.ID}}",
        ("", false) => session.config().text("psFormat"),
        (given, false) => given,
    };
    let format = match format {
        "" | "table" if matches.on("size") => TABLE_WITH_SIZE,
        "raw" if matches.on("size") => {
            with_size = format!("{RAW}size: {{{{.Size}}}}\n");
            &with_size
        }
        other => other,
    };
    if !format.is_empty() {
        // A wrong template is told even when there is nothing to list.
        LISTING.check(format, Row { summary: Summary::default(), whole: true })?;
    }
    let last = if matches.on("latest") && !matches.given("last") { 1 } else { matches.int("last") };
    let wants_size = matches.on("size") || format.contains(".Size");
    let mut query = Query::new().flag("all", matches.on("all"));
    if last > 0 {
        query = query.set("limit", last.to_string());
    }
    let query = query.flag("size", wants_size).filters(&matches.filters());
    let list: Vec<Summary> = session.client()?.get("/containers/json", &query)?;
    let whole = matches.on("no-trunc");
    LISTING.print(format, list.into_iter().map(|summary| Row { summary, whole }).collect())
}

/// Ports as people read them: ranges are joined, published ones come with their address.
pub fn ports(list: &[Port]) -> String {
    let mut sorted: Vec<&Port> = list.iter().collect();
    sorted.sort_by(|one, two| {
        (one.private_port, &one.ip, one.public_port, &one.protocol).cmp(&(
            two.private_port,
            &two.ip,
            two.public_port,
            &two.protocol,
        ))
    });
    // Ranges by protocol, or by address and protocol where both sides have the same number.
    let mut groups: Vec<(String, u16, u16)> = Vec::new();
    let mut order: Vec<String> = Vec::new();
    let mut ranges: Vec<String> = Vec::new();
    let mut mapped: Vec<String> = Vec::new();
    for port in sorted {
        let key = if port.ip.is_empty() {
            port.protocol.clone()
        } else if port.public_port != port.private_port {
            let address = join(&port.ip, &port.public_port.to_string());
            mapped.push(format!("{address}->{}/{}", port.private_port, port.protocol));
            continue;
        } else {
            format!("{}/{}", port.ip, port.protocol)
        };
        match groups.iter_mut().find(|(held, ..)| *held == key) {
            None => {
                order.push(key.clone());
                groups.push((key, port.private_port, port.private_port));
            }
            Some((_, _, last)) if port.private_port == *last => {}
            Some((_, _, last)) if port.private_port == last.saturating_add(1) => *last = port.private_port,
            Some((key, first, last)) => {
                ranges.push(range(key, *first, *last));
                (*first, *last) = (port.private_port, port.private_port);
            }
        }
    }
    for key in order {
        if let Some((key, first, last)) = groups.iter().find(|(held, ..)| *held == key) {
            ranges.push(range(key, *first, *last));
        }
    }
    ranges.extend(mapped);
    ranges.join(", ")
}

fn join(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn range(key: &str, first: u16, last: u16) -> String {
    let (ip, protocol) = key.rsplit_once('/').unwrap_or(("", key));
    let numbers = if first == last { first.to_string() } else { format!("{first}-{last}") };
    if ip.is_empty() {
        format!("{numbers}/{protocol}")
    } else {
        format!("{}->{numbers}/{protocol}", join(ip, &numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, private_port: u16, public_port: u16) -> Port {
        Port { ip: ip.to_owned(), private_port, public_port, protocol: "tcp".to_owned() }
    }

    #[test]
    fn ports_are_joined_to_ranges() {
        for (list, text) in [
            (vec![], ""),
            (vec![port("", 80, 0)], "80/tcp"),
            (vec![port("", 80, 0), port("", 81, 0), port("", 83, 0)], "80-81/tcp, 83/tcp"),
            (
                vec![port("0.0.0.0", 80, 8080), port("::", 80, 8080)],
                "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
            ),
            (vec![port("0.0.0.0", 80, 80), port("0.0.0.0", 81, 81)], "0.0.0.0:80-81->80-81/tcp"),
            (vec![port("0.0.0.0", 80, 8080), port("", 443, 0)], "443/tcp, 0.0.0.0:8080->80/tcp"),
        ] {
            assert_eq!(ports(&list), text);
        }
    }
}
