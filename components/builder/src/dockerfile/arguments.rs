//! The forms arguments come in: JSON arrays, words, and names with values.

use serde::Deserialize as _;

use super::error::Problem;
use super::instruction::{Argument, Command, KeyValue};
use super::words::raw_words;

/// A JSON array of strings; none when the text is something else. What stands behind the array does not count, as the
/// builders have always read it.
pub(super) fn json(text: &str) -> Result<Option<Vec<String>>, Problem> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    let mut stream = serde_json::Deserializer::from_str(text);
    let Ok(values) = Vec::<serde_json::Value>::deserialize(&mut stream) else { return Ok(None) };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(Problem::NotStrings),
    });
    strings.collect::<Result<_, _>>().map(Some)
}

/// A command in either form.
pub(super) fn command(text: &str) -> Result<Command, Problem> {
    Ok(json(text)?.map_or_else(|| Command::Shell(text.to_owned()), Command::Exec))
}

/// A JSON array, or words parted by white space.
pub(super) fn list(text: &str) -> Result<Vec<String>, Problem> {
    let words = || text.split_whitespace().map(str::to_owned).collect();
    Ok(json(text)?.unwrap_or_else(words))
}

/// `a=b c="d e"`, or the old form `a b` for a single one.
pub(super) fn pairs(keyword: &'static str, text: &str, escape: char) -> Result<Vec<KeyValue>, Problem> {
    let words = raw_words(text, escape);
    let Some(first) = words.first() else { return Err(Problem::AtLeastOne { keyword }) };
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).ok_or(Problem::TwoArguments { keyword })?;
        return Ok(vec![KeyValue { key: key.to_owned(), value: value.trim().to_owned(), legacy: true }]);
    }
    let pair = |word: &String| {
        let (key, value) = word.split_once('=').ok_or(Problem::NoEqualSign { word: word.clone() })?;
        if key.is_empty() {
            return Err(Problem::BlankName { keyword });
        }
        Ok(KeyValue { key: key.to_owned(), value: value.to_owned(), legacy: false })
    };
    words.iter().map(pair).collect()
}

/// Names with or without values.
pub(super) fn arguments(text: &str, escape: char) -> Result<Vec<Argument>, Problem> {
    let argument = |word: String| {
        let (name, default) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        if name.is_empty() {
            return Err(Problem::BlankName { keyword: "ARG" });
        }
        Ok(Argument { name, default })
    };
    let words = raw_words(text, escape);
    if words.is_empty() {
        return Err(Problem::AtLeastOne { keyword: "ARG" });
    }
    words.into_iter().map(argument).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arrays_of_strings_are_commands() {
        assert_eq!(json(r#"["a", "b c"]"#), Ok(Some(vec!["a".into(), "b c".into()])));
        assert_eq!(json(r#"["a"] and more"#), Ok(Some(vec!["a".into()])));
        assert_eq!(json("['a', 'b']"), Ok(None), "single quotes are no JSON: a shell gets them");
        assert_eq!(json("[ -f x ]"), Ok(None));
        assert_eq!(json("[1]"), Err(Problem::NotStrings));
        assert_eq!(json("[]"), Ok(Some(vec![])));
        assert_eq!(command("echo hi"), Ok(Command::Shell("echo hi".into())));
        assert_eq!(list("a  b"), Ok(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn pairs_have_two_forms() {
        let of = |text: &str| {
            let pairs = pairs("ENV", text, '\\').map_err(|problem| problem.to_string())?;
            Ok(pairs.into_iter().map(|pair| (pair.key, pair.value, pair.legacy)).collect::<Vec<_>>())
        };
        let one = |key: &str, value: &str, legacy| (key.to_owned(), value.to_owned(), legacy);
        assert_eq!(
            of("a=b c=\"d e\" f=g\\ h"),
            Ok(vec![one("a", "b", false), one("c", "\"d e\"", false), one("f", "g\\ h", false)])
        );
        assert_eq!(of("a  b c=d "), Ok(vec![one("a", "b c=d", true)]));
        let told: [(&str, &str); 4] = [
            ("", "ENV requires at least one argument"),
            ("a", "ENV must have two arguments"),
            ("a=b c", "Syntax error - can't find = in \"c\". Must be of the form: name=value"),
            ("=b", "ENV names can not be blank"),
        ];
        for (text, expected) in told {
            assert_eq!(of(text), Err(expected.to_owned()), "{text}");
        }
    }
}
