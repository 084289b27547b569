//! Questions about a Dockerfile, which are answered instead of building it.

use std::collections::BTreeMap;

use builder::Dockerfile;
use builder::dockerfile::Lines;
use buildkit::server::{Job, Wish};
use buildkit::{errdefs, ops};
use engine::Engine;
use engine::build::Cancel;
use grpc::{Code, Status};
use serde_json::{Value, json};

use super::files::{self, Definition};
use super::{failure, lint, outline};

/// Facts about a Dockerfile, as clients find them with a result.
pub(super) type Facts = BTreeMap<String, Vec<u8>>;

/// What all questions are at.
const VERSION: &str = "1.0.0";

/// Something that can be asked.
struct Question {
    name: &'static str,
    description: &'static str,
    /// The options it knows, each with what it is for.
    options: &'static [(&'static str, &'static str)],
    /// The facts it gives.
    facts: &'static [&'static str],
}

/// What can be asked.
const KNOWN: [Question; 4] = [
    Question {
        name: "frontend.outline",
        description: "List all parameters current build target supports",
        options: &[("target", "Target build stage")],
        facts: &["result.json", "result.txt"],
    },
    Question {
        name: "frontend.targets",
        description: "List all targets current build supports",
        options: &[],
        facts: &["result.json", "result.txt"],
    },
    Question {
        name: "frontend.lint",
        description: "Lint a Dockerfile",
        options: &[],
        facts: &["result.json", "result.txt", "result.statuscode"],
    },
    Question {
        name: "frontend.subrequests.describe",
        description: "List available subrequest types",
        options: &[],
        facts: &["result.json", "result.txt"],
    },
];

/// Answers the question of a wish.
pub(super) fn answer(engine: &Engine, wish: &Wish, job: &Job) -> Result<Facts, Status> {
    let name = wish.subrequest.as_deref().unwrap_or_default();
    if name == "frontend.subrequests.describe" {
        return Ok(describe());
    }
    if !KNOWN.iter().any(|known| known.name == name) {
        let status = Status::new(Code::Unimplemented, format!("unsupported request {name}"));
        return Err(status.with_detail(errdefs::subrequest(name)));
    }
    let cancel = Cancel::default();
    let stop = cancel.clone();
    let _hook = job.cancellation.on_cancel(move || stop.stop());
    if name == "frontend.lint" {
        let (json, text, is_clean) = lint::lint(engine, wish, job, &cancel)?;
        let mut facts = facts(&json, text);
        facts.insert("result.statuscode".into(), if is_clean { b"0" } else { b"1" }.to_vec());
        return Ok(facts);
    }
    let main = match wish.dockerfile == wish.context {
        true => files::main_context(engine, wish, job, &cancel)?,
        false => None,
    };
    let source = Definition::get(engine, wish, job, main.as_ref())?.file;
    let file = Dockerfile::read(&source.data).map_err(|error| failure::dockerfile(&error, &source))?;
    let (json, text) = match name {
        "frontend.outline" => outline::outline(&file, &source, wish)?,
        _ => outline::targets(&file, &source),
    };
    Ok(facts(&json, text))
}

/// What can be asked.
fn describe() -> Facts {
    let named = |name: &&str| json!({ "name": name, "description": "" });
    let all: Vec<Value> = KNOWN
        .iter()
        .map(|known| {
            let option =
                |(name, description): &(&str, &str)| json!({ "name": name, "description": description });
            json!({
                "name": known.name,
                "version": VERSION,
                "type": "rpc",
                "description": known.description,
                "opts": known.options.iter().map(option).collect::<Vec<_>>(),
                "inputs": null,
                "metadata": known.facts.iter().map(named).collect::<Vec<_>>(),
                "refs": null,
            })
        })
        .collect();
    let row = |known: &Question| {
        let name = known.name.trim_start_matches("frontend.");
        vec![name.to_owned(), VERSION.to_owned(), known.description.to_owned()]
    };
    let head = ["NAME", "VERSION", "DESCRIPTION"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(KNOWN.iter().map(row)).collect();
    facts(&Value::Array(all), columns(&rows, 1))
}

fn facts(json: &Value, text: String) -> Facts {
    let json = serde_json::to_vec_pretty(json).unwrap_or_default();
    let facts = [("result.json", json), ("result.txt", text.into_bytes()), ("version", VERSION.into())];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Rows with their columns below each other: all cells but the last of a row are as wide as the widest one, and a gap.
pub(super) fn columns(rows: &[Vec<String>], gap: usize) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (place, cell) in row.iter().enumerate() {
            let width = cell.chars().count() + gap;
            match widths.get_mut(place) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match place + 1 == row.len() {
                true => text.push_str(cell),
                false => text.push_str(&format!("{cell:width$}")),
            }
        }
        text.push('\n');
    }
    text
}

/// Lines as places in the only file there is.
pub(super) fn location(lines: Lines) -> Value {
    let at = |line: usize| json!({ "line": line });
    json!({ "ranges": [{ "start": at(lines.first), "end": at(lines.last) }] })
}

/// The bytes of a file as JSON has them.
pub(super) fn bytes(source: &ops::SourceInfo) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(&source.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_described_as_buildkit_does() {
        let facts = describe();
        let text = String::from_utf8_lossy(&facts["result.txt"]).into_owned();
        assert_eq!(
            text,
            "NAME                 VERSION DESCRIPTION\n\
             outline              1.0.0   List all parameters current build target supports\n\
             targets              1.0.0   List all targets current build supports\n\
             lint                 1.0.0   Lint a Dockerfile\n\
             subrequests.describe 1.0.0   List available subrequest types\n"
        );
        let json: Value = serde_json::from_slice(&facts["result.json"]).expect("json");
        assert_eq!(json[0]["opts"], json!([{ "name": "target", "description": "Target build stage" }]));
        assert_eq!((&json[1]["type"], &json[1]["inputs"]), (&json!("rpc"), &Value::Null));
    }

    #[test]
    fn the_last_cell_of_a_row_ends_with_it() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows = [row(&["BUILD ARG", "VALUE", "DESCRIPTION"]), row(&["B", "", ""]), row(&["é", "x", "y"])];
        assert_eq!(
            columns(&rows, 3),
            "BUILD ARG   VALUE   DESCRIPTION\nB                   \né           x       y\n"
        );
    }
}
