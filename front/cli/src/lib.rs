//! The command line: docker's grammar, words and tables over the Engine API.
//!
//! It owns: parsing of words and flags, help, Go templates, tables, configuration and contexts of the client, and
//! one file per command under `commands/<noun>/<verb>.rs`: arguments, call, view. It must not know the engine or any
//! component: the API is the only way to what they do, so that it works against a real Docker engine too.
//!
//! Reading order: [`command`] (what a command is), [`matches`] (parsing), [`session`] (who is spoken to),
//! [`listing`] (tables and `--format`), [`template`], then any command. `tree.rs` holds the list of all commands.

#![forbid(unsafe_code)]

pub mod command;
mod commands;
mod completion;
mod config_file;
mod context_store;
mod credentials;
mod failure;
mod help;
mod human;
mod inspect;
mod json;
mod listing;
mod matches;
mod on_demand;
mod plugin;
mod progress;
mod session;
mod settings;
pub mod template;
mod tree;
mod value;

use std::io::Write as _;
use std::process::ExitCode;

use command::{Command, Node};
use failure::Failure;
use matches::{Matches, ParseFailure};
use session::Session;

/// Runs the program with its words (the first is its own name) and environment.
pub fn run(words: impl Iterator<Item = std::ffi::OsString>, environment: settings::Environment) -> ExitCode {
    // Each further arena of the allocator costs more than most commands allocate.
    linux::memory::limit_arenas(2);
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let name = words.first().map_or("wharf", String::as_str);
    let name = name.rsplit('/').next().unwrap_or_default();
    let program = if name.starts_with("docker") { "docker" } else { "wharf" };
    let code = match dispatch(program, words.get(1..).unwrap_or_default(), environment) {
        Ok(()) => 0,
        Err(failure) if failure.is_broken_pipe() => 0,
        Err(failure) => {
            let text = failure.message();
            if !text.is_empty() {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            failure.code()
        }
    };
    let _ = std::io::stdout().flush();
    ExitCode::from(code)
}

pub use settings::Environment;

fn dispatch(program: &'static str, words: &[String], environment: Environment) -> Result<(), Failure> {
    // A first pass over global flags, up to the name of the command.
    let parsed = Matches::parse(&settings::GLOBALS, false, words);
    let globals = match parsed {
        Ok(globals) => globals,
        Err(ParseFailure::Help) => {
            let Ok(globals) = Matches::parse(&settings::GLOBALS, false, &[]) else { return Ok(()) };
            let session = Session::new(program, environment, &globals)?;
            return print_help(&session, &[]);
        }
        Err(ParseFailure::Flag(text)) => {
            let usage = format!("Usage:  {program} [OPTIONS] COMMAND [ARG...]");
            return Err(Failure::Text {
                text: format!("{text}\n\n{usage}\n\nRun '{program} --help' for more information"),
                code: 125,
            });
        }
    };
    let session = Session::new(program, environment, &globals)?;
    if globals.on("version") {
        println!("{}", commands::system::version::one_line(&session));
        return Ok(());
    }
    if globals.args.is_empty() {
        return print_help(&session, &[]);
    }
    if globals.arg(0) == "help" {
        return print_help(&session, globals.args.get(1..).unwrap_or_default());
    }
    walk(&session, &globals.args, words)
}

/// Finds the command that the words name and runs it.
fn walk(session: &Session, words: &[String], all_words: &[String]) -> Result<(), Failure> {
    let mut path = session.program.to_owned();
    let mut entries = tree::COMMANDS;
    let mut rest = words;
    let mut inside = None;
    loop {
        let Some((word, after)) = rest.split_first() else { return Ok(()) };
        let Some(entry) = entries.iter().find(|entry| entry.answers_to(word)) else {
            // Commands of a plugin that we have a group of the same name for, too: `buildx ls`.
            let named = path.strip_prefix(session.program).unwrap_or_default().trim_start();
            let named = if named.is_empty() { word } else { named };
            if let Some(outcome) = plugin::forward(session, named, all_words) {
                return outcome;
            }
            if let (Some(group), true) = (inside, after.iter().any(|word| word == "--help")) {
                print!("{}", help::group(&path, group));
                return Ok(());
            }
            return Err(unknown_command(session, &path, word));
        };
        path.push(' ');
        path.push_str(entry.name);
        match entry.node {
            Node::Command(command) => return execute(session, command, &path, after),
            Node::Group(group) => {
                let next = after.first().map(String::as_str);
                match next {
                    None | Some("--help" | "-h") => {
                        if let (None, Some(bare)) = (next, group.bare) {
                            return execute(session, bare, &path, after);
                        }
                        let text = help::group(&path, group);
                        // Asked for, it is an answer; otherwise it is a complaint.
                        if next.is_some() {
                            print!("{text}")
                        } else {
                            eprint!("{text}")
                        }
                        return Ok(());
                    }
                    Some(flag) if flag.starts_with('-') => {
                        let text = format!(
                            "unknown flag: {flag}\n\nUsage:  {path}\n\nRun '{path} --help' for more information"
                        );
                        return Err(Failure::Text { text, code: 125 });
                    }
                    Some(_) => {}
                }
                entries = group.entries;
                inside = Some(group);
                rest = after;
            }
        }
    }
}

fn unknown_command(session: &Session, path: &str, word: &str) -> Failure {
    let usage = if path == session.program { String::new() } else { format!("Usage:  {path}\n\n") };
    Failure::text(format!(
        "{}: unknown command: {path} {word}\n\n{usage}Run '{path} --help' for more information",
        session.program
    ))
}

fn execute(
    session: &Session,
    command: &'static Command,
    path: &str,
    words: &[String],
) -> Result<(), Failure> {
    let mut matches = match Matches::parse(command.flags, command.interspersed, words) {
        Ok(matches) => matches,
        Err(ParseFailure::Help) => {
            print!("{}", help::command(path, command, session.program, session.help_width()));
            return Ok(());
        }
        Err(ParseFailure::Flag(text)) => {
            let usage = help::usage(path, command);
            let text = format!("{text}\n\n{usage}\n\nRun '{path} --help' for more information");
            return Err(Failure::Text { text, code: 125 });
        }
    };
    path.clone_into(&mut matches.path);
    for note in &matches.notes {
        println!("{note}");
    }
    if let Some((fault, hint)) = matches::arity_fault(command, matches.args.len()) {
        let usage = help::usage(path, command);
        let text = format!(
            "{}: '{path}' {fault}\n\n{usage}\n\n{hint} '{path} --help' for more information",
            session.program
        );
        return Err(Failure::text(text));
    }
    (command.run)(session, &matches)
}

fn print_help(session: &Session, words: &[String]) -> Result<(), Failure> {
    let mut path = session.program.to_owned();
    let mut entries = tree::COMMANDS;
    let mut node = None;
    for word in words {
        let Some(entry) = entries.iter().find(|entry| entry.answers_to(word)) else {
            let text = format!("unknown help topic: {}", words.join(" "));
            return Err(Failure::text(text));
        };
        path.push(' ');
        path.push_str(entry.name);
        node = Some(entry.node);
        entries = match entry.node {
            Node::Group(group) => group.entries,
            Node::Command(_) => &[],
        };
    }
    let width = session.help_width();
    let text = match node {
        None => {
            let plugins = plugin::list(session);
            help::top(session.program, tree::COMMANDS, settings::GLOBAL_FLAGS, tree::ABOUT, &plugins, width)
        }
        Some(Node::Group(group)) => help::group(&path, group),
        Some(Node::Command(command)) => help::command(&path, command, session.program, width),
    };
    print!("{text}");
    Ok(())
}
