//! Words: how a line falls into them, and how variables in them are replaced.
//!
//! The rules are those of the builders' own lexer, not a shell's: values are text, nothing is run, and a value never
//! splits a word unless several words are asked for.

use std::collections::BTreeSet;

use super::error::Problem;
use super::glob;

/// Longest text an expansion may make, in bytes: variables that hold variables grow quickly.
const LONGEST: usize = 1 << 20;
/// Deepest nesting of `${a:-${b:-...}}`.
const DEEPEST: usize = 64;

/// Gives the values of variables.
pub type Values<'v> = dyn Fn(&str) -> Option<String> + 'v;

/// How text is expanded.
#[derive(Clone, Copy)]
pub struct Expansion<'v> {
    /// The escape character of the file.
    pub escape: char,
    /// Values of variables.
    pub values: &'v Values<'v>,
    /// Variables without a value stay as they are written, for whoever expands them later.
    pub keep_unset: bool,
    /// Quotes stay where they are.
    pub raw_quotes: bool,
    /// Quotes are characters like all others.
    pub plain_quotes: bool,
}

/// What an expansion gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// The text as words: white space in it, also from unquoted variables, parts them.
    pub words: Vec<String>,
    /// Variables that were asked for and have no value.
    pub unset: BTreeSet<String>,
}

impl Expansion<'_> {
    /// Replaces variables and takes quotes away.
    ///
    /// # Errors
    /// For quotes or braces that do not end, unknown modifiers, and variables that `:?` demands.
    pub fn expand(&self, text: &str) -> Result<Expanded, Problem> {
        let mut scanner = Scanner {
            rest: text,
            expansion: *self,
            words: Words::default(),
            unset: BTreeSet::new(),
            depth: 0,
        };
        let text = scanner.until(None, false)?;
        Ok(Expanded { text, words: scanner.words.finish(), unset: scanner.unset })
    }
}

