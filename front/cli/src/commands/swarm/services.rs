//! `service ls`.

use api_client::Query;
use serde_json::Value as Json;

use crate::command::Kind::Filter;
use crate::command::{Arity, Command, FORMAT, Flag, flag, switch};
use crate::failure::Outcome;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] =
    &[flag("filter", 'f', Filter, "", "Show only what fits"), FORMAT, switch("quiet", 'q', "Show only ids")];

/// The command.
pub const COMMAND: Command = Command {
    about: "List services",
    usage: &["[OPTIONS]"],
    spellings: &["service ls", "service list"],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &[],
    run,
};

fn text(item: &Json, pointer: &str) -> String {
    item.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned()
}

const COLUMNS: &[Column<Json>] = &[
    column("ID", "ID", |service| crate::human::short_id(&text(service, "/ID")).into()),
    column("Name", "NAME", |service| text(service, "/Spec/Name").into()),
    column("Mode", "MODE", |service| {
        let mode = service.pointer("/Spec/Mode").and_then(Json::as_object);
        mode.and_then(|mode| mode.keys().next()).map(|name| name.to_lowercase()).unwrap_or_default().into()
    }),
    column("Replicas", "REPLICAS", |service| {
        let count = |name: &str| {
            service.pointer(&format!("/ServiceStatus/{name}")).and_then(Json::as_i64).unwrap_or(0)
        };
        format!("{}/{}", count("RunningTasks"), count("DesiredTasks")).into()
    }),
    column("Image", "IMAGE", |service| {
        let image = text(service, "/Spec/TaskTemplate/ContainerSpec/Image");
        image.split('@').next().unwrap_or_default().into()
    }),
    column("Ports", "PORTS", |service| {
        let ports = service.pointer("/Endpoint/Ports").and_then(Json::as_array).into_iter().flatten();
        let shown: Vec<String> = ports
            .map(|port| {
                let number = |name: &str| port.get(name).and_then(Json::as_i64).unwrap_or(0);
                format!("*:{}->{}/{}", number("PublishedPort"), number("TargetPort"), text(port, "/Protocol"))
            })
            .collect();
        shown.join(", ").into()
    }),
];

static LISTING: Listing<Json> = Listing {
    type_name: "*service.serviceContext",
    columns: COLUMNS,
    table: "table {{.ID}}\t{{.Name}}\t{{.Mode}}\t{{.Replicas}}\t{{.Image}}\t{{.Ports}}",
    raw: "",
    label: None,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let list: Vec<Json> = session
        .client()?
        .get("/services", &Query::new().set("status", "true").filters(&matches.filters()))?;
    let format = if matches.on("quiet") { "{{.ID}}" } else { matches.text("format") };
    LISTING.print(format, list)
}
