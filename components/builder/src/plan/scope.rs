//! What variables mean: arguments before the first FROM, arguments of a stage, and its environment.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use oci::Platform;

use super::{Options, Style};
use crate::dockerfile::{Argument, Dockerfile, DockerfileError, Expansion, Problem};

/// Arguments every build may be given without declaring them; they are in no history and no key.
pub const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Arguments before the first FROM, and those of the machine.
pub(super) struct Globals<'o> {
    options: &'o Options,
    escape: char,
    values: BTreeMap<String, String>,
    /// Arguments of the build that somebody asked for.
    pub(super) used: RefCell<BTreeSet<String>>,
}

impl<'o> Globals<'o> {
    pub(super) fn new(file: &Dockerfile, options: &'o Options) -> Result<Self, DockerfileError> {
        let mut values = BTreeMap::new();
        for (prefix, platform) in [("TARGET", &options.platform), ("BUILD", &options.host)] {
            for (name, value) in platform_arguments(platform) {
                values.insert(format!("{prefix}{name}"), value);
            }
        }
        let target = options.target.clone().unwrap_or_else(|| "default".to_owned());
        values.insert("TARGETSTAGE".to_owned(), target);
        let escape = file.directives.escape;
        let mut globals = Self { options, escape, values, used: RefCell::default() };
        for placed in &file.global_arguments {
            for argument in &placed.value {
                let value = globals.value(argument, &|name| globals.values.get(name).cloned());
                let value = value.map_err(|problem| placed_problem(problem, placed.lines))?;
                if let Some(value) = value {
                    globals.values.insert(argument.name.clone(), value);
                }
            }
        }
        Ok(globals)
    }

    /// The value of an argument where it is declared: what the build was given, else its default.
    fn value(
        &self,
        argument: &Argument,
        values: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<String>, Problem> {
        if let Some(given) = self.options.arguments.get(&argument.name) {
            self.used.borrow_mut().insert(argument.name.clone());
            if let Some(given) = given {
                return Ok(Some(given.clone()));
            }
        }
        let Some(default) = &argument.default else { return Ok(None) };
        expand(default, self.escape, values).map(Some)
    }

    /// Replaces variables in a FROM line.
    pub(super) fn expand(&self, text: &str) -> Result<String, Problem> {
        Ok(self.expand_noting(text)?.text)
    }

    /// The same, with the names that were asked for.
    pub(super) fn expand_noting(&self, text: &str) -> Result<Noted, Problem> {
        expand_noting(text, self.escape, &|name| self.values.get(name).cloned())
    }

    /// The value of an argument before the first FROM, or one of the machine's.
    pub(super) fn get(&self, name: &str) -> Option<&String> {
        self.values.get(name)
    }

    /// The names of all of them that have a value.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Arguments of the build nobody asked for.
    pub(super) fn unused(&self) -> Vec<String> {
        let used = self.used.borrow();
        let names = self.options.arguments.keys();
        names.filter(|name| !used.contains(*name) && !PROXIES.contains(&name.as_str())).cloned().collect()
    }
}

/// What is known in one stage.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// Declared arguments with their values, in the order of their declaration.
    pub(super) arguments: Vec<(String, Option<String>)>,
    /// Names in the order of all declarations.
    declarations: Vec<String>,
    /// Arguments that were declared after the variable of that name was set: to BuildKit the last one counts.
    over: BTreeSet<String>,
}

impl Scope {
    /// Declares an argument.
    pub(super) fn declare(
        &mut self,
        argument: &Argument,
        globals: &Globals<'_>,
        environment: &[String],
    ) -> Result<(), Problem> {
        let own = globals.value(argument, &|name| self.get(name, environment))?;
        let value = match own {
            None if argument.default.is_none() => globals.values.get(&argument.name).cloned(),
            own => own,
        };
        self.arguments.retain(|(name, _)| *name != argument.name);
        self.declarations.push(argument.name.clone());
        if globals.options.style == Style::BuildKit && value.is_some() {
            self.over.insert(argument.name.clone());
        }
        self.arguments.push((argument.name.clone(), value));
        Ok(())
    }

