//! Finds the end of the first JSON value of a text, or says what is wrong with it in the words Docker's reader uses.

use std::fmt;

/// How deep lists and objects may lie in each other.
const MAX_DEPTH: usize = 10_000;

/// Where the first value ends.
///
/// # Errors
/// When there is none, or the text breaks off, or a character is out of place.
pub(crate) fn value_end(text: &[u8]) -> Result<usize, Wrong> {
    let mut scanner = Scanner { text, place: 0, open: Vec::new() };
    scanner.skip_blanks();
    if scanner.peek().is_none() {
        return Err(Wrong::Empty);
    }
    scanner.first_value()
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// There is nothing but blanks.
    Empty,
    /// It breaks off.
    Ended,
    /// A byte that can't be there; the words say what it came in the middle of.
    Character { byte: u8, words: &'static str },
    /// A byte that is not the next one of `true`, `false` or `null`.
    Literal { byte: u8, literal: &'static str, expected: u8 },
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("got EOF while reading request body"),
            Self::Ended => out.write_str("unexpected EOF"),
            Self::Character { byte, words } => write!(out, "invalid character {} {words}", Quoted(*byte)),
            Self::Literal { byte, literal, expected } => write!(
                out,
                "invalid character {} in literal {literal} (expecting {})",
                Quoted(*byte),
                Quoted(*expected)
            ),
        }
    }
}

/// A byte as a character in single quotes, with Go's escapes.
struct Quoted(u8);

impl fmt::Display for Quoted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\'' => out.write_str(r"'\''"),
            b'\\' => out.write_str(r"'\\'"),
            7 => out.write_str(r"'\a'"),
            8 => out.write_str(r"'\b'"),
            9 => out.write_str(r"'\t'"),
            10 => out.write_str(r"'\n'"),
            11 => out.write_str(r"'\v'"),
            12 => out.write_str(r"'\f'"),
            13 => out.write_str(r"'\r'"),
            byte @ (0..=31 | 127) => write!(out, "'\\x{byte:02x}'"),
            byte @ (0x80..=0xa0 | 0xad) => write!(out, "'\\u{byte:04x}'"),
            byte => write!(out, "'{}'", char::from(byte)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    List,
    Object,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
}

struct Scanner<'t> {
    text: &'t [u8],
    place: usize,
    open: Vec<Holder>,
}

