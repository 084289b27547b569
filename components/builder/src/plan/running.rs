//! RUN and WORKDIR: what runs or is made in the root.

use super::history;
use super::scope::{PROXIES, placed_problem};
use super::stage::{Planner, Work};
use super::{Bases, PlanError, Style};
use crate::dockerfile::{
    Access, Command, DockerfileError, Heredoc, Lines, Mount as Written, MountKind as WrittenKind, Problem,
    Run,
};
use crate::operation::{Exec, Inline, Mount, MountKind, Operation, Origin, Secret, Selection, VertexId};

/// Where a script written in the Dockerfile is found by its command.
const SCRIPTS: &str = "/dev/pipes";

impl<B: Bases> Planner<'_, B> {
    pub(super) fn run(&mut self, work: &mut Work, run: &Run) -> Result<(), PlanError<B::Error>> {
        let lines = work.lines.unwrap_or(Lines::one(1));
        let root = work.finished.root.unwrap_or_else(|| self.empty());
        let mut inputs = vec![root];
        let mut mounts = Vec::new();
        for mount in &run.mounts {
            mounts.push(self.mount(work, mount, &mut inputs)?);
        }
        let (arguments, script) = command_line(run, work.finished.config.config.shell.as_deref())
            .map_err(|problem| placed_problem(problem, lines))?;
        mounts.extend(script);
        let environment = work.environment().to_vec();
        let declared = work.finished.scope.for_commands(&environment);
        let mut all: Vec<String> = declared.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let is_declared =
            |entry: &String| declared.iter().any(|(name, _)| Some(name.as_str()) == entry.split('=').next());
        all.extend(environment.into_iter().filter(|entry| !is_declared(entry)));
        let config = &work.finished.config.config;
        let exec = Exec {
            arguments: arguments.clone(),
            environment: all,
            hidden_environment: self.proxies(),
            working_directory: or_root(&config.working_dir),
            user: config.user.clone(),
            network: self.network(run),
            insecure: run.security.as_deref() == Some("insecure"),
            mounts,
            volumes: match self.options.style {
                Style::Classic => config.volumes.clone().unwrap_or_default(),
                Style::BuildKit => Vec::new(),
            },
            platform: work.finished.config.platform.text(),
            keep_empty: self.options.style == Style::BuildKit,
        };
        let vertex = self.operate(work, Operation::Exec(exec), inputs);
        self.note_run(work, &declared, &arguments, vertex);
        Ok(())
    }

    fn note_run(&self, work: &mut Work, declared: &[(String, String)], words: &[String], vertex: VertexId) {
        let style = self.options.style;
        let mut declared = declared.to_vec();
        if style == Style::BuildKit {
            declared = work.finished.scope.all(work.environment());
        }
        let mut counted = !declared.is_empty();
        if style == Style::Classic {
            // Proxies count when the Dockerfile declares them, and make the count appear in any case.
            declared.extend(work.finished.scope.declared_proxies());
            declared.sort();
            counted |= !declared.is_empty() || !self.proxies().is_empty();
        }
        let mut all = Vec::new();
        if counted {
            all.push(format!("|{}", declared.len()));
            all.extend(declared.iter().map(|(name, value)| format!("{name}={value}")));
        }
        all.extend(words.iter().cloned());
        let text = match style {
            Style::Classic => all.join(" "),
            Style::BuildKit => format!("RUN {} # buildkit", all.join(" ")),
        };
        work.finished.history.push(history::new(style, text, Some(vertex)));
    }

    /// Proxies the build was given: commands get them, but nothing remembers them.
    fn proxies(&self) -> Vec<String> {
        let given = |name: &str| self.options.arguments.get(name).cloned().flatten();
        let one = |name: &&str| {
            let value = match self.options.style {
                Style::Classic => given(name)?,
                // Programs look for capitals or not: what is given as one is there as both.
                Style::BuildKit => given(name)
                    .or_else(|| given(&name.to_lowercase()))
                    .or_else(|| given(&name.to_uppercase()))?,
            };
            Some(format!("{name}={value}"))
        };
        PROXIES.iter().filter_map(one).collect()
    }

    fn network(&self, run: &Run) -> String {
        let own = run.network.clone().filter(|mode| mode != "default");
        own.or_else(|| self.options.network.clone()).unwrap_or_else(|| "default".to_owned())
    }

    fn mount(
        &mut self,
        work: &Work,
        mount: &Written,
        inputs: &mut Vec<VertexId>,
    ) -> Result<Mount, PlanError<B::Error>> {
        let lines = work.lines.unwrap_or(Lines::one(1));
        // BuildKit takes any mount that is of no stage for another stage, but for those of triggers.
        self.is_alone &= mount.from.is_some() || work.is_trigger;
        let expand = |text: &Option<String>| {
            let text = text.as_deref().map(|text| self.expand(work, text)).transpose();
            text.map_err(|problem| placed_problem(problem, lines))
        };
        let (target, source) = (expand(&mount.target)?, expand(&mount.source)?);
        let path = source.clone().unwrap_or_else(|| "/".to_owned());
        let place = |target: Option<String>| {
            let target = target.unwrap_or_default();
            if target.starts_with('/') {
                target
            } else {
                format!("{}/{target}", or_root(&work.finished.config.config.working_dir))
            }
        };
        let kind = match &mount.kind {
            WrittenKind::Bind { writable } => {
                let origin = match &mount.from {
                    Some(from) => self.origin(from, work, inputs)?,
                    None => Origin::Context(String::new()),
                };
                MountKind::Bind { selection: one(origin, path), writable: *writable }
            }
            WrittenKind::Cache(options) => {
                let of_target = || target.as_deref().map(|target| target.trim_end_matches('/').to_owned());
                let id = expand(&options.id)?.or_else(of_target).unwrap_or_default();
                let from = match &mount.from {
                    Some(from) => Some(one(self.origin(from, work, inputs)?, path)),
                    None => None,
                };
                MountKind::Cache { id, from, options: options.clone() }
            }
            WrittenKind::Tmpfs { size } => MountKind::Tmpfs { size: *size },
            WrittenKind::Secret(access) => {
                let id = expand(&access.id)?;
                let (secret, target) = secret(access, id, source, target);
                let target = target.map(|target| place(Some(target))).unwrap_or_default();
                return Ok(Mount { target, kind: MountKind::Secret(secret) });
            }
            WrittenKind::Ssh(access) => {
                let id = expand(&access.id)?.unwrap_or_else(|| "default".to_owned());
                let target = target.unwrap_or_else(|| "/run/buildkit/ssh_agent.0".to_owned());
                let secret = of_client(access, id, Some("SSH_AUTH_SOCK".to_owned()), 0o600);
                return Ok(Mount { target, kind: MountKind::Ssh(secret) });
            }
        };
        let target = place(target);
        if model::path::clean(&target) == "/" {
            return Err(over_root(lines).into());
        }
        Ok(Mount { target, kind })
    }

    pub(super) fn workdir(&mut self, work: &mut Work, text: &str) -> Result<(), PlanError<B::Error>> {
        let lines = work.lines.unwrap_or(Lines::one(1));
        let at = |problem| PlanError::File(placed_problem(problem, lines));
        let text = self.expand(work, text).map_err(at)?;
        self.check_workdir(work, &text);
        if text.is_empty() && self.options.style == Style::Classic {
            return Err(at(Problem::EmptyWorkdir));
        }
        let config = &mut work.finished.config.config;
        let path = joined(&config.working_dir, &text);
        config.working_dir.clone_from(&path);
        let style = self.options.style;
        let words = match style {
            // One blank, where all others have two.
            Style::Classic => {
                format!("{} #(nop) WORKDIR {path}", history::shell_text(config.shell.as_deref()))
            }
            Style::BuildKit => format!("WORKDIR {path}"),
        };
        let owner = if style == Style::BuildKit { config.user.clone() } else { String::new() };
        let vertex = (path != "/").then(|| {
            let root = work.finished.root.unwrap_or_else(|| self.empty());
            let keep_empty = style == Style::BuildKit;
            self.operate(work, Operation::MakeDirectory { path, owner, keep_empty }, vec![root])
        });
        if vertex.is_none() {
            work.step(None);
        }
        work.finished.history.push(history::new(style, words, vertex));
        Ok(())
    }
}