/// Splits a line at white space outside quotes; quotes and escapes stay in the words.
pub(crate) fn raw_words(line: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match quote {
            None if character.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if matches!(character, '"' | '\'') => quote = Some(character),
            Some(open) if open == character => quote = None,
            _ => {}
        }
        word.push(character);
        if character == escape && quote != Some('\'') {
            word.extend(characters.next());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Words as they grow.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: Option<String>,
}

impl Words {
    fn split(&mut self, character: char) {
        if character.is_whitespace() {
            self.done.extend(self.current.take());
        } else {
            self.current.get_or_insert_default().push(character);
        }
    }

    fn whole(&mut self, text: &str) {
        self.current.get_or_insert_default().push_str(text);
    }

    fn finish(mut self) -> Vec<String> {
        self.done.extend(self.current.take());
        self.done
    }
}

struct Scanner<'t, 'v> {
    rest: &'t str,
    expansion: Expansion<'v>,
    words: Words,
    unset: BTreeSet<String>,
    depth: usize,
}

impl Scanner<'_, '_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next();
        self.rest = characters.as_str();
        character
    }

    /// Up to a character that ends it, which is taken too; at the top nothing but the end does. With `raw`, escapes stay
    /// (they mean something in patterns).
    fn until(&mut self, stop: Option<char>, raw: bool) -> Result<String, Problem> {
        let mut out = String::new();
        while let Some(character) = self.next() {
            if Some(character) == stop {
                return Ok(out);
            }
            match character {
                '\'' if !self.expansion.plain_quotes => {
                    let text = self.single_quoted()?;
                    self.words.whole(&text);
                    out.push_str(&text);
                }
                '"' if !self.expansion.plain_quotes => {
                    let text = self.double_quoted()?;
                    self.words.whole(&text);
                    out.push_str(&text);
                }
                '$' => {
                    let text = self.variable()?;
                    text.chars().for_each(|character| self.words.split(character));
                    out.push_str(&text);
                }
                escape if escape == self.expansion.escape => {
                    if raw {
                        out.push(escape);
                    }
                    let Some(character) = self.next() else { break };
                    self.words.whole(character.encode_utf8(&mut [0; 4]));
                    out.push(character);
                }
                character => {
                    self.words.split(character);
                    out.push(character);
                }
            }
            if out.len() > LONGEST {
                return Err(Problem::TooLong { what: "expanded text", limit: LONGEST });
            }
        }
        match stop {
            None => Ok(out),
            Some('}') => Err(Problem::MissingBrace),
            Some(_) => Err(Problem::MissingSlash),
        }
    }

    fn single_quoted(&mut self) -> Result<String, Problem> {
        let (text, rest) = self.rest.split_once('\'').ok_or(Problem::Unmatched { what: "single-quote" })?;
        self.rest = rest;
        Ok(if self.expansion.raw_quotes { format!("'{text}'") } else { text.to_owned() })
    }

    fn double_quoted(&mut self) -> Result<String, Problem> {
        let raw = self.expansion.raw_quotes;
        let mut out = String::from(if raw { "\"" } else { "" });
        while let Some(character) = self.next() {
            match character {
                '"' => {
                    out.push_str(if raw { "\"" } else { "" });
                    return Ok(out);
                }
                '$' => out.push_str(&self.variable()?),
                escape if escape == self.expansion.escape => match self.next() {
                    Some(one) if one == '"' || one == '$' || one == escape => out.push(one),
                    Some(other) => out.extend([escape, other]),
                    None => {}
                },
                character => out.push(character),
            }
        }
        Err(Problem::Unmatched { what: "double-quote" })
    }

    /// What comes after a dollar sign.
    fn variable(&mut self) -> Result<String, Problem> {
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.value(&name) {
                None if self.expansion.keep_unset => format!("${name}"),
                value => value.unwrap_or_default(),
            });
        }
        self.next();
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Problem::TooMany { what: "braces within each other", limit: DEEPEST });
        }
        let text = self.braced();
        self.depth -= 1;
        text
    }

    fn braced(&mut self) -> Result<String, Problem> {
        match self.peek() {
            None => return Err(Problem::MissingBrace),
            Some('{' | '}' | ':') => return Err(Problem::BadSubstitution),
            _ => {}
        }
        let name = self.name();
        match self.next() {
            None => Err(Problem::MissingBrace),
            Some('}') => Ok(match self.value(&name) {
                None if self.expansion.keep_unset => format!("${{{name}}}"),
                value => value.unwrap_or_default(),
            }),
            Some(':') => match self.next() {
                Some(modifier @ ('+' | '-' | '?')) => self.conditional(&name, modifier, true),
                Some(other) => Err(Problem::Modifier { modifier: format!(":{other}") }),
                None => Err(Problem::MissingBrace),
            },
            Some(modifier @ ('+' | '-' | '?')) => self.conditional(&name, modifier, false),
            Some(side @ ('#' | '%')) => self.trimmed(&name, side),
            Some('/') => self.replaced(&name),
            Some(other) => Err(Problem::Modifier { modifier: other.to_string() }),
        }
    }

    /// `${name:-word}` and its kin; with a colon, an empty value is none.
    fn conditional(&mut self, name: &str, modifier: char, empty_is_none: bool) -> Result<String, Problem> {
        let (word, words) = self.inner('}', false)?;
        drop(words);
        let known = (self.expansion.values)(name);
        if modifier != '-' && known.is_none() {
            self.note_unset(name);
        }
        if known.is_none() && self.expansion.keep_unset {
            let colon = if empty_is_none { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let set = known.as_ref().is_some_and(|value| !(empty_is_none && value.is_empty()));
        match modifier {
            '+' => Ok(if set { word } else { String::new() }),
            '-' => Ok(known.filter(|_| set).unwrap_or(word)),
            _ if set => Ok(known.unwrap_or_default()),
            _ => {
                let silent =
                    if known.is_none() { "is not allowed to be unset" } else { "is not allowed to be empty" };
                let message = if word.is_empty() { silent.to_owned() } else { word };
                Err(Problem::Demanded { name: name.to_owned(), message })
            }
        }
    }

    /// `${name#pattern}` and `${name%pattern}`; doubled, as much as possible goes.
    fn trimmed(&mut self, name: &str, side: char) -> Result<String, Problem> {
        let greedy = self.peek() == Some(side);
        if greedy {
            self.next();
        }
        let (pattern, _) = self.inner('}', true)?;
        let Some(value) = self.value(name) else {
            let doubled = if greedy { side.to_string() } else { String::new() };
            let kept = format!("${{{name}{side}{doubled}{pattern}}}");
            return Ok(if self.expansion.keep_unset { kept } else { String::new() });
        };
        let glob = glob::Glob::new(&pattern, self.expansion.escape)?;
        Ok(if side == '#' { glob.trim_start(&value, greedy) } else { glob.trim_end(&value, greedy) })
    }

    /// `${name/pattern/replacement}`; with two slashes, everywhere.
    fn replaced(&mut self, name: &str) -> Result<String, Problem> {
        let everywhere = self.peek() == Some('/');
        if everywhere {
            self.next();
        }
        let (pattern, _) = self.inner('/', true)?;
        let (replacement, _) = self.inner('}', true)?;
        let Some(value) = self.value(name) else {
            let slashes = if everywhere { "//" } else { "/" };
            let kept = format!("${{{name}{slashes}{pattern}/{replacement}}}");
            return Ok(if self.expansion.keep_unset { kept } else { String::new() });
        };
        let replaced =
            glob::Glob::new(&pattern, self.expansion.escape)?.replace(&value, &replacement, everywhere);
        if replaced.len() > LONGEST {
            return Err(Problem::TooLong { what: "expanded text", limit: LONGEST });
        }
        Ok(replaced)
    }

    /// Text within braces; its words are nobody's.
    fn inner(&mut self, stop: char, raw: bool) -> Result<(String, Words), Problem> {
        let outer = std::mem::take(&mut self.words);
        let text = self.until(Some(stop), raw);
        Ok((text?, std::mem::replace(&mut self.words, outer)))
    }

    /// A name: letters, digits and `_`, or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let first = self.peek();
        let length = match first {
            Some(first) if first.is_ascii_alphabetic() || first == '_' => {
                let other = |character: char| !(character.is_ascii_alphanumeric() || character == '_');
                self.rest.find(other).unwrap_or(self.rest.len())
            }
            Some(first) if first.is_ascii_digit() => {
                self.rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(self.rest.len())
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => 0,
        };
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        name.to_owned()
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.expansion.values)(name);
        if value.is_none() {
            self.note_unset(name);
        }
        value
    }

    fn note_unset(&mut self, name: &str) {
        self.unset.insert(name.to_owned());
    }
}

#[cfg(test)]
mod tests;
