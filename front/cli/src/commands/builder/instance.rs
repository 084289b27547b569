//! `buildx ls`, `inspect` and `version`: the one builder there is, which is the engine's own.

use std::fmt::Write as _;

use buildkit::worker::WorkerRecord;

use crate::command::Kind::{Switch, Text};
use crate::command::{Arity, Command, FORMAT, Flag, long, switch};
use crate::commands::build::buildkit::{connect, failure};
use crate::failure::{Failure, Outcome};
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

/// The name of the only builder.
const NAME: &str = "default";

/// `buildx ls`.
pub const LS: Command = Command {
    about: "List builders",
    usage: &["[OPTIONS]"],
    spellings: &["builder ls", "buildx ls"],
    flags: &[&[FORMAT, switch("no-trunc", '\0', "")]],
    arity: Arity::None,
    interspersed: true,
    examples: &[],
    run: ls,
};

/// `buildx inspect`.
pub const INSPECT: Command = Command {
    about: "Show a builder",
    usage: &["[OPTIONS] [NAME]"],
    spellings: &["builder inspect", "buildx inspect"],
    flags: &[INSPECT_FLAGS],
    arity: Arity::Max(1),
    interspersed: true,
    examples: &[],
    run: inspect,
};

const INSPECT_FLAGS: &[Flag] = &[
    long("bootstrap", Switch, "Wait until the builder is there, which it is with its engine"),
    long("builder", Text, "Builder to show; there is one, 'default'"),
    switch("debug", 'D', ""),
];

/// `buildx version`.
pub const VERSION: Command = Command {
    about: "Show the version of the client's build commands",
    usage: &[""],
    spellings: &["buildx version"],
    flags: &[],
    arity: Arity::None,
    interspersed: true,
    examples: &[],
    run: version,
};

/// What is known about the builder.
struct Instance {
    /// Why it does not answer; empty when it does.
    error: String,
    version: String,
    platforms: Vec<String>,
    labels: Vec<(String, String)>,
    is_node: bool,
}

const COLUMNS: &[Column<Instance>] = &[
    column("Name", "NAME/NODE", |row| if row.is_node { " \\_ default" } else { "default*" }.into()),
    column("DriverEndpoint", "DRIVER/ENDPOINT", |row| {
        if row.is_node { " \\_ default" } else { "docker" }.into()
    }),
    column("Status", "STATUS", |row| if row.is_node { row.status() } else { "" }.into()),
    column("Buildkit", "BUILDKIT", |row| if row.is_node { row.version.as_str() } else { "" }.into()),
    column("Platforms", "PLATFORMS", |row| {
        if row.is_node { row.platforms.join(", ") } else { String::new() }.into()
    }),
    column("Error", "ERROR", |row| row.error.clone().into()),
    column("Current", "CURRENT", |_| "true".to_owned().into()),
];

static LISTING: Listing<Instance> = Listing {
    type_name: "*commands.lsContext",
    columns: COLUMNS,
    table: "table {{.Name}}\t{{.DriverEndpoint}}\t{{.Status}}\t{{.Buildkit}}\t{{.Platforms}}",
    raw: "",
    label: None,
};

impl Instance {
    /// Asks the engine's builder; one that does not answer is an instance too.
    fn ask(session: &Session, is_node: bool) -> Self {
        match workers(session) {
            Ok(workers) => Self {
                error: String::new(),
                version: workers.iter().find_map(version_of).unwrap_or_default(),
                platforms: workers.iter().flat_map(|worker| worker.platforms.iter().map(platform)).collect(),
                labels: workers.into_iter().flat_map(|worker| worker.labels).collect(),
                is_node,
            },
            Err(failure) => Self {
                error: failure.message(),
                version: String::new(),
                platforms: Vec::new(),
                labels: Vec::new(),
                is_node,
            },
        }
    }

    fn status(&self) -> &'static str {
        if self.error.is_empty() { "running" } else { "error" }
    }

    /// Everything, as people read it.
    fn long_form(&self) -> String {
        let mut text = format!("Name:          {NAME}\nDriver:        docker\n\nNodes:\n");
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(text, "{:<17} {value}", format!("{name}:"));
            }
        };
        line("Name", NAME);
        line("Endpoint", NAME);
        line("Error", &self.error);
        line("Status", self.status());
        line("BuildKit version", &self.version);
        line("Platforms", &self.platforms.join(", "));
        if !self.labels.is_empty() {
            text.push_str("Labels:\n");
            for (name, value) in &self.labels {
                let _ = writeln!(text, " {name}: {value}");
            }
        }
        text
    }
}

fn workers(session: &Session) -> Result<Vec<WorkerRecord>, Failure> {
    let builder = connect::builder(session.client()?)?;
    Ok(builder.workers().map_err(|status| failure::plain(&status))?.record)
}

fn version_of(worker: &WorkerRecord) -> Option<String> {
    worker.buildkit_version.as_ref().map(|version| version.version.clone())
}

fn platform(platform: &buildkit::ops::Platform) -> String {
    let parts = [&platform.os, &platform.architecture, &platform.variant];
    parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("/")
}

fn ls(session: &Session, matches: &Matches) -> Outcome {
    let format = matches.text("format");
    let rows = match format {
        "" | "table" => vec![Instance::ask(session, false), Instance::ask(session, true)],
        _ => vec![Instance::ask(session, true)],
    };
    LISTING.print(format, rows)
}

fn inspect(session: &Session, matches: &Matches) -> Outcome {
    for name in [matches.arg(0), matches.text("builder")] {
        if !matches!(name, "" | NAME) {
            return Err(Failure::text(format!("ERROR: no builder {} found", crate::value::quoted(name))));
        }
    }
    print!("{}", Instance::ask(session, false).long_form());
    Ok(())
}

fn version(_: &Session, _: &Matches) -> Outcome {
    println!("wharf v{}, speaks BuildKit's protocol", env!("CARGO_PKG_VERSION"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_shown_as_buildx_does() {
        let instance = Instance {
            error: String::new(),
            version: "v1".into(),
            platforms: vec!["linux/amd64".into(), "linux/386".into()],
            labels: vec![("a".into(), "b".into())],
            is_node: true,
        };
        let wanted = "\
Name:          default
Driver:        docker

Nodes:
Name:             default
Endpoint:         default
Status:           running
BuildKit version: v1
Platforms:        linux/amd64, linux/386
Labels:
 a: b
";
        assert_eq!(instance.long_form(), wanted);
        let gone = Instance { error: "no".into(), ..instance };
        assert!(gone.long_form().contains("Error:            no\nStatus:           error\n"));
    }
}
