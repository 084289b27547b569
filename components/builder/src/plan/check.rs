//! The checks that need more than the text: what variables come to, what a stage is built from.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use build_context::Ignore;
use oci::Reference;

use super::scope::{Globals, Noted};
use super::stage::{Planner, Work};
use super::{Bases, Options, Style};
use crate::dockerfile::{
    Argument, Checks, Dockerfile, DockerfileError, Finding, Lines, Problem, Stage, Warning, near,
};

/// The build argument that says what a `check` directive says, and wins.
const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Variables that only the builder itself looks at.
const OF_BUILDER: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Words in the names of variables that hold secrets, and words that say they do not.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
const HARMLESS: [&str; 3] = ["public", "file", "version"];

/// What was found so far, and what is told of it.
#[derive(Debug, Default)]
pub(super) struct Found {
    checks: Checks,
    warnings: RefCell<Vec<Warning>>,
    /// The main context's ignore file, if it only hides: what is seen again cannot be told without looking.
    ignore: Option<Ignore>,
}

/// What the checks know of a stage while it is planned.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The last of each instruction that should stand there once.
    single: HashMap<&'static str, Lines>,
}

impl Found {
    pub(super) fn new(file: &Dockerfile, options: &Options) -> Result<Self, DockerfileError> {
        let mut found = Self::default();
        // The first builder knows none of them but one.
        if options.style == Style::Classic {
            return Ok(found);
        }
        let given = options.arguments.get(ARGUMENT).cloned().flatten();
        found.checks = match (given, &file.directives.check) {
            (Some(text), _) => Checks::parse(&text)?,
            (None, Some((text, lines))) => {
                Checks::parse(text).map_err(|problem| super::scope::placed_problem(problem, *lines))?
            }
            (None, None) => Checks::default(),
        };
        let only_hides = options.ignore.iter().all(|pattern| !pattern.starts_with('!'));
        if only_hides && !options.ignore.is_empty() {
            found.ignore = Ignore::new(options.ignore.iter().map(String::as_str)).ok();
        }
        Ok(found)
    }

    pub(super) fn note(&self, finding: Finding, lines: Lines) {
        let warning = Warning { finding, lines };
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// What is told in the end, with what the text alone showed; and whether it ends the build.
    pub(super) fn finish(self, of_text: &[Warning], style: Style) -> (Vec<Warning>, Option<DockerfileError>) {
        if style == Style::Classic {
            return (of_text.to_vec(), None);
        }
        let all = of_text.iter().cloned().chain(self.warnings.into_inner());
        let mut all: Vec<Warning> = all.filter(|warning| self.checks.tells(&warning.finding)).collect();
        all.sort_by_key(|warning| warning.lines);
        let mut rules: Vec<&'static str> = all.iter().map(|warning| warning.finding.rule()).collect();
        rules.sort_unstable();
        rules.dedup();
        let ends = self.checks.is_error && !rules.is_empty();
        (all, ends.then(|| Problem::Violation { rules }.into()))
    }

    /// FROM lines of all stages: their variables and platforms.
    pub(super) fn check_bases(&self, file: &Dockerfile, options: &Options, globals: &Globals<'_>) {
        let unset = Options { arguments: BTreeMap::new(), ..options.clone() };
        let defaults = Globals::new(file, &unset).ok();
        let declared = file.global_arguments.iter().flat_map(|placed| &placed.value);
        let declared: Vec<&str> =
            declared.map(|argument| argument.name.as_str()).chain(globals.names()).collect();
        for stage in &file.stages {
            let lines = stage.from.lines;
            let from = &stage.from.value;
            if let Ok(base) = globals.expand_noting(&from.base) {
                self.check_arguments(&base, &declared, lines);
            }
            let by_default = defaults.as_ref().and_then(|defaults| defaults.expand(&from.base).ok());
            if by_default.is_some_and(|name| name.parse::<Reference>().is_err()) {
                self.note(Finding::InvalidDefaultArgInFrom { base: from.base.clone() }, lines);
            }
            let Some(written) = &from.platform else { continue };
            let Ok(platform) = globals.expand_noting(written) else { continue };
            self.check_arguments(&platform, &declared, lines);
            self.check_platform(stage, written, &platform, globals);
        }
    }

    fn check_arguments(&self, noted: &Noted, declared: &[&str], lines: Lines) {
        for name in noted.unset.iter().filter(|name| !declared.contains(&name.as_str())) {
            let near = near(declared, name).map(str::to_owned);
            self.note(Finding::UndefinedArgInFrom { name: name.clone(), near }, lines);
        }
    }

    fn check_platform(&self, stage: &Stage, written: &str, platform: &Noted, globals: &Globals<'_>) {
        let lines = stage.from.lines;
        let target = globals.get("TARGETPLATFORM");
        if platform.set.iter().eq(["TARGETPLATFORM"])
            && platform.unset.is_empty()
            && target == Some(&platform.text)
        {
            self.note(Finding::RedundantTargetPlatform { written: written.to_owned() }, lines);
        }
        if !platform.set.is_empty() || !platform.unset.is_empty() {
            return;
        }
        let Ok(parsed) = platform.text.parse::<oci::Platform>() else { return };
        // A stage whose name says that it is of that platform is meant so.
        let name = stage.from.value.name.as_deref().unwrap_or_default();
        if !name.contains(&parsed.os) && !name.contains(&parsed.architecture) {
            self.note(Finding::FromPlatformFlagConstDisallowed { platform: platform.text.clone() }, lines);
        }
    }

    /// An image that is for another platform than the build.
    pub(super) fn check_image(
        &self,
        name: &str,
        wanted: &oci::Platform,
        found: &oci::Platform,
        lines: Lines,
    ) {
        let is_same = wanted.os == found.os && wanted.architecture == found.architecture;
        // What was imported may say nothing.
        if is_same || found.os.is_empty() || found.architecture.is_empty() {
            return;
        }
        let (image, found, expected) = (name.to_owned(), found.text(), wanted.text());
        self.note(Finding::InvalidBaseImagePlatform { image, found, expected }, lines);
    }
}

impl<B: Bases> Planner<'_, B> {
    /// Notes something about the instruction at hand. What an image's triggers say is not in this file.
    pub(super) fn note(&self, work: &Work, finding: Finding) {
        if let (Some(lines), false) = (work.lines, work.is_trigger) {
            self.found.note(finding, lines);
        }
    }

