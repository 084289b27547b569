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

/// The engine's answer and the text made of it.
struct View<'a> {
    info: &'a Json,
    out: String,
}

fn server(info: &Json) -> String {
    let mut view = View { info, out: String::new() };
    view.counts();
    view.drivers();
    view.programs();
    view.security();
    view.machine();
    view.settings();
    view.out
}

impl View<'_> {
    fn text(&self, name: &str) -> String {
        self.info.pointer(&format!("/{name}")).and_then(Json::as_str).unwrap_or_default().to_owned()
    }

    fn number(&self, name: &str) -> i64 {
        self.info.get(name).and_then(Json::as_i64).unwrap_or(0)
    }

    fn flag(&self, name: &str) -> bool {
        self.info.get(name).and_then(Json::as_bool).unwrap_or(false)
    }

    fn line(&mut self, depth: usize, name: &str, value: &str) {
        let _ = writeln!(self.out, "{:depth$}{name}: {value}", "");
    }

    fn heading(&mut self, name: &str) {
        let _ = writeln!(self.out, " {name}:");
    }

    /// Lines of fields that are texts; empty ones are left out when asked for.
    fn texts(&mut self, fields: &[(&str, &str)], skip_empty: bool) {
        for (name, field) in fields {
            let value = self.text(field);
            if !skip_empty || !value.is_empty() {
                self.line(1, name, &value);
            }
        }
    }

    fn counts(&mut self) {
        for (depth, name, field) in [
            (1, "Containers", "Containers"),
            (2, "Running", "ContainersRunning"),
            (2, "Paused", "ContainersPaused"),
            (2, "Stopped", "ContainersStopped"),
            (1, "Images", "Images"),
        ] {
            let count = self.number(field).to_string();
            self.line(depth, name, &count);
        }
    }

    fn drivers(&mut self) {
        self.texts(&[("Server Version", "ServerVersion"), ("Storage Driver", "Driver")], true);
        for pair in self.info.get("DriverStatus").and_then(Json::as_array).into_iter().flatten() {
            let part = |index: usize| pair.get(index).and_then(Json::as_str).unwrap_or_default();
            self.line(2, part(0), part(1));
        }
        let fields = [
            ("Logging Driver", "LoggingDriver"),
            ("Cgroup Driver", "CgroupDriver"),
            ("Cgroup Version", "CgroupVersion"),
        ];
        self.texts(&fields, true);
        self.heading("Plugins");
        for name in ["Volume", "Network", "Authorization", "Log"] {
            let list = texts(self.info.pointer(&format!("/Plugins/{name}")));
            if !list.is_empty() || name != "Authorization" {
                self.line(2, name, &list.join(" "));
            }
        }
    }

    fn programs(&mut self) {
        self.texts(&[("Swarm", "Swarm/LocalNodeState")], false);
        let runtimes = self.info.get("Runtimes").and_then(Json::as_object);
        let mut names: Vec<String> = runtimes.into_iter().flat_map(|map| map.keys().cloned()).collect();
        names.sort();
        self.line(1, "Runtimes", &names.join(" "));
        let fields = [
            ("Default Runtime", "DefaultRuntime"),
            ("Init Binary", "InitBinary"),
            ("containerd version", "ContainerdCommit/ID"),
            ("runc version", "RuncCommit/ID"),
            ("init version", "InitCommit/ID"),
        ];
        self.texts(&fields, false);
    }

    fn security(&mut self) {
        let options = texts(self.info.get("SecurityOptions"));
        if !options.is_empty() {
            self.heading("Security Options");
        }
        for part in options.iter().flat_map(|option| option.split(',')) {
            match part.split_once('=') {
                Some(("name", name)) => {
                    let _ = writeln!(self.out, "  {name}");
                }
                Some((key, value)) => {
                    let mut key = key.to_owned();
                    if let Some(first) = key.get_mut(..1) {
                        first.make_ascii_uppercase();
                    }
                    self.line(3, &key, value);
                }
                None => {}
            }
        }
    }

    fn machine(&mut self) {
        let fields = [
            ("Kernel Version", "KernelVersion"),
            ("Operating System", "OperatingSystem"),
            ("OSType", "OSType"),
            ("Architecture", "Architecture"),
        ];
        self.texts(&fields, false);
        let processors = self.number("NCPU").to_string();
        self.line(1, "CPUs", &processors);
        let memory = human::binary_size(self.number("MemTotal") as f64);
        self.line(1, "Total Memory", &memory);
        self.texts(&[("Name", "Name"), ("ID", "ID"), ("Docker Root Dir", "DockerRootDir")], false);
    }

    fn settings(&mut self) {
        let debug = self.flag("Debug").to_string();
        self.line(1, "Debug Mode", &debug);
        let fields = [
            ("HTTP Proxy", "HttpProxy"),
            ("HTTPS Proxy", "HttpsProxy"),
            ("No Proxy", "NoProxy"),
            ("Username", "Username"),
        ];
        self.texts(&fields, true);
        let labels = texts(self.info.get("Labels"));
        if !labels.is_empty() {
            self.heading("Labels");
        }
        for label in labels {
            let _ = writeln!(self.out, "  {label}");
        }
        let experimental = self.flag("ExperimentalBuild").to_string();
        self.line(1, "Experimental", &experimental);
        self.heading("Insecure Registries");
        let registries = registries(self.info);
        self.out.push_str(&registries);
        let live = self.flag("LiveRestoreEnabled").to_string();
        self.line(1, "Live Restore Enabled", &live);
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