/// A mount would cover the whole root.
fn over_root(lines: Lines) -> DockerfileError {
    placed_problem(Problem::Mount { reason: "invalid mount target \"/\"".to_owned() }, lines)
}

/// A secret, and the file it is in, if it is in one.
fn secret(
    access: &Access,
    id: Option<String>,
    source: Option<String>,
    target: Option<String>,
) -> (Secret, Option<String>) {
    let base = |path: &String| path.rsplit('/').next().unwrap_or(path).to_owned();
    let id = id.or(source).or_else(|| target.as_ref().map(base)).unwrap_or_default();
    let target = target.or_else(|| access.variable.is_none().then(|| format!("/run/secrets/{}", base(&id))));
    (of_client(access, id, access.variable.clone(), 0o400), target)
}

fn of_client(access: &Access, id: String, variable: Option<String>, mode: u32) -> Secret {
    Secret {
        id,
        required: access.required,
        variable,
        mode: access.mode.unwrap_or(mode),
        uid: access.uid.unwrap_or_default(),
        gid: access.gid.unwrap_or_default(),
    }
}

/// The words that run, and the file with a script they name.
fn command_line(run: &Run, shell: Option<&[String]>) -> Result<(Vec<String>, Option<Mount>), Problem> {
    let line = match (&run.command, run.heredocs.as_slice()) {
        (Command::Exec(words), []) if words.is_empty() => return Err(Problem::NoCommand),
        (Command::Exec(words), []) => return Ok((words.clone(), None)),
        (Command::Exec(words), _) => return Err(Problem::BadRun { words: words.clone() }),
        (Command::Shell(line), []) => line.clone(),
        (Command::Shell(line), [only, ..]) if Heredoc::opening(line).is_some() => {
            let text = only.text();
            if text.starts_with("#!") {
                let script = Inline { name: only.name.clone(), content: text };
                let mount = Mount {
                    target: SCRIPTS.to_owned(),
                    kind: MountKind::Bind {
                        selection: Selection {
                            origin: Origin::Inline(vec![script]),
                            paths: Vec::new(),
                            exclude: Vec::new(),
                        },
                        writable: false,
                    },
                };
                return Ok((with_shell(shell, format!("{SCRIPTS}/{}", only.name)), Some(mount)));
            }
            text
        }
        (Command::Shell(line), heredocs) => {
            let mut full = line.clone();
            for heredoc in heredocs {
                full.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
            }
            full
        }
    };
    Ok((with_shell(shell, line), None))
}

/// A line below a shell.
pub(super) fn with_shell(shell: Option<&[String]>, line: String) -> Vec<String> {
    let default = ["/bin/sh".to_owned(), "-c".to_owned()];
    shell.unwrap_or(&default).iter().cloned().chain([line]).collect()
}

fn one(origin: Origin, path: String) -> Selection {
    Selection { origin, paths: vec![path], exclude: Vec::new() }
}

pub(super) fn or_root(path: &str) -> String {
    if path.is_empty() { "/".to_owned() } else { path.to_owned() }
}

/// A path below a folder, unless it is absolute; without dots and double slashes.
pub(super) fn joined(folder: &str, path: &str) -> String {
    let all = if path.starts_with('/') { path.to_owned() } else { format!("/{folder}/{path}") };
    model::path::clean(&all)
}
