//! `system prune`: removes everything that is not used.

use crate::command::Kind::{Filter, Switch};
use crate::command::{Arity, Command, Flag, long, switch};
use crate::commands::prune::{confirm, reclaimed};
use crate::commands::{container, image, network, volume};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("all", 'a', "Remove all images that no container uses, not only those without name"),
    long("filter", Filter, "Remove only what fits, until=24h say"),
    switch("force", 'f', "Do not ask"),
    long("volumes", Switch, "Remove anonymous volumes too"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Remove unused data",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["system prune -af --volumes"],
    run,
};

fn warning(all: bool, volumes: bool, matches: &Matches) -> String {
    let mut lines = vec!["all stopped containers", "all networks not used by at least one container"];
    if volumes {
        lines.push("all anonymous volumes not used by at least one container");
    }
    lines.push(if all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    });
    lines.push(if all { "all build cache" } else { "unused build cache" });
    let mut text = String::from("This will remove:\n");
    for line in lines {
        text.push_str(&format!("  - {line}\n"));
    }
    let filters: Vec<String> = matches.list("filter").iter().map(|text| format!("  - {text}")).collect();
    if !filters.is_empty() {
        text.push_str(&format!("\n  Items to be pruned will be filtered with:\n{}\n", filters.join("\n")));
    }
    text
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let (all, volumes) = (matches.on("all"), matches.on("volumes"));
    let filters = matches.filters();
    if volumes && filters.contains("until") {
        return Err(Failure::text("ERROR: The \"until\" filter is not supported with \"--volumes\""));
    }
    confirm(matches, &warning(all, volumes, matches))?;
    let client = session.client()?;
    let mut total = 0.0;
    let mut tell = |text: String, space: f64| {
        if !text.is_empty() {
            println!("{text}");
        }
        total += space;
    };
    let (text, space) = container::prune::prune(client, &filters)?;
    tell(text, space);
    tell(network::prune::prune(client, &filters)?, 0.0);
    if volumes {
        let (text, space) = volume::prune::prune(client, &filters)?;
        tell(text, space);
    }
    let (text, space) = image::prune::prune(client, filters.clone(), all)?;
    tell(text, space);
    // An engine without a builder has no build cache to remove.
    let query = api_client::Query::new().flag("all", all).filters(&filters);
    if let Ok(answer) = client.ask::<serde_json::Value>("POST", "/build/prune", &query) {
        let list = container::prune::listed(&answer, "CachesDeleted", "Deleted build cache objects:");
        tell(list, container::prune::space(&answer));
    }
    reclaimed(total);
    Ok(())
}
