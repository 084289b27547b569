//! Instructions that only change the configuration.

use oci::image::Healthcheck;

use super::history::{self, quoted};
use super::running::with_shell;
use super::stage::{Finished, Planner, Work};
use super::{Bases, Step, Style};
use crate::dockerfile::{Command, Health, Instruction, KeyValue, Problem};

impl<B: Bases> Planner<'_, B> {
    pub(super) fn set(&mut self, work: &mut Work, instruction: &Instruction) -> Result<(), Problem> {
        let mut note = None;
        let words = match instruction {
            Instruction::Arg(arguments) => self.arg(work, arguments)?,
            Instruction::Env(pairs) => self.env(work, pairs)?,
            Instruction::Label(pairs) => self.label(work, pairs)?,
            Instruction::Cmd(command) => self.cmd(work, command),
            Instruction::Entrypoint(command) => self.entrypoint(work, command),
            Instruction::Expose(expose) => self.expose(work, &expose.ports)?,
            Instruction::Healthcheck(health) => {
                self.check_single(work, "HEALTHCHECK");
                note = overridden(work);
                healthcheck(work, health)
            }
            Instruction::Maintainer(name) => {
                let name = self.expand(work, name)?;
                work.finished.config.author.clone_from(&name);
                format!("MAINTAINER {name}")
            }
            Instruction::Onbuild(trigger) => {
                let config = &mut work.finished.config.config;
                config.on_build.get_or_insert_default().push(trigger.text.clone());
                format!("ONBUILD {}", trigger.text)
            }
            Instruction::Shell(words) => {
                work.finished.config.config.shell = Some(words.clone());
                format!("SHELL [{}]", words.join(" "))
            }
            Instruction::Stopsignal(signal) => {
                let signal = self.expand(work, signal)?;
                let known: Result<model::Signal, _> = signal.parse();
                known.map_err(|_| Problem::Signal { signal: signal.clone() })?;
                work.finished.config.config.stop_signal.clone_from(&signal);
                format!("STOPSIGNAL {signal}")
            }
            Instruction::User(user) => {
                let user = self.expand(work, user)?;
                work.finished.config.config.user.clone_from(&user);
                format!("USER {user}")
            }
            Instruction::Volume(paths) => self.volume(work, paths)?,
            // These make files, and are planned where that is known.
            Instruction::Add(_) | Instruction::Copy(_) | Instruction::Run(_) | Instruction::Workdir(_) => {
                return Ok(());
            }
        };
        let shell = work.finished.config.config.shell.clone();
        // BuildKit tells of triggers only in the configuration.
        if self.options.style == Style::Classic || !matches!(instruction, Instruction::Onbuild(_)) {
            work.finished.history.push(history::setting(self.options.style, shell.as_deref(), &words));
        }
        work.step(None);
        if let Some(step) = work.finished.steps.last_mut() {
            step.note = note;
        }
        Ok(())
    }

    /// Labels of the build, which come last.
    pub(super) fn labels(&self, finished: &mut Finished) {
        if self.options.labels.is_empty() {
            return;
        }
        let labels = finished.config.config.labels.get_or_insert_default();
        labels.extend(self.options.labels.clone());
        if self.options.style == Style::BuildKit {
            return;
        }
        let index = finished.steps.last().map_or(0, |step| step.stage);
        let configuration = serde_json::to_string(&finished.config.config).unwrap_or_default();
        let shell = finished.config.config.shell.clone();
        for (key, value) in &self.options.labels {
            let text = format!("LABEL {key}={value}");
            finished.history.push(history::setting(self.options.style, shell.as_deref(), &text));
            finished.steps.push(Step {
                stage: index,
                text,
                configuration: configuration.clone(),
                ..Step::default()
            });
        }
    }

    fn arg(&self, work: &mut Work, arguments: &[crate::dockerfile::Argument]) -> Result<String, Problem> {
        let mut words = Vec::new();
        for argument in arguments {
            self.check_argument(work, argument);
            let environment = work.environment().to_vec();
            // The words are what the Dockerfile says, not what the build was given.
            let shown = argument.default.as_ref().map(|text| self.expand(work, text)).transpose()?;
            work.finished.scope.declare(argument, self.globals, &environment)?;
            words.push(
                shown.map_or_else(|| argument.name.clone(), |shown| format!("{}={shown}", argument.name)),
            );
        }
        Ok(format!("ARG {}", words.join(" ")))
    }

    fn pairs(&self, work: &Work, pairs: &[KeyValue]) -> Result<Vec<(String, String)>, Problem> {
        let expand = |text: &str| self.expand(work, text);
        pairs.iter().map(|pair| Ok((expand(&pair.key)?, expand(&pair.value)?))).collect()
    }

    fn env(&self, work: &mut Work, pairs: &[KeyValue]) -> Result<String, Problem> {
        // All of them have the values from before the instruction.
        let pairs = self.pairs(work, pairs)?;
        let mut words = Vec::new();
        for (key, value) in pairs {
            if key.is_empty() {
                return Err(Problem::BlankName { keyword: "ENV" });
            }
            self.check_secret(work, "ENV", &key);
            work.finished.scope.set(&key);
            let entry = format!("{key}={value}");
            let env = work.finished.config.config.env.get_or_insert_default();
            match env.iter_mut().find(|held| held.split('=').next() == Some(key.as_str())) {
                Some(held) => held.clone_from(&entry),
                None => env.push(entry.clone()),
            }
            words.push(entry);
        }
        Ok(format!("ENV {}", words.join(" ")))
    }

    fn label(&self, work: &mut Work, pairs: &[KeyValue]) -> Result<String, Problem> {
        let pairs = self.pairs(work, pairs)?;
        let words: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if pairs.iter().any(|(key, _)| key.is_empty()) {
            return Err(Problem::BlankName { keyword: "LABEL" });
        }
        work.finished.config.config.labels.get_or_insert_default().extend(pairs);
        Ok(format!("LABEL {}", words.join(" ")))
    }

    fn cmd(&self, work: &mut Work, command: &Command) -> String {
        let words = self.words_of(work, "CMD", command);
        let config = &mut work.finished.config.config;
        config.cmd = Some(words.clone());
        config.args_escaped = self.options.style == Style::BuildKit;
        work.has_command = true;
        format!("CMD {}", quoted(&words))
    }

    fn entrypoint(&self, work: &mut Work, command: &Command) -> String {
        let words = self.words_of(work, "ENTRYPOINT", command);
        let has_command = work.has_command;
        let config = &mut work.finished.config.config;
        config.entrypoint = Some(words.clone()).filter(|words| !words.is_empty());
        if !has_command {
            config.cmd = None;
        }
        format!("ENTRYPOINT {}", quoted(&words))
    }

    fn words_of(&self, work: &mut Work, keyword: &'static str, command: &Command) -> Vec<String> {
        self.check_single(work, keyword);
        match command {
            Command::Exec(words) => words.clone(),
            Command::Shell(line) => {
                self.check_shell_form(work);
                with_shell(work.finished.config.config.shell.as_deref(), line.clone())
            }
        }
    }

    fn expose(&self, work: &mut Work, ports: &[String]) -> Result<String, Problem> {
        let mut found = Vec::new();
        let mut written = Vec::new();
        for port in ports {
            let expanded = self.expand(work, port)?;
            for word in expanded.split_whitespace() {
                self.check_port(work, word);
                written.push(word.to_owned());
                found.extend(exposed(word)?);
            }
        }
        let held = work.finished.config.config.exposed_ports.get_or_insert_default();
        held.extend(found.iter().cloned());
        held.sort();
        held.dedup();
        written.sort();
        found.sort();
        found.dedup();
        let style = self.options.style;
        Ok(match style {
            Style::Classic => format!("EXPOSE {}", written.join(" ")),
            Style::BuildKit => {
                let ports: Vec<String> = found.iter().map(|port| format!("{port}:{{}}")).collect();
                format!("EXPOSE map[{}]", ports.join(" "))
            }
        })
    }

    fn volume(&self, work: &mut Work, paths: &[String]) -> Result<String, Problem> {
        let paths: Vec<String> =
            paths.iter().map(|path| self.expand(work, path)).collect::<Result<_, _>>()?;
        if paths.iter().any(|path| path.trim().is_empty()) {
            return Err(Problem::EmptyVolume);
        }
        let held = work.finished.config.config.volumes.get_or_insert_default();
        held.extend(paths.iter().cloned());
        held.sort();
        held.dedup();
        Ok(format!("VOLUME [{}]", paths.join(" ")))
    }
}

