//! `info`: what the engine is and has.

use std::fmt::Write as _;

use api_client::Query;
use serde_json::{Value as Json, json};

use crate::command::Kind::Text;
use crate::command::{Arity, Command, Flag, flag};
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::matches::Matches;
use crate::session::Session;
use crate::template::{Document, Template};

const FLAGS: &[Flag] = &[flag("format", 'f', Text, "", "How to print: 'json', or a Go template")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Display system-wide information",
    usage: &["[OPTIONS]"],
    spellings: &["system info", "info"],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["info --format '{{.Driver}}'"],
    run,
};

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
    let info = session.client()?.get::<Json>("/info", &Query::new());
    if let Some(template) = template {
        let mut document = info?;
        if let Some(fields) = document.as_object_mut() {
            fields.insert("ClientInfo".to_owned(), client_info(session));
        }
        let result = template.execute(&Document::new("system.dockerInfo", document));
        println!("{}", result.as_deref().unwrap_or_default());
        result.map_err(|error| Failure::text(error.to_string()))?;
        return Ok(());
    }
    println!(
        "Client:\n Version:    {}\n Context:    {}\n Debug Mode: {}",
        super::version::VERSION,
        session.context_name(),
        session.debug
    );
    let plugins = crate::plugin::list(session);
    if !plugins.is_empty() {
        println!(" Plugins:");
        for (name, about) in plugins {
            println!("  {name}: {about}");
        }
    }
    println!("\nServer:");
    match info {
        Ok(info) => {
            println!("{}", server(&info));
            for warning in info.get("Warnings").and_then(Json::as_array).into_iter().flatten() {
                eprintln!("{}", warning.as_str().unwrap_or_default());
            }
            Ok(())
        }
        Err(error) => {
            println!("ERROR: {error}");
            Err(Failure::text("errors pretty printing info"))
        }
    }
}

fn client_info(session: &Session) -> Json {
    json!({"Debug": session.debug, "Version": super::version::VERSION, "Context": session.context_name(), "Plugins": [], "Warnings": null})
}

fn texts(value: Option<&Json>) -> Vec<String> {
    value.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

fn server(info: &Json) -> String {
    let text =
        |name: &str| info.pointer(&format!("/{name}")).and_then(Json::as_str).unwrap_or_default().to_owned();
    let number = |name: &str| info.get(name).and_then(Json::as_i64).unwrap_or(0);
    let flag = |name: &str| info.get(name).and_then(Json::as_bool).unwrap_or(false);
    let mut out = String::new();
    let mut line = |depth: usize, name: &str, value: &str| {
        let _ = writeln!(out, "{:depth$}{name}: {value}", "");
    };
    line(1, "Containers", &number("Containers").to_string());
    line(2, "Running", &number("ContainersRunning").to_string());
    line(2, "Paused", &number("ContainersPaused").to_string());
    line(2, "Stopped", &number("ContainersStopped").to_string());
    line(1, "Images", &number("Images").to_string());
    for (name, field) in [("Server Version", "ServerVersion"), ("Storage Driver", "Driver")] {
        if !text(field).is_empty() {
            line(1, name, &text(field));
        }
    }
    for pair in info.get("DriverStatus").and_then(Json::as_array).into_iter().flatten() {
        let part = |index: usize| pair.get(index).and_then(Json::as_str).unwrap_or_default();
        line(2, part(0), part(1));
    }
    for (name, field) in [
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
    ] {
        if !text(field).is_empty() {
            line(1, name, &text(field));
        }
    }
    line(1, "Plugins", "");
    for (name, field) in
        [("Volume", "Volume"), ("Network", "Network"), ("Authorization", "Authorization"), ("Log", "Log")]
    {
        let list = texts(info.pointer(&format!("/Plugins/{field}")));
        if !list.is_empty() || matches!(name, "Volume" | "Network" | "Log") {
            line(2, name, &list.join(" "));
        }
    }
    line(1, "Swarm", &text("Swarm/LocalNodeState"));
    let runtimes = info.get("Runtimes").and_then(Json::as_object);
    let mut names: Vec<String> = runtimes.into_iter().flat_map(|map| map.keys().cloned()).collect();
    names.sort();
    line(1, "Runtimes", &names.join(" "));
    line(1, "Default Runtime", &text("DefaultRuntime"));
    line(1, "Init Binary", &text("InitBinary"));
    line(1, "containerd version", &text("ContainerdCommit/ID"));
    line(1, "runc version", &text("RuncCommit/ID"));
    line(1, "init version", &text("InitCommit/ID"));
    security(info, &mut line);
    for (name, field) in [
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
    ] {
        line(1, name, &text(field));
    }
    line(1, "CPUs", &number("NCPU").to_string());
    line(1, "Total Memory", &human::binary_size(number("MemTotal") as f64));
    for (name, field) in [("Name", "Name"), ("ID", "ID"), ("Docker Root Dir", "DockerRootDir")] {
        line(1, name, &text(field));
    }
    line(1, "Debug Mode", &flag("Debug").to_string());
    for (name, field) in [
        ("HTTP Proxy", "HttpProxy"),
        ("HTTPS Proxy", "HttpsProxy"),
        ("No Proxy", "NoProxy"),
        ("Username", "Username"),
    ] {
        if !text(field).is_empty() {
            line(1, name, &text(field));
        }
    }
    let labels = texts(info.get("Labels"));
    if !labels.is_empty() {
        line(1, "Labels", "");
    }
    let _ = write!(out, "{}", labels.iter().map(|label| format!("  {label}\n")).collect::<String>());
    let mut line = |depth: usize, name: &str, value: &str| {
        let _ = writeln!(out, "{:depth$}{name}: {value}", "");
    };
    line(1, "Experimental", &flag("ExperimentalBuild").to_string());
    line(1, "Insecure Registries", "");
    let _ = write!(out, "{}", registries(info));
    let _ = writeln!(out, " Live Restore Enabled: {}", flag("LiveRestoreEnabled"));
    out.replace("Plugins: \n", "Plugins:\n")
        .replace("Registries: \n", "Registries:\n")
        .replace("Labels: \n", "Labels:\n")
        .replace("Options: \n", "Options:\n")
        .replace(": \u{0}", "")
}

fn security(info: &Json, line: &mut impl FnMut(usize, &str, &str)) {
    let options = texts(info.get("SecurityOptions"));
    if options.is_empty() {
        return;
    }
    line(1, "Security Options", "");
    for option in options {
        for part in option.split(',') {
            match part.split_once('=') {
                Some(("name", name)) => line(2, name, "\u{0}"),
                Some((key, value)) => {
                    let mut key = key.to_owned();
                    if let Some(first) = key.get_mut(..1) {
                        first.make_ascii_uppercase();
                    }
                    line(3, &key, value);
                }
                None => {}
            }
        }
    }
}

fn registries(info: &Json) -> String {
    let mut out = String::new();
    for (name, index) in
        info.pointer("/RegistryConfig/IndexConfigs").and_then(Json::as_object).into_iter().flatten()
    {
        if !index.get("Secure").and_then(Json::as_bool).unwrap_or(true) {
            let _ = writeln!(out, "  {name}");
        }
    }
    for range in texts(info.pointer("/RegistryConfig/InsecureRegistryCIDRs")) {
        let _ = writeln!(out, "  {range}");
    }
    out
}
