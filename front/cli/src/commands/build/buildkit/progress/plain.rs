//! A build as lines, each with the number of its step; what one step says stays together as far as it can.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::steps::{Step, Steps};

/// How long a step that says nothing keeps the others waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lines under way.
pub(super) struct Plain {
    title: String,
    states: Vec<State>,
    numbers: usize,
    /// The step whose lines are being written.
    current: Option<usize>,
    /// When it last wrote something.
    last: Instant,
    began: bool,
}

/// What was written of a step.
#[derive(Debug, Default, Clone)]
struct State {
    number: usize,
    /// Lines that wait for their turn.
    waiting: Vec<String>,
    /// It has to be shown, lines or not.
    is_due: bool,
    /// Its last line was made.
    is_over: bool,
    /// When each of its parts was written last.
    parts: Vec<(String, Instant)>,
}

impl Plain {
    pub fn new(title: &str) -> Self {
        let title = format!("#0 building with {title}");
        Self { title, states: Vec::new(), numbers: 0, current: None, last: Instant::now(), began: false }
    }

    /// Writes what is new about these steps.
    pub fn show(&mut self, steps: &mut Steps, changed: &[usize], out: &mut dyn Write) -> io::Result<()> {
        if !self.began {
            writeln!(out, "{}", self.title)?;
            self.began = true;
        }
        self.states.resize(steps.all().len(), State::default());
        let now = nanoseconds();
        for &place in changed {
            if let (Some(step), Some(state)) = (steps.get(place), self.states.get_mut(place)) {
                state.note(step, now);
            }
        }
        self.flush(steps, out)
    }

    /// Writes what still waits.
    pub fn end(&mut self, steps: &mut Steps, out: &mut dyn Write) -> io::Result<()> {
        self.show(steps, &[], out)?;
        while let Some(place) = self.states.iter().position(|state| !state.waiting.is_empty()) {
            self.turn_to(place, steps, out)?;
            self.write_waiting(place, out)?;
        }
        out.flush()
    }

    fn flush(&mut self, steps: &Steps, out: &mut dyn Write) -> io::Result<()> {
        loop {
            let Some(place) = self.current.or_else(|| self.next()) else { return out.flush() };
            if self.current != Some(place) {
                self.turn_to(place, steps, out)?;
            }
            let wrote = self.write_waiting(place, out)?;
            if self.states[place].is_over {
                self.current = None;
            } else if !wrote && self.last.elapsed() >= PATIENCE && self.next().is_some() {
                self.leave(out)?;
            } else {
                return out.flush();
            }
        }
    }

    /// The step that is to be shown next: one that is over before one that still runs.
    fn next(&self) -> Option<usize> {
        let waits = |state: &State| state.is_due || !state.waiting.is_empty();
        let over = self.states.iter().position(|state| state.is_over && waits(state));
        over.or_else(|| self.states.iter().position(waits))
    }

    fn turn_to(&mut self, place: usize, steps: &Steps, out: &mut dyn Write) -> io::Result<()> {
        if self.current.is_some_and(|current| current != place) {
            self.leave(out)?;
        }
        let state = &mut self.states[place];
        if state.number == 0 {
            self.numbers += 1;
            state.number = self.numbers;
        }
        self.current = Some(place);
        self.last = Instant::now();
        let name = steps.all().get(place).map_or("", |step| step.name.as_str());
        writeln!(out, "\n#{} {name}", state.number)
    }

    fn leave(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.current.take() {
            Some(place) => writeln!(out, "#{} ...", self.states[place].number),
            None => Ok(()),
        }
    }

    /// Writes the lines of a step that wait; whether there were any.
    fn write_waiting(&mut self, place: usize, out: &mut dyn Write) -> io::Result<bool> {
        let state = &mut self.states[place];
        state.is_due = false;
        let lines = std::mem::take(&mut state.waiting);
        for line in &lines {
            writeln!(out, "#{} {line}", state.number)?;
        }
        if !lines.is_empty() {
            self.last = Instant::now();
        }
        Ok(!lines.is_empty())
    }
}

