//! The instructions. Text in them is as it is written: variables are replaced when a stage is built.

use std::time::Duration;

use super::heredoc::Heredoc;
use super::mount::Mount;

/// What comes after FROM, of those that may stand in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// ADD.
    Add(Add),
    /// ARG.
    Arg(Vec<Argument>),
    /// CMD.
    Cmd(Command),
    /// COPY.
    Copy(Copy),
    /// ENTRYPOINT.
    Entrypoint(Command),
    /// ENV.
    Env(Vec<KeyValue>),
    /// EXPOSE.
    Expose(Expose),
    /// HEALTHCHECK.
    Healthcheck(Health),
    /// LABEL.
    Label(Vec<KeyValue>),
    /// MAINTAINER.
    Maintainer(String),
    /// ONBUILD.
    Onbuild(Trigger),
    /// RUN.
    Run(Run),
    /// SHELL.
    Shell(Vec<String>),
    /// STOPSIGNAL.
    Stopsignal(String),
    /// USER.
    User(String),
    /// VOLUME.
    Volume(Vec<String>),
    /// WORKDIR.
    Workdir(String),
}

impl Instruction {
    /// Its name in capitals.
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Onbuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::Stopsignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }
}

/// FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// An image, an earlier stage, a named context, or `scratch`.
    pub base: String,
    /// `AS name`, in small letters.
    pub name: Option<String>,
    /// `--platform`.
    pub platform: Option<String>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key, with its quotes.
    pub key: String,
    /// The value, with its quotes.
    pub value: String,
    /// `key value` without an equals sign.
    pub legacy: bool,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it is when nobody says something else.
    pub default: Option<String>,
}

/// A command: words that are executed, or a line for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `["a", "b"]`.
    Exec(Vec<String>),
    /// As it is written.
    Shell(String),
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What runs.
    pub command: Command,
    /// Files written in the Dockerfile.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`.
    pub mounts: Vec<Mount>,
    /// `--network`.
    pub network: Option<String>,
    /// `--security`.
    pub security: Option<String>,
    /// `--device`.
    pub devices: Vec<String>,
}

/// Where files come from and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Paths, patterns, and for ADD addresses.
    pub paths: Vec<String>,
    /// Files written in the Dockerfile.
    pub heredocs: Vec<Heredoc>,
    /// Where they go.
    pub destination: String,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--exclude`.
    pub exclude: Vec<String>,
}

/// COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What goes where.
    pub sources: Sources,
    /// `--from`.
    pub from: Option<String>,
    /// `--parents`.
    pub parents: bool,
}

/// ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// What goes where.
    pub sources: Sources,
    /// `--keep-git-dir`; none when it is not said.
    pub keep_git_dir: Option<bool>,
    /// `--checksum`.
    pub checksum: Option<String>,
    /// `--unpack`; none when it is not said: local archives are unpacked then, fetched ones are not.
    pub unpack: Option<bool>,
}

/// EXPOSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expose {
    /// Ports and ranges, with or without a protocol.
    pub ports: Vec<String>,
}

/// HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The test; none switches an inherited one off.
    pub command: Option<Command>,
    /// `--interval`.
    pub interval: Option<Duration>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--start-period`.
    pub start_period: Option<Duration>,
    /// `--start-interval`.
    pub start_interval: Option<Duration>,
    /// `--retries`.
    pub retries: Option<u32>,
}

/// ONBUILD: what images built from this one do first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The instruction, as it is written.
    pub text: String,
}