impl Scanner<'_> {
    fn first_value(&mut self) -> Result<usize, Wrong> {
        let mut next = Next::Value;
        loop {
            self.skip_blanks();
            let byte = self.take()?;
            next = self.step(next, byte)?;
            if next == Next::CommaOrEnd && self.open.is_empty() {
                return Ok(self.place);
            }
        }
    }

    fn step(&mut self, next: Next, byte: u8) -> Result<Next, Wrong> {
        let wrong = |words| Err(Wrong::Character { byte, words });
        match (next, byte, self.open.last()) {
            (Next::ValueOrEnd, b']', _)
            | (Next::KeyOrEnd, b'}', _)
            | (Next::CommaOrEnd, b']', Some(Holder::List))
            | (Next::CommaOrEnd, b'}', Some(Holder::Object)) => {
                self.open.pop();
                Ok(Next::CommaOrEnd)
            }
            (Next::Value | Next::ValueOrEnd, ..) => self.value(byte),
            (Next::Key | Next::KeyOrEnd, b'"', _) => self.text().map(|()| Next::Colon),
            (Next::Key | Next::KeyOrEnd, ..) => wrong("looking for beginning of object key string"),
            (Next::Colon, b':', _) => Ok(Next::Value),
            (Next::Colon, ..) => wrong("after object key"),
            (Next::CommaOrEnd, b',', Some(Holder::List)) => Ok(Next::Value),
            (Next::CommaOrEnd, b',', Some(Holder::Object)) => Ok(Next::Key),
            (Next::CommaOrEnd, _, Some(Holder::List)) => wrong("after array element"),
            (Next::CommaOrEnd, ..) => wrong("after object key:value pair"),
        }
    }

    /// A whole text, number or word, or the beginning of a list or an object.
    fn value(&mut self, first: u8) -> Result<Next, Wrong> {
        match first {
            b'[' => return self.enter(first, Holder::List, Next::ValueOrEnd),
            b'{' => return self.enter(first, Holder::Object, Next::KeyOrEnd),
            b'"' => self.text()?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            b'-' | b'0'..=b'9' => self.number(first)?,
            byte => return Err(Wrong::Character { byte, words: "looking for beginning of value" }),
        }
        Ok(Next::CommaOrEnd)
    }

    fn enter(&mut self, byte: u8, holder: Holder, next: Next) -> Result<Next, Wrong> {
        self.open.push(holder);
        if self.open.len() > MAX_DEPTH {
            return Err(Wrong::Character { byte, words: "exceeded max depth" });
        }
        Ok(next)
    }

    /// The rest of a text, behind its first quote.
    fn text(&mut self) -> Result<(), Wrong> {
        loop {
            match self.take()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                byte @ 0..=31 => return Err(Wrong::Character { byte, words: "in string literal" }),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), Wrong> {
        match self.take()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => (0..4).try_for_each(|_| match self.take()? {
                byte if byte.is_ascii_hexdigit() => Ok(()),
                byte => Err(Wrong::Character { byte, words: "in \\u hexadecimal character escape" }),
            }),
            byte => Err(Wrong::Character { byte, words: "in string escape code" }),
        }
    }

    /// The rest of a word, behind its first letter.
    fn literal(&mut self, literal: &'static str) -> Result<(), Wrong> {
        literal.bytes().skip(1).try_for_each(|expected| match self.take()? {
            byte if byte == expected => Ok(()),
            byte => Err(Wrong::Literal { byte, literal, expected }),
        })
    }

    /// The rest of a number.
    fn number(&mut self, first: u8) -> Result<(), Wrong> {
        let first = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if first != b'0' {
            self.skip_digits();
        }
        if self.peek() == Some(b'.') {
            self.place += 1;
            self.digit("after decimal point in numeric literal")?;
            self.skip_digits();
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.place += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.place += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.skip_digits();
        }
        Ok(())
    }

    fn digit(&mut self, words: &'static str) -> Result<u8, Wrong> {
        match self.take()? {
            byte if byte.is_ascii_digit() => Ok(byte),
            byte => Err(Wrong::Character { byte, words }),
        }
    }

    fn skip_digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.place += 1;
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.place += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.place).copied()
    }

    fn take(&mut self) -> Result<u8, Wrong> {
        let byte = self.peek().ok_or(Wrong::Ended)?;
        self.place += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &str) {
        let said = match value_end(text) {
            Ok(end) => end.to_string(),
            Err(wrong) => wrong.to_string(),
        };
        assert_eq!(said, expected, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn values_end_where_they_end() {
        for (text, end) in [
            ("{}", 2),
            (" {} x", 3),
            ("5x", 1),
            ("0123", 1),
            ("-0.5e+10,", 8),
            ("nullx", 4),
            ("[1,[2,{\"a\":[]}],\"]\"] ]", 20),
            (r#""\u12aF\"" tail"#, 10),
        ] {
            check(text.as_bytes(), &end.to_string());
        }
        check("[".repeat(MAX_DEPTH).as_bytes(), "unexpected EOF");
    }

    /// Answers of Docker 26.1 to these bodies.
    #[test]
    fn words_are_docker_s() {
        let value = "looking for beginning of value";
        let key = "looking for beginning of object key string";
        for (text, words) in [
            (&br#"{"Name":"x",}"#[..], &format!("'}}' {key}")[..]),
            (br#"{"Name":nope}"#, "'o' in literal null (expecting 'u')"),
            (br#"{"Name":truth}"#, "'t' in literal true (expecting 'e')"),
            (br"{'Name':'x'}", &format!(r"'\'' {key}")),
            (b"[1,]", &format!("']' {value}")),
            (br#"{"Name":"\q"}"#, "'q' in string escape code"),
            (br#"{"Name":"\u12g4"}"#, r"'g' in \u hexadecimal character escape"),
            (b"\"a\nb\"", r"'\n' in string literal"),
            (b"\"a\0b\"", r"'\x00' in string literal"),
            (b"1.x", "'x' after decimal point in numeric literal"),
            (br#"{"Name":01}"#, "'1' after object key:value pair"),
            (b"[-]", "']' in numeric literal"),
            (b"[1e]", "']' in exponent of numeric literal"),
            (b"+1", &format!("'+' {value}")),
            (br#"{"Name" 1}"#, "'1' after object key"),
            (br#"{"Name":"x" "y":1}"#, "'\"' after object key:value pair"),
            (b"[1 2]", "'2' after array element"),
            (b"[1}", "'}' after array element"),
            (b"\xff", &format!("'\u{ff}' {value}")),
            (b"\x7f", &format!(r"'\x7f' {value}")),
            (b"\x85", &format!(r"'\u0085' {value}")),
        ] {
            check(text, &format!("invalid character {words}"));
        }
        check("[".repeat(MAX_DEPTH + 1).as_bytes(), "invalid character '[' exceeded max depth");
        for text in ["{", "{\"Name\":tru", "-", "\"abc", "[1", "1.", r#""\u1"#] {
            check(text.as_bytes(), "unexpected EOF");
        }
        check(b" \n", "got EOF while reading request body");
    }
}
