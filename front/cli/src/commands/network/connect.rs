//! `network connect`.

use api_client::Query;
use api_client::query::path_escape;
use serde_json::{Map, Value as Json, json};

use crate::command::Kind::{Int, List, Strings, Text};
use crate::command::{Arity, Command, Flag, flag, long};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("alias", Strings, "Further name of the container on the network"),
    long("driver-opt", Strings, "Option of the driver, as NAME=VALUE"),
    flag("gw-priority", '\0', Int, "0", "The network with the highest number gives the default route"),
    long("ip", Text, "IPv4 address"),
    long("ip6", Text, "IPv6 address"),
    long("link", List, "Make another container known, as NAME:ALIAS"),
    long("link-local-ip", Strings, "Link-local address"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Connect a container to a network",
    usage: &["[OPTIONS] NETWORK CONTAINER"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Exact(2),
    interspersed: true,
    examples: &["network connect --alias db back postgres"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let some = |flag: &str| match matches.list(flag) {
        [] => Json::Null,
        list => json!(list),
    };
    let mut options = Map::new();
    for text in matches.list("driver-opt") {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::text("invalid key/value pair format in driver options"));
        };
        options.insert(key.trim().to_owned(), json!(value.trim()));
    }
    let mut ipam = Map::new();
    for (flag, name) in [("ip", "IPv4Address"), ("ip6", "IPv6Address")] {
        if matches.given(flag) {
            ipam.insert(name.to_owned(), json!(matches.text(flag)));
        }
    }
    if matches.given("link-local-ip") {
        ipam.insert("LinkLocalIPs".to_owned(), some("link-local-ip"));
    }
    let body = json!({
        "Container": matches.arg(1),
        "EndpointConfig": {
            "IPAMConfig": ipam, "Links": some("link"), "Aliases": some("alias"), "DriverOpts": options,
            "GwPriority": matches.int("gw-priority"),
        },
    });
    let path = format!("/networks/{}/connect", path_escape(matches.arg(0)));
    Ok(session.client()?.post_only(&path, &Query::new(), &body)?)
}
