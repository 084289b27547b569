//! Many lines that each tell the progress of one thing and are redrawn in place.

use std::io::Write;

/// Lines on a terminal, by id, in order of appearance.
#[derive(Debug, Default)]
pub struct Lines {
    ids: Vec<String>,
    rows: usize,
}

impl Lines {
    /// Nothing drawn yet, on a terminal of so many rows; 0 when it does not know.
    pub fn new(rows: usize) -> Self {
        Self { ids: Vec::new(), rows }
    }

    /// Draws the text of one id, moving up to its line if it has one.
    ///
    /// A line that has scrolled out of the terminal stays as it was: the cursor can't get there, and what is drawn would
    /// overwrite another line.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn draw(&mut self, out: &mut dyn Write, id: &str, text: &str) -> std::io::Result<()> {
        let position = match self.ids.iter().position(|held| held == id) {
            Some(position) => position,
            None => {
                self.ids.push(id.to_owned());
                writeln!(out)?;
                self.ids.len() - 1
            }
        };
        let up = self.ids.len() - position;
        if self.rows > 0 && up >= self.rows {
            return Ok(());
        }
        write!(out, "\x1b[{up}A\x1b[2K\r{text}\r\x1b[{up}B")?;
        out.flush()
    }

    /// Later texts are drawn below; the ids are new ones from here.
    pub fn settle(&mut self) {
        self.ids.clear();
    }
}

/// How far something is, and what of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress<'a> {
    /// Done so far.
    pub current: i64,
    /// All there is to do; 0 when unknown.
    pub total: i64,
    /// What is counted; bytes when empty.
    pub units: &'a str,
    /// No numbers, only the bar.
    pub hide_counts: bool,
    /// Seconds since it began; 0 when unknown.
    pub seconds: i64,
}

/// Columns from which on there is a bar, and a guess of the time left.
const BAR_FROM: usize = 111;
const TIME_FROM: usize = 51;
/// How long the bar is.
const PLACES: i64 = 50;

impl Progress<'_> {
    /// Bar, numbers and time left, as far as the width allows; `size` words a number of bytes.
    pub fn text(&self, width: usize, size: impl Fn(i64) -> String) -> String {
        if self.current <= 0 && self.total <= 0 {
            return String::new();
        }
        let amount = |count: i64| {
            if self.units.is_empty() { size(count) } else { count.to_string() }
        };
        let counted = |numbers: String| {
            if self.units.is_empty() { format!("{numbers:>8}") } else { format!("{numbers} {}", self.units) }
        };
        if self.total <= 0 {
            return counted(amount(self.current));
        }
        let places = i64::try_from(i128::from(self.current) * i128::from(PLACES) / i128::from(self.total));
        let places = places.unwrap_or(PLACES).clamp(0, PLACES);
        let mut text = String::new();
        if width >= BAR_FROM {
            let drawn = "=".repeat(usize::try_from(places).unwrap_or(0));
            text = format!("[{:<51}] ", format!("{drawn}>"));
        }
        if !self.hide_counts {
            let current = amount(self.current);
            text.push_str(&match (self.units.is_empty(), self.current > self.total) {
                // A total that is passed was none.
                (_, true) => counted(current),
                (true, _) => format!("{current:>8}/{}", amount(self.total)),
                (false, _) => counted(format!("{current}/{}", self.total)),
            });
        }
        if width >= TIME_FROM && self.current > 0 && self.seconds > 0 && places < PLACES {
            let left =
                i128::from(self.seconds) * i128::from(self.total - self.current) / i128::from(self.current);
            text.push_str(&format!(" {}", span(left)));
        }
        text
    }
}

/// `1h2m3s`, the leading zeros left out.
fn span(seconds: i128) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(progress: Progress<'_>, width: usize, wanted: &str) {
        assert_eq!(progress.text(width, |bytes| format!("{bytes}B")), wanted);
    }

    #[test]
    fn bars_fill_up() {
        let half = Progress { current: 50, total: 100, ..Progress::default() };
        check(half, 120, &format!("[{}>{}]      50B/100B", "=".repeat(25), " ".repeat(25)));
        check(half, 110, "     50B/100B");
        check(Progress { current: 100, ..half }, 120, &format!("[{}>]     100B/100B", "=".repeat(50)));
        check(Progress { hide_counts: true, ..half }, 110, "");
        check(Progress { current: 5, ..Progress::default() }, 120, "      5B");
        check(Progress { total: 5, ..half }, 60, "     50B");
        check(Progress::default(), 120, "");
        check(Progress { units: "files", ..half }, 80, "50/100 files");
        check(Progress { units: "files", total: 0, ..half }, 80, "50 files");
    }

    #[test]
    fn the_time_left_is_guessed() {
        let slow = Progress { current: 1, total: 100, seconds: 60, ..Progress::default() };
        check(slow, 80, "      1B/100B 1h39m0s");
        check(slow, 50, "      1B/100B");
        check(Progress { current: 60, ..slow }, 80, "     60B/100B 40s");
        check(Progress { current: 100, ..slow }, 80, "    100B/100B");
    }

    #[test]
    fn any_numbers_are_taken() {
        for current in [i64::MIN, -1, 0, 1, i64::MAX - 1, i64::MAX] {
            for total in [i64::MIN, -1, 0, 1, 7, i64::MAX] {
                let odd = Progress { current, total, seconds: i64::MAX, ..Progress::default() };
                assert!(odd.text(200, |bytes| bytes.to_string()).len() < 150);
            }
        }
    }

    #[test]
    fn a_line_is_redrawn_where_it_was() {
        let mut out = Vec::new();
        let mut lines = Lines::new(0);
        lines.draw(&mut out, "a", "one").unwrap();
        lines.draw(&mut out, "b", "two").unwrap();
        out.clear();
        lines.draw(&mut out, "a", "done").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\x1b[2A\x1b[2K\rdone\r\x1b[2B");
    }

    #[test]
    fn what_has_scrolled_away_stays() {
        let mut out = Vec::new();
        let mut lines = Lines::new(3);
        for id in ["a", "b", "c"] {
            lines.draw(&mut out, id, id).unwrap();
        }
        out.clear();
        lines.draw(&mut out, "a", "gone").unwrap();
        lines.draw(&mut out, "b", "here").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\x1b[2A\x1b[2K\rhere\r\x1b[2B");
    }
}
