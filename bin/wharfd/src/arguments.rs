//! The command line, read the way dockerd reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::options::{Kind, OPTIONS, Opt};

/// Values by key of daemon.json.
pub(crate) type Values = BTreeMap<&'static str, Value>;

/// What the command line asks for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Arguments {
    /// Options given.
    pub(crate) values: Values,
    /// `--config-file`.
    pub(crate) config_file: Option<PathBuf>,
    /// Only check the configuration.
    pub(crate) validate: bool,
    /// Only print the version.
    pub(crate) version: bool,
    /// Only print the usage.
    pub(crate) help: bool,
    /// Started by a command that found no engine: an engine that runs already is no failure.
    pub(crate) on_demand: bool,
}

impl Arguments {
    /// Reads what follows the program's name.
    ///
    /// # Errors
    /// With dockerd's words.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if word == "--" {
                if words.next().is_some() {
                    return Err(no_arguments());
                }
            } else if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                arguments.take_long(name, value, &mut words)?;
            } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
                arguments.take_short(short, &mut words)?;
            } else {
                return Err(no_arguments());
            }
        }
        Ok(arguments)
    }

    fn take_long(
        &mut self,
        name: &str,
        value: Option<String>,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let switch = |value: Option<String>| value.is_none_or(|value| value != "false");
        match name {
            "validate" => self.validate = switch(value),
            "version" => self.version = switch(value),
            "help" => self.help = switch(value),
            "on-demand" => self.on_demand = switch(value),
            "config-file" => {
                let path = value.or_else(|| words.next()).ok_or_else(|| needs_argument("--config-file"))?;
                self.config_file = Some(PathBuf::from(path));
            }
            _ => {
                let option = OPTIONS
                    .iter()
                    .find(|option| !option.flag.is_empty() && option.flag == name)
                    .ok_or_else(|| format!("unknown flag: --{name}\nSee 'dockerd --help'."))?;
                let value = match (value, option.kind) {
                    (Some(value), _) => value,
                    (None, Kind::Flag) => "true".to_owned(),
                    (None, _) => words.next().ok_or_else(|| needs_argument(&format!("--{name}")))?,
                };
                self.take(option, &value)?;
            }
        }
        Ok(())
    }

    /// `-D`, `-Hunix://x`, `-H=unix://x`, `-H unix://x`, `-Dv`.
    fn take_short(&mut self, letters: &str, words: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            match letter {
                'v' => self.version = true,
                'h' => self.help = true,
                _ => {
                    let option = OPTIONS.iter().find(|option| option.short == letter).ok_or_else(|| {
                        format!("unknown shorthand flag: {letter:?} in -{letters}\nSee 'dockerd --help'.")
                    })?;
                    if option.kind == Kind::Flag {
                        self.take(option, "true")?;
                        continue;
                    }
                    let attached = rest.as_str();
                    let value = match attached.strip_prefix('=').unwrap_or(attached) {
                        "" => words.next().ok_or_else(|| {
                            format!("flag needs an argument: {letter:?} in -{letters}\nSee 'dockerd --help'.")
                        })?,
                        value => value.to_owned(),
                    };
                    return self.take(option, &value);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, option: &'static Opt, text: &str) -> Result<(), String> {
        let earlier = self.values.remove(option.key);
        let value = option.parse(text, earlier).map_err(|why| {
            format!("invalid argument {text:?} for {:?} flag: {why}\nSee 'dockerd --help'.", option.shown())
        })?;
        self.values.insert(option.key, value);
        Ok(())
    }
}

fn needs_argument(flag: &str) -> String {
    format!("flag needs an argument: {flag}\nSee 'dockerd --help'.")
}

fn no_arguments() -> String {
    "\"dockerd\" accepts no argument(s).\nSee 'dockerd --help'.\n\nUsage:  dockerd [OPTIONS]\n\nA self-sufficient runtime for containers.".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_spelling_is_understood() {
        let arguments = parse(
            "-H unix:///a -Hunix:///b --host=unix:///c -D --live-restore=false --mtu 5 --config-file x",
        )
        .unwrap();
        assert_eq!(arguments.values["hosts"], serde_json::json!(["unix:///a", "unix:///b", "unix:///c"]));
        assert_eq!(arguments.values["debug"], true);
        assert_eq!(arguments.values["live-restore"], false);
        assert_eq!(arguments.values["mtu"], 5);
        assert_eq!(arguments.config_file, Some("x".into()));
        assert!(parse("-Dv").unwrap().version && parse("--validate").unwrap().validate);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, expected) in [
            ("--foo", "unknown flag: --foo"),
            ("--mtu", "flag needs an argument: --mtu"),
            ("-z", "unknown shorthand flag: 'z' in -z"),
            ("foo", "\"dockerd\" accepts no argument(s)."),
            (
                "-H foo://",
                "invalid argument \"foo://\" for \"-H, --host\" flag: invalid bind address (foo://)",
            ),
        ] {
            assert!(parse(line).unwrap_err().starts_with(expected), "{line}: {:?}", parse(line));
        }
    }
}
