//! Walks the tree of a template over a value.

use super::syntax::{Node, Operand, OperandKind, Pipe, Place};
use super::value::{Shape, Value};
use super::{Template, function, print};

/// A template could not be run over a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: {template}:{line}:{column}: executing \"{template}\" at <{text}>: {message}")]
pub struct ExecError {
    /// The name of the template.
    pub template: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 0.
    pub column: usize,
    /// The operand.
    pub text: String,
    /// What is wrong with it.
    pub message: String,
}

impl ExecError {
    pub(super) fn within(mut self, template: &'static str) -> Self {
        self.template = template;
        self
    }
}

enum Flow {
    Next,
    Break,
    Continue,
}

struct Run<'a> {
    template: &'a Template,
    headings: bool,
    variables: Vec<(String, Value)>,
    out: String,
    depth: usize,
}

/// Templates may call themselves; Go allows 100000 levels, our stack fewer.
const MAX_DEPTH: usize = 200;

pub(super) fn run(template: &Template, data: &Value, headings: bool) -> Result<String, ExecError> {
    let variables = vec![("$".to_owned(), data.clone())];
    let mut run = Run { template, headings, variables, out: String::new(), depth: 0 };
    run.nodes(&template.root, data)?;
    Ok(run.out)
}

fn failure<T>(place: &Place, message: impl Into<String>) -> Result<T, ExecError> {
    let text = if place.text.chars().count() > 20 {
        format!("{}...", place.text.chars().take(20).collect::<String>())
    } else {
        place.text.clone()
    };
    Err(ExecError { template: "", line: place.line, column: place.column, text, message: message.into() })
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, ExecError> {
        for node in nodes {
            match self.node(node, dot)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, ExecError> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    let text = print::action(&value);
                    self.out.push_str(&text);
                }
            }
            Node::If { pipe, then, otherwise } => {
                let scope = self.variables.len();
                let value = self.pipe(pipe, dot)?;
                let flow = self.nodes(if value.truth() { then } else { otherwise }, dot);
                self.variables.truncate(scope);
                return flow;
            }
            Node::With { pipe, then, otherwise } => {
                let scope = self.variables.len();
                let value = self.pipe(pipe, dot)?;
                let flow = if value.truth() { self.nodes(then, &value) } else { self.nodes(otherwise, dot) };
                self.variables.truncate(scope);
                return flow;
            }
            Node::Range { pipe, body, otherwise } => return self.range(pipe, body, otherwise, dot),
            Node::Call { place, name, pipe } => self.template(place, name, pipe.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn template(
        &mut self,
        place: &Place,
        name: &str,
        pipe: Option<&Pipe>,
        dot: &Value,
    ) -> Result<(), ExecError> {
        let template = self.template;
        let Some(body) = template.defined.get(name) else {
            return failure(place, format!("template {name:?} not defined"));
        };
        if self.depth >= MAX_DEPTH {
            return failure(place, format!("exceeded maximum template depth ({MAX_DEPTH})"));
        }
        let data = match pipe {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Missing,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), data.clone())]);
        self.depth += 1;
        let result = self.nodes(body, &data);
        self.depth -= 1;
        self.variables = outer;
        result.map(drop)
    }

    fn range(
        &mut self,
        pipe: &Pipe,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, ExecError> {
        let scope = self.variables.len();
        let value = self.commands(pipe, dot)?;
        let pairs: Vec<(Value, Value)> = match &value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (Value::Int(index as i64), item.clone()))
                .collect(),
            Value::Map(entries, Shape::Map | Shape::Struct) => {
                let mut pairs: Vec<_> = entries.iter().collect();
                pairs.sort_by(|one, other| one.0.cmp(&other.0));
                pairs.into_iter().map(|(key, value)| (Value::Text(key.clone()), value.clone())).collect()
            }
            Value::Int(count) => (0..*count).map(|index| (Value::Int(index), Value::Int(index))).collect(),
            Value::Missing | Value::Null(_) => Vec::new(),
            other => {
                let message = format!("range can't iterate over {}", print::plain(other));
                return failure(&first_place(pipe), message);
            }
        };
        if pairs.is_empty() {
            let flow = self.nodes(otherwise, dot);
            self.variables.truncate(scope);
            return flow;
        }
        for (key, item) in pairs {
            let mark = self.variables.len();
            match pipe.variables.as_slice() {
                [only] => self.bind(only, item.clone(), pipe.assigns),
                [first, second] => {
                    self.bind(first, key, pipe.assigns);
                    self.bind(second, item.clone(), pipe.assigns);
                }
                _ => {}
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(mark);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        self.variables.truncate(scope);
        Ok(Flow::Next)
    }

    fn bind(&mut self, name: &str, value: Value, assigns: bool) {
        if assigns && let Some(slot) = self.variables.iter_mut().rev().find(|(held, _)| held == name) {
            slot.1 = value;
            return;
        }
        self.variables.push((name.to_owned(), value));
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, ExecError> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            self.bind(name, value.clone(), pipe.assigns);
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, ExecError> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Value::Missing))
    }

    fn command(
        &mut self,
        command: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, ExecError> {
        let Some((first, rest)) = command.split_first() else { return Ok(Value::Missing) };
        if let OperandKind::Function(name) = &first.kind {
            if matches!(name.as_str(), "and" | "or") {
                return self.short_circuit(name, first, rest, dot, piped);
            }
            let arguments = self.arguments(rest, dot, piped)?;
            let value = function::call(name, &arguments, self.headings)
                .or_else(|message| failure(&first.place, message))?;
            return self.fields(&first.place, value, &first.fields, Vec::new());
        }
        let has_arguments = !rest.is_empty() || piped.is_some();
        if has_arguments && first.fields.is_empty() {
            return failure(
                &first.place,
                format!("can't give argument to non-function {}", first.place.text),
            );
        }
        let arguments = self.arguments(rest, dot, piped)?;
        self.operand_with(first, dot, arguments)
    }

    fn short_circuit(
        &mut self,
        name: &str,
        first: &Operand,
        rest: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, ExecError> {
        let stops_at = name == "or";
        let mut last = None;
        for operand in rest {
            let value = self.operand_with(operand, dot, Vec::new())?;
            if value.truth() == stops_at {
                return Ok(value);
            }
            last = Some(value);
        }
        match piped.or(last) {
            Some(value) => Ok(value),
            None => failure(&first.place, format!("wrong number of args for {name}: want at least 1 got 0")),
        }
    }

    fn arguments(
        &mut self,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Vec<Value>, ExecError> {
        let mut values = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            values.push(match &operand.kind {
                OperandKind::Function(_) => self.command(std::slice::from_ref(operand), dot, None)?,
                _ => self.operand_with(operand, dot, Vec::new())?,
            });
        }
        values.extend(piped);
        Ok(values)
    }

    fn operand_with(
        &mut self,
        operand: &Operand,
        dot: &Value,
        arguments: Vec<Value>,
    ) -> Result<Value, ExecError> {
        let value = match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Variable(name) => {
                let found = self.variables.iter().rev().find(|(held, _)| held == name);
                found.map_or(Value::Missing, |(_, value)| value.clone())
            }
            OperandKind::Function(_) => self.command(std::slice::from_ref(operand), dot, None)?,
            OperandKind::Text(text) => text.as_str().into(),
            OperandKind::Int(value) => Value::Int(*value),
            OperandKind::Float(value) => Value::Float(*value),
            OperandKind::Bool(value) => Value::Bool(*value),
            OperandKind::Nil => Value::Missing,
            OperandKind::Pipe(pipe) => self.pipe(pipe, dot)?,
        };
        self.fields(&operand.place, value, &operand.fields, arguments)
    }

    fn fields(
        &self,
        place: &Place,
        value: Value,
        fields: &[String],
        arguments: Vec<Value>,
    ) -> Result<Value, ExecError> {
        let mut current = value;
        for (index, name) in fields.iter().enumerate() {
            let given = if index + 1 == fields.len() { arguments.as_slice() } else { &[] };
            current = field(place, &current, name, given)?;
        }
        Ok(current)
    }
}

