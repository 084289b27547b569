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
    let mut faults = Vec::new();
    for name in names {
        match find(name) {
            Ok(document) => found.push(document),
            Err(failure) => faults.push(failure.message()),
        }
    }
    let mut text = String::new();
    let mut wrong = None;
    match &template {
        None if found.is_empty() => text.push_str("[]\n"),
        None => {
            text = crate::json::go_pretty(&Json::Array(found), true);
            text.push('\n');
        }
        Some(template) => {
            for document in &found {
                match template.execute(&Value::from_json(document)) {
                    Ok(line) => {
                        text.push_str(&line);
                        text.push('\n');
                    }
                    Err(error) => {
                        wrong = Some(format!("template parsing error: {error}"));
                        break;
                    }
                }
            }
            if found.is_empty() {
                text.push('\n');
            }
        }
    }
    std::io::stdout().lock().write_all(text.as_bytes())?;
    faults.splice(0..0, wrong);
    if faults.is_empty() { Ok(()) } else { Err(Failure::text(faults.join("\n"))) }
}

fn parse(format: &str) -> Result<Option<Template>, Failure> {
    let source = match format {
        "" => return Ok(None),
        "json" => "{{json .}}",
        other => other,
    };
    match Template::parse(source) {
        Ok(template) => Ok(Some(template)),
        Err(error) => Err(Failure::Text { text: format!("template parsing error: {error}"), code: 64 }),
    }
}
