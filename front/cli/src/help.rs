//! Help texts: usage lines, lists of commands, flags in two columns.

use std::fmt::Write as _;

use crate::command::{Command, Entry, Flag, Group, Kind, Section};

/// The usage line of a command, and of its other forms.
pub fn usage(path: &str, command: &Command) -> String {
    let mut lines = command.usage.iter();
    let mut text = format!("Usage:  {path}");
    if let Some(first) = lines.next().filter(|first| !first.is_empty()) {
        let _ = write!(text, " {first}");
    }
    let program_path = path;
    for other in lines {
        let _ = write!(text, "\n\t{program_path} {other}");
    }
    text
}

/// The help of a command.
pub fn command(path: &str, command: &Command, program: &str, width: usize) -> String {
    let mut text = format!("{}\n\n{}\n", usage(path, command), command.about);
    if !command.spellings.is_empty() {
        let all: Vec<String> =
            command.spellings.iter().map(|spelling| format!("{program} {spelling}")).collect();
        let _ = write!(text, "\nAliases:\n  {}\n", all.join(", "));
    }
    let mut flags: Vec<&Flag> = command.flags.iter().flat_map(|table| table.iter()).collect();
    flags.retain(|flag| !flag.help.is_empty());
    flags.sort_by_key(|flag| flag.long);
    if !flags.is_empty() {
        let _ = write!(text, "\nOptions:\n{}", flag_table(&flags, width));
    }
    if !command.examples.is_empty() {
        text.push_str("\nExamples:\n");
        for example in command.examples {
            let _ = writeln!(text, "  {program} {example}");
        }
    }
    text
}

/// The help of a group.
pub fn group(path: &str, group: &Group) -> String {
    let mut text = format!("Usage:  {path} COMMAND\n\n{}\n\nCommands:\n", group.about);
    let shown: Vec<&Entry> = group.entries.iter().filter(|entry| entry.section != Section::Hidden).collect();
    text.push_str(&entries(&shown, 11));
    let _ = write!(text, "\nRun '{path} COMMAND --help' for more information on a command.\n");
    text
}

/// The help of the program.
pub fn top(
    program: &str,
    list: &[Entry],
    globals: &[Flag],
    about: &str,
    plugins: &[(String, String)],
    width: usize,
) -> String {
    let mut text = format!("Usage:  {program} [OPTIONS] COMMAND\n\n{about}\n");
    for (section, title) in [
        (Section::Common, "Common Commands"),
        (Section::Management, "Management Commands"),
        (Section::Plain, "Commands"),
    ] {
        let shown: Vec<&Entry> = list.iter().filter(|entry| entry.section == section).collect();
        let _ = write!(text, "\n{title}:\n{}", entries(&shown, 11));
        if section == Section::Management {
            for (name, about) in plugins {
                let name = format!("{name}*");
                let _ = writeln!(text, "  {name:<11} {about}");
            }
        }
    }
    let flags: Vec<&Flag> = globals.iter().filter(|flag| !flag.help.is_empty()).collect();
    let _ = write!(text, "\nGlobal Options:\n{}", flag_table(&flags, width));
    let _ = write!(text, "\nRun '{program} COMMAND --help' for more information on a command.\n");
    text
}

fn entries(list: &[&Entry], least: usize) -> String {
    let widest = list.iter().map(|entry| entry.name.len()).max().unwrap_or(0).max(least);
    let mut text = String::new();
    for entry in list {
        let _ = writeln!(text, "  {:<widest$} {}", entry.name, entry.about());
    }
    text
}

fn flag_table(flags: &[&Flag], width: usize) -> String {
    let left = |flag: &Flag| {
        let short = if flag.short == '\0' { "      ".to_owned() } else { format!("  -{}, ", flag.short) };
        let kind = flag.kind.name();
        let gap = if kind.is_empty() { "" } else { " " };
        format!("{short}--{}{gap}{kind}", flag.long)
    };
    let column = flags.iter().map(|flag| left(flag).len()).max().unwrap_or(0) + 3;
    let mut text = String::new();
    for flag in flags {
        let sentence = format!("{}{}", flag.help, default_text(flag));
        let lines = wrap(&sentence, width.saturating_sub(column).max(24));
        let mut head = left(flag);
        for line in lines {
            let _ = writeln!(text, "{head:<column$}{line}");
            head = String::new();
        }
    }
    text
}

fn default_text(flag: &Flag) -> String {
    match flag.kind {
        _ if flag.default.is_empty() || flag.default == "0" => String::new(),
        Kind::Text | Kind::CheckedText(..) => format!(" (default \"{}\")", flag.default),
        _ => format!(" (default {})", flag.default),
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}
