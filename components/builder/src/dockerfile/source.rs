//! The text of a Dockerfile as logical lines: directives at its top, comments gone, continued lines joined, heredocs read.

use super::error::{At, DockerfileError, Problem};
use super::heredoc::{self, Heredoc};
use super::{Finding, Lines, Warning};

/// Longest Dockerfile in bytes, as the classic builder and BuildKit's frontend have it at least.
const LONGEST: usize = 2 << 20;
/// Longest logical line in bytes, heredocs not counted.
const LONGEST_LINE: usize = 1 << 20;

/// What the comments at the top of the file say to the parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `syntax`: the frontend asked for, and where.
    pub syntax: Option<(String, Lines)>,
    /// `escape`: a backslash or a backtick.
    pub escape: char,
    /// `check`: what the checks are told.
    pub check: Option<(String, Lines)>,
}

/// One instruction as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// The first word, as it is written.
    pub(crate) keyword: String,
    /// What comes after it, in one line.
    pub(crate) rest: String,
    pub(crate) heredocs: Vec<Heredoc>,
    /// The line, joined, without heredocs.
    pub(crate) text: String,
    pub(crate) lines: Lines,
    /// Comments directly above.
    pub(crate) comments: Vec<String>,
}

/// The physical lines, with a place.
struct Cursor<'s> {
    lines: std::iter::Enumerate<std::str::Lines<'s>>,
    /// Number of the line read last, from 1.
    at: usize,
}

impl<'s> Cursor<'s> {
    fn next(&mut self) -> Option<&'s str> {
        let (index, line) = self.lines.next()?;
        self.at = index + 1;
        Some(line)
    }
}

/// A file taken apart.
pub(crate) struct Source {
    pub(crate) directives: Directives,
    pub(crate) statements: Vec<Statement>,
    pub(crate) warnings: Vec<Warning>,
}

/// Takes a Dockerfile apart.
pub(crate) fn read(bytes: &[u8]) -> Result<Source, DockerfileError> {
    if bytes.len() > LONGEST {
        return Err(Problem::TooLong { what: "file", limit: LONGEST }.into());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes.get(..error.valid_up_to()).unwrap_or_default().split(|byte| *byte == b'\n').count();
        Problem::NotUtf8.at(Lines::one(line))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    statements(text, directives(text)?)
}

/// Takes a trigger apart, whose file said what escapes.
pub(crate) fn read_with(text: &str, escape: char) -> Result<Source, DockerfileError> {
    if text.len() > LONGEST {
        return Err(Problem::TooLong { what: "file", limit: LONGEST }.into());
    }
    statements(text, Directives { syntax: None, escape, check: None })
}

fn statements(text: &str, directives: Directives) -> Result<Source, DockerfileError> {
    let mut source = Source { directives, statements: Vec::new(), warnings: Vec::new() };
    let mut cursor = Cursor { lines: text.lines().enumerate(), at: 0 };
    let mut comments = Vec::new();
    while let Some(line) = cursor.next() {
        let line = line.trim_start();
        if let Some(comment) = line.strip_prefix('#') {
            comments.push(comment.trim().to_owned());
        } else if line.is_empty() {
            comments.clear();
        } else {
            let statement = statement(line, &mut cursor, std::mem::take(&mut comments), &mut source)?;
            source.statements.push(statement);
        }
    }
    Ok(source)
}

/// The directives: comments of the form `# name=value` before anything else. The first line that is none ends them.
fn directives(text: &str) -> Result<Directives, DockerfileError> {
    let mut found = Directives { syntax: None, escape: '\\', check: None };
    let mut escaped = false;
    for (index, line) in text.lines().enumerate() {
        let Some((name, value)) = directive(line) else { break };
        let lines = Lines::one(index + 1);
        let twice = |is: bool| {
            if is { Err(Problem::DirectiveTwice { name: name.clone() }.at(lines)) } else { Ok(()) }
        };
        match name.as_str() {
            "syntax" => {
                twice(found.syntax.is_some())?;
                found.syntax = Some((value.to_owned(), lines));
            }
            "check" => {
                twice(found.check.is_some())?;
                found.check = Some((value.to_owned(), lines));
            }
            "escape" => {
                twice(std::mem::replace(&mut escaped, true))?;
                found.escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    other => return Err(Problem::Escape { value: other.to_owned() }.at(lines)),
                };
            }
            _ => break,
        }
    }
    Ok(found)
}

/// `# name = value`; names are told apart without case.
fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let named = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (named && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
}

fn statement(
    line: &str,
    cursor: &mut Cursor<'_>,
    comments: Vec<String>,
    source: &mut Source,
) -> Result<Statement, DockerfileError> {
    let first = cursor.at;
    let text = joined(line, cursor, source)?;
    let (keyword, rest) = match text.trim().split_once(char::is_whitespace) {
        Some((keyword, rest)) => (keyword.to_owned(), rest.trim().to_owned()),
        None => (text.trim().to_owned(), String::new()),
    };
    let mut heredocs = Vec::new();
    for opening in heredoc::openings(&keyword, &rest, source.directives.escape) {
        heredocs.push(read_heredoc(opening, cursor, first)?);
    }
    Ok(Statement { keyword, rest, heredocs, text, lines: Lines { first, last: cursor.at }, comments })
}

