//! Progress records of pull, push, load and import: bars on a terminal, plain lines elsewhere.

use std::io::{Read, Write};

use api_client::record::Records;
use serde_json::Value as Json;
use terminal::progress::{Lines, bar};

use crate::failure::{Failure, Outcome};
use crate::human;

/// Shows a stream of progress records on standard output or error; what a record carries as `aux` is handed over.
///
/// # Errors
/// When the stream reports an error or breaks.
pub fn show(source: impl Read, quiet: bool, to_stderr: bool, mut aux: impl FnMut(&Json)) -> Outcome {
    let size = match (quiet, to_stderr) {
        (true, _) => None,
        (_, true) => terminal::size(std::io::stderr()),
        _ => terminal::size(std::io::stdout()),
    };
    let mut lines = Lines::new();
    let mut out: Box<dyn Write> =
        if to_stderr { Box::new(std::io::stderr().lock()) } else { Box::new(std::io::stdout().lock()) };
    for record in Records::<_, Json>::new(source) {
        let record = record?;
        let text = |name: &str| record.get(name).and_then(Json::as_str).unwrap_or_default();
        if let Some(value) = record.get("aux") {
            aux(value);
            continue;
        }
        let fault = record.pointer("/errorDetail/message").and_then(Json::as_str).unwrap_or(text("error"));
        if !fault.is_empty() {
            return Err(Failure::text(fault));
        }
        if quiet {
            continue;
        }
        match size {
            Some(size) => on_terminal(&mut lines, &mut *out, &record, usize::from(size.width))?,
            None => plain(&mut *out, &record)?,
        }
    }
    out.flush()?;
    Ok(())
}

fn plain(out: &mut dyn Write, record: &Json) -> std::io::Result<()> {
    let text = |name: &str| record.get(name).and_then(Json::as_str).unwrap_or_default();
    // Bars that only make sense when redrawn are left out where nothing can be redrawn.
    if record.pointer("/progressDetail/current").is_some() {
        return Ok(());
    }
    match (text("stream"), text("id")) {
        ("", "") => writeln!(out, "{}", text("status")),
        ("", id) => writeln!(out, "{id}: {}", text("status")),
        (stream, _) => write!(out, "{stream}"),
    }
}

fn on_terminal(lines: &mut Lines, out: &mut dyn Write, record: &Json, width: usize) -> std::io::Result<()> {
    let text = |name: &str| record.get(name).and_then(Json::as_str).unwrap_or_default();
    let id = text("id");
    let detail = record.get("progressDetail");
    if id.is_empty() || detail.is_none() {
        lines.settle();
        return plain(out, record);
    }
    let amount = |name: &str| detail.and_then(|detail| detail.get(name)).and_then(Json::as_i64).unwrap_or(0);
    let (current, total) = (amount("current"), amount("total"));
    let shown = if current == 0 && total == 0 {
        String::new()
    } else if total > 0 {
        let amounts = format!("{:>8}/{}", human::size(current as f64), human::size(total as f64));
        bar(current, total, width, &amounts)
    } else {
        format!("{:>8}", human::size(current as f64))
    };
    lines.draw(out, id, &format!("{id}: {} {shown}", text("status")))
}