    /// A variable of the environment is set.
    pub(super) fn set(&mut self, name: &str) {
        self.over.remove(name);
    }

    /// What BuildKit's history says of arguments: each declaration, with what the variable is now.
    pub(super) fn all(&self, environment: &[String]) -> Vec<(String, String)> {
        let value = |name: &String| self.get(name, environment).unwrap_or_default();
        self.declarations.iter().map(|name| (name.clone(), value(name))).collect()
    }

    /// The value of a variable: the environment hides arguments, as a rule.
    pub(super) fn get(&self, name: &str, environment: &[String]) -> Option<String> {
        if self.over.contains(name) {
            let declared = self.arguments.iter().rfind(|(declared, _)| declared == name);
            return declared.and_then(|(_, value)| value.clone());
        }
        let of_environment = environment.iter().find_map(|entry| {
            let (key, value) = entry.split_once('=')?;
            (key == name).then(|| value.to_owned())
        });
        of_environment.or_else(|| {
            let declared = self.arguments.iter().rfind(|(declared, _)| declared == name);
            declared.and_then(|(_, value)| value.clone())
        })
    }

    /// Proxies that are declared, with their values.
    pub(super) fn declared_proxies(&self) -> Vec<(String, String)> {
        let proxies = self.arguments.iter().filter(|(name, _)| PROXIES.contains(&name.as_str()));
        proxies.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }

    /// Arguments a command gets: those with a value that the environment does not hide, but for proxies.
    pub(super) fn for_commands(&self, environment: &[String]) -> Vec<(String, String)> {
        let hidden = |name: &str| {
            let is_set = environment.iter().any(|entry| entry.split('=').next() == Some(name));
            (is_set && !self.over.contains(name)) || PROXIES.contains(&name)
        };
        let visible = self.arguments.iter().filter(|(name, _)| !hidden(name));
        visible.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }
}

/// Replaces variables.
fn expand(text: &str, escape: char, values: &dyn Fn(&str) -> Option<String>) -> Result<String, Problem> {
    Ok(expand_noting(text, escape, values)?.text)
}

/// A text with its variables replaced, and which they were.
pub(super) struct Noted {
    pub(super) text: String,
    /// Variables with a value.
    pub(super) set: BTreeSet<String>,
    /// Variables that have none, and for which none is given in their place.
    pub(super) unset: BTreeSet<String>,
}

/// Replaces variables, and notes them.
pub(super) fn expand_noting(
    text: &str,
    escape: char,
    values: &dyn Fn(&str) -> Option<String>,
) -> Result<Noted, Problem> {
    let set = RefCell::new(BTreeSet::new());
    let values = |name: &str| {
        let value = values(name);
        if value.is_some() {
            set.borrow_mut().insert(name.to_owned());
        }
        value
    };
    let expansion =
        Expansion { escape, values: &values, keep_unset: false, raw_quotes: false, plain_quotes: false };
    let expanded = expansion.expand(text).map_err(|problem| of_word(text, problem))?;
    Ok(Noted { text: expanded.text, set: set.take(), unset: expanded.unset })
}

/// A problem with the variables of a text.
pub(super) fn of_word(word: &str, problem: Problem) -> Problem {
    Problem::Word { word: word.to_owned(), problem: Box::new(problem) }
}

/// A problem at a place.
pub(super) fn placed_problem(problem: Problem, lines: crate::dockerfile::Lines) -> DockerfileError {
    DockerfileError { problem, lines: Some(lines), is_meaning: true }
}

fn platform_arguments(platform: &Platform) -> [(&'static str, String); 4] {
    [
        ("PLATFORM", platform.text()),
        ("OS", platform.os.clone()),
        ("ARCH", platform.architecture.clone()),
        ("VARIANT", platform.variant.clone()),
    ]
}