impl State {
    /// Makes lines of what is new about its step.
    fn note(&mut self, step: &mut Step, now: i64) {
        if step.started.is_none() {
            return;
        }
        let was_over = std::mem::replace(&mut self.is_over, step.ended.is_some());
        self.is_due |= self.number == 0;
        for part in step.parts.iter_mut().filter(|part| part.is_news) {
            let last = self.parts.iter_mut().find(|(id, _)| *id == part.id);
            let is_early = last.as_ref().is_some_and(|(_, time)| time.elapsed() < PATIENCE);
            if part.ended.is_none() && is_early {
                continue;
            }
            match last {
                Some((_, time)) => *time = Instant::now(),
                None => self.parts.push((part.id.clone(), Instant::now())),
            }
            part.is_news = false;
            self.waiting.push(format!("{}{}", part.id, part.amount(now)));
        }
        self.waiting.append(&mut step.unshown);
        if !self.is_over || was_over {
            return;
        }
        self.waiting.push(match () {
            () if step.was_cancelled() => "CANCELED".to_owned(),
            () if step.has_failed() => format!("ERROR: {}", step.error),
            () if step.cached => "CACHED".to_owned(),
            () => format!("DONE {:.1}s", step.seconds(now)),
        });
    }
}

/// Now, in nanoseconds since 1970.
pub(super) fn nanoseconds() -> i64 {
    model::Timestamp::now().nanoseconds()
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildkit::control::{StatusResponse, Vertex, VertexLog, VertexStatus};
    use buildkit::time::Timestamp;

    fn at(millis: i64) -> Option<Timestamp> {
        Some(Timestamp {
            seconds: 100 + millis / 1000,
            nanos: i32::try_from(millis % 1000).unwrap() * 1_000_000,
        })
    }

    fn vertex(digest: &str, started: Option<i64>, ended: Option<i64>) -> Vertex {
        Vertex {
            digest: digest.into(),
            name: format!("step {digest}"),
            started: started.and_then(at),
            completed: ended.and_then(at),
            ..Vertex::default()
        }
    }

    fn log(digest: &str, millis: i64, text: &str) -> VertexLog {
        VertexLog { vertex: digest.into(), timestamp: at(millis), stream: 1, msg: text.into() }
    }

    fn shown(news: &[StatusResponse]) -> String {
        let (mut steps, mut plain, mut out) = (Steps::default(), Plain::new("x"), Vec::new());
        for news in news {
            let changed = steps.take(news);
            plain.show(&mut steps, &changed, &mut out).unwrap();
        }
        plain.end(&mut steps, &mut out).unwrap();
        out.extend_from_slice(steps.failures().as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_step_says_stays_together() {
        let of = |vertexes: Vec<Vertex>, logs: Vec<VertexLog>| StatusResponse {
            vertexes,
            logs,
            ..StatusResponse::default()
        };
        let failed = Vertex { error: "exit code: 1".into(), ..vertex("b", Some(0), Some(2500)) };
        let cached = Vertex { cached: true, ..vertex("c", Some(0), Some(0)) };
        let cancelled = Vertex { error: "x: context canceled".into(), ..vertex("d", Some(0), Some(1)) };
        let transferred = StatusResponse {
            statuses: vec![VertexStatus {
                id: "transferring:".into(),
                vertex: "a".into(),
                current: 172,
                started: at(0),
                completed: at(0),
                ..VertexStatus::default()
            }],
            ..StatusResponse::default()
        };
        let text = shown(&[
            of(vec![vertex("a", None, None), vertex("b", None, None), vertex("c", None, None)], vec![]),
            of(vec![vertex("a", Some(0), None)], vec![]),
            of(vec![vertex("b", Some(0), None)], vec![log("b", 500, "one\ntw")]),
            of(vec![cached], vec![]),
            of(vec![], vec![log("b", 1000, "o\n"), log("b", 1001, "end")]),
            transferred,
            of(vec![vertex("a", Some(0), Some(1240))], vec![]),
            of(vec![failed, cancelled], vec![]),
        ]);
        let wanted = "\
#0 building with x

#1 step a
#1 transferring: 172B done
#1 DONE 1.2s

#2 step c
#2 CACHED

#3 step b
#3 0.500 one
#3 0.500 two
#3 1.001 end
#3 ERROR: exit code: 1

#4 step d
#4 CANCELED
------
 > step b:
0.500 one
0.500 two
1.001 end
------
";
        assert_eq!(text, wanted);
    }
}
