//! `version`: of the client and of the engine.

use api_client::Query;
use serde_json::{Map, Value as Json, json};

use crate::command::Kind::Text;
use crate::command::{Arity, Command, Flag, flag};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;
use crate::template::{Document, Template};

const FLAGS: &[Flag] = &[flag("format", 'f', Text, "", "How to print: 'json', or a Go template")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Show the Docker version information",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["version --format '{{.Server.Version}}'"],
    run,
};

/// Our version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `--version` prints.
pub fn one_line(session: &Session) -> String {
    let name = if session.program == "docker" { "Docker" } else { "wharf" };
    format!("{name} version {VERSION}, build wharf")
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let format = match matches.text("format") {
        "json" => "{{json .}}",
        other => other,
    };
    let template =
        match format {
            "" => None,
            text => Some(Template::parse(text).map_err(|error| Failure::Text {
                text: format!("template parsing error: {error}"),
                code: 64,
            })?),
        };
    let client = session.client()?;
    let server = client.get::<Json>("/version", &Query::new());
    let api = client.version().unwrap_or(api_client::client::NEWEST);
    let ours = json!({
        "Version": VERSION, "ApiVersion": api, "DefaultAPIVersion": api_client::client::NEWEST,
        "GitCommit": "wharf", "GoVersion": "", "Os": "linux", "Arch": architecture(), "BuildTime": "",
        "Context": session.context_name(),
    });
    let (server, fault) = match server {
        Ok(document) => (Some(server_document(document)), None),
        Err(error) => (None, Some(Failure::from(error))),
    };
    match template {
        Some(template) => {
            let both = Document::new("system.versionInfo", json!({"Client": ours, "Server": server}));
            let result = template.named("version").execute(&both);
            println!("{}", result.as_deref().unwrap_or_default());
            result.map_err(|error| Failure::text(error.to_string()))?;
        }
        None => print!("{}", view(&ours, server.as_ref())),
    }
    fault.map_or(Ok(()), Err)
}

/// The engine's answer with its fields in the order docker prints them.
fn server_document(document: Json) -> Json {
    let Json::Object(fields) = document else { return document };
    let first = ["Platform", "Components"];
    let mut ordered = Map::new();
    for name in first {
        if let Some(value) = fields.get(name) {
            ordered.insert(name.to_owned(), value.clone());
        }
    }
    ordered.extend(fields.into_iter().filter(|(name, _)| !first.contains(&name.as_str())));
    Json::Object(ordered)
}

fn view(ours: &Json, server: Option<&Json>) -> String {
    let text = |document: &Json, name: &str| {
        document.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    let mut out = String::new();
    let mut line = |name: &str, value: &str| out.push_str(&format!("{name}\t{value}\n"));
    let (api, newest) = (text(ours, "ApiVersion"), text(ours, "DefaultAPIVersion"));
    line("Client:", "");
    line(" Version:", &text(ours, "Version"));
    line(" API version:", &if api == newest { api } else { format!("{api} (downgraded from {newest})") });
    line(" Git commit:", &text(ours, "GitCommit"));
    line(" OS/Arch:", &format!("{}/{}", text(ours, "Os"), text(ours, "Arch")));
    line(" Context:", &text(ours, "Context"));
    let mut result = lay_out(&out);
    let Some(server) = server else { return result };
    let platform = server.pointer("/Platform/Name").and_then(Json::as_str).unwrap_or_default();
    let mut out = format!("\nServer:{}{platform}\t\n", if platform.is_empty() { "" } else { " " });
    for component in server.get("Components").and_then(Json::as_array).into_iter().flatten() {
        let detail = |name: &str| {
            component
                .pointer(&format!("/Details/{name}"))
                .and_then(Json::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        out.push_str(&format!(
            " {}:\t\n  Version:\t{}\n",
            text(component, "Name"),
            text(component, "Version")
        ));
        if text(component, "Name") == "Engine" {
            out.push_str(&format!(
                "  API version:\t{} (minimum version {})\n",
                detail("ApiVersion"),
                detail("MinAPIVersion")
            ));
            out.push_str(&format!(
                "  Go version:\t{}\n  Git commit:\t{}\n",
                detail("GoVersion"),
                detail("GitCommit")
            ));
            out.push_str(&format!(
                "  Built:\t{}\n  OS/Arch:\t{}/{}\n",
                detail("BuildTime"),
                detail("Os"),
                detail("Arch")
            ));
            out.push_str(&format!("  Experimental:\t{}\n", detail("Experimental")));
        } else {
            let details = component.get("Details").and_then(Json::as_object);
            for (name, value) in details.into_iter().flatten() {
                out.push_str(&format!("  {name}:\t{}\n", value.as_str().unwrap_or_default()));
            }
        }
    }
    result.push_str(&lay_out(&out));
    result
}

fn lay_out(text: &str) -> String {
    let table = terminal::Table { min_width: 20, padding: 1 }.layout(text);
    // A heading without value leaves no blanks behind it.
    table
        .lines()
        .map(|line| {
            format!(
                "{}\n",
                if line.trim_end().ends_with(':') && !line.starts_with("  ") {
                    line.trim_end()
                } else {
                    line
                }
            )
        })
        .collect()
}
