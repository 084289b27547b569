//! Printing of documents in full: indented JSON, one JSON line, or a template.

use std::io::Write as _;

use serde_json::Value as Json;

use crate::failure::{Failure, Outcome};
use crate::template::{Template, Value};

/// Looks each name up and prints what was found; what was not is told after it.
///
/// # Errors
/// When the template is wrong, or something was not found.
pub fn each(format: &str, names: &[String], mut find: impl FnMut(&str) -> Result<Json, Failure>) -> Outcome {
    let template = parse(format)?;
    let mut found = Vec::new();
    let mut text = String::new();
    let mut faults = Vec::new();
    for name in names {
        let document = match find(name) {
            Ok(document) => document,
            Err(failure) => {
                faults.push(failure.message());
                continue;
            }
        };
        match template.as_ref().map(|template| template.execute(&Value::from_json(&document))) {
            None => found.push(document),
            Some(Ok(line)) => {
                text.push_str(&line);
                text.push('\n');
            }
            Some(Err(error)) => faults.push(format!("template parsing error: {error}")),
        }
    }
    match (format, found.is_empty()) {
        ("", true) => text.push_str("[]\n"),
        ("", false) => {
            text = crate::json::go_pretty(&Json::Array(found), true);
            text.push('\n');
        }
        ("json", _) => {
            text = crate::json::compact(&Json::Array(found));
            text.push('\n');
        }
        _ if text.is_empty() => text.push('\n'),
        _ => {}
    }
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if faults.is_empty() { Ok(()) } else { Err(Failure::text(faults.join("\n"))) }
}

fn parse(format: &str) -> Result<Option<Template>, Failure> {
    let source = match format {
        "" | "json" => return Ok(None),
        other => other,
    };
    match Template::parse(source) {
        Ok(template) => Ok(Some(template)),
        Err(error) => Err(Failure::Text { text: format!("template parsing error: {error}"), code: 64 }),
    }
}