/// What is to be said when there is a test already.
fn overridden(work: &Work) -> Option<String> {
    let test = work.finished.config.config.healthcheck.as_ref()?.test.as_ref()?;
    let is_test = test.first().is_some_and(|first| first != "NONE");
    is_test.then(|| format!("Note: overriding previous HEALTHCHECK: [{}]", test.join(" ")))
}

fn healthcheck(work: &mut Work, health: &Health) -> String {
    let nanoseconds = |time: Option<std::time::Duration>| {
        time.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
    };
    let test = match &health.command {
        None => vec!["NONE".to_owned()],
        Some(Command::Shell(line)) => vec!["CMD-SHELL".to_owned(), line.clone()],
        Some(Command::Exec(words)) => {
            std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect()
        }
    };
    let check = Healthcheck {
        test: Some(test.clone()),
        interval: nanoseconds(health.interval),
        timeout: nanoseconds(health.timeout),
        start_period: nanoseconds(health.start_period),
        start_interval: nanoseconds(health.start_interval),
        retries: health.retries.map_or(0, i64::from),
    };
    let times = [check.interval, check.timeout, check.start_period, check.start_interval];
    let times: Vec<String> =
        times.iter().map(|time| model::quote::go(&model::duration::format_nanoseconds(*time))).collect();
    let retries = char::from_u32(u32::try_from(check.retries).unwrap_or_default()).unwrap_or('\u{fffd}');
    let text = format!("HEALTHCHECK &{{{} {} {}}}", quoted(&test), times.join(" "), go_rune(retries));
    work.finished.config.config.healthcheck = Some(check);
    text
}

/// A number as Go quotes it: as the letter of that number.
fn go_rune(letter: char) -> String {
    match letter {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        '\0' => "'\\x00'".to_owned(),
        letter => {
            let text = model::quote::go(&letter.to_string());
            format!("'{}'", text.trim_start_matches('"').trim_end_matches('"'))
        }
    }
}

/// `8000-8002/tcp` is three ports. Where an address and ports of the host stand before them, they say nothing.
fn exposed(word: &str) -> Result<Vec<String>, Problem> {
    let bad = || Problem::Port { port: word.to_owned() };
    let (ports, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let ports = ports.rsplit_once(':').map_or(ports, |(_, ports)| ports);
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(Problem::Protocol { protocol });
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last): (u16, u16) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
    if first > last {
        return Err(bad());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}
