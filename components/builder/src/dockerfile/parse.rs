//! From logical lines to instructions and stages.

use std::time::Duration;

use super::error::{At as _, DockerfileError, KEYWORDS, Problem};
use super::heredoc::Heredoc;
use super::instruction::{Add, Copy, Expose, From, Health, Instruction, Run, Sources, Trigger};
use super::source::{self, Statement};
use super::{Dockerfile, Lines, MOST, Mount, Placed, Stage, arguments, flags};

pub(super) fn file(bytes: &[u8]) -> Result<Dockerfile, DockerfileError> {
    let source = source::read(bytes)?;
    if source.statements.is_empty() {
        return Err(Problem::NoInstructions.at(Lines::one(1)));
    }
    if source.statements.len() > MOST {
        return Err(Problem::TooMany { what: "instructions", limit: MOST }.into());
    }
    let escape = source.directives.escape;
    let mut file = Dockerfile {
        directives: source.directives,
        global_arguments: Vec::new(),
        stages: Vec::new(),
        warnings: source.warnings,
    };
    for statement in &source.statements {
        file.take(statement, escape).at(statement.lines)?;
    }
    if file.stages.is_empty() {
        return Err(Problem::NoStages.into());
    }
    file.check_style(&source.statements);
    Ok(file)
}

impl Dockerfile {
    fn take(&mut self, statement: &Statement, escape: char) -> Result<(), Problem> {
        let lines = statement.lines;
        let placed = |value| Placed { value, text: statement.text.trim().to_owned(), lines };
        match keyword(&statement.keyword)? {
            "FROM" => {
                let from = from(statement, escape)?;
                let from = Placed { value: from, text: statement.text.trim().to_owned(), lines };
                self.stages.push(Stage { from, instructions: Vec::new() });
            }
            "ARG" if self.stages.is_empty() => {
                let arguments = arguments::arguments(&statement.rest, escape)?;
                let text = statement.text.trim().to_owned();
                self.global_arguments.push(Placed { value: arguments, text, lines });
            }
            keyword => {
                let instruction = instruction(keyword, &statement.rest, &statement.heredocs, escape)?;
                let stage = self.stages.last_mut().ok_or(Problem::NoStage)?;
                stage.instructions.push(placed(instruction));
            }
        }
        Ok(())
    }
}

fn from(statement: &Statement, escape: char) -> Result<From, Problem> {
    let (flags, rest) = flags::split(&statement.rest, escape, &["platform"])?;
    let platform = flags.text("platform")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (base, name) = match words[..] {
        [base] => (base, None),
        [base, between, name] if between.eq_ignore_ascii_case("as") => (base, Some(stage_name(name)?)),
        _ => return Err(Problem::FromArguments),
    };
    Ok(From { base: base.to_owned(), name, platform })
}

/// The instruction's name in capitals.
fn keyword(written: &str) -> Result<&'static str, Problem> {
    KEYWORDS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(written))
        .ok_or_else(|| Problem::Unknown { keyword: written.to_owned() })
}

/// Names begin with a letter and are told apart without case.
fn stage_name(written: &str) -> Result<String, Problem> {
    let name = written.to_ascii_lowercase();
    let good = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if good { Ok(name) } else { Err(Problem::StageName { name: written.to_owned() }) }
}

/// An instruction an image has for those that are built from it.
pub(super) fn trigger_instruction(text: &str, escape: char) -> Result<Instruction, Problem> {
    let source = source::read_with(text, escape).map_err(|error| error.problem)?;
    let [statement] = source.statements.as_slice() else { return Err(Problem::NoInstructions) };
    match keyword(&statement.keyword)? {
        keyword @ ("FROM" | "MAINTAINER") => Err(Problem::NoTrigger { keyword }),
        "ONBUILD" => Err(Problem::ChainedTrigger),
        keyword => instruction(keyword, &statement.rest, &statement.heredocs, escape),
    }
}

