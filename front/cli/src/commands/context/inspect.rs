//! `context inspect`.

use serde_json::{Map, Value as Json, json};

use super::list::default_context;
use crate::command::{Arity, Command, FORMAT_INSPECT, Flag};
use crate::context_store::DEFAULT;
use crate::failure::Outcome;
use crate::inspect;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[FORMAT_INSPECT];

/// The command.
pub const COMMAND: Command = Command {
    about: "Display detailed information on one or more contexts",
    usage: &["[OPTIONS] [CONTEXT] [CONTEXT...]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Any,
    interspersed: true,
    examples: &["context inspect -f '{{.Endpoints.docker.Host}}' far"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let names = if matches.args.is_empty() { vec![session.context_name()] } else { matches.args.clone() };
    inspect::each(matches.text("format"), &names, |name| {
        if name == DEFAULT {
            let context = default_context(session);
            let mut document = context.record();
            if let Some(fields) = document.as_object_mut() {
                fields.insert("Metadata".to_owned(), json!({}));
                fields.insert("TLSMaterial".to_owned(), json!({}));
                fields.insert(
                    "Storage".to_owned(),
                    json!({"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"}),
                );
            }
            return Ok(document);
        }
        let context = session.contexts().find(name)?;
        let mut document = context.record();
        let files = context.tls_files();
        let material =
            if files.is_empty() { Map::new() } else { Map::from_iter([("docker".to_owned(), json!(files))]) };
        if let Some(fields) = document.as_object_mut() {
            fields.insert("TLSMaterial".to_owned(), Json::Object(material));
            let storage = json!({
                "MetadataPath": context.meta_dir.display().to_string(),
                "TLSPath": context.tls_dir.display().to_string(),
            });
            fields.insert("Storage".to_owned(), storage);
        }
        Ok(document)
    })
}
