//! Builds the tree of a template from its tokens.

use std::collections::BTreeMap;

use super::function;
use super::lexer::{self, Lexeme, ParseError, Token, line_of};
use super::syntax::{Node, Operand, OperandKind, Pipe, Place};

type Defined = BTreeMap<String, Vec<Node>>;

pub(super) fn parse(source: &str) -> Result<(Vec<Node>, Defined), ParseError> {
    let lexemes = lexer::tokens(source)?;
    let mut parser = Parser {
        source,
        lexemes,
        position: 0,
        defined: Defined::new(),
        variables: vec!["$".to_owned()],
        loops: 0,
    };
    let (nodes, stop) = parser.list(false)?;
    match stop {
        Stop::End => Ok((nodes, parser.defined)),
        Stop::Else(_) => parser.error("unexpected {{else}}"),
        Stop::Close => parser.error("unexpected {{end}}"),
    }
}

enum Stop {
    End,
    Close,
    /// `{{else}}`, or the word of `{{else if ...}}`.
    Else(Option<String>),
}

struct Parser<'a> {
    source: &'a str,
    lexemes: Vec<Lexeme>,
    position: usize,
    defined: Defined,
    variables: Vec<String>,
    loops: usize,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        self.lexemes.get(self.position).map_or(&Token::End, |lexeme| &lexeme.token)
    }

    fn lexeme(&self) -> Option<&Lexeme> {
        self.lexemes.get(self.position)
    }

    fn advance(&mut self) {
        self.position += 1;
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        let offset = self.lexeme().map_or(self.source.len(), |lexeme| lexeme.start);
        Err(ParseError { line: line_of(self.source, offset), message: message.into() })
    }

    fn unexpected<T>(&self, context: &str) -> Result<T, ParseError> {
        let shown = match self.token() {
            Token::End => "unexpected EOF".to_owned(),
            Token::Close => "unexpected \"}}\"".to_owned(),
            _ => {
                let text = self.lexeme().and_then(|lexeme| self.source.get(lexeme.start..lexeme.end));
                format!("unexpected {:?}", text.unwrap_or_default())
            }
        };
        self.error(format!("{shown} in {context}"))
    }

    fn list(&mut self, nested: bool) -> Result<(Vec<Node>, Stop), ParseError> {
        let mut nodes = Vec::new();
        loop {
            match self.token().clone() {
                Token::Text(text) => {
                    nodes.push(Node::Text(text));
                    self.advance();
                }
                Token::Open => {
                    self.advance();
                    if let Some(stop) = self.action(&mut nodes)? {
                        return Ok((nodes, stop));
                    }
                }
                _ if nested => return self.error("unexpected EOF"),
                _ => return Ok((nodes, Stop::End)),
            }
        }
    }

    fn action(&mut self, nodes: &mut Vec<Node>) -> Result<Option<Stop>, ParseError> {
        let Token::Word(word) = self.token().clone() else {
            let pipe = self.pipe("command")?;
            nodes.push(Node::Action(pipe));
            return Ok(None);
        };
        match word.as_str() {
            "end" => {
                self.advance();
                self.close("end")?;
                return Ok(Some(Stop::Close));
            }
            "else" => {
                self.advance();
                if let Token::Word(next) = self.token().clone()
                    && matches!(next.as_str(), "if" | "with")
                {
                    self.advance();
                    return Ok(Some(Stop::Else(Some(next))));
                }
                self.close("else")?;
                return Ok(Some(Stop::Else(None)));
            }
            "if" | "with" | "range" => {
                self.advance();
                let node = self.branch(&word)?;
                nodes.push(node);
            }
            "break" | "continue" => {
                self.advance();
                if self.loops == 0 {
                    return self.error(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                self.close(&word)?;
                nodes.push(if word == "break" { Node::Break } else { Node::Continue });
            }
            "template" | "block" | "define" => {
                self.advance();
                self.named(&word, nodes)?;
            }
            _ => {
                let pipe = self.pipe("command")?;
                nodes.push(Node::Action(pipe));
            }
        }
        Ok(None)
    }

    fn close(&mut self, context: &str) -> Result<(), ParseError> {
        if *self.token() != Token::Close {
            return self.unexpected(context);
        }
        self.advance();
        Ok(())
    }

    fn branch(&mut self, word: &str) -> Result<Node, ParseError> {
        let scope = self.variables.len();
        let pipe = self.pipe(word)?;
        let looping = usize::from(word == "range");
        self.loops += looping;
        let (body, stop) = self.list(true)?;
        self.loops -= looping;
        let otherwise = match stop {
            Stop::Close => Vec::new(),
            Stop::Else(Some(next)) => vec![self.branch(&next)?],
            Stop::Else(None) => {
                let (otherwise, stop) = self.list(true)?;
                if !matches!(stop, Stop::Close) {
                    return self.error("expected end; found {{else}}");
                }
                otherwise
            }
            Stop::End => return self.error("unexpected EOF"),
        };
        self.variables.truncate(scope);
        Ok(match word {
            "if" => Node::If { pipe, then: body, otherwise },
            "with" => Node::With { pipe, then: body, otherwise },
            _ => Node::Range { pipe, body, otherwise },
        })
    }

    fn named(&mut self, word: &str, nodes: &mut Vec<Node>) -> Result<(), ParseError> {
        let place = self.place();
        let Token::Quoted(name) = self.token().clone() else {
            return self.unexpected(&format!("{word} clause"));
        };
        self.advance();
        if word == "define" {
            self.close("define clause")?;
            let (body, _) = self.list(true)?;
            self.defined.insert(name, body);
            return Ok(());
        }
        let pipe = if *self.token() == Token::Close {
            self.advance();
            None
        } else {
            Some(self.pipe(&format!("{word} clause"))?)
        };
        if word == "block" {
            let (body, _) = self.list(true)?;
            self.defined.entry(name.clone()).or_insert(body);
        }
        nodes.push(Node::Call { place, name, pipe });
        Ok(())
    }

    fn place(&self) -> Place {
        let (start, end) = self.lexeme().map_or((0, 0), |lexeme| (lexeme.start, lexeme.end));
        let line_start =
            self.source.get(..start).and_then(|text| text.rfind('\n')).map_or(0, |index| index + 1);
        Place {
            line: line_of(self.source, start),
            column: start - line_start,
            text: self.source.get(start..end).unwrap_or_default().to_owned(),
        }
    }

    /// A pipeline up to and including the closing braces.
    fn pipe(&mut self, context: &str) -> Result<Pipe, ParseError> {
        let pipe = self.pipeline(context, &Token::Close)?;
        Ok(pipe)
    }

    fn pipeline(&mut self, context: &str, end: &Token) -> Result<Pipe, ParseError> {
        let mut pipe = Pipe::default();
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.token().clone();
            if token == *end {
                if pipe.commands.is_empty() {
                    return self.error(format!("missing value for {context}"));
                }
                self.advance();
                return Ok(pipe);
            }
            let command = self.command(end)?;
            if !pipe.commands.is_empty()
                && let Some(first) = command.first()
                && matches!(
                    first.kind,
                    OperandKind::Bool(_)
                        | OperandKind::Nil
                        | OperandKind::Int(_)
                        | OperandKind::Float(_)
                        | OperandKind::Text(_)
                )
            {
                let stage = pipe.commands.len() + 1;
                return self.error(format!("non executable command in pipeline stage {stage}"));
            }
            pipe.commands.push(command);
        }
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), ParseError> {
        let look =
            |offset: usize| self.lexemes.get(self.position + offset).map(|lexeme| lexeme.token.clone());
        let Some(Token::Variable(first)) = look(0) else { return Ok(()) };
        let mut names = vec![first];
        let mut offset = 1;
        if look(1) == Some(Token::Comma)
            && context == "range"
            && let Some(Token::Variable(second)) = look(2)
        {
            names.push(second);
            offset = 3;
        }
        match look(offset) {
            Some(Token::Declare) => self.variables.extend(names.iter().cloned()),
            Some(Token::Assign) => pipe.assigns = true,
            _ => return Ok(()),
        }
        pipe.variables = names;
        self.position += offset + 1;
        Ok(())
    }

    fn command(&mut self, end: &Token) -> Result<Vec<Operand>, ParseError> {
        let start = self.lexeme().map_or(0, |lexeme| lexeme.start);
        let mut operands = Vec::new();
        loop {
            let end_before = self.position.checked_sub(1).and_then(|index| self.lexemes.get(index));
            let end_before = end_before.map_or(0, |lexeme| lexeme.end);
            match self.token() {
                Token::Pipe if operands.is_empty() => return self.error("missing value for command"),
                Token::Pipe => {
                    self.advance();
                    if *self.token() == *end {
                        return self.error("missing value for command");
                    }
                    return Ok(self.named_whole(operands, start, end_before));
                }
                token if token == end && !operands.is_empty() => {
                    return Ok(self.named_whole(operands, start, end_before));
                }
                _ => {
                    let operand = self.operand()?;
                    operands.push(operand);
                }
            }
        }
    }

    /// Messages about a call show the whole command.
    fn named_whole(&self, mut operands: Vec<Operand>, start: usize, end: usize) -> Vec<Operand> {
        if let Some(Operand { place, kind: OperandKind::Function(_), .. }) = operands.first_mut() {
            place.text = self.source.get(start..end).unwrap_or_default().to_owned();
        }
        operands
    }

    fn operand(&mut self) -> Result<Operand, ParseError> {
        let mut place = self.place();
        let mut fields = Vec::new();
        let kind = match self.token().clone() {
            Token::Dot => OperandKind::Dot,
            Token::Field(name) => {
                fields.push(name);
                OperandKind::Dot
            }
            Token::Variable(name) => {
                if !self.variables.contains(&name) {
                    return self.error(format!("undefined variable {name:?}"));
                }
                OperandKind::Variable(name)
            }
            Token::Word(word) => match word.as_str() {
                "true" => OperandKind::Bool(true),
                "false" => OperandKind::Bool(false),
                "nil" => OperandKind::Nil,
                _ if function::exists(&word) => OperandKind::Function(word),
                _ => return self.error(format!("function {word:?} not defined")),
            },
            Token::Quoted(text) => OperandKind::Text(text),
            Token::Char(c) => OperandKind::Int(i64::from(u32::from(c))),
            Token::Number(text) => match number(&text) {
                Some(kind) => kind,
                None => return self.error(format!("bad number syntax: {text:?}")),
            },
            Token::LeftParen => {
                self.advance();
                let pipe = self.pipeline("parenthesized pipeline", &Token::RightParen)?;
                self.position -= 1;
                OperandKind::Pipe(Box::new(pipe))
            }
            _ => return self.unexpected("operand"),
        };
        self.advance();
        let mut first = true;
        while let Some(Lexeme { token: Token::Field(name), spaced: false, .. }) = self.lexeme() {
            let name = name.clone();
            if std::mem::take(&mut first) {
                // Go places a chain of fields at its second one.
                place.column = self.place().column;
            }
            fields.push(name.clone());
            place.text.push('.');
            place.text.push_str(&name);
            self.advance();
        }
        Ok(Operand { place, kind, fields })
    }
}

fn number(text: &str) -> Option<OperandKind> {
    let clean = text.replace('_', "");
    let (negative, digits) = match clean.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, clean.strip_prefix('+').unwrap_or(&clean)),
    };
    let parsed = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16).ok()
    } else if let Some(octal) = digits.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok()
    } else if let Some(binary) = digits.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()
    } else if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        i64::from_str_radix(digits, 8).ok()
    } else {
        digits.parse().ok()
    };
    match parsed {
        Some(value) => Some(OperandKind::Int(if negative { -value } else { value })),
        None => {
            digits.parse::<f64>().ok().map(|value| OperandKind::Float(if negative { -value } else { value }))
        }
    }
}