/// An instruction of a stage.
pub(super) fn instruction(
    keyword: &'static str,
    rest: &str,
    heredocs: &[Heredoc],
    escape: char,
) -> Result<Instruction, Problem> {
    Ok(match keyword {
        "ADD" => Instruction::Add(add(rest, heredocs, escape)?),
        "ARG" => Instruction::Arg(arguments::arguments(rest, escape)?),
        "CMD" => Instruction::Cmd(arguments::command(rest)?),
        "COPY" => Instruction::Copy(copy(rest, heredocs, escape)?),
        "ENTRYPOINT" => Instruction::Entrypoint(arguments::command(rest)?),
        "ENV" => Instruction::Env(arguments::pairs("ENV", rest, escape)?),
        "EXPOSE" => Instruction::Expose(Expose { ports: at_least_one("EXPOSE", arguments::list(rest)?)? }),
        "HEALTHCHECK" => Instruction::Healthcheck(health(rest, escape)?),
        "LABEL" => Instruction::Label(arguments::pairs("LABEL", rest, escape)?),
        "MAINTAINER" => Instruction::Maintainer(one("MAINTAINER", rest)?),
        "ONBUILD" => Instruction::Onbuild(trigger(rest, heredocs)?),
        "RUN" => Instruction::Run(run(rest, heredocs, escape)?),
        "SHELL" => match arguments::json(rest)? {
            Some(words) => Instruction::Shell(at_least_one("SHELL", words)?),
            None if rest.is_empty() => return Err(Problem::AtLeastOne { keyword }),
            None => return Err(Problem::ShellForm),
        },
        "STOPSIGNAL" => Instruction::Stopsignal(one("STOPSIGNAL", rest)?),
        "USER" => Instruction::User(one("USER", rest)?),
        "VOLUME" => {
            let paths = at_least_one("VOLUME", arguments::list(rest)?)?;
            if paths.iter().any(|path| path.trim().is_empty()) {
                return Err(Problem::EmptyVolume);
            }
            Instruction::Volume(paths)
        }
        "WORKDIR" => Instruction::Workdir(one("WORKDIR", rest)?),
        other => return Err(Problem::Unknown { keyword: other.to_owned() }),
    })
}

fn one(keyword: &'static str, rest: &str) -> Result<String, Problem> {
    if rest.is_empty() { Err(Problem::ExactlyOne { keyword }) } else { Ok(rest.to_owned()) }
}

fn at_least_one(keyword: &'static str, words: Vec<String>) -> Result<Vec<String>, Problem> {
    if words.is_empty() { Err(Problem::AtLeastOne { keyword }) } else { Ok(words) }
}

fn copy(rest: &str, heredocs: &[Heredoc], escape: char) -> Result<Copy, Problem> {
    let (flags, rest) =
        flags::split(rest, escape, &["from", "chown", "chmod", "link", "parents", "exclude"])?;
    let from = flags.text("from")?;
    let parents = flags.switch("parents")?.unwrap_or_default();
    Ok(Copy { sources: sources("COPY", &flags, rest, heredocs)?, from, parents })
}

fn add(rest: &str, heredocs: &[Heredoc], escape: char) -> Result<Add, Problem> {
    const KNOWN: &[&str] = &["chown", "chmod", "link", "exclude", "keep-git-dir", "checksum", "unpack"];
    let (flags, rest) = flags::split(rest, escape, KNOWN)?;
    let (keep_git_dir, unpack) = (flags.switch("keep-git-dir")?, flags.switch("unpack")?);
    let checksum = flags.text("checksum")?;
    Ok(Add { sources: sources("ADD", &flags, rest, heredocs)?, keep_git_dir, checksum, unpack })
}

fn sources(
    keyword: &'static str,
    flags: &flags::Flags,
    rest: &str,
    heredocs: &[Heredoc],
) -> Result<Sources, Problem> {
    let mut words = arguments::list(rest)?;
    let destination =
        (words.len() > 1).then(|| words.pop()).flatten().ok_or(Problem::NoDestination { keyword })?;
    words.retain(|word| {
        Heredoc::opening(word).is_none_or(|open| !heredocs.iter().any(|one| one.name == open.name))
    });
    Ok(Sources {
        paths: words,
        heredocs: heredocs.to_vec(),
        destination,
        chown: flags.text("chown")?,
        chmod: flags.text("chmod")?,
        link: flags.switch("link")?.unwrap_or_default(),
        exclude: flags.all("exclude")?,
    })
}

