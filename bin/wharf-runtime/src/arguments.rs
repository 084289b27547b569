//! Flags the way runc reads them: before the first argument, `--flag value`, `--flag=value`, one dash or two.

use crate::failure::{Failure, Result};

/// One known flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    name: &'static str,
    short: Option<char>,
    takes_value: bool,
}

impl Flag {
    /// There or not.
    pub(crate) const fn switch(name: &'static str) -> Self {
        Self { name, short: None, takes_value: false }
    }

    /// There or not, with a short name.
    pub(crate) const fn short_switch(name: &'static str, short: char) -> Self {
        Self { name, short: Some(short), takes_value: false }
    }

    /// With a value.
    pub(crate) const fn value(name: &'static str) -> Self {
        Self { name, short: None, takes_value: true }
    }

    /// With a value and a short name.
    pub(crate) const fn short_value(name: &'static str, short: char) -> Self {
        Self { name, short: Some(short), takes_value: true }
    }
}

/// What was given.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    given: Vec<(&'static str, String)>,
    /// What follows the flags.
    pub(crate) rest: Vec<String>,
}

impl Parsed {
    /// The last value of a flag.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// All values of a flag, in order.
    pub(crate) fn all<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        self.given.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != "false")
    }

    /// A number, or nothing when the flag is missing.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Failure::new(format!("invalid value {text:?} for flag -{name}")))
        };
        self.get(name).map(parse).transpose()
    }

    /// The only argument, a container's id.
    pub(crate) fn id(&self, command: &str) -> Result<&str> {
        match self.rest.as_slice() {
            [id] => Ok(id),
            _ => Err(Failure::new(format!("wharf-runtime: {command:?} requires exactly 1 argument(s)"))),
        }
    }
}

/// Reads flags up to the first argument. `help` makes `--help` an argument.
pub(crate) fn parse(arguments: &[String], flags: &[Flag], help: bool) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = argument.trim_start_matches('-');
        if argument == "--" {
            parsed.rest.extend(arguments.cloned());
            break;
        }
        if !argument.starts_with('-') || name.is_empty() || (help && (name == "help" || name == "h")) {
            parsed.rest.push(argument.clone());
            parsed.rest.extend(arguments.cloned());
            break;
        }
        let (name, value) =
            name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value.to_owned())));
        let known = flags
            .iter()
            .find(|flag| flag.name == name || flag.short.is_some_and(|short| name == short.to_string()));
        let known = known.ok_or_else(|| Failure::new(format!("flag provided but not defined: -{name}")))?;
        let value = match value {
            Some(value) => value,
            None if known.takes_value => {
                let next = arguments.next().cloned();
                next.ok_or_else(|| Failure::new(format!("flag needs an argument: -{name}")))?
            }
            None => "true".to_owned(),
        };
        parsed.given.push((known.name, value));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: [Flag; 3] =
        [Flag::short_value("bundle", 'b'), Flag::switch("force"), Flag::short_value("env", 'e')];

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_come_before_arguments() {
        let parsed = parse(&words("-b x --force --env A=1 -env=B=2 id --force"), &FLAGS, false).unwrap();
        assert_eq!(parsed.get("bundle"), Some("x"));
        assert!(parsed.has("force"));
        assert_eq!(parsed.all("env").collect::<Vec<_>>(), ["A=1", "B=2"]);
        assert_eq!(parsed.rest, words("id --force"));
        assert!(!parse(&words("--force=false id"), &FLAGS, false).unwrap().has("force"));
        assert_eq!(parse(&words("-- -b"), &FLAGS, false).unwrap().rest, words("-b"));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, message) in [
            ("--nosuch", "flag provided but not defined: -nosuch"),
            ("--bundle", "flag needs an argument: -bundle"),
        ] {
            assert_eq!(parse(&words(text), &FLAGS, false).unwrap_err().to_string(), message);
        }
    }
}
