//! The steps of a build as far as they were told: the latest word about each, its parts and its output.

use std::collections::HashMap;
use std::fmt::Write as _;

use buildkit::control::{StatusResponse, Vertex, VertexStatus, VertexWarning};
use buildkit::time::Timestamp;

use crate::human;

/// Lines of output kept of a step for when it fails, and for a live view.
const LINES: usize = 10;
/// The step by which wharf's engine explains its cache, and lines kept of it.
const EXPLANATION: (&str, usize) = ("[internal] explain the cache", 2000);
/// Bytes of a line that does not end.
const LONGEST_LINE: usize = 64 << 10;

/// All steps, in the order they were told.
#[derive(Debug, Default)]
pub(super) struct Steps {
    list: Vec<Step>,
    places: HashMap<String, usize>,
    warnings: Vec<VertexWarning>,
}

/// One step.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub name: String,
    /// Nanoseconds since 1970.
    pub started: Option<i64>,
    pub ended: Option<i64>,
    /// Nanoseconds of the times it was at work before: a step may go on after its end.
    past: i64,
    pub cached: bool,
    pub error: String,
    pub parts: Vec<Part>,
    /// The last lines, each with the time since the step started.
    pub lines: Vec<String>,
    /// Lines that were not shown yet.
    pub unshown: Vec<String>,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    /// The time of that beginning, since the step started.
    partial_time: i64,
}

/// Something inside a step that has an amount.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub id: String,
    pub current: i64,
    pub total: i64,
    pub started: Option<i64>,
    pub ended: Option<i64>,
    /// It has changed since it was shown.
    pub is_news: bool,
}

impl Steps {
    /// Takes news; the steps they are about, in order.
    pub fn take(&mut self, news: &StatusResponse) -> Vec<usize> {
        let mut changed = Vec::new();
        for vertex in &news.vertexes {
            changed.push(self.vertex(vertex));
        }
        for status in &news.statuses {
            if let Some(&place) = self.places.get(&status.vertex) {
                self.list[place].part(status);
                changed.push(place);
            }
        }
        for log in &news.logs {
            if let Some(&place) = self.places.get(&log.vertex) {
                self.list[place].output(nanos(log.timestamp.as_ref()), &log.msg);
                changed.push(place);
            }
        }
        self.warnings.extend(news.warnings.iter().cloned());
        let mut seen = vec![false; self.list.len()];
        changed.retain(|place| !std::mem::replace(&mut seen[*place], true));
        changed
    }

    fn vertex(&mut self, vertex: &Vertex) -> usize {
        let place = *self.places.entry(vertex.digest.clone()).or_insert_with(|| {
            self.list.push(Step::default());
            self.list.len() - 1
        });
        let step = &mut self.list[place];
        step.name.clone_from(&vertex.name);
        let started = nanos(vertex.started.as_ref()).or(step.started);
        if let (true, Some(from), Some(to)) = (started != step.started, step.started, step.ended) {
            step.past = step.past.saturating_add(to.saturating_sub(from).max(0));
        }
        step.started = started;
        step.ended = nanos(vertex.completed.as_ref());
        step.cached = vertex.cached;
        step.error.clone_from(&vertex.error);
        if step.ended.is_some() {
            step.end_line();
        }
        place
    }

    /// All of them.
    pub fn all(&self) -> &[Step] {
        &self.list
    }

    /// One of them.
    pub fn get(&mut self, place: usize) -> Option<&mut Step> {
        self.list.get_mut(place)
    }

    /// What failing steps said last.
    pub fn failures(&self) -> String {
        let mut text = String::new();
        for step in self.list.iter().filter(|step| step.has_failed()) {
            let _ = writeln!(text, "------\n > {}:", step.name);
            for line in &step.lines {
                let _ = writeln!(text, "{line}");
            }
            text.push_str("------\n");
        }
        text
    }

    /// Why steps were done or not, where the engine told it.
    pub fn explanation(&self) -> String {
        let steps = self.list.iter().filter(|step| step.name == EXPLANATION.0);
        let lines = steps.flat_map(|step| &step.lines);
        lines.map(|line| format!("{}\n", line.split_once(' ').map_or("", |(_, text)| text))).collect()
    }

    /// What should be done better, with everything known about it when asked for.
    pub fn warnings(&self, whole: bool) -> String {
        let count = self.warnings.len();
        if count == 0 {
            return String::new();
        }
        let plural = if count == 1 { "warning" } else { "warnings" };
        let hint = if whole { "" } else { " (use --debug to expand)" };
        let mut text = format!("\n {count} {plural} found{hint}:\n");
        for warning in &self.warnings {
            let _ = writeln!(text, " - {}", String::from_utf8_lossy(&warning.short));
            if whole {
                for detail in &warning.detail {
                    let _ = writeln!(text, "{}", String::from_utf8_lossy(detail));
                }
                if !warning.url.is_empty() {
                    let _ = writeln!(text, "More info: {}", warning.url);
                }
                text.push('\n');
            }
        }
        text
    }
}

