//! `context export`: a context with its certificates as a tar archive.

use std::io::Write;

use super::list::default_context;
use crate::command::{Arity, Command};
use crate::context_store::DEFAULT;
use crate::failure::{Failure, Outcome, file_failure};
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Export a context to a tar archive FILE or a tar stream on STDOUT.",
    usage: &["[OPTIONS] CONTEXT [FILE|-]"],
    spellings: &[],
    flags: &[],
    arity: Arity::Range(1, 2),
    interspersed: true,
    examples: &["context export far far.dockercontext"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let name = matches.arg(0);
    let context = if name == DEFAULT { default_context(session) } else { session.contexts().find(name)? };
    let mut archive = Vec::new();
    entry(&mut archive, "meta.json", crate::json::compact(&context.record()).as_bytes());
    for file in context.tls_files() {
        let bytes = std::fs::read(context.tls_dir.join("docker").join(&file))?;
        entry(&mut archive, &format!("tls/docker/{file}"), &bytes);
    }
    archive.extend_from_slice(&[0; 1024]);
    let target = match matches.arg(1) {
        "" => format!("{name}.dockercontext"),
        given => given.to_owned(),
    };
    if target == "-" {
        if terminal::is_terminal(std::io::stdout()) {
            return Err(Failure::text("cowardly refusing to export to a terminal, specify a file path"));
        }
        std::io::stdout().lock().write_all(&archive)?;
        return Ok(());
    }
    if std::path::Path::new(&target).exists() {
        return Err(Failure::text(format!("open {target}: file exists")));
    }
    crate::config_file::write_private(std::path::Path::new(&target), &archive)
        .map_err(|error| file_failure("open", &target, &error))?;
    eprintln!("Written file {}", crate::value::quoted(&target));
    Ok(())
}

/// One file with a plain ustar header.
fn entry(archive: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let mut header = [0u8; 512];
    let mut put = |at: usize, text: &[u8]| {
        if let Some(place) = header.get_mut(at..at + text.len()) {
            place.copy_from_slice(text);
        }
    };
    put(0, name.as_bytes().get(..100).unwrap_or(name.as_bytes()));
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", bytes.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(place) = header.get_mut(148..156) {
        place.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    archive.extend_from_slice(&header);
    archive.extend_from_slice(bytes);
    archive.resize(archive.len().next_multiple_of(512), 0);
}
