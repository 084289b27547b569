//! `--name=value` between an instruction and its arguments.

use super::error::Problem;

/// Flags of one instruction as they are written, not yet looked at.
#[derive(Debug)]
pub(super) struct Flags {
    written: Vec<(String, Option<String>)>,
    known: &'static [&'static str],
}

/// Takes the flags off a line; answers them and what is left.
pub(super) fn split<'l>(
    line: &'l str,
    escape: char,
    known: &'static [&'static str],
) -> Result<(Flags, &'l str), Problem> {
    let mut written: Vec<(String, Option<String>)> = Vec::new();
    let mut rest = line.trim_start();
    while let Some(after) = rest.strip_prefix("--") {
        let (word, left) = word(after, escape);
        rest = left.trim_start();
        if word.is_empty() {
            // `--` alone ends them.
            break;
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        if !known.contains(&name.as_str()) {
            return Err(Problem::UnknownFlag { flag: name, known });
        }
        written.push((name, value));
    }
    Ok((Flags { written, known }, rest))
}

impl Flags {
    /// The value of a flag that is given once.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Problem> {
        match self.once(name)? {
            None => Ok(None),
            Some(None) => Err(Problem::FlagValue { flag: name.to_owned() }),
            Some(Some(value)) => Ok(Some(value.clone())),
        }
    }

    /// A switch: `--x`, `--x=true` or `--x=false`.
    pub(super) fn switch(&self, name: &'static str) -> Result<Option<bool>, Problem> {
        match self.once(name)?.map(|value| value.as_deref()) {
            None => Ok(None),
            Some(None | Some("true" | "True" | "TRUE" | "")) => Ok(Some(true)),
            Some(Some("false" | "False" | "FALSE")) => Ok(Some(false)),
            Some(Some(value)) => Err(Problem::FlagBoolean { flag: name.to_owned(), value: value.to_owned() }),
        }
    }

    /// The values of a flag that may be given several times.
    pub(super) fn all(&self, name: &'static str) -> Result<Vec<String>, Problem> {
        let values =
            self.of(name).map(|value| value.clone().ok_or(Problem::FlagValue { flag: name.to_owned() }));
        values.collect()
    }

    fn once(&self, name: &'static str) -> Result<Option<&Option<String>>, Problem> {
        let mut values = self.of(name);
        let first = values.next();
        match values.next() {
            Some(_) => Err(Problem::FlagTwice { flag: name.to_owned() }),
            None => Ok(first),
        }
    }

    fn of(&self, name: &'static str) -> impl Iterator<Item = &Option<String>> {
        debug_assert!(self.known.contains(&name), "{name} is asked for but not known");
        self.written.iter().filter(move |(written, _)| written == name).map(|(_, value)| value)
    }
}

/// A word up to white space outside quotes, without quotes and escapes; and the rest.
fn word(line: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        match quote {
            None if character.is_whitespace() => return (word, line.get(at..).unwrap_or_default()),
            None if matches!(character, '"' | '\'') => quote = Some(character),
            Some(open) if open == character => quote = None,
            _ if character == escape => {
                // At the end of the line it stands for itself.
                word.push(characters.next().map_or(character, |(_, next)| next));
            }
            _ => word.push(character),
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["from", "link", "exclude"];

    #[test]
    fn flags_come_before_arguments() {
        let (flags, rest) =
            split("--from=a\\ b --link --exclude='x y' --exclude=z c --d", '\\', KNOWN).unwrap();
        assert_eq!(flags.text("from").unwrap().as_deref(), Some("a b"));
        assert_eq!(flags.switch("link"), Ok(Some(true)));
        assert_eq!(flags.all("exclude").unwrap(), ["x y", "z"]);
        assert_eq!(rest, "c --d");
        let (flags, rest) = split("-- --from=x", '\\', KNOWN).unwrap();
        assert_eq!((flags.text("from"), flags.switch("link"), rest), (Ok(None), Ok(None), "--from=x"));
    }

    #[test]
    fn wrong_flags_are_named() {
        let told = |line: &str| {
            let (flags, _) = split(line, '\\', KNOWN).map_err(|problem| problem.to_string())?;
            let told = |problem: Problem| problem.to_string();
            flags.text("from").map_err(told)?;
            flags.switch("link").map_err(told)?;
            flags.all("exclude").map_err(told).map(|_| ())
        };
        let cases = [
            ("--form=a", "unknown flag: form (did you mean from?)"),
            ("--exlude=a", "unknown flag: exlude (did you mean exclude?)"),
            ("--from=a --from=b", "duplicate flag specified: from"),
            ("--from", "missing a value on flag: from"),
            ("--link=maybe", "expecting boolean value for flag link, not: maybe"),
        ];
        for (line, expected) in cases {
            assert_eq!(told(line), Err(expected.to_owned()), "{line}");
        }
        assert_eq!(told("--link=false --exclude=a x"), Ok(()));
    }
}