fn run(rest: &str, heredocs: &[Heredoc], escape: char) -> Result<Run, Problem> {
    let (flags, rest) = flags::split(rest, escape, &["mount", "network", "security", "device"])?;
    let mounts = flags.all("mount")?.iter().map(|text| Mount::parse(text)).collect::<Result<_, _>>()?;
    let network = flags.text("network")?;
    if let Some(value) = network.clone().filter(|mode| !["default", "none", "host"].contains(&mode.as_str()))
    {
        return Err(Problem::Network { value });
    }
    let security = flags.text("security")?;
    if let Some(value) = security.clone().filter(|mode| !["sandbox", "insecure"].contains(&mode.as_str())) {
        return Err(Problem::Security { value });
    }
    let command = arguments::command(rest)?;
    Ok(Run { command, heredocs: heredocs.to_vec(), mounts, network, security, devices: flags.all("device")? })
}

fn trigger(rest: &str, heredocs: &[Heredoc]) -> Result<Trigger, Problem> {
    let (first, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if first.is_empty() {
        return Err(Problem::AtLeastOne { keyword: "ONBUILD" });
    }
    // What else it may be is found out when it runs.
    match first.to_ascii_uppercase().as_str() {
        "ONBUILD" => return Err(Problem::ChainedTrigger),
        "FROM" => return Err(Problem::NoTrigger { keyword: "FROM" }),
        "MAINTAINER" => return Err(Problem::NoTrigger { keyword: "MAINTAINER" }),
        _ => {}
    }
    let mut text = format!("{first} {}", after.trim()).trim_end().to_owned();
    for heredoc in heredocs {
        text.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
    }
    Ok(Trigger { text })
}

fn health(rest: &str, escape: char) -> Result<Health, Problem> {
    const KNOWN: &[&str] = &["interval", "timeout", "start-period", "start-interval", "retries"];
    let (flags, rest) = flags::split(rest, escape, KNOWN)?;
    let (kind, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = match (kind.to_ascii_uppercase().as_str(), after.trim()) {
        ("", _) => return Err(Problem::AtLeastOne { keyword: "HEALTHCHECK" }),
        ("NONE", "") => None,
        ("NONE", _) => return Err(Problem::HealthNone),
        ("CMD", "") => return Err(Problem::HealthCommand),
        ("CMD", command) => Some(arguments::command(command)?),
        _ => return Err(Problem::HealthType { word: kind.to_ascii_uppercase() }),
    };
    let time = |flag: &'static str| flags.text(flag)?.map(|value| duration(flag, value)).transpose();
    let retries = flags.text("retries")?.map(retries).transpose()?;
    Ok(Health {
        command,
        interval: time("interval")?,
        timeout: time("timeout")?,
        start_period: time("start-period")?,
        start_interval: time("start-interval")?,
        retries,
    })
}

fn retries(value: String) -> Result<u32, Problem> {
    let number: i64 = value.parse().map_err(|_| Problem::Number { value: value.clone() })?;
    if number < 0 {
        return Err(Problem::NegativeRetries { value: number });
    }
    u32::try_from(number).map_err(|_| Problem::Number { value })
}

/// A duration as Go writes it: `1h30m`, `500ms`. Docker wants at least a millisecond, or 0 for the default.
fn duration(flag: &'static str, value: String) -> Result<Duration, Problem> {
    let nanoseconds = model::duration::parse_nanoseconds(&value)?;
    if nanoseconds != 0 && nanoseconds < 1_000_000 {
        return Err(Problem::ShortInterval { flag });
    }
    Ok(Duration::from_nanos(nanoseconds.unsigned_abs()))
}
