//! Parsing of a command's words into flags and arguments, by the rules of Go's pflag.

use crate::command::{Arity, Command, Flag, Kind};
use crate::value;

/// The flags and arguments given to a command.
#[derive(Debug)]
pub struct Matches {
    flags: Vec<&'static Flag>,
    values: Vec<Vec<String>>,
    /// The arguments that are no flags.
    pub args: Vec<String>,
    /// The command as it was typed, `docker container ls`.
    pub path: String,
    /// What to tell about the flags before the command runs.
    pub notes: Vec<String>,
}

/// Words that can't be parsed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFailure {
    /// `--help` was among them.
    #[error("help")]
    Help,
    /// A text about a flag.
    #[error("{0}")]
    Flag(String),
}

/// Older names of flags.
const OLDER: [(&str, &str); 5] = [
    ("net", "network"),
    ("net-alias", "network-alias"),
    ("dns-opt", "dns-option"),
    ("time", "timeout"),
    ("storage", "storage-opt"),
];

impl Matches {
    /// Parses words by tables of flags.
    ///
    /// # Errors
    /// For unknown flags, missing or wrong values, with pflag's texts, and for `--help`.
    pub fn parse(
        tables: &'static [&'static [Flag]],
        interspersed: bool,
        words: &[String],
    ) -> Result<Self, ParseFailure> {
        let flags: Vec<&'static Flag> = tables.iter().flat_map(|table| table.iter()).collect();
        let values = vec![Vec::new(); flags.len()];
        let mut matches = Self { flags, values, args: Vec::new(), path: String::new(), notes: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                matches.args.extend(words.cloned());
                break;
            }
            if let Some(body) = word.strip_prefix("--") {
                matches.long(word, body, &mut words)?;
            } else if word.len() > 1 && word.starts_with('-') {
                matches.short(word, &mut words)?;
            } else {
                matches.args.push(word.clone());
                if !interspersed {
                    matches.args.extend(words.cloned());
                    break;
                }
            }
        }
        Ok(matches)
    }

    fn long(
        &mut self,
        word: &str,
        body: &str,
        words: &mut std::slice::Iter<'_, String>,
    ) -> Result<(), ParseFailure> {
        let (name, given) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(ParseFailure::Flag(format!("bad flag syntax: {word}")));
        }
        let known = |wanted: &str| self.flags.iter().position(|flag| flag.long == wanted);
        let newer = || OLDER.iter().find(|(older, _)| *older == name).and_then(|(_, newer)| known(newer));
        let Some(index) = known(name).or_else(newer) else {
            if name == "help" {
                return Err(ParseFailure::Help);
            }
            return Err(ParseFailure::Flag(format!("unknown flag: --{name}")));
        };
        let value = match given {
            Some(value) => value.to_owned(),
            None if self.is_switch(index) => "true".to_owned(),
            None => match words.next() {
                Some(next) => next.clone(),
                None => return Err(ParseFailure::Flag(format!("flag needs an argument: --{name}"))),
            },
        };
        if name == "time" && known(name).is_none() {
            self.notes.push("Flag --time has been deprecated, use --timeout instead".to_owned());
            return self.add_as("--time", index, value);
        }
        self.add(index, value)
    }

    fn short(&mut self, word: &str, words: &mut std::slice::Iter<'_, String>) -> Result<(), ParseFailure> {
        let mut rest = &word[1..];
        while let Some(letter) = rest.chars().next() {
            let after = &rest[letter.len_utf8()..];
            let Some(index) = self.flags.iter().position(|flag| flag.short == letter) else {
                if letter == 'h' {
                    return Err(ParseFailure::Help);
                }
                return Err(ParseFailure::Flag(format!("unknown shorthand flag: '{letter}' in -{rest}")));
            };
            if let Some(value) = after.strip_prefix('=') {
                return self.add(index, value.to_owned());
            }
            if self.is_switch(index) {
                self.add(index, "true".to_owned())?;
                rest = after;
                continue;
            }
            let value = if after.is_empty() {
                match words.next() {
                    Some(next) => next.clone(),
                    None => {
                        return Err(ParseFailure::Flag(format!(
                            "flag needs an argument: '{letter}' in -{rest}"
                        )));
                    }
                }
            } else {
                after.to_owned()
            };
            return self.add(index, value);
        }
        Ok(())
    }

    fn is_switch(&self, index: usize) -> bool {
        self.flags.get(index).is_some_and(|flag| matches!(flag.kind, Kind::Switch))
    }

    fn add(&mut self, index: usize, value: String) -> Result<(), ParseFailure> {
        let Some(flag) = self.flags.get(index) else { return Ok(()) };
        let shown = match flag.short {
            '\0' => format!("--{}", flag.long),
            letter => format!("-{letter}, --{}", flag.long),
        };
        self.add_as(&shown, index, value)
    }

    fn add_as(&mut self, shown: &str, index: usize, value: String) -> Result<(), ParseFailure> {
        let (Some(flag), Some(values)) = (self.flags.get(index), self.values.get_mut(index)) else {
            return Ok(());
        };
        if let Err(reason) = value::check(flag.kind, &value) {
            let quoted = crate::value::quoted(&value);
            return Err(ParseFailure::Flag(format!(
                "invalid argument {quoted} for \"{shown}\" flag: {reason}"
            )));
        }
        match flag.kind {
            Kind::Strings => values.extend(value.split(',').map(str::to_owned)),
            kind if kind.is_list() => values.push(value),
            _ => *values = vec![value],
        }
        Ok(())
    }

    fn of(&self, name: &str) -> Option<(&'static Flag, &[String])> {
        let index = self.flags.iter().position(|flag| flag.long == name)?;
        Some((*self.flags.get(index)?, self.values.get(index)?))
    }

    /// Whether the flag was given.
    pub fn given(&self, name: &str) -> bool {
        self.of(name).is_some_and(|(_, values)| !values.is_empty())
    }

    /// Whether a switch is on.
    pub fn on(&self, name: &str) -> bool {
        value::truth(self.text(name)).unwrap_or(false)
    }

    /// The text of a flag: the last one given, else its default.
    pub fn text(&self, name: &str) -> &str {
        self.of(name)
            .map(|(flag, values)| values.last().map_or(flag.default, String::as_str))
            .unwrap_or_default()
    }

    /// The number of a flag.
    pub fn int(&self, name: &str) -> i64 {
        value::int(self.text(name)).unwrap_or(0)
    }

    /// All texts of a flag.
    pub fn list(&self, name: &str) -> &[String] {
        self.of(name).map(|(_, values)| values).unwrap_or_default()
    }

    /// An argument by position; empty when it is not there.
    pub fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    /// The filters of `--filter`.
    pub fn filters(&self) -> model::Filters {
        let mut filters = model::Filters::default();
        for text in self.list("filter") {
            if let Some((key, value)) = text.split_once('=') {
                filters.add(&key.trim().to_lowercase(), value.trim());
            }
        }
        filters
    }
}

