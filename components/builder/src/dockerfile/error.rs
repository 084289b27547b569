//! What is wrong with a Dockerfile, in the words of Docker's builders.

use model::duration::ParseDurationError;
use model::{ErrorKind, Kinded};

use super::Lines;

/// What is wrong, without a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say what each one means")]
pub enum Problem {
    #[error("file with no instructions")]
    NoInstructions,
    #[error("the file is not UTF-8 text")]
    NotUtf8,
    #[error("the {what} is longer than {limit} bytes")]
    TooLong { what: &'static str, limit: usize },
    #[error("more than {limit} {what}")]
    TooMany { what: &'static str, limit: usize },
    #[error("only one {name} parser directive can be used")]
    DirectiveTwice { name: String },
    #[error("invalid escape token '{value}' does not match ` or \\")]
    Escape { value: String },
    #[error("unterminated heredoc")]
    UnterminatedHeredoc,
    #[error("unknown instruction: {keyword}{}", hint(keyword))]
    Unknown { keyword: String },
    #[error("no build stage in current context")]
    NoStage,
    #[error("dockerfile contains no stages to build")]
    NoStages,
    #[error("{keyword} requires at least one argument")]
    AtLeastOne { keyword: &'static str },
    #[error("{keyword} requires exactly one argument")]
    ExactlyOne { keyword: &'static str },
    #[error(
        "{keyword} requires at least two arguments, but only one was provided. Destination could not be determined"
    )]
    NoDestination { keyword: &'static str },
    #[error("{keyword} names can not be blank")]
    BlankName { keyword: &'static str },
    #[error("{keyword} must have two arguments")]
    TwoArguments { keyword: &'static str },
    #[error("Syntax error - can't find = in {word:?}. Must be of the form: name=value")]
    NoEqualSign { word: String },
    #[error("FROM requires either one or three arguments")]
    FromArguments,
    #[error("invalid name for build stage: {name:?}, name can't start with a number or contain symbols")]
    StageName { name: String },
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    NotStrings,
    #[error("SHELL requires the arguments to be in JSON form")]
    ShellForm,
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    ChainedTrigger,
    #[error("{keyword} isn't allowed as an ONBUILD trigger")]
    NoTrigger { keyword: &'static str },
    #[error("unknown flag: {flag}{}", word_hint(known, flag))]
    UnknownFlag { flag: String, known: &'static [&'static str] },
    #[error("duplicate flag specified: {flag}")]
    FlagTwice { flag: String },
    #[error("missing a value on flag: {flag}")]
    FlagValue { flag: String },
    #[error("expecting boolean value for flag {flag}, not: {value}")]
    FlagBoolean { flag: String, value: String },
    #[error("invalid network mode {value:?}")]
    Network { value: String },
    #[error("security {value:?} is not valid")]
    Security { value: String },
    #[error(transparent)]
    Duration(#[from] ParseDurationError),
    #[error("Interval {flag:?} cannot be less than 1ms")]
    ShortInterval { flag: &'static str },
    #[error("strconv.ParseInt: parsing {value:?}: invalid syntax")]
    Number { value: String },
    #[error("--retries cannot be negative ({value})")]
    NegativeRetries { value: i64 },
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthNone,
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthCommand,
    #[error("Unknown type {word:?} in HEALTHCHECK (try CMD)")]
    HealthType { word: String },
    #[error("invalid field '{field}' must be a key=value pair")]
    MountField { field: String },
    #[error("unexpected key '{key}' in '{field}'{}", word_hint(&MOUNT_KEYS, key))]
    MountKey { key: String, field: String },
    #[error("{reason}")]
    Mount { reason: String },
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    MountFrom,
    #[error("unexpected end of statement while looking for matching {what}")]
    Unmatched { what: &'static str },
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    #[error("invalid pattern ({pattern}) in substitution: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    #[error("unsupported modifier ({modifier}) in substitution")]
    Modifier { modifier: String },
    #[error("{name}: {message}")]
    Demanded { name: String, message: String },
    #[error("failed to process {}: {problem}", model::quote::go(word))]
    Word { word: String, problem: Box<Problem> },
    #[error(
        "{}",
        if *classic { format!("failed to reach build target {name} in Dockerfile") } else { format!("target stage {name:?} could not be found") }
    )]
    NoTarget { name: String, classic: bool },
    #[error("failed to parse stage name {}: {why}", model::quote::go(name))]
    BaseName { name: String, why: String },
    #[error("base name ({base}) should not be blank")]
    BlankBase { base: String },
    #[error("failed to parse platform {text}: {why}")]
    Platform { text: String, why: String },
    #[error("invalid from flag value {from}: no stage of this name or number comes before stage {index}")]
    NoSource { from: String, index: usize },
    #[error("invalid stage index {index}")]
    StageIndex { index: usize },
    #[error("circular dependency detected on stage: {name}")]
    Circular { name: String },
    #[error("cannot normalize nothing")]
    EmptyWorkdir,
    #[error("No command specified")]
    NoCommand,
    #[error("parsing produced an invalid run command: {words:?}")]
    BadRun { words: Vec<String> },
    #[error("checksum can't be specified for {} sources", if *several { "multiple" } else { "non-HTTP" })]
    Checksum { several: bool },
    #[error("{reason}")]
    Digest { reason: String },
    #[error("source can't be a URL for COPY")]
    CopyAddress,
    #[error(
        "When using {keyword} with more than one source file, the destination must be a directory and end with a /"
    )]
    ManySources { keyword: &'static str },
    #[error("invalid signal: {signal}")]
    Signal { signal: String },
    #[error("Invalid containerPort: {port}")]
    Port { port: String },
    #[error("Invalid proto: {protocol}")]
    Protocol { protocol: String },
    #[error("failed to parse check options: invalid check option {option:?}")]
    CheckOption { option: String },
    #[error(
        "failed to parse check options: failed to parse check option {option:?}: strconv.ParseBool: parsing {value:?}: invalid syntax"
    )]
    CheckValue { option: String, value: String },
    #[error("lint violation found for rules: {}", rules.join(", "))]
    Violation { rules: Vec<&'static str> },
}

impl Problem {
    /// Whether it is in a mount: then BuildKit finds it when it already knows what the instruction is.
    fn is_of_mount(&self) -> bool {
        matches!(self, Self::MountField { .. } | Self::MountKey { .. } | Self::Mount { .. })
    }

    /// Whether Docker's builders find it before they look at instructions: then they do not say the line.
    fn is_syntactic(&self) -> bool {
        matches!(
            self,
            Self::NoInstructions
                | Self::DirectiveTwice { .. }
                | Self::Escape { .. }
                | Self::UnterminatedHeredoc
                | Self::NotStrings
                | Self::TwoArguments { .. }
                | Self::NoEqualSign { .. }
                | Self::NoStage
        )
    }
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileError {
    /// What.
    pub problem: Problem,
    /// Where; none for the whole file.
    pub lines: Option<Lines>,
    /// The text is a Dockerfile; it is what it means that cannot be.
    pub is_meaning: bool,
}

impl std::fmt::Display for DockerfileError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.lines {
            Some(lines)
                if !self.problem.is_syntactic() && !self.problem.is_of_mount() && !self.is_meaning =>
            {
                write!(out, "dockerfile parse error on line {}: {}", lines.first, self.problem)
            }
            _ => self.problem.fmt(out),
        }
    }
}

impl DockerfileError {
    /// The same in the words of the classic builder, which say when the text was no Dockerfile at all.
    pub fn classic(&self) -> String {
        if self.problem.is_syntactic() && !matches!(self.problem, Problem::NoStage) {
            return format!("failed to parse Dockerfile: {}", self.problem);
        }
        self.to_string()
    }
}

impl std::error::Error for DockerfileError {}

impl Kinded for DockerfileError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl From<Problem> for DockerfileError {
    fn from(problem: Problem) -> Self {
        Self { problem, lines: None, is_meaning: false }
    }
}

/// Gives problems a place.
pub(crate) trait At {
    /// The error with its place.
    type Out;
    /// Says where it is.
    fn at(self, lines: Lines) -> Self::Out;
}

impl At for Problem {
    type Out = DockerfileError;

    fn at(self, lines: Lines) -> DockerfileError {
        DockerfileError { problem: self, lines: Some(lines), is_meaning: false }
    }
}

impl<T> At for Result<T, Problem> {
    type Out = Result<T, DockerfileError>;

    fn at(self, lines: Lines) -> Result<T, DockerfileError> {
        self.map_err(|problem| problem.at(lines))
    }
}

/// Keys of mounts.
const MOUNT_KEYS: [&str; 16] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "env",
];

/// The instructions there are.
pub(crate) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

fn hint(keyword: &str) -> String {
    near(&KEYWORDS, &keyword.to_ascii_uppercase())
        .map_or_else(String::new, |one| format!(" (did you mean {one}?)"))
}

fn word_hint(known: &[&'static str], flag: &str) -> String {
    near(known, flag).map_or_else(String::new, |one| format!(" (did you mean {one}?)"))
}

/// The nearest of some words, if it is near enough to be meant.
pub(crate) fn near<'w>(words: &[&'w str], typed: &str) -> Option<&'w str> {
    if typed.len() > 32 {
        return None;
    }
    let far = words.iter().map(|word| (distance(word, typed), *word));
    far.filter(|(steps, word)| *steps <= 2 && *steps < word.len())
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, word)| word)
}

/// Letters to change, add or leave out until one word is the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut before = at;
        let mut left = at + 1;
        for (cell, with) in row.iter_mut().zip(std::iter::once(None).chain(other.chars().map(Some))) {
            let Some(with) = with else {
                *cell = at + 1;
                continue;
            };
            let value = (before + usize::from(letter != with)).min(left + 1).min(*cell + 1);
            (before, left) = (*cell, value);
            *cell = value;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told() {
        assert_eq!(
            Problem::Unknown { keyword: "RUNN".into() }.to_string(),
            "unknown instruction: RUNN (did you mean RUN?)"
        );
        assert_eq!(
            Problem::Unknown { keyword: "entrypiont".into() }.to_string(),
            "unknown instruction: entrypiont (did you mean ENTRYPOINT?)"
        );
        assert_eq!(
            Problem::Unknown { keyword: "frobnicate".into() }.to_string(),
            "unknown instruction: frobnicate"
        );
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
