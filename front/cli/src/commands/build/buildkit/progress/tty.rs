//! A build as a live view: one row for each step with its time, the last lines of those that run.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use terminal::Size;
use terminal::colour::{Colour, paint};

use super::plain::nanoseconds;
use super::steps::{Step, Steps};

/// Least time between two drawings.
const OFTEN: Duration = Duration::from_millis(75);
/// Lines of output shown of a step that runs.
const TAIL: usize = 6;

/// A view under way.
pub(super) struct Live {
    colours: bool,
    title: String,
    began: i64,
    drawn: Option<Instant>,
    /// Rows on the screen that are drawn anew.
    rows: usize,
    size: Size,
}

/// One row: text on the left, a time on the right.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    text: String,
    time: String,
    colour: Option<Colour>,
    /// It may go when there is no room.
    is_settled: bool,
}

impl Live {
    pub fn new(size: Size, colours: bool, title: &str) -> Self {
        let title = title.to_owned();
        Self { colours, title, began: nanoseconds(), drawn: None, rows: 0, size }
    }

    /// Draws, unless that was only just done.
    pub fn beat(&mut self, steps: &Steps, out: &mut dyn Write) -> io::Result<()> {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < OFTEN) {
            return Ok(());
        }
        self.drawn = Some(Instant::now());
        self.size = terminal::size(std::io::stderr()).unwrap_or(self.size);
        self.draw(steps, "", out)
    }

    /// Draws, and leaves that where it is.
    pub fn settle(&mut self, steps: &Steps, out: &mut dyn Write) -> io::Result<()> {
        self.draw(steps, "", out)?;
        self.rows = 0;
        Ok(())
    }

    /// Draws for the last time, with everything.
    pub fn end(&mut self, steps: &Steps, out: &mut dyn Write) -> io::Result<()> {
        let failed = steps.all().iter().any(|step| !step.error.is_empty());
        self.draw(steps, if failed { "" } else { " FINISHED" }, out)
    }

    fn draw(&mut self, steps: &Steps, word: &str, out: &mut dyn Write) -> io::Result<()> {
        let is_last = word == " FINISHED";
        let now = nanoseconds();
        let room = if is_last { usize::MAX } else { usize::from(self.size.height).saturating_sub(2).max(3) };
        let rows = fit(rows(steps, now), room);
        let width = usize::from(self.size.width).clamp(20, 400);
        // One write, so that nobody sees half a view.
        let mut text = if self.rows > 0 { format!("\x1b[{}A\x1b[0J", self.rows) } else { String::new() };
        let over = steps.all().iter().filter(|step| step.ended.is_some()).count();
        let seconds = (now.saturating_sub(self.began).max(0) as f64) / 1e9;
        let head = Row {
            text: format!("[+] Building {seconds:.1}s ({over}/{}){word}", steps.all().len()),
            time: self.title.clone(),
            colour: is_last.then_some(Colour::Cyan),
            is_settled: false,
        };
        for row in std::iter::once(&head).chain(&rows) {
            text.push_str(&row.line(width, self.colours));
            text.push('\n');
        }
        self.rows = rows.len() + 1;
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Row {
    /// The row in so many columns.
    fn line(&self, width: usize, colours: bool) -> String {
        let room = width.saturating_sub(self.time.chars().count() + 1);
        let mut text: String = self.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let length = text.chars().count();
        if length > room {
            text = text.chars().take(room.saturating_sub(2)).chain("..".chars()).collect();
        }
        let gap = room.saturating_sub(text.chars().count()) + usize::from(!self.time.is_empty());
        let line = format!("{text}{}{}", " ".repeat(gap), self.time);
        let line = line.trim_end();
        self.colour.map_or_else(|| line.to_owned(), |colour| paint(line, colour, colours))
    }
}

/// The rows of all steps that have begun.
fn rows(steps: &Steps, now: i64) -> Vec<Row> {
    let mut rows = Vec::new();
    for step in steps.all().iter().filter(|step| step.started.is_some()) {
        let is_over = step.ended.is_some();
        let (word, colour) = match () {
            () if step.was_cancelled() => ("CANCELED ", Some(Colour::Yellow)),
            () if step.has_failed() => ("ERROR ", Some(Colour::Red)),
            () if step.cached => ("CACHED ", Some(Colour::Cyan)),
            () if is_over => ("", Some(Colour::Cyan)),
            () => ("", None),
        };
        rows.push(Row {
            text: format!(" => {word}{}", step.name),
            time: format!("{:.1}s", step.seconds(now)),
            colour,
            is_settled: is_over && !step.has_failed(),
        });
        rows.extend(parts(step, now, colour));
        if !is_over {
            let tail = step.lines.iter().skip(step.lines.len().saturating_sub(TAIL));
            rows.extend(tail.map(|line| Row {
                text: format!(" => => # {}", line.split_once(' ').map_or("", |(_, text)| text)),
                time: String::new(),
                colour: Some(Colour::Faint),
                is_settled: false,
            }));
        }
    }
    rows
}

fn parts(step: &Step, now: i64, colour: Option<Colour>) -> Vec<Row> {
    let row = |part: &super::steps::Part| {
        let amount = part.amount(now);
        let amount = amount.strip_suffix(" done").unwrap_or(&amount);
        // The time has its own column.
        let amount = match amount.rsplit_once(' ') {
            Some((before, last)) if last.ends_with('s') => before,
            None if amount.ends_with('s') => "",
            _ => amount,
        };
        let took =
            part.started.map(|from| part.ended.unwrap_or(now).saturating_sub(from).max(0) as f64 / 1e9);
        Row {
            text: format!(" => => {}{amount}", part.id),
            time: took.map(|took| format!("{took:.1}s")).unwrap_or_default(),
            colour,
            is_settled: step.ended.is_some(),
        }
    };
    step.parts.iter().map(row).collect()
}

/// As many rows as there is room for: settled ones go first, the oldest of them before the others.
fn fit(mut rows: Vec<Row>, room: usize) -> Vec<Row> {
    let mut surplus = rows.len().saturating_sub(room);
    rows.retain(|row| {
        let goes = surplus > 0 && row.is_settled;
        surplus -= usize::from(goes);
        !goes
    });
    let surplus = rows.len().saturating_sub(room);
    rows.split_off(surplus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildkit::control::{StatusResponse, Vertex, VertexLog, VertexStatus};
    use buildkit::time::Timestamp;

    const SECOND: i64 = 1_000_000_000;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    fn steps() -> Steps {
        let vertex = |digest: &str, name: &str, ended| Vertex {
            digest: digest.into(),
            name: name.into(),
            started: at(10),
            completed: ended,
            ..Vertex::default()
        };
        let mut steps = Steps::default();
        steps.take(&StatusResponse {
            vertexes: vec![
                vertex("a", "load", at(11)),
                Vertex { cached: true, ..vertex("b", "[1/2] FROM x", at(10)) },
                vertex("c", "[2/2] RUN make", None),
                Vertex { started: None, ..vertex("d", "later", None) },
            ],
            statuses: vec![VertexStatus {
                id: "transferring:".into(),
                vertex: "a".into(),
                current: 30,
                started: at(10),
                completed: at(11),
                ..VertexStatus::default()
            }],
            logs: vec![VertexLog {
                vertex: "c".into(),
                timestamp: at(12),
                stream: 1,
                msg: (0..9).map(|n| format!("line {n}\n")).collect::<String>().into(),
            }],
            warnings: Vec::new(),
        });
        steps
    }

    #[test]
    fn steps_are_rows_with_times_and_the_last_lines() {
        let lines: Vec<String> = rows(&steps(), 15 * SECOND).iter().map(|row| row.line(30, false)).collect();
        assert_eq!(
            lines,
            [
                " => load                  1.0s",
                " => => transferring: 30B  1.0s",
                " => CACHED [1/2] FROM x   0.0s",
                " => [2/2] RUN make        5.0s",
                " => => # line 3",
                " => => # line 4",
                " => => # line 5",
                " => => # line 6",
                " => => # line 7",
                " => => # line 8",
            ]
        );
    }

    #[test]
    fn without_room_what_is_settled_goes_first() {
        let texts = |room| fit(rows(&steps(), 0), room).into_iter().map(|row| row.text).collect::<Vec<_>>();
        assert_eq!(texts(8)[0], " => CACHED [1/2] FROM x");
        assert_eq!(texts(7)[0], " => [2/2] RUN make");
        assert_eq!(texts(2), [" => => # line 7", " => => # line 8"]);
    }

    #[test]
    fn a_long_name_leaves_room_for_its_time() {
        let row =
            Row { text: "x".repeat(50), time: "1.0s".into(), colour: Some(Colour::Red), is_settled: false };
        assert_eq!(row.line(20, false), format!("{}.. 1.0s", "x".repeat(13)));
        assert_eq!(row.line(20, true), format!("\x1b[31m{}.. 1.0s\x1b[0m", "x".repeat(13)));
    }
}
