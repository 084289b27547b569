//! `port`: where a container's ports are published.

use api_client::Query;
use api_client::query::path_escape;
use serde_json::Value as Json;

use crate::command::{Arity, Command};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "List port mappings or a specific mapping for the container",
    usage: &["CONTAINER [PRIVATE_PORT[/PROTO]]"],
    spellings: &["container port", "port"],
    flags: &[],
    arity: Arity::Range(1, 2),
    interspersed: true,
    examples: &["port web 80/tcp"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let name = matches.arg(0);
    let path = format!("/containers/{}/json", path_escape(name));
    let document: Json = session.client()?.get(&path, &Query::new())?;
    let ports =
        document.pointer("/NetworkSettings/Ports").and_then(Json::as_object).cloned().unwrap_or_default();
    let wanted = matches.arg(1);
    let mut lines: Vec<(u32, String)> = Vec::new();
    if !wanted.is_empty() {
        let (number, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
        if number.parse::<u16>().is_err() {
            return Err(Failure::text(format!(
                "Error: invalid port ({wanted}): strconv.ParseUint: parsing \"{number}\": invalid syntax"
            )));
        }
        let bindings =
            ports.get(&format!("{number}/{protocol}")).and_then(Json::as_array).cloned().unwrap_or_default();
        if bindings.is_empty() {
            return Err(Failure::text(format!("Error: No public port '{wanted}' published for {name}")));
        }
        lines.extend(bindings.iter().map(|binding| (0, host(binding))));
    } else {
        for (port, bindings) in &ports {
            for binding in bindings.as_array().into_iter().flatten() {
                let number = port.split('/').next().and_then(|text| text.parse().ok()).unwrap_or(0);
                lines.push((number, format!("{port} -> {}", host(binding))));
            }
        }
        lines.sort();
    }
    for (_, line) in lines {
        println!("{line}");
    }
    Ok(())
}

fn host(binding: &Json) -> String {
    let text = |name: &str| binding.get(name).and_then(Json::as_str).unwrap_or_default();
    let ip = text("HostIp");
    if ip.contains(':') {
        format!("[{ip}]:{}", text("HostPort"))
    } else {
        format!("{ip}:{}", text("HostPort"))
    }
}
