//! Values as Go's `%v` prints them.

use super::value::{Shape, Value};

/// The text of `%v`.
pub(super) fn plain(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// The text an action leaves: `<no value>` for what is missing.
pub(super) fn action(value: &Value) -> String {
    match value {
        Value::Missing => "<no value>".to_owned(),
        other => plain(other),
    }
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Missing | Value::Null(Shape::Pointer | Shape::Struct) => out.push_str("<nil>"),
        Value::Null(Shape::List) => out.push_str("[]"),
        Value::Null(Shape::Map) => out.push_str("map[]"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&float(*value)),
        Value::Text(text) => out.push_str(text),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Map(entries, shape) => {
            let is_struct = *shape == Shape::Struct;
            out.push_str(if is_struct { "{" } else { "map[" });
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                if !is_struct {
                    out.push_str(key);
                    out.push(':');
                }
                write(value, out);
            }
            out.push(if is_struct { '}' } else { ']' });
        }
        Value::Object(object) => out.push_str(&object.to_json().to_string()),
    }
}

/// `%v` of a float: the shortest text, with an exponent below 1e-4 and from 1e21.
pub(super) fn float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) && value.is_finite() {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(rest) => ('-', rest),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    match (value.is_nan(), value.is_infinite()) {
        (true, _) => "NaN".to_owned(),
        (_, true) => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        _ => value.to_string(),
    }
}
