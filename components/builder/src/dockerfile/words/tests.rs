//! Variables, quotes, words and their limits.

use proptest::prelude::*;

use super::*;

fn value(name: &str) -> Option<String> {
    let value = match name {
        "HOME" => "/root",
        "EMPTY" => "",
        "FILES" => "a b  c",
        "NAME" => "foo.tar.gz",
        "DOTS" => "a.b.c",
        _ => return None,
    };
    Some(value.to_owned())
}

fn expansion() -> Expansion<'static> {
    Expansion { escape: '\\', values: &value, keep_unset: false, raw_quotes: false, plain_quotes: false }
}

fn text(source: &str) -> Result<String, String> {
    expansion().expand(source).map(|expanded| expanded.text).map_err(|problem| problem.to_string())
}

#[test]
fn variables_have_their_values() {
    let cases = [
        ("hello", "hello"),
        ("$HOME", "/root"),
        ("${HOME}x", "/rootx"),
        ("he'll'o", "hello"),
        ("he\"$HOME\"o", "he/rooto"),
        ("'$HOME'", "$HOME"),
        ("\\$HOME", "$HOME"),
        ("\"\\$HOME\\a\\\"\"", "$HOME\\a\""),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("$NONE.", "."),
        ("${NONE:-word}", "word"),
        ("${NONE-word}", "word"),
        ("${EMPTY:-word}", "word"),
        ("${EMPTY-word}", ""),
        ("${NONE:-$HOME/x}", "/root/x"),
        ("${NONE:-${EMPTY:-a}}", "a"),
        ("${HOME:+word}", "word"),
        ("${EMPTY:+word}", ""),
        ("${EMPTY+word}", "word"),
        ("${NONE+word}", ""),
        ("${HOME:?no}", "/root"),
        ("${HOME?}", "/root"),
        ("${NAME#*.}", "tar.gz"),
        ("${NAME##*.}", "gz"),
        ("${NAME%.*}", "foo.tar"),
        ("${NAME%%.*}", "foo"),
        ("${NAME#foo}", ".tar.gz"),
        ("${NAME#bar}", "foo.tar.gz"),
        ("${DOTS/./-}", "a-b.c"),
        ("${DOTS//./-}", "a-b-c"),
        ("${DOTS//[/-}", "a.b.c"),
        ("${HOME/\\/root/x}", "x"),
        ("${DOTS/?.?/_}", "_.c"),
        ("a\\", "a"),
    ];
    for (source, expected) in cases {
        assert_eq!(text(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn what_does_not_end_is_told() {
    let cases = [
        ("'a", "unexpected end of statement while looking for matching single-quote"),
        ("\"a", "unexpected end of statement while looking for matching double-quote"),
        ("${HOME", "syntax error: missing '}'"),
        ("${", "syntax error: missing '}'"),
        ("${NONE:-a", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${:-a}", "syntax error: bad substitution"),
        ("${{a}}", "syntax error: bad substitution"),
        ("${HOME:=a}", "unsupported modifier (:=) in substitution"),
        ("${HOME^}", "unsupported modifier (^) in substitution"),
        ("${NONE:?}", "NONE: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${NONE?needed}", "NONE: needed"),
    ];
    for (source, expected) in cases {
        assert_eq!(text(source), Err(expected.to_owned()), "{source}");
    }
    let deep = format!("{}x{}", "${A:-".repeat(100), "}".repeat(100));
    assert!(text(&deep).unwrap_err().starts_with("more than"), "nesting has a limit");
}

#[test]
fn words_split_where_no_quotes_are() {
    let words = |source: &str| expansion().expand(source).unwrap().words;
    assert_eq!(words("a $FILES d"), ["a", "a", "b", "c", "d"]);
    assert_eq!(words("\"$FILES\" x'y z'"), ["a b  c", "xy z"]);
    assert_eq!(words("\"\""), [""]);
    assert_eq!(words("a\\ b $NONE"), ["a b"]);
    assert_eq!(words("${NONE:-a b}"), ["a", "b"]);
}

#[test]
fn what_has_no_value_is_told_and_can_stay() {
    let unset = |source: &str| expansion().expand(source).unwrap().unset.into_iter().collect::<Vec<_>>();
    assert_eq!(unset("$HOME $A ${B} ${C:-x} ${D:+x} ${E#x}"), ["A", "B", "D", "E"]);
    let kept = Expansion { keep_unset: true, ..expansion() };
    for source in ["$A", "${A}", "${A:-b}", "${A#b}", "${A%%b}", "${A//b/c}"] {
        assert_eq!(kept.expand(source).unwrap().text, source);
    }
    let raw = Expansion { raw_quotes: true, ..expansion() };
    assert_eq!(raw.expand("'a' \"$HOME\"").unwrap().text, "'a' \"/root\"");
}

#[test]
fn raw_words_keep_what_is_written() {
    assert_eq!(
        raw_words("a  \"b c\" d\\ e 'f\\' g=\"h i\"", '\\'),
        ["a", "\"b c\"", "d\\ e", "'f\\'", "g=\"h i\""]
    );
    assert_eq!(raw_words("a` b c\\ d", '`'), ["a` b", "c\\", "d"]);
}

#[test]
fn growth_is_limited() {
    let long = |_: &str| Some("x".repeat(1 << 16));
    let expansion = Expansion { values: &long, ..expansion() };
    assert!(expansion.expand(&"$A".repeat(64)).is_err());
    assert!(expansion.expand("${A//x/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}").is_err());
}

proptest! {
    #[test]
    fn no_text_is_fatal(source in "[ -~$\\{\\}:#%/'\"\\\\]{0,60}") {
        let _ = expansion().expand(&source);
        let _ = raw_words(&source, '\\');
    }
}
