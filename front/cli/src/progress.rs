//! Progress records of pull, push, load and import: lines redrawn in place on a terminal, plain lines elsewhere.

use std::io::{Read, Write};

use api_client::record::Records;
use serde::Deserialize;
use serde_json::Value as Json;
use terminal::Size;
use terminal::progress::{Lines, Progress};

use crate::failure::{Failure, Outcome};
use crate::human;

/// One record of the stream; what the engine leaves out is empty.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Record {
    status: String,
    id: String,
    stream: String,
    /// Older engines say with it what is done.
    progress: String,
    progress_detail: Option<Detail>,
    aux: Option<Json>,
    error_detail: Option<Fault>,
    error: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    current: i64,
    total: i64,
    start: i64,
    units: String,
    hidecounts: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fault {
    code: i64,
    message: String,
}

/// Shows a stream of progress records on standard output or error; what a record carries as `aux` is handed over.
///
/// # Errors
/// When the stream reports an error or breaks.
pub fn show(source: impl Read, quiet: bool, to_stderr: bool, mut aux: impl FnMut(&Json)) -> Outcome {
    let size = match (quiet, to_stderr) {
        (true, _) => None,
        (_, true) => screen(std::io::stderr()),
        _ => screen(std::io::stdout()),
    };
    let mut out: Box<dyn Write> = match (quiet, to_stderr) {
        (true, _) => Box::new(std::io::sink()),
        (_, true) => Box::new(std::io::stderr().lock()),
        _ => Box::new(std::io::stdout().lock()),
    };
    // The code of a record is that of a build's step; what pulls and pushes is no such thing.
    write(source, size, &mut *out, &mut aux).map_err(|failure| match failure {
        Failure::Text { text, .. } => Failure::text(text),
        other => other,
    })
}

/// The terminal that lines are redrawn on; none when there is none.
pub type Screen = Option<Size>;

/// The terminal behind a descriptor. One that does not know its width is a wide one.
pub fn screen(descriptor: impl std::os::fd::AsFd) -> Screen {
    let wide = Size { height: 0, width: 200 };
    terminal::is_terminal(&descriptor).then(|| terminal::size(descriptor).unwrap_or(wide))
}

/// Writes a stream of records as text.
///
/// # Errors
/// When the stream breaks or reports an error, whose code becomes the exit code.
pub fn write(source: impl Read, size: Screen, out: &mut dyn Write, aux: &mut dyn FnMut(&Json)) -> Outcome {
    let mut lines = Lines::new(size.map_or(0, |size| usize::from(size.height)));
    for record in Records::<_, Record>::new(source) {
        let record = record?;
        if let Some(value) = &record.aux {
            aux(value);
            continue;
        }
        if let Some(failure) = fault(&record) {
            return Err(failure);
        }
        match size {
            Some(size) => on_terminal(&mut lines, out, &record, usize::from(size.width))?,
            None => plain(out, &record, "\n")?,
        }
    }
    out.flush()?;
    Ok(())
}

/// The error that a record reports.
pub fn fault_in(record: &Json) -> Option<Failure> {
    fault(&Record::deserialize(record).ok()?)
}

fn fault(record: &Record) -> Option<Failure> {
    let text = match &record.error_detail {
        Some(Fault { code: 401, .. }) => "authentication is required",
        Some(detail) if !detail.message.is_empty() => &detail.message,
        _ => &record.error,
    };
    let code = record.error_detail.as_ref().map_or(0, |detail| detail.code);
    let code = u8::try_from(code).ok().filter(|&code| code > 0).unwrap_or(1);
    (!text.is_empty()).then(|| Failure::Text { text: text.to_owned(), code })
}

fn plain(out: &mut dyn Write, record: &Record, end: &str) -> std::io::Result<()> {
    // Numbers that only make sense when redrawn are left out where nothing can be redrawn.
    if record.progress_detail.as_ref().is_some_and(|detail| detail.current > 0 || detail.total > 0) {
        return Ok(());
    }
    match (record.stream.as_str(), record.id.as_str()) {
        ("", "") => write!(out, "{}{end}", record.status),
        ("", id) => write!(out, "{id}: {}{end}", record.status),
        (stream, _) => write!(out, "{stream}"),
    }
}