/// Fields that docker's client knows by Go's name, which is not the one in the document.
fn go_named(value: &Value, name: &str) -> Option<Value> {
    match name {
        "ID" => value.entry("Id"),
        "APIVersion" => value.entry("ApiVersion"),
        "ImageID" => value.entry("ImageId"),
        // A pointer that is left out of the document when it leads nowhere.
        "Health" if value.entry("Pid").is_some() => Some(Value::Null(Shape::Pointer)),
        _ => None,
    }
}

fn field(place: &Place, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, ExecError> {
    match value {
        Value::Object(object) => match object.field(name, arguments) {
            Some(value) => Ok(value),
            None => failure(place, format!("can't evaluate field {name} in type {}", object.type_name())),
        },
        Value::Map(_, shape) => match value.entry(name) {
            Some(found) if arguments.is_empty() => Ok(found),
            Some(_) => failure(place, format!("{name} has arguments but cannot be invoked as function")),
            None if *shape == Shape::Map => Ok(Value::Missing),
            None => go_named(value, name)
                .map_or_else(|| failure(place, format!("map has no entry for key {name:?}")), Ok),
        },
        Value::Missing | Value::Null(Shape::Pointer | Shape::Struct) => {
            failure(place, format!("nil pointer evaluating interface {{}}.{name}"))
        }
        Value::Null(Shape::Map) => Ok(Value::Missing),
        other => failure(place, format!("can't evaluate field {name} in type {}", other.type_name())),
    }
}

fn first_place(pipe: &Pipe) -> Place {
    pipe.commands
        .first()
        .and_then(|command| command.first())
        .map(|operand| operand.place.clone())
        .unwrap_or_default()
}
