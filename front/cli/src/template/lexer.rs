//! Cuts a template into text and the tokens of its actions.

/// A text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: :{line}: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Text(String),
    Open,
    Close,
    /// `.A`; blank before it matters.
    Field(String),
    Dot,
    Variable(String),
    Word(String),
    Quoted(String),
    Number(String),
    Char(char),
    Pipe,
    LeftParen,
    RightParen,
    Declare,
    Assign,
    Comma,
    End,
}

#[derive(Debug, Clone)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether blanks stand before it.
    pub(super) spaced: bool,
}

pub(super) fn line_of(source: &str, offset: usize) -> usize {
    source.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

pub(super) struct Lexer<'a> {
    source: &'a str,
    position: usize,
    out: Vec<Lexeme>,
    depth: usize,
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) fn tokens(source: &str) -> Result<Vec<Lexeme>, ParseError> {
    let mut lexer = Lexer { source, position: 0, out: Vec::new(), depth: 0 };
    lexer.run()?;
    Ok(lexer.out)
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.position..).unwrap_or_default()
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError { line: line_of(self.source, self.position), message: message.into() })
    }

    fn push(&mut self, token: Token, start: usize, spaced: bool) {
        self.out.push(Lexeme { token, start, end: self.position, spaced });
    }

    fn run(&mut self) -> Result<(), ParseError> {
        let mut trim_next = false;
        loop {
            let start = self.position;
            let open = self.rest().find("{{");
            let mut text =
                self.rest().get(..open.unwrap_or(self.rest().len())).unwrap_or_default().to_owned();
            if trim_next {
                text = text.trim_start_matches(BLANKS).to_owned();
            }
            let Some(open) = open else {
                self.position = self.source.len();
                if !text.is_empty() {
                    self.push(Token::Text(text), start, false);
                }
                self.push(Token::End, self.position, false);
                return Ok(());
            };
            self.position += open;
            let after = self.source.get(self.position + 2..).unwrap_or_default();
            let trims = after.starts_with('-') && after[1..].starts_with(BLANKS);
            if trims {
                text = text.trim_end_matches(BLANKS).to_owned();
            }
            if !text.is_empty() {
                self.push(Token::Text(text), start, false);
            }
            let open_at = self.position;
            self.position += if trims { 3 } else { 2 };
            let inner = self.rest().trim_start_matches(BLANKS);
            if inner.starts_with("/*") {
                trim_next = self.comment()?;
                continue;
            }
            self.push(Token::Open, open_at, false);
            trim_next = self.action()?;
        }
    }

    fn comment(&mut self) -> Result<bool, ParseError> {
        let Some(end) = self.rest().find("*/") else { return self.error("unclosed comment") };
        self.position += end + 2;
        for (mark, trims) in [("}}", false), (" -}}", true)] {
            if self.rest().starts_with(mark) {
                self.position += mark.len();
                return Ok(trims);
            }
        }
        self.error("comment ends before closing delimiter")
    }

    /// Tokens up to the closing braces; whether text behind them is trimmed.
    fn action(&mut self) -> Result<bool, ParseError> {
        loop {
            let before = self.position;
            let blanks = self.rest().len() - self.rest().trim_start_matches(BLANKS).len();
            if blanks > 0 && self.rest()[blanks..].starts_with("-}}") {
                self.position += blanks + 3;
                self.push(Token::Close, before, true);
                return Ok(true);
            }
            self.position += blanks;
            if self.rest().starts_with("}}") {
                if self.depth > 0 {
                    return self.error("unclosed left paren");
                }
                self.position += 2;
                self.push(Token::Close, self.position - 2, blanks > 0);
                return Ok(false);
            }
            self.token(blanks > 0)?;
        }
    }

    fn token(&mut self, spaced: bool) -> Result<(), ParseError> {
        let start = self.position;
        let Some(first) = self.rest().chars().next() else { return self.error("unclosed action") };
        let second = self.rest().chars().nth(1);
        let simple = match first {
            '|' => Some(Token::Pipe),
            ',' => Some(Token::Comma),
            '(' => {
                self.depth += 1;
                Some(Token::LeftParen)
            }
            ')' if self.depth == 0 => return self.error("unexpected right paren"),
            ')' => {
                self.depth -= 1;
                Some(Token::RightParen)
            }
            '=' => Some(Token::Assign),
            _ => None,
        };
        if let Some(token) = simple {
            self.position += 1;
            self.push(token, start, spaced);
            return Ok(());
        }
        self.longer_token(first, second, spaced)
    }

    /// Tokens of more than one character.
    fn longer_token(&mut self, first: char, second: Option<char>, spaced: bool) -> Result<(), ParseError> {
        let start = self.position;
        match first {
            ':' if second == Some('=') => {
                self.position += 2;
                self.push(Token::Declare, start, spaced);
            }
            ':' => return self.error("expected :="),
            '"' | '`' | '\'' => self.quoted(first, spaced)?,
            '.' if second.is_none_or(|next| !next.is_ascii_digit()) => {
                self.position += 1;
                let name = self.name();
                let token = if name.is_empty() { Token::Dot } else { Token::Field(name) };
                self.push(token, start, spaced);
            }
            '$' => {
                self.position += 1;
                let name = format!("${}", self.name());
                self.push(Token::Variable(name), start, spaced);
            }
            '+' | '-' | '.' | '0'..='9' => {
                let length = self.rest().len()
                    - self
                        .rest()
                        .trim_start_matches(|c: char| c.is_alphanumeric() || "+-._".contains(c))
                        .len();
                let text = self.rest().get(..length.max(1)).unwrap_or_default().to_owned();
                self.position += text.len();
                self.push(Token::Number(text), start, spaced);
            }
            c if c.is_alphabetic() || c == '_' => {
                let name = self.name();
                self.push(Token::Word(name), start, spaced);
            }
            c => {
                return self.error(format!("unrecognized character in action: U+{:04X} '{c}'", u32::from(c)));
            }
        }
        Ok(())
    }

    fn name(&mut self) -> String {
        let length = self.rest().len()
            - self.rest().trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len();
        let name = self.rest().get(..length).unwrap_or_default().to_owned();
        self.position += length;
        name
    }

    fn quoted(&mut self, quote: char, spaced: bool) -> Result<(), ParseError> {
        let start = self.position;
        let raw = quote == '`';
        let mut escaped = false;
        let mut end = None;
        for (offset, c) in self.rest().char_indices().skip(1) {
            if escaped {
                escaped = false;
            } else if c == '\\' && !raw {
                escaped = true;
            } else if c == quote {
                end = Some(offset);
                break;
            } else if c == '\n' && !raw {
                break;
            }
        }
        let Some(end) = end else {
            return self.error(match quote {
                '`' => "unterminated raw quoted string",
                '"' => "unterminated quoted string",
                _ => "unterminated character constant",
            });
        };
        let inner = self.rest().get(1..end).unwrap_or_default().to_owned();
        self.position += end + 1;
        let text = if raw { inner } else { unescape(&inner) };
        let token = match (quote, text.chars().next()) {
            ('\'', Some(c)) => Token::Char(c),
            _ => Token::Quoted(text),
        };
        self.push(token, start, spaced);
        Ok(())
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\x07'),
            Some('b') => out.push('\x08'),
            Some('f') => out.push('\x0c'),
            Some('v') => out.push('\x0b'),
            Some(kind @ ('x' | 'u' | 'U')) => {
                let count = match kind {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits: String = chars.by_ref().take(count).collect();
                out.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}
