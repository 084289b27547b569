//! What a build says, shown while it goes on: as lines, as a live view of a terminal, or as the news themselves.

mod plain;
mod records;
mod steps;
mod tty;

use std::io::Write;
use std::time::{Duration, Instant};

use buildkit::control::StatusResponse;

use crate::commands::build::output::Mode;
use crate::failure::Outcome;
use plain::Plain;
use steps::Steps;
use tty::Live;

/// How often a live view is drawn while time goes on, and how long lines wait for others that belong to them.
const BEAT: Duration = Duration::from_millis(100);

/// A way of showing, under way.
pub(in crate::commands) struct Display {
    view: View,
    out: Box<dyn Write>,
    steps: Steps,
    /// Steps with news that were not shown as lines, and since when.
    waiting: Option<(Instant, Vec<usize>)>,
    wants_all: bool,
}

enum View {
    Lines(Plain),
    Live(Live),
    Records,
    Nothing,
}

impl Display {
    /// On standard error; a live view only where that is a terminal.
    pub fn new(mode: Mode, [title, short]: [&str; 2], colours: bool) -> Self {
        let size =
            terminal::is_terminal(std::io::stderr()).then(|| terminal::size(std::io::stderr())).flatten();
        let live = |size| View::Live(Live::new(size, colours, short));
        let view = match (mode, size) {
            (Mode::Quiet, _) => View::Nothing,
            (Mode::Records, _) => View::Records,
            (Mode::Auto | Mode::Terminal, Some(size)) => live(size),
            (Mode::Terminal, None) => live(terminal::Size { width: 80, height: 24 }),
            (Mode::Auto | Mode::Plain, _) => View::Lines(Plain::new(title)),
        };
        Self {
            view,
            out: Box::new(std::io::stderr()),
            steps: Steps::default(),
            waiting: None,
            wants_all: false,
        }
    }

    /// The same on standard output, for what was said before.
    pub fn on_stdout(mode: Mode, title: [&str; 2], colours: bool) -> Self {
        Self { out: Box::new(std::io::stdout()), ..Self::new(mode, title, colours) }
    }

    /// Whether news are wanted when they come; otherwise only those of a failure are, at the end.
    pub fn wants_news(&self) -> bool {
        self.wants_all || !matches!(self.view, View::Nothing)
    }

    /// Wants all news, even if nothing is shown of them as they come.
    pub fn want_all(&mut self) {
        self.wants_all = true;
    }

    /// How long to wait for news before [`Self::beat`]; none when nothing changes by itself.
    pub fn patience(&self) -> Option<Duration> {
        match &self.view {
            View::Live(_) => Some(BEAT),
            _ => self.waiting.as_ref().map(|(since, _)| BEAT.saturating_sub(since.elapsed())),
        }
    }

    /// Shows news.
    ///
    /// # Errors
    /// When nobody reads standard error any more.
    pub fn news(&mut self, news: &StatusResponse) -> Outcome {
        let changed = self.steps.take(news);
        match &mut self.view {
            View::Lines(_) => {
                let (_, waiting) = self.waiting.get_or_insert_with(|| (Instant::now(), Vec::new()));
                waiting.extend(changed);
                self.lines_that_waited()?;
            }
            View::Live(live) => live.beat(&self.steps, &mut self.out)?,
            View::Records => records::write(news, &mut self.out)?,
            View::Nothing => {}
        }
        Ok(())
    }

    /// Lets something else have the terminal; what is shown afterwards is shown below it.
    ///
    /// # Errors
    /// As [`Self::news`].
    pub fn aside(&mut self, other: impl FnOnce()) -> Outcome {
        self.lines()?;
        if let View::Live(live) = &mut self.view {
            live.settle(&self.steps, &mut self.out)?;
        }
        other();
        Ok(())
    }

    /// Time went on.
    ///
    /// # Errors
    /// As [`Self::news`].
    pub fn beat(&mut self) -> Outcome {
        match &mut self.view {
            View::Live(live) => live.beat(&self.steps, &mut self.out)?,
            View::Lines(_) => self.lines_that_waited()?,
            View::Records | View::Nothing => {}
        }
        Ok(())
    }

    /// Writes lines that have waited long enough.
    fn lines_that_waited(&mut self) -> Outcome {
        let is_time = self.waiting.as_ref().is_some_and(|(since, _)| since.elapsed() >= BEAT);
        if is_time {
            self.lines()?;
        }
        Ok(())
    }

    fn lines(&mut self) -> Outcome {
        let mut changed = self.waiting.take().map_or_else(Vec::new, |(_, changed)| changed);
        let mut seen = vec![false; self.steps.all().len()];
        changed.retain(|place| !std::mem::replace(&mut seen[*place], true));
        if let View::Lines(plain) = &mut self.view {
            plain.show(&mut self.steps, &changed, &mut self.out)?;
        }
        Ok(())
    }

    /// The build has ended: the last of it, what failing steps said, and warnings.
    ///
    /// # Errors
    /// As [`Self::news`].
    pub fn end(&mut self, debug: bool) -> Outcome {
        self.end_without_warnings()?;
        if !matches!(self.view, View::Nothing | View::Records) {
            self.out.write_all(self.steps.warnings(debug).as_bytes())?;
        }
        self.out.flush()?;
        Ok(())
    }

    /// The same without warnings.
    ///
    /// # Errors
    /// As [`Self::news`].
    pub fn end_without_warnings(&mut self) -> Outcome {
        self.lines()?;
        match &mut self.view {
            View::Lines(plain) => plain.end(&mut self.steps, &mut self.out)?,
            View::Live(live) => live.end(&self.steps, &mut self.out)?,
            View::Records => return Ok(()),
            View::Nothing => {}
        }
        if !matches!(self.view, View::Lines(_)) {
            self.out.write_all(self.steps.explanation().as_bytes())?;
        }
        self.out.write_all(self.steps.failures().as_bytes())?;
        self.out.flush()?;
        Ok(())
    }
}
