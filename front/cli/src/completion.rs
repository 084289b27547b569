//! Completion for bash, zsh and fish: small scripts that ask this program for candidates.

use api_client::Query;
use serde_json::Value as Json;

use crate::command::{Arity, Command, Entry, Node, Section};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;
use crate::tree;

/// `completion SHELL`: prints the script.
pub const COMMAND: Command = Command {
    about: "Generate the autocompletion script for the specified shell",
    usage: &["bash|zsh|fish"],
    spellings: &[],
    flags: &[],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["completion bash > /etc/bash_completion.d/wharf"],
    run: script,
};

/// `__complete WORD...`: prints candidates for the last word, one per line.
pub const CANDIDATES: Command = Command {
    about: "Print candidates for the last word",
    usage: &["WORD..."],
    spellings: &[],
    flags: &[],
    arity: Arity::Any,
    interspersed: false,
    examples: &[],
    run: candidates,
};

fn script(session: &Session, matches: &Matches) -> Outcome {
    let name = session.program;
    let text = match matches.arg(0) {
        "bash" => format!(
            "_{name}() {{\n  local IFS=$'\\n'\n  COMPREPLY=($(compgen -W \"$({name} __complete -- \"${{COMP_WORDS[@]:1:COMP_CWORD}}\" 2>/dev/null)\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n}}\ncomplete -o default -F _{name} {name}"
        ),
        "zsh" => format!(
            "#compdef {name}\n_{name}() {{\n  local -a found\n  found=(\"${{(@f)$({name} __complete -- \"${{words[@]:1:$((CURRENT-1))}}\" 2>/dev/null)}}\")\n  compadd -a found || _files\n}}\ncompdef _{name} {name}"
        ),
        "fish" => format!(
            "function __{name}_complete\n  set -l words (commandline -opc) (commandline -ct)\n  {name} __complete -- $words[2..-1] 2>/dev/null\nend\ncomplete -c {name} -a '(__{name}_complete)'"
        ),
        other => {
            return Err(Failure::text(format!(
                "unknown shell {}: bash, zsh and fish are known",
                crate::value::quoted(other)
            )));
        }
    };
    println!("{text}");
    Ok(())
}

fn candidates(session: &Session, matches: &Matches) -> Outcome {
    let words = matches.args.strip_prefix(&["--".to_owned()][..]).unwrap_or(&matches.args);
    let Some((last, before)) = words.split_last() else { return Ok(()) };
    for candidate in find(session, before, last) {
        println!("{candidate}");
    }
    Ok(())
}

fn find(session: &Session, before: &[String], last: &str) -> Vec<String> {
    let mut entries: &[Entry] = tree::COMMANDS;
    let mut path = Vec::new();
    let mut command = None;
    for word in before.iter().filter(|word| !word.starts_with('-')) {
        let Some(entry) = entries.iter().find(|entry| entry.answers_to(word)) else { continue };
        path.push(entry.name);
        match entry.node {
            Node::Group(group) => entries = group.entries,
            Node::Command(found) => {
                command = Some(found);
                break;
            }
        }
    }
    let fits = |candidate: &String| candidate.starts_with(last);
    let Some(command) = command else {
        if path.is_empty() && last.starts_with('-') {
            let flags = crate::settings::GLOBAL_FLAGS.iter();
            return flags.map(|flag| format!("--{}", flag.long)).filter(fits).collect();
        }
        let shown = entries.iter().filter(|entry| entry.section != Section::Hidden);
        return shown.map(|entry| entry.name.to_owned()).filter(fits).collect();
    };
    if last.starts_with('-') {
        let flags = command.flags.iter().flat_map(|table| table.iter()).filter(|flag| !flag.help.is_empty());
        let mut list: Vec<String> = flags.map(|flag| format!("--{}", flag.long)).filter(fits).collect();
        list.sort();
        return list;
    }
    names(session, &path).into_iter().filter(fits).collect()
}

/// Names of what the command is about.
fn names(session: &Session, path: &[&str]) -> Vec<String> {
    let first_usage = path.join(" ");
    let (url, pointer) = match first_usage.as_str() {
        "run" | "create" | "rmi" | "tag" | "push" | "pull" | "save" | "history" => {
            ("/images/json", "/RepoTags")
        }
        "login" | "logout" => return crate::credentials::servers(session),
        text if text.starts_with("image") || text.ends_with(" run") || text.ends_with(" create") => {
            ("/images/json", "/RepoTags")
        }
        "completion" => return ["bash", "fish", "zsh"].map(str::to_owned).to_vec(),
        text if text.starts_with("network") => ("/networks", "/Name"),
        text if text.starts_with("volume") => ("/volumes", "/Name"),
        text if text.starts_with("context") => {
            return session.contexts().list().into_iter().map(|context| context.name).collect();
        }
        _ => ("/containers/json", "/Names"),
    };
    let query = Query::new().flag("all", url == "/containers/json");
    let Ok(client) = session.client() else { return Vec::new() };
    let Ok(answer) = client.get::<Json>(url, &query) else { return Vec::new() };
    let list = answer
        .get("Volumes")
        .and_then(Json::as_array)
        .or_else(|| answer.as_array())
        .cloned()
        .unwrap_or_default();
    let mut names = Vec::new();
    for item in &list {
        match item.pointer(pointer) {
            Some(Json::String(name)) => names.push(name.clone()),
            Some(Json::Array(several)) => {
                names.extend(
                    several
                        .iter()
                        .filter_map(Json::as_str)
                        .map(|name| name.trim_start_matches('/').to_owned()),
                );
            }
            _ => {}
        }
    }
    names.sort();
    names
}