/// A line with those that continue it. Comments and empty lines between them do not count.
fn joined(line: &str, cursor: &mut Cursor<'_>, source: &mut Source) -> Result<String, DockerfileError> {
    let first = cursor.at;
    let escape = source.directives.escape;
    let (start, mut open) = continued(line, escape);
    let mut text = start.to_owned();
    let mut empty = None;
    while open {
        let Some(next) = cursor.next() else { break };
        if next.trim_start().starts_with('#') {
            continue;
        }
        if next.trim().is_empty() {
            empty = Some(cursor.at);
            continue;
        }
        let (more, goes_on) = continued(next, escape);
        text.push_str(more);
        open = goes_on;
        if text.len() > LONGEST_LINE {
            let problem = Problem::TooLong { what: "line", limit: LONGEST_LINE };
            return Err(problem.at(Lines { first, last: cursor.at }));
        }
    }
    if let Some(at) = empty {
        source.warnings.push(Warning { finding: Finding::NoEmptyContinuation, lines: Lines::one(at) });
    }
    Ok(text)
}

/// A line without the escape character at its end, and whether there was one. Two of them are none.
fn continued(line: &str, escape: char) -> (&str, bool) {
    let bare = line.trim_end_matches([' ', '\t']);
    match bare.strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

fn read_heredoc(
    mut heredoc: Heredoc,
    cursor: &mut Cursor<'_>,
    first: usize,
) -> Result<Heredoc, DockerfileError> {
    while let Some(line) = cursor.next() {
        let bare = if heredoc.chomp { line.trim_start_matches('\t') } else { line };
        if bare == heredoc.name {
            return Ok(heredoc);
        }
        heredoc.content.push_str(line);
        heredoc.content.push('\n');
    }
    Err(Problem::UnterminatedHeredoc.at(Lines { first, last: cursor.at }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(text: &str) -> Vec<(String, String, (usize, usize))> {
        let source = read(text.as_bytes()).unwrap();
        let shown = |one: Statement| (one.keyword, one.rest, (one.lines.first, one.lines.last));
        source.statements.into_iter().map(shown).collect()
    }

    fn one(keyword: &str, rest: &str, lines: (usize, usize)) -> (String, String, (usize, usize)) {
        (keyword.to_owned(), rest.to_owned(), lines)
    }

    #[test]
    fn lines_are_joined_and_comments_dropped() {
        let text =
            "\u{feff}# a comment\nFROM  a \\\n  AS \\  \n# within\n  b\n\n  RUN echo \\\\\nRUN x \\\n\n y";
        assert_eq!(
            statements(text),
            [one("FROM", "a   AS   b", (2, 5)), one("RUN", "echo \\\\", (7, 7)), one("RUN", "x  y", (8, 10))]
        );
        let source = read(text.as_bytes()).unwrap();
        assert_eq!(source.warnings.len(), 1);
        assert_eq!(source.statements[0].comments, ["a comment"]);
    }

    #[test]
    fn the_escape_character_can_be_a_backtick() {
        let text = "# escape = `\r\nFROM a\r\nCOPY x c:\\\r\nRUN a `\r\n b\r\n";
        assert_eq!(
            statements(text),
            [one("FROM", "a", (2, 2)), one("COPY", "x c:\\", (3, 3)), one("RUN", "a  b", (4, 5))]
        );
    }

    #[test]
    fn directives_stand_at_the_top_and_once() {
        let of = |text: &str| read(text.as_bytes()).map(|source| source.directives);
        let found = of("#syntax=docker/dockerfile:1\n# CHECK = skip=all;error=true\nFROM a").unwrap();
        assert_eq!(found.syntax.unwrap(), ("docker/dockerfile:1".to_owned(), Lines::one(1)));
        assert_eq!(found.check.unwrap().0, "skip=all;error=true");
        assert_eq!(of("# about=x\n# escape=`\nFROM a").unwrap().escape, '\\', "an unknown one ends them");
        assert_eq!(of("FROM a\n# escape=`\n").unwrap().escape, '\\');
        let error = |text: &str| of(text).unwrap_err().to_string();
        assert_eq!(error("# escape=`\n# escape=`\n"), "only one escape parser directive can be used");
        assert_eq!(error("# escape=x\n"), "invalid escape token 'x' does not match ` or \\");
    }

    #[test]
    fn heredocs_follow_their_line() {
        let source = read(b"RUN <<A cat - <<-\"B\" >x\none\nA\n\ttwo\n\tB\nRUN y\n").unwrap();
        let [first, second] = &source.statements[..] else { panic!("two instructions") };
        let shown: Vec<_> = first
            .heredocs
            .iter()
            .map(|one| (one.name.as_str(), one.content.as_str(), one.chomp, one.expand))
            .collect();
        assert_eq!(shown, [("A", "one\n", false, true), ("B", "\ttwo\n", true, false)]);
        assert_eq!((first.lines, second.lines), (Lines { first: 1, last: 5 }, Lines::one(6)));
        let error = read(b"FROM a\nCOPY <<A /x\nb\n").map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "unterminated heredoc");
    }

    #[test]
    fn size_and_letters_have_limits() {
        let long = format!("RUN {}\n", "xxxxxxxx\\\n".repeat(LONGEST_LINE / 8 + 1));
        assert!(read(&long.into_bytes()).is_err());
        assert!(read(&vec![b'x'; LONGEST + 1]).is_err());
        let error = read(b"FROM a\nRUN \xff\n").map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "dockerfile parse error on line 2: the file is not UTF-8 text");
    }
}