fn on_terminal(lines: &mut Lines, out: &mut dyn Write, record: &Record, width: usize) -> std::io::Result<()> {
    let detail = record.progress_detail.as_ref();
    if record.id.is_empty() || (detail.is_none() && record.progress.is_empty()) {
        lines.settle();
        return plain(out, record, "\n");
    }
    let shown = detail.map_or_else(|| record.progress.clone(), |detail| bar(detail, width));
    let text = format!("{}: {} {shown}", record.id, record.status);
    // A line that wraps would be two, and the cursor then be in the wrong one.
    let text: String = text.chars().take(width).collect();
    lines.draw(out, &record.id, &text)
}

fn bar(detail: &Detail, width: usize) -> String {
    let seconds = match detail.start {
        0 => 0,
        start => jiff::Timestamp::now().as_second().saturating_sub(start),
    };
    let progress = Progress {
        current: detail.current,
        total: detail.total,
        units: &detail.units,
        hide_counts: detail.hidecounts,
        seconds,
    };
    progress.text(width, |bytes| human::size(bytes as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PULL: &str = concat!(
        "{\"status\":\"Pulling from x\",\"id\":\"1\"}\r\n",
        "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"aa\"}\r\n",
        "{\"status\":\"Waiting\",\"progressDetail\":{},\"id\":\"bb\"}\r\n",
        "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":32768,\"total\":1000000},\"id\":\"aa\"}\r\n",
        "{\"aux\":{\"Tag\":\"1\"}}\r\n",
        "{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"aa\"}\r\n",
        "{\"status\":\"Digest: sha256:d\"}\r\n",
        "{\"stream\":\"Loaded image: x\\n\"}\r\n",
    );

    fn shown(text: &str, width: Option<u16>) -> String {
        let mut out = Vec::new();
        let mut seen = Vec::new();
        let size = width.map(|width| Size { height: 24, width });
        write(text.as_bytes(), size, &mut out, &mut |value| seen.push(value.clone())).unwrap();
        assert_eq!(seen.len(), text.matches("aux").count());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn plain_lines_have_no_numbers() {
        assert_eq!(
            shown(PULL, None),
            "1: Pulling from x\naa: Pulling fs layer\nbb: Waiting\naa: Pull complete\nDigest: sha256:d\nLoaded image: x\n"
        );
    }

    #[test]
    fn on_a_terminal_each_layer_has_its_line() {
        assert_eq!(
            shown(PULL, Some(80)),
            concat!(
                "1: Pulling from x\n",
                "\n\x1b[1A\x1b[2K\raa: Pulling fs layer \r\x1b[1B",
                "\n\x1b[1A\x1b[2K\rbb: Waiting \r\x1b[1B",
                "\x1b[2A\x1b[2K\raa: Downloading  32.77kB/1MB\r\x1b[2B",
                "\x1b[2A\x1b[2K\raa: Pull complete \r\x1b[2B",
                "Digest: sha256:d\nLoaded image: x\n"
            )
        );
        assert!(shown(PULL, Some(120)).contains("aa: Downloading [=>   "));
        assert!(shown(PULL, Some(20)).contains("aa: Downloading  32.\r"));
    }

    #[test]
    fn errors_end_the_stream() {
        let check = |text: &str, wanted: &str| {
            let outcome = write(text.as_bytes(), None, &mut Vec::new(), &mut |_| {});
            assert_eq!(outcome.unwrap_err().message(), wanted);
        };
        check(r#"{"error":"old"}"#, "old");
        check(r#"{"errorDetail":{"message":"new"},"error":"old"}"#, "new");
        check(r#"{"errorDetail":{"code":401,"message":"x"},"error":"x"}"#, "authentication is required");
    }
}
