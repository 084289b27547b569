//! `volume ls`.

use std::collections::BTreeMap;

use api_client::Query;
use serde::Deserialize;

use crate::command::Kind::{Filter, Switch};
use crate::command::{Arity, Command, FORMAT, Flag, flag, long, switch};
use crate::failure::Outcome;
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("cluster", Switch, ""),
    flag("filter", 'f', Filter, "", "Show only what fits, as dangling=true, driver=local, label=x, name=x"),
    FORMAT,
    switch("quiet", 'q', "Show only names"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "List volumes",
    usage: &["[OPTIONS]"],
    spellings: &["volume ls", "volume list"],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["volume ls --filter dangling=true"],
    run,
};

/// A volume in a list.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    driver: String,
    scope: String,
    mountpoint: String,
    labels: Option<BTreeMap<String, String>>,
    usage_data: Option<Usage>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Usage {
    ref_count: i64,
    size: i64,
}

const COLUMNS: &[Column<Volume>] = &[
    column("Name", "VOLUME NAME", |volume| volume.name.as_str().into()),
    column("Driver", "DRIVER", |volume| volume.driver.as_str().into()),
    column("Scope", "SCOPE", |volume| volume.scope.as_str().into()),
    column("Mountpoint", "MOUNTPOINT", |volume| volume.mountpoint.as_str().into()),
    column("Labels", "LABELS", |volume| {
        let labels: Vec<String> =
            volume.labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        labels.join(",").into()
    }),
    column("Links", "LINKS", |volume| match &volume.usage_data {
        Some(usage) => usage.ref_count.to_string().into(),
        None => "N/A".into(),
    }),
    column("Size", "SIZE", |volume| match &volume.usage_data {
        Some(usage) => human::size(usage.size as f64).into(),
        None => "N/A".into(),
    }),
    column("Group", "GROUP", |_| "N/A".into()),
    column("Availability", "AVAILABILITY", |_| "N/A".into()),
    column("Status", "STATUS", |_| "N/A".into()),
];

/// The table of volumes.
pub static LISTING: Listing<Volume> = Listing {
    type_name: "*formatter.volumeContext",
    columns: COLUMNS,
    table: "table {{.Driver}}\t{{.Name}}",
    raw: "name: {{.Name}}\ndriver: {{.Driver}}\n",
    label: Some(|volume, key| {
        volume.labels.as_ref().and_then(|labels| labels.get(key)).cloned().unwrap_or_default()
    }),
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    volumes: Option<Vec<Volume>>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let answer: Answer = session.client()?.get("/volumes", &Query::new().filters(&matches.filters()))?;
    let format = match (matches.text("format"), matches.on("quiet")) {
        ("" | "table", true) => "{{.Name}}",
        ("", false) => session.config().text("volumesFormat"),
        (given, _) => given,
    };
    let mut volumes = answer.volumes.unwrap_or_default();
    volumes.sort_by(|one, other| natural(&one.name, &other.name));
    LISTING.print(format, volumes)?;
    for warning in answer.warnings.unwrap_or_default() {
        eprintln!("WARNING: {warning}");
    }
    Ok(())
}

/// Order in which `a2` comes before `a10`.
pub fn natural(one: &str, other: &str) -> std::cmp::Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (a, b) = (digits(one), digits(other));
        if a > 0 && b > 0 {
            let number = |text: &str, count: usize| {
                text.get(..count).unwrap_or_default().trim_start_matches('0').to_owned()
            };
            let (x, y) = (number(one, a), number(other, b));
            let order = x.len().cmp(&y.len()).then_with(|| x.cmp(&y));
            if order.is_ne() {
                return order;
            }
            one = one.get(a..).unwrap_or_default();
            other = other.get(b..).unwrap_or_default();
            continue;
        }
        let (mut left, mut right) = (one.chars(), other.chars());
        match (left.next(), right.next()) {
            (Some(a), Some(b)) if a == b => {
                one = left.as_str();
                other = right.as_str();
            }
            (a, b) => return a.cmp(&b),
        }
    }
}
