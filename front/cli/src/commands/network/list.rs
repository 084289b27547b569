//! `network ls`.

use std::collections::BTreeMap;

use api_client::Query;
use serde::Deserialize;

use crate::command::Kind::{Filter, Switch};
use crate::command::{Arity, Command, FORMAT, Flag, flag, long, switch};
use crate::commands::volume::list::natural;
use crate::failure::Outcome;
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    flag("filter", 'f', Filter, "", "Show only what fits, as driver=bridge, name=x, ..."),
    FORMAT,
    long("no-trunc", Switch, "Show everything in full"),
    switch("quiet", 'q', "Show only ids"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "List networks",
    usage: &["[OPTIONS]"],
    spellings: &["network ls", "network list"],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["network ls --filter driver=bridge"],
    run,
};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Network {
    name: String,
    id: String,
    created: String,
    scope: String,
    driver: String,
    #[serde(rename = "EnableIPv4")]
    ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    ipv6: bool,
    internal: bool,
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip)]
    whole: bool,
}

const COLUMNS: &[Column<Network>] = &[
    column("ID", "NETWORK ID", |network| {
        if network.whole { network.id.as_str() } else { human::short_id(&network.id) }.into()
    }),
    column("Name", "NAME", |network| network.name.as_str().into()),
    column("Driver", "DRIVER", |network| network.driver.as_str().into()),
    column("Scope", "SCOPE", |network| network.scope.as_str().into()),
    column("IPv4", "IPV4", |network| network.ipv4.to_string().into()),
    column("IPv6", "IPV6", |network| network.ipv6.to_string().into()),
    column("Internal", "INTERNAL", |network| network.internal.to_string().into()),
    column("Labels", "LABELS", |network| {
        let labels: Vec<String> =
            network.labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        labels.join(",").into()
    }),
    column("CreatedAt", "CREATED AT", |network| go_time(&network.created).into()),
];

static LISTING: Listing<Network> = Listing {
    type_name: "*network.networkContext",
    columns: COLUMNS,
    table: "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    raw: "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
    label: Some(|network, key| {
        network.labels.as_ref().and_then(|labels| labels.get(key)).cloned().unwrap_or_default()
    }),
};

/// A time as Go prints it by default.
fn go_time(text: &str) -> String {
    let Some((date, rest)) = text.split_once('T') else { return text.to_owned() };
    match rest.strip_suffix('Z') {
        Some(time) => format!("{date} {time} +0000 UTC"),
        None => text.to_owned(),
    }
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let mut networks: Vec<Network> =
        session.client()?.get("/networks", &Query::new().filters(&matches.filters()))?;
    networks.sort_by(|one, other| natural(&one.name, &other.name));
    let format = match (matches.text("format"), matches.on("quiet")) {
        ("" | "table", true) => "{{.ID}}",
        ("", false) => session.config().text("networksFormat"),
        (given, _) => given,
    };
    let whole = matches.on("no-trunc");
    LISTING.print(format, networks.into_iter().map(|network| Network { whole, ..network }).collect())
}
