//! Many lines that each tell the progress of one thing and are redrawn in place.

use std::io::Write;

/// Lines on a terminal, by id, in order of appearance.
#[derive(Debug, Default)]
pub struct Lines {
    ids: Vec<String>,
}

impl Lines {
    /// Nothing drawn yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Draws the text of one id, moving up to its line if it has one.
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
        write!(out, "\x1b[{up}A\x1b[2K\r{text}\r\x1b[{up}B")?;
        out.flush()
    }

    /// Later texts are drawn below; the ids are new ones from here.
    pub fn settle(&mut self) {
        self.ids.clear();
    }
}

/// A bar `[=====>     ]` with amounts, fitting the width; no bar when the terminal is narrow.
pub fn bar(current: i64, total: i64, width: usize, amounts: &str) -> String {
    if total <= 0 || current < 0 {
        return amounts.to_owned();
    }
    if width < 60 {
        return amounts.to_owned();
    }
    let share = usize::try_from((current.min(total).saturating_mul(50)) / total).unwrap_or(50);
    let mut drawn = "=".repeat(share);
    if share < 50 {
        drawn.push('>');
    }
    format!("[{drawn:<50}] {amounts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fill_up() {
        assert_eq!(bar(50, 100, 200, "x"), format!("[{:<50}] x", format!("{}>", "=".repeat(25))));
        assert_eq!(bar(5, 0, 200, "5B"), "5B");
    }

    #[test]
    fn a_line_is_redrawn_where_it_was() {
        let mut out = Vec::new();
        let mut lines = Lines::new();
        lines.draw(&mut out, "a", "one").unwrap();
        lines.draw(&mut out, "b", "two").unwrap();
        out.clear();
        lines.draw(&mut out, "a", "done").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\x1b[2A\x1b[2K\rdone\r\x1b[2B");
    }
}