/// Docker's complaint when the number of arguments is wrong; also the word before the hint of help.
pub fn arity_fault(command: &Command, count: usize) -> Option<(String, &'static str)> {
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    match command.arity {
        Arity::None if count > 0 => Some(("accepts no arguments".to_owned(), "Run")),
        Arity::Exact(n) if count != n => Some((format!("requires {n} {}", plural(n)), "Run")),
        Arity::Min(n) if count < n => Some((format!("requires at least {n} {}", plural(n)), "See")),
        Arity::Max(n) if count > n => Some((format!("requires at most {n} {}", plural(n)), "Run")),
        Arity::Range(low, high) if count < low || count > high => {
            Some((format!("requires at least {low} and at most {high} {}", plural(high)), "Run"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{flag, long, switch};

    static FLAGS: [Flag; 8] = [
        switch("interactive", 'i', "x"),
        switch("tty", 't', "x"),
        flag("publish", 'p', Kind::List, "", "x"),
        long("name", Kind::Text, "x"),
        flag("memory", 'm', Kind::Bytes, "", "x"),
        flag("last", 'n', Kind::Int, "-1", "x"),
        flag("filter", 'f', Kind::Filter, "", "x"),
        long("network", Kind::Text, "x"),
    ];
    static TABLES: [&[Flag]; 1] = [&FLAGS];

    fn parse(line: &str, interspersed: bool) -> Result<Matches, ParseFailure> {
        let words: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Matches::parse(&TABLES, interspersed, &words)
    }

    #[test]
    fn flags_parse_as_in_pflag() {
        let found = parse("-it -p80:80 -p=81:81 --publish 82 --name=x img -t ls", false).unwrap();
        assert!(found.on("interactive") && found.on("tty"));
        assert_eq!(found.list("publish"), ["80:80", "81:81", "82"]);
        assert_eq!(
            (found.text("name"), found.args.as_slice()),
            ("x", &["img", "-t", "ls"].map(str::to_owned)[..])
        );
        let found = parse("a --tty=false -i b -- -x", true).unwrap();
        assert!(!found.on("tty") && found.on("interactive") && found.given("tty"));
        assert_eq!(found.args, ["a", "b", "-x"]);
        assert_eq!(parse("", true).unwrap().int("last"), -1);
        assert_eq!(parse("--net host", true).unwrap().text("network"), "host");
        assert_eq!(parse("-ti=false", true).unwrap().text("interactive"), "false");
    }

    #[test]
    fn faults_have_pflags_texts() {
        for (line, text) in [
            ("--foo", "unknown flag: --foo"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("-itx", "unknown shorthand flag: 'x' in -x"),
            ("-xa", "unknown shorthand flag: 'x' in -xa"),
            ("--name", "flag needs an argument: --name"),
            ("-p", "flag needs an argument: 'p' in -p"),
            ("-itp", "flag needs an argument: 'p' in -p"),
            ("--=x", "bad flag syntax: --=x"),
            ("---x", "bad flag syntax: ---x"),
            ("-m abc", "invalid argument \"abc\" for \"-m, --memory\" flag: invalid size: 'abc'"),
            (
                "--tty=xx",
                "invalid argument \"xx\" for \"-t, --tty\" flag: strconv.ParseBool: parsing \"xx\": invalid syntax",
            ),
            (
                "-n a",
                "invalid argument \"a\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"a\": invalid syntax",
            ),
            (
                "-f x",
                "invalid argument \"x\" for \"-f, --filter\" flag: bad format of filter (expected name=value)",
            ),
        ] {
            assert_eq!(parse(line, true).unwrap_err(), ParseFailure::Flag(text.to_owned()), "{line}");
        }
        assert_eq!(parse("a --help", true).unwrap_err(), ParseFailure::Help);
        assert_eq!(parse("-h", true).unwrap_err(), ParseFailure::Help);
        assert!(parse("a --help", false).is_ok());
    }
}
