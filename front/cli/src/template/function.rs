//! The functions templates can call: Go's own and docker's.

use std::cmp::Ordering;
use std::rc::Rc;

use super::value::{Shape, Value};
use super::{print, verb};

const NAMES: [&str; 29] = [
    "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery",
    "call", "eq", "ne", "lt", "le", "gt", "ge", "json", "split", "join", "title", "lower", "upper", "pad",
    "truncate", "table", "toJson",
];

/// The functions docker adds; over headings they give back their first argument.
const DOCKERS: [&str; 8] = ["json", "split", "join", "title", "lower", "upper", "pad", "truncate"];

pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name) && !matches!(name, "table" | "toJson")
}

/// Calls a function; the error is Go's text behind `error calling NAME: `, or a complaint about its arguments.
pub(super) fn call(name: &str, arguments: &[Value], headings: bool) -> Result<Value, String> {
    if headings && DOCKERS.contains(&name) {
        return Ok(arguments.first().cloned().unwrap_or(Value::Missing));
    }
    let wanted = match name {
        "not" | "len" | "json" | "title" | "lower" | "upper" => 1..=1,
        "split" | "join" | "truncate" => 2..=2,
        "pad" => 3..=3,
        "ne" | "lt" | "le" | "gt" | "ge" => 2..=2,
        "and" | "or" | "index" | "slice" | "printf" | "eq" | "call" => 1..=usize::MAX,
        _ => 0..=usize::MAX,
    };
    if !wanted.contains(&arguments.len()) {
        let need = if wanted.start() == wanted.end() {
            format!("want {}", wanted.start())
        } else {
            format!("want at least {}", wanted.start())
        };
        return Err(format!("wrong number of args for {name}: {need} got {}", arguments.len()));
    }
    dispatch(name, arguments).map_err(|text| format!("error calling {name}: {text}"))
}

