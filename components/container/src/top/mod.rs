//! The processes of a container, in the columns `ps` would show them, without executing `ps`.

mod columns;
mod process;

use std::collections::BTreeMap;

use jiff::Zoned;
use model::{ErrorKind, Kinded};

use columns::Column;
use process::{Machine, Process};

/// The answer of `top`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessList {
    /// Column headings.
    pub titles: Vec<String>,
    /// One row for each process.
    pub processes: Vec<Vec<String>>,
}

/// The arguments for `ps` can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopError {
    /// Without the PID column processes can't be told apart (Docker refuses it too).
    #[error("Couldn't find PID field in ps output")]
    NoPid,
    /// Unknown column.
    #[error("ps: error: unknown user-defined format specifier \"{name}\"")]
    UnknownColumn {
        /// Its name.
        name: String,
    },
    /// Unknown option.
    #[error("ps: error: unsupported option \"{option}\"")]
    UnknownOption {
        /// The option.
        option: String,
    },
}

impl Kinded for TopError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// The columns that `ps` with these arguments (default `-ef`) shows, filled for these processes; processes that have
/// ended meanwhile are left out.
///
/// # Errors
/// When the arguments ask for what `ps` does not know, or leave out the process id.
pub fn list(pids: &[u32], arguments: &str) -> Result<ProcessList, TopError> {
    let chosen = choose(arguments)?;
    if !chosen.iter().any(|(_, column)| *column == Column::Pid) {
        return Err(TopError::NoPid);
    }
    let names = Names::read();
    let machine = Machine::read();
    let now = Zoned::now();
    let processes = pids
        .iter()
        .filter_map(|pid| Process::read(*pid))
        .map(|process| {
            chosen
                .iter()
                .map(|(_, column)| columns::show(*column, &process, &machine, &names, &now))
                .collect()
        })
        .collect();
    let titles = chosen.into_iter().map(|(title, _)| title).collect();
    Ok(ProcessList { titles, processes })
}

/// User and group names of the host.
#[derive(Debug, Default)]
pub(crate) struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    fn read() -> Self {
        let parse = |path: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let mut names = BTreeMap::new();
            for line in text.lines() {
                let mut fields = line.split(':');
                if let (Some(name), Some(Ok(id))) = (fields.next(), fields.nth(1).map(str::parse)) {
                    names.entry(id).or_insert_with(|| name.to_owned());
                }
            }
            names
        };
        Self { users: parse("/etc/passwd"), groups: parse("/etc/group") }
    }

    pub(crate) fn user(&self, id: u32) -> String {
        shorten(self.users.get(&id), id)
    }

    pub(crate) fn group(&self, id: u32) -> String {
        shorten(self.groups.get(&id), id)
    }
}

/// `ps` has eight places for a name.
fn shorten(name: Option<&String>, id: u32) -> String {
    match name {
        None => id.to_string(),
        Some(name) if name.chars().count() > 8 => {
            let mut short: String = name.chars().take(7).collect();
            short.push('+');
            short
        }
        Some(name) => name.clone(),
    }
}

type Chosen = Vec<(String, Column)>;

const FULL: &str = "uid=UID user,pid,ppid,c,stime,tname,time,cmd";
const USER_FORMAT: &str = "user,pid,%cpu,%mem,vsz,rss,tname,stat,start_time,bsdtime,args";
const LONG: &str = "f,s,uid,pid,ppid,c,pri,ni,addr,sz,wchan,tname,time,ucmd";
const BSD_LONG: &str = "f,uid,pid,ppid,pri,ni,vsz,rss,wchan,stat,tname,bsdtime,args";
const JOBS: &str = "pid,pgid,sid,tname,time,ucmd";
const BSD_JOBS: &str = "ppid,pid,pgid,sid,tname,tpgid,stat,uid,bsdtime,args";
const PLAIN: &str = "pid,tname,time,ucmd";
const BSD_PLAIN: &str = "pid,tname,stat,bsdtime,args";
const EXTRA_FULL: &str = "uid=UID user,pid,ppid,c,sz,rss,psr,stime,tname,time,cmd";

