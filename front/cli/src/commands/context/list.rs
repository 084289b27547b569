//! `context ls`.

use crate::command::{Arity, Command, FORMAT, Flag, switch};
use crate::context_store::{Context, DEFAULT};
use crate::failure::Outcome;
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;
use crate::template::Value;

const FLAGS: &[Flag] = &[FORMAT, switch("quiet", 'q', "Show only names")];

/// The command.
pub const COMMAND: Command = Command {
    about: "List contexts",
    usage: &["[OPTIONS]"],
    spellings: &["context ls", "context list"],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &[],
    run,
};

struct Row {
    context: Context,
    current: bool,
    error: String,
}

const COLUMNS: &[Column<Row>] = &[
    column("Current", "CURRENT", |row| Value::Bool(row.current)),
    column("Description", "DESCRIPTION", |row| human::ellipsis(&row.context.description, 60).into()),
    column("DockerEndpoint", "DOCKER ENDPOINT", |row| row.context.host.as_str().into()),
    column("Error", "ERROR", |row| human::ellipsis(&row.error, 45).into()),
    column("Name", "NAME", |row| row.context.name.as_str().into()),
];

static LISTING: Listing<Row> = Listing {
    type_name: "*formatter.clientContextContext",
    columns: COLUMNS,
    table: "table {{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
    raw: "",
    label: None,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let current = session.context_name();
    let mut contexts = session.contexts().list();
    contexts.push(default_context(session));
    // The chosen one is shown even when it is not there.
    let mut lost = String::new();
    if contexts.iter().all(|context| context.name != current) {
        lost = session.contexts().find(&current).err().map(|failure| failure.message()).unwrap_or_default();
        contexts.push(Context { name: current.clone(), ..Context::default() });
    }
    contexts.sort_by(|one, other| crate::commands::volume::list::natural(&one.name, &other.name));
    if matches.on("quiet") {
        contexts.iter().for_each(|context| println!("{}", context.name));
        warn(session);
        return Ok(());
    }
    let rows = contexts.into_iter().map(|context| row(context, &current, &lost)).collect();
    // The heading of the table must not be taken for a context in use.
    let format = match matches.text("format") {
        "" | "table" => "",
        other => other,
    };
    let text = LISTING.render(format, rows)?;
    print!("{}", if format.is_empty() { text.replacen("NAME *", "NAME  ", 1) } else { text });
    warn(session);
    Ok(())
}

fn row(context: Context, current: &str, lost: &str) -> Row {
    let current = context.name == current;
    let error = if current { lost.to_owned() } else { String::new() };
    Row { context, current, error }
}

/// Tells that an address in the environment stands above contexts.
fn warn(session: &Session) {
    if session.environment.own("HOST").is_some() {
        eprintln!(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global --context flag, or unset DOCKER_HOST environment variable."
        );
    }
}

/// The context made of flags and environment.
pub fn default_context(session: &Session) -> Context {
    Context {
        name: DEFAULT.to_owned(),
        description: "Current DOCKER_HOST based configuration".to_owned(),
        host: session.default_host().0,
        ..Context::default()
    }
}