    /// Variables that were asked for and are nowhere declared.
    pub(super) fn note_unset<'n>(&self, work: &Work, unset: impl IntoIterator<Item = &'n String>) {
        for name in unset {
            let declared = &work.finished.scope.arguments;
            let is_known =
                declared.iter().any(|(known, _)| known == name) || OF_BUILDER.contains(&name.as_str());
            if is_known {
                continue;
            }
            let environment = work.environment().iter().filter_map(|entry| entry.split('=').next());
            let names: Vec<&str> =
                environment.chain(declared.iter().map(|(known, _)| known.as_str())).collect();
            let near = near(&names, name).map(str::to_owned);
            self.note(work, Finding::UndefinedVar { name: name.clone(), near });
        }
    }

    /// The default of an argument, where it is what counts.
    pub(super) fn check_argument(&self, work: &Work, argument: &Argument) {
        self.check_secret(work, "ARG", &argument.name);
        let is_given = matches!(self.options.arguments.get(&argument.name), Some(Some(_)));
        if let Some(default) = argument.default.as_ref().filter(|_| !is_given) {
            // What is wrong with it is told where it is used.
            let _ = self.expand(work, default);
        }
    }

    /// A variable whose name says that it holds a secret.
    pub(super) fn check_secret(&self, work: &Work, keyword: &'static str, name: &str) {
        let has = |words: &[&str]| {
            name.split('_').any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
        };
        if has(&SECRET) && !has(&HARMLESS) {
            self.note(work, Finding::SecretsUsedInArgOrEnv { keyword, name: name.to_owned() });
        }
    }

    /// An instruction of which only the last one counts.
    pub(super) fn check_single(&self, work: &mut Work, keyword: &'static str) {
        let Some(lines) = work.lines.filter(|_| !work.is_trigger) else { return };
        if let Some(hidden) = work.seen.single.insert(keyword, lines) {
            let keyword = work.text.split_whitespace().next().unwrap_or(keyword).to_owned();
            self.found.note(Finding::MultipleInstructionsDisallowed { keyword }, hidden);
        }
    }

    /// A command in shell form, where nobody said which shell.
    pub(super) fn check_shell_form(&self, work: &Work) {
        if work.finished.config.config.shell.is_none() {
            let keyword = work.text.split_whitespace().next().unwrap_or_default().to_owned();
            self.note(work, Finding::JsonArgsRecommended { keyword });
        }
    }

    /// A relative folder before any other is known.
    pub(super) fn check_workdir(&self, work: &mut Work, path: &str) {
        if work.is_trigger {
            return;
        }
        if !path.starts_with('/') && !work.finished.has_workdir {
            self.note(work, Finding::WorkdirRelativePath { path: path.to_owned() });
        }
        work.finished.has_workdir = true;
    }

    pub(super) fn check_port(&self, work: &Work, port: &str) {
        let (mapping, protocol) = port.split_once('/').unwrap_or((port, ""));
        if protocol.chars().any(|letter| letter.is_ascii_uppercase()) {
            self.note(work, Finding::ExposeProtoCasing { port: port.to_owned() });
        }
        if mapping.contains(':') {
            self.note(work, Finding::ExposeInvalidFormat { port: port.to_owned() });
        }
    }

    /// Files of the main context that the ignore file hides.
    pub(super) fn check_ignored(&self, work: &Work, keyword: &'static str, paths: &[String]) {
        let Some(ignore) = &self.found.ignore else { return };
        for path in paths {
            let path = model::path::clean(path);
            if ignore.is_ignored(&path) {
                self.note(work, Finding::CopyIgnoredFile { keyword, path });
            }
        }
    }
}

#[cfg(test)]
mod tests;