/// The columns for `ps` arguments.
fn choose(arguments: &str) -> Result<Chosen, TopError> {
    let arguments = if arguments.trim().is_empty() { "-ef" } else { arguments };
    let mut words = arguments.split_whitespace();
    let mut own = Vec::new();
    let mut letters = (String::new(), String::new());
    while let Some(word) = words.next() {
        let (options, is_unix) = match word.strip_prefix('-') {
            Some(rest) if rest.starts_with('-') => {
                let Some(format) = rest.strip_prefix("-format") else {
                    return Err(TopError::UnknownOption { option: word.to_owned() });
                };
                let format = format.strip_prefix('=').or_else(|| words.next()).unwrap_or_default();
                parse_format(format, &mut own)?;
                continue;
            }
            Some(rest) => (rest, true),
            None => (word, false),
        };
        let (flags, format) = match options.split_once('o') {
            Some((flags, "")) => (flags, Some(words.next().unwrap_or_default())),
            Some((flags, format)) => (flags, Some(format)),
            None => (options, None),
        };
        if is_unix {
            letters.0.push_str(flags)
        } else {
            letters.1.push_str(flags)
        }
        if let Some(format) = format {
            parse_format(format, &mut own)?;
        }
    }
    if own.is_empty() { preset(&letters.0, &letters.1) } else { Ok(own) }
}

fn preset(unix: &str, bsd: &str) -> Result<Chosen, TopError> {
    for (letters, known) in [(unix, "AadefFjlTNxwuHmc"), (bsd, "aefgjlruwxTShc")] {
        if let Some(unknown) = letters.chars().find(|letter| !known.contains(*letter)) {
            return Err(TopError::UnknownOption { option: unknown.to_string() });
        }
    }
    let format = match () {
        () if unix.contains('F') => EXTRA_FULL,
        () if unix.contains('l') => LONG,
        () if unix.contains('f') => FULL,
        () if unix.contains('j') => JOBS,
        () if bsd.contains('u') || unix.contains('u') => USER_FORMAT,
        () if bsd.contains('l') => BSD_LONG,
        () if bsd.contains('j') => BSD_JOBS,
        () if !bsd.is_empty() || unix.contains('x') => BSD_PLAIN,
        () => PLAIN,
    };
    let mut chosen = Vec::new();
    parse_format(format, &mut chosen)?;
    Ok(chosen)
}

/// `pid,user=OWNER,args`: names with optional headings.
fn parse_format(format: &str, chosen: &mut Chosen) -> Result<(), TopError> {
    // The full listing shows names under the heading UID; no name a user can give does that.
    for part in format.split(',').filter(|part| !part.is_empty()) {
        if part == "uid=UID user" {
            chosen.push(("UID".to_owned(), Column::User));
            continue;
        }
        let (name, heading) = match part.split_once('=') {
            Some((name, heading)) => (name, Some(heading)),
            None => (part, None),
        };
        let Some((column, default)) = columns::find(name) else {
            return Err(TopError::UnknownColumn { name: name.to_owned() });
        };
        chosen.push((heading.filter(|heading| !heading.is_empty()).unwrap_or(default).to_owned(), column));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &str, expected: &str) {
        let shown = match list(&[std::process::id()], arguments) {
            Ok(found) => {
                assert!(found.processes.iter().all(|row| row.len() == found.titles.len()));
                assert_eq!(found.processes.len(), 1);
                found.titles.join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{arguments}");
    }

    #[test]
    fn columns_are_those_of_ps() {
        check("", "UID PID PPID C STIME TTY TIME CMD");
        check("-ef", "UID PID PPID C STIME TTY TIME CMD");
        check("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND");
        check("u", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND");
        check("-x", "PID TTY STAT TIME COMMAND");
        check("-l", "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD");
        check("-o pid,comm,args", "PID COMMAND COMMAND");
        check("-eo pid,cmd", "PID CMD");
        check("-o pid=P -o user", "P USER");
        check("-o comm", "Couldn't find PID field in ps output");
        check("-o foo", "ps: error: unknown user-defined format specifier \"foo\"");
        check("--sort pid", "ps: error: unsupported option \"--sort\"");
    }

    #[test]
    fn values_are_the_process_own() {
        let pid = std::process::id();
        let found =
            list(&[pid, u32::MAX], "-o pid,ppid,uid,user,args,stat,etime,vsz,wchan,lstart,tty").unwrap();
        let row = &found.processes[0];
        assert_eq!(row[0], pid.to_string());
        assert_eq!(row[1], std::os::unix::process::parent_id().to_string());
        assert!(row[4].contains("container"), "{row:?}");
        assert!(row[7].parse::<u64>().unwrap() > 0);
        assert!(row[6].contains(':'));
    }

    #[test]
    fn long_names_are_cut() {
        let names = Names { users: [(5, "systemd-network".to_owned())].into(), groups: BTreeMap::new() };
        assert_eq!(names.user(5), "systemd+");
        assert_eq!(names.user(6), "6");
    }
}
