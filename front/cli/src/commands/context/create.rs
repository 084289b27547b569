//! `context create`.

use crate::command::Kind::Text;
use crate::command::{Arity, Command, Flag, long};
use crate::context_store::{Context, DEFAULT};
use crate::failure::{Failure, Outcome, file_failure};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("description", Text, "Words about it"),
    long(
        "docker",
        crate::command::Kind::Strings,
        "Where the engine is, as host=ADDRESS,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=BOOL",
    ),
    long("from", Text, "Copy this context"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Create a context",
    usage: &["[OPTIONS] CONTEXT"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["context create far --docker host=ssh://me@far"],
    run,
};

/// Whether a name may be used.
pub fn check_name(name: &str) -> Outcome {
    if name.is_empty() {
        return Err(Failure::text("context name cannot be empty"));
    }
    if name == DEFAULT {
        return Err(Failure::text("\"default\" is a reserved context name"));
    }
    let good = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
    if good {
        return Ok(());
    }
    Err(Failure::text(format!(
        "context name {} is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\"",
        crate::value::quoted(name)
    )))
}

/// Certificates read from files, by the name they are stored under.
pub type Certificates = Vec<(&'static str, Vec<u8>)>;

/// Makes a context's endpoint anew from `--docker`.
pub fn apply(session: &Session, context: &mut Context, fields: &[String]) -> Result<Certificates, Failure> {
    context.host.clear();
    context.skip_verify = false;
    read_fields(session, context, fields).map_err(|failure| {
        Failure::text(format!("unable to create docker endpoint config: {}", failure.message()))
    })
}

fn read_fields(session: &Session, context: &mut Context, fields: &[String]) -> Result<Certificates, Failure> {
    let mut certificates = Certificates::new();
    for field in fields {
        let Some((key, value)) = field.split_once('=') else {
            return Err(Failure::text(format!("{field} must be formatted as key=value")));
        };
        match key {
            "host" => value.clone_into(&mut context.host),
            "from" => {
                let other = if value == DEFAULT {
                    session.default_host().0
                } else {
                    session.contexts().find(value)?.host
                };
                context.host = other;
            }
            "skip-tls-verify" => {
                context.skip_verify = crate::value::truth(value).map_err(|_| {
                    let shown = crate::value::quoted(value);
                    Failure::text(format!("skip-tls-verify: parsing {shown}: invalid syntax"))
                })?;
            }
            "ca" | "cert" | "key" => {
                let bytes = std::fs::read(value).map_err(|error| file_failure("open", value, &error))?;
                let name = match key {
                    "ca" => "ca.pem",
                    "cert" => "cert.pem",
                    _ => "key.pem",
                };
                certificates.push((name, bytes));
            }
            _ => return Err(Failure::text(format!("unrecognized config key: {key}"))),
        }
    }
    if !context.host.is_empty() {
        api_client::Endpoint::parse(&context.host, None)
            .map_err(|error| Failure::text(format!("unable to apply docker endpoint options: {error}")))?;
    }
    Ok(certificates)
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let name = matches.arg(0);
    check_name(name)?;
    let store = session.contexts();
    if store.find(name).is_ok() {
        return Err(Failure::text(format!("context {} already exists", crate::value::quoted(name))));
    }
    let mut context = match matches.text("from") {
        "" | DEFAULT => Context { host: session.default_host().0, ..Context::default() },
        from => store.find(from)?,
    };
    let mut certificates = Certificates::new();
    for file in context.tls_files() {
        let bytes = std::fs::read(context.tls_dir.join("docker").join(&file))?;
        let name = match file.as_str() {
            "ca.pem" => "ca.pem",
            "cert.pem" => "cert.pem",
            _ => "key.pem",
        };
        certificates.push((name, bytes));
    }
    name.clone_into(&mut context.name);
    if matches.given("description") {
        matches.text("description").clone_into(&mut context.description);
    }
    if matches.given("docker") {
        certificates = apply(session, &mut context, matches.list("docker"))?;
    } else if !matches.given("from") {
        return Err(Failure::text("docker endpoint configuration is required"));
    }
    store.save(&context, &certificates)?;
    println!("{name}");
    eprintln!("Successfully created context {}", crate::value::quoted(name));
    Ok(())
}
