//! Why a build failed, in the words of Docker's client, with the lines of the Dockerfile.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buildkit::errdefs;
use grpc::{Code, Status};
use serde_json::Value as Json;

use crate::failure::Failure;

/// The failure of a build.
pub(super) fn of_build(status: &Status) -> Failure {
    let mut text = errdefs::find(status, "Source").map(|source| excerpt(&source)).unwrap_or_default();
    let _ = write!(text, "ERROR: failed to solve: {}", worded(status));
    Failure::text(text)
}

/// A failure of anything else a builder is asked.
pub(in crate::commands) fn plain(status: &Status) -> Failure {
    Failure::text(format!("ERROR: {}", worded(status)))
}

/// The text, with the kind before it where that says something.
fn worded(status: &Status) -> String {
    let name = match status.code {
        Code::Ok | Code::Unknown => return status.message.clone(),
        Code::Cancelled => "Canceled".to_owned(),
        code => format!("{code:?}"),
    };
    format!("{name}: {}", status.message)
}

/// The lines at fault with some around them, each with its number, those at fault marked.
fn excerpt(source: &Json) -> String {
    let text = |name: &str| source.pointer(name).and_then(Json::as_str).unwrap_or_default();
    let data = STANDARD.decode(text("/info/data")).unwrap_or_default();
    let data = String::from_utf8_lossy(&data);
    let lines: Vec<&str> = data.split('\n').collect();
    let number = |range: &Json, name: &str| {
        let number = range.pointer(name).and_then(Json::as_u64).unwrap_or_default();
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    let ranges: Vec<(usize, usize)> = source
        .get("ranges")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(|range| (number(range, "/start/line"), number(range, "/end/line")))
        .filter(|(first, last)| *first > 0 && first <= last && *last <= lines.len())
        .collect();
    let (Some(first), Some(last)) =
        (ranges.iter().map(|range| range.0).min(), ranges.iter().map(|range| range.1).max())
    else {
        return String::new();
    };
    // A line alone needs more around it than several do.
    let around = if first == last { 2 } else { 1 };
    let from = first.saturating_sub(around).max(1);
    let to = (last + around).min(lines.len());
    let mut shown = format!("{}:{first}\n--------------------\n", text("/info/filename"));
    for (line, number) in lines[from - 1..to].iter().zip(from..) {
        let is_fault = ranges.iter().any(|(first, last)| (*first..=*last).contains(&number));
        let mark = if is_fault { ">>>" } else { "   " };
        let _ = writeln!(shown, " {number:>3} | {mark} {}", line.trim_end_matches('\r'));
    }
    shown.push_str("--------------------\n");
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildkit::ops::{Position, Range, SourceInfo};

    #[test]
    fn lines_at_fault_are_shown_with_their_surroundings() {
        let info = SourceInfo {
            filename: "Dockerfile".into(),
            data: b"FROM a\nRUN x \\\n  && y\nCMD z\n".to_vec(),
            ..SourceInfo::default()
        };
        let at = |line| Some(Position { line, character: 0 });
        let status = Status::new(Code::Unknown, "process did not complete")
            .with_detail(errdefs::source(&info, &[Range { start: at(2), end: at(3) }]));
        assert_eq!(
            of_build(&status).message(),
            "\
Dockerfile:2
--------------------
   1 |     FROM a
   2 | >>> RUN x \\
   3 | >>>   && y
   4 |     CMD z
--------------------
ERROR: failed to solve: process did not complete"
        );
        let beyond = Status::new(Code::NotFound, "x")
            .with_detail(errdefs::source(&info, &[Range { start: at(7), end: at(9) }]));
        assert_eq!(of_build(&beyond).message(), "ERROR: failed to solve: NotFound: x");
        let cancelled = Status::new(Code::Cancelled, "context canceled");
        assert_eq!(of_build(&cancelled).message(), "ERROR: failed to solve: Canceled: context canceled");
    }
}
