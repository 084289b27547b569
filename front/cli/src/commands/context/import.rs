//! `context import`: a context from an archive that `context export` made.

use std::io::Read;

use serde_json::Value as Json;

use super::create::check_name;
use crate::command::{Arity, Command};
use crate::context_store::Context;
use crate::failure::{Failure, Outcome, file_failure};
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Import a context from a tar or zip file",
    usage: &["CONTEXT FILE|-"],
    spellings: &[],
    flags: &[],
    arity: Arity::Exact(2),
    interspersed: true,
    examples: &["context import far far.dockercontext"],
    run,
};

const LIMIT: u64 = 10 << 20;

fn run(session: &Session, matches: &Matches) -> Outcome {
    let (name, source) = (matches.arg(0), matches.arg(1));
    check_name(name)?;
    let store = session.contexts();
    if store.find(name).is_ok() {
        return Err(Failure::text(format!("context {} already exists", crate::value::quoted(name))));
    }
    let mut bytes = Vec::new();
    if source == "-" {
        std::io::stdin().take(LIMIT).read_to_end(&mut bytes)?;
    } else {
        let file = std::fs::File::open(source).map_err(|error| file_failure("open", source, &error))?;
        file.take(LIMIT).read_to_end(&mut bytes)?;
    }
    let entries = entries(&bytes).ok_or_else(|| Failure::text("unexpected context file"))?;
    let record: Json = entries
        .iter()
        .find(|(path, _)| path == "meta.json")
        .and_then(|(_, bytes)| serde_json::from_slice(bytes).ok())
        .ok_or_else(|| Failure::text("invalid context: no metadata found"))?;
    let text = |pointer: &str| record.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
    let context = Context {
        name: name.to_owned(),
        description: text("/Metadata/Description"),
        host: text("/Endpoints/docker/Host"),
        skip_verify: record
            .pointer("/Endpoints/docker/SkipTLSVerify")
            .and_then(Json::as_bool)
            .unwrap_or(false),
        ..Context::default()
    };
    let mut certificates = Vec::new();
    for known in ["ca.pem", "cert.pem", "key.pem"] {
        let path = format!("tls/docker/{known}");
        if let Some((_, bytes)) = entries.iter().find(|(held, _)| *held == path) {
            certificates.push((known, bytes.clone()));
        }
    }
    store.save(&context, &certificates)?;
    println!("{name}");
    eprintln!("Successfully imported context {}", crate::value::quoted(name));
    Ok(())
}

/// Names and contents of the plain files of an archive.
fn entries(mut bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut list = Vec::new();
    while let Some(header) = bytes.get(..512).filter(|header| header.iter().any(|byte| *byte != 0)) {
        let text = |from: usize, to: usize| -> Option<String> {
            let field = header.get(from..to)?;
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            Some(String::from_utf8_lossy(field.get(..end)?).into_owned())
        };
        let size = usize::from_str_radix(text(124, 136)?.trim(), 8).ok()?;
        let content = bytes.get(512..512usize.checked_add(size)?)?;
        if matches!(header.get(156)?, b'0' | 0) {
            list.push((text(0, 100)?, content.to_vec()));
        }
        bytes = bytes.get(512 + size.next_multiple_of(512)..).unwrap_or_default();
    }
    if list.is_empty() { None } else { Some(list) }
}