fn dispatch(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let first = arguments.first().cloned().unwrap_or(Value::Missing);
    let text = |index: usize| arguments.get(index).map(print::plain).unwrap_or_default();
    Ok(match name {
        "not" => Value::Bool(!first.truth()),
        "len" => length(&first)?,
        "index" => index(&first, arguments.get(1..).unwrap_or_default())?,
        "slice" => slice(&first, arguments.get(1..).unwrap_or_default())?,
        "print" => sprint(arguments).into(),
        "println" => {
            let parts: Vec<String> = arguments.iter().map(print::plain).collect();
            format!("{}\n", parts.join(" ")).into()
        }
        "printf" => verb::sprintf(&text(0), arguments.get(1..).unwrap_or_default()).into(),
        "html" => html(&sprint(arguments)).into(),
        "js" => js(&sprint(arguments)).into(),
        "urlquery" => urlquery(&sprint(arguments)).into(),
        "eq" => equal(&first, arguments.get(1..).unwrap_or_default())?,
        "ne" => match equal(&first, arguments.get(1..).unwrap_or_default())? {
            Value::Bool(same) => Value::Bool(!same),
            other => other,
        },
        "lt" | "le" | "gt" | "ge" => {
            let order = order(&first, arguments.get(1).unwrap_or(&Value::Missing))?;
            Value::Bool(match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
        // A row encodes itself with Go's HTML escapes; plain values are printed without them.
        "json" => match &first {
            Value::Object(_) => crate::json::go_compact(&first.to_json()),
            other => crate::json::compact(&other.to_json()),
        }
        .into(),
        "split" => Value::List(Rc::new(split(&text(0), &text(1)))),
        "join" => match &first {
            Value::List(items) => items.iter().map(print::plain).collect::<Vec<_>>().join(&text(1)).into(),
            Value::Null(_) => "".into(),
            other => return Err(format!("cannot join {}", other.type_name())),
        },
        "title" => title(&text(0)).into(),
        "lower" => text(0).to_lowercase().into(),
        "upper" => text(0).to_uppercase().into(),
        "pad" => pad(&text(0), arguments).into(),
        "truncate" => match arguments.get(1) {
            Some(Value::Int(limit)) => {
                text(0).chars().take(usize::try_from(*limit).unwrap_or(0)).collect::<String>().into()
            }
            _ => return Err("expected an integer".to_owned()),
        },
        "call" => return Err("call of non-function".to_owned()),
        _ => Value::Missing,
    })
}

/// Go's Sprint: blanks only between operands that are both no text.
fn sprint(arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut previous_text = true;
    for (position, argument) in arguments.iter().enumerate() {
        let is_text = matches!(argument, Value::Text(_));
        if position > 0 && !is_text && !previous_text {
            out.push(' ');
        }
        out.push_str(&print::plain(argument));
        previous_text = is_text;
    }
    out
}

fn length(value: &Value) -> Result<Value, String> {
    let count = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(entries, _) => entries.len(),
        Value::Null(Shape::List | Shape::Map) => 0,
        Value::Missing | Value::Null(_) => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, String> {
    let mut current = value.clone();
    for key in keys {
        current = match (&current, key) {
            (Value::Map(entries, shape), Value::Text(name)) => match current.entry(name) {
                Some(found) => found,
                // A map of texts gives the empty text for what it does not hold.
                None if *shape == Shape::Map
                    && entries.iter().all(|(_, value)| matches!(value, Value::Text(_))) =>
                {
                    "".into()
                }
                None => Value::Missing,
            },
            (Value::Map(..), other) => {
                return Err(format!("value has type {}; should be string", other.type_name()));
            }
            (Value::List(items), Value::Int(position)) => {
                match usize::try_from(*position).ok().and_then(|position| items.get(position)) {
                    Some(item) => item.clone(),
                    None => return Err(format!("index out of range: {position}")),
                }
            }
            (Value::Text(text), Value::Int(position)) => {
                match usize::try_from(*position).ok().and_then(|position| text.as_bytes().get(position)) {
                    Some(byte) => Value::Int(i64::from(*byte)),
                    None => return Err(format!("index out of range: {position}")),
                }
            }
            (Value::Null(Shape::Map), _) => "".into(),
            (Value::Null(Shape::List), Value::Int(position)) => {
                return Err(format!("index out of range: {position}"));
            }
            (Value::Missing | Value::Null(_), _) => return Err("index of untyped nil".to_owned()),
            (Value::List(_), other) => {
                return Err(format!("cannot index slice/array with type {}", other.type_name()));
            }
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(current)
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let size = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let bound = |position: usize, default: usize| match bounds.get(position) {
        Some(Value::Int(number)) => match usize::try_from(*number) {
            Ok(number) if number <= size => Ok(number),
            _ => Err(format!("index out of range: {number}")),
        },
        Some(other) => Err(format!("cannot index slice/array with type {}", other.type_name())),
        None => Ok(default),
    };
    let (from, to) = (bound(0, 0)?, bound(1, size)?);
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match value {
        Value::Text(text) => {
            String::from_utf8_lossy(text.as_bytes().get(from..to).unwrap_or_default()).into_owned().into()
        }
        Value::List(items) => Value::List(Rc::new(items.get(from..to).unwrap_or_default().to_vec())),
        _ => Value::Missing,
    })
}

fn equal(first: &Value, others: &[Value]) -> Result<Value, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        let same = match (first, other) {
            (Value::Int(one), Value::Int(two)) => one == two,
            (Value::Float(one), Value::Float(two)) => one == two,
            (Value::Text(one), Value::Text(two)) => one == two,
            (Value::Bool(one), Value::Bool(two)) => one == two,
            (Value::Missing | Value::Null(_), Value::Missing | Value::Null(_)) => true,
            (Value::Missing | Value::Null(_), _) | (_, Value::Missing | Value::Null(_)) => false,
            (Value::List(_) | Value::Map(..), _) | (_, Value::List(_) | Value::Map(..)) => {
                return Err("non-comparable type".to_owned());
            }
            _ => return Err("incompatible types for comparison".to_owned()),
        };
        if same {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn order(one: &Value, two: &Value) -> Result<Ordering, String> {
    match (one, two) {
        (Value::Int(one), Value::Int(two)) => Ok(one.cmp(two)),
        (Value::Float(one), Value::Float(two)) => Ok(one.total_cmp(two)),
        (Value::Text(one), Value::Text(two)) => Ok(one.cmp(two)),
        (Value::Bool(_) | Value::List(_) | Value::Map(..), _) => {
            Err("invalid type for comparison".to_owned())
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn split(text: &str, separator: &str) -> Vec<Value> {
    if separator.is_empty() {
        return text.chars().map(|c| Value::from(c.to_string())).collect();
    }
    text.split(separator).map(Value::from).collect()
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut starts = true;
    for c in text.chars() {
        if starts {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        starts = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    out
}

fn pad(text: &str, arguments: &[Value]) -> String {
    let blanks = |index: usize| match arguments.get(index) {
        Some(Value::Int(count)) => " ".repeat(usize::try_from(*count).unwrap_or(0).min(10_000)),
        _ => String::new(),
    };
    if text.is_empty() { String::new() } else { format!("{}{text}{}", blanks(1), blanks(2)) }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            '\n' => out.push_str("\\u000A"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn urlquery(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