impl Step {
    /// Whether it failed by itself, not because the build was given up.
    pub fn has_failed(&self) -> bool {
        !self.error.is_empty() && !self.was_cancelled()
    }

    /// Whether it was given up.
    pub fn was_cancelled(&self) -> bool {
        self.error.ends_with("context canceled")
    }

    /// Seconds it took, or has taken by now.
    pub fn seconds(&self, now: i64) -> f64 {
        (self.past as f64) / 1e9 + seconds(self.started, self.ended.unwrap_or(now))
    }

    fn part(&mut self, status: &VertexStatus) {
        let part = Part {
            id: status.id.clone(),
            current: status.current,
            total: status.total,
            started: nanos(status.started.as_ref()),
            ended: nanos(status.completed.as_ref()),
            is_news: true,
        };
        match self.parts.iter_mut().find(|known| known.id == part.id) {
            Some(known) => *known = part,
            None => self.parts.push(part),
        }
    }

    fn output(&mut self, time: Option<i64>, bytes: &[u8]) {
        let time = time.unwrap_or_default().saturating_sub(self.started.unwrap_or_default());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.partial.is_empty() {
                self.partial_time = time;
            }
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() >= LONGEST_LINE {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        if self.partial.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.partial);
        let text = String::from_utf8_lossy(&bytes);
        let line = format!("{} {}", moment(self.partial_time), text.trim_end_matches(['\n', '\r']));
        let most = if self.name == EXPLANATION.0 { EXPLANATION.1 } else { LINES };
        if self.lines.len() == most {
            self.lines.remove(0);
        }
        self.lines.push(line.clone());
        self.unshown.push(line);
    }
}

impl Part {
    /// How far it is: ` 1.2MB / 3MB 0.5s done`.
    pub fn amount(&self, now: i64) -> String {
        let amount = |bytes: i64| two_decimals(bytes);
        let mut text = match (self.current, self.total) {
            (0, 0) => String::new(),
            (current, 0) => format!(" {}", amount(current)),
            (current, total) => format!(" {} / {}", amount(current), amount(total)),
        };
        let took = seconds(self.started, self.ended.unwrap_or(now));
        if took > 0.01 {
            let _ = write!(text, " {took:.1}s");
        }
        if self.ended.is_some() {
            text.push_str(" done");
        }
        text
    }
}

/// Bytes with two decimals, but whole ones without.
fn two_decimals(bytes: i64) -> String {
    if bytes.abs() < 1000 {
        return human::size(bytes as f64);
    }
    let (mut amount, mut unit) = (bytes as f64, "B");
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if amount.abs() < 1000.0 {
            break;
        }
        (amount, unit) = (amount / 1000.0, next);
    }
    format!("{amount:.2}{unit}")
}

/// Time since a step started, in five characters.
fn moment(nanoseconds: i64) -> String {
    let seconds = (nanoseconds.max(0) as f64) / 1e9;
    let decimals = match seconds {
        seconds if seconds < 9.9995 => 3,
        seconds if seconds < 99.995 => 2,
        seconds if seconds < 999.95 => 1,
        _ => 0,
    };
    format!("{seconds:.decimals$}")
}

fn seconds(from: Option<i64>, to: i64) -> f64 {
    from.map_or(0.0, |from| (to.saturating_sub(from).max(0) as f64) / 1e9)
}

/// A point in time as nanoseconds since 1970.
pub(super) fn nanos(time: Option<&Timestamp>) -> Option<i64> {
    time.map(|time| time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_moments_are_worded_as_buildkit_does() {
        let part = |current, total, ended| Part {
            id: "x".into(),
            current,
            total,
            started: Some(0),
            ended,
            is_news: true,
        };
        assert_eq!(part(172, 0, Some(1)).amount(0), " 172B done");
        assert_eq!(part(0, 0, None).amount(0), "");
        assert_eq!(part(2_100, 0, Some(30_000_000)).amount(0), " 2.10kB 0.0s done");
        assert_eq!(part(524_290, 2_219_949, None).amount(1_260_000_000), " 524.29kB / 2.22MB 1.3s");
        for (seconds, text) in [(0.0, "0.000"), (0.564, "0.564"), (12.3456, "12.35"), (123.45, "123.5")] {
            assert_eq!(moment((seconds * 1e9) as i64), text);
        }
    }
}
