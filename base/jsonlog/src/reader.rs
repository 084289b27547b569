//! Reading a log: all its files from the oldest to the newest, from where the query begins.

use std::ops::ControlFlow;
use std::path::Path;

use crate::decode::{Record, Scratch, decode};
use crate::file::{Lines, LogFile};
use crate::follow::{Follow, Watch, Woken};
use crate::rotation::{numbered, zipped};
use crate::{Error, Stream, seek};

/// Which records are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Only so many of the last records, counted over both streams and before anything else is left out.
    pub tail: Option<u64>,
    /// Nothing older, in nanoseconds since 1970.
    pub since: Option<i64>,
    /// Nothing newer, in nanoseconds since 1970.
    pub until: Option<i64>,
    /// Records of the standard output.
    pub stdout: bool,
    /// Records of the error output.
    pub stderr: bool,
}

impl Default for Query {
    /// Everything.
    fn default() -> Self {
        Self { tail: None, since: None, until: None, stdout: true, stderr: true }
    }
}

/// Takes what is read.
pub trait Sink {
    /// The next record.
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()>;

    /// Nothing more is there now: what was collected should go out before a possibly long wait.
    fn idle(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&Record<'_>) -> ControlFlow<()>> Sink for F {
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        self(record)
    }
}

/// Reads a log into a sink. Without `follow` it ends where the log ended when it was called; with it, it goes on
/// with what is written, through rotations, until [`Follow`] says so. A log that does not exist is empty.
pub fn read(
    path: &Path,
    query: &Query,
    follow: Option<&Follow<'_>>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    // The watch comes first, so that nothing written after the files were opened is missed.
    let watch = follow.map(|follow| Watch::new(path, follow));
    let files = open_all(path)?;
    let mut reading = Reading { query, sink, scratch: Scratch::default() };
    let starts = starts(&files, query)?;
    let mut tip = None;
    for (file, start) in files.into_iter().zip(starts) {
        tip = None;
        let Some(start) = start else { continue };
        let limit =
            if watch.is_none() && !file.compressed { Some(file.size()?.saturating_sub(start)) } else { None };
        let mut lines = file.lines(start)?;
        if reading.drain(&mut lines, limit)?.is_break() {
            return Ok(());
        }
        tip = Some((file, lines));
    }
    match watch {
        Some(watch) => follow_on(path, &watch, tip, &mut reading),
        None => {
            let _ = reading.sink.idle();
            Ok(())
        }
    }
}

struct Reading<'a> {
    query: &'a Query,
    sink: &'a mut dyn Sink,
    scratch: Scratch,
}

impl Reading<'_> {
    /// Gives all whole lines that are there, or those within the first `limit` bytes, to the sink.
    fn drain(&mut self, lines: &mut Lines, limit: Option<u64>) -> Result<ControlFlow<()>, Error> {
        let mut left = limit.unwrap_or(u64::MAX);
        loop {
            while let Some(line) = lines.next_line() {
                let length = line.len() as u64 + 1;
                if length > left {
                    return Ok(ControlFlow::Continue(()));
                }
                left -= length;
                let flow =
                    decode(line, &mut self.scratch).map(|record| offer(self.query, &record, self.sink));
                if flow.is_some_and(|flow| flow.is_break()) {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if left == 0 || !lines.fill()? {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }
}

/// Breaks when the record is past the end of what is wanted.
fn offer(query: &Query, record: &Record<'_>, sink: &mut dyn Sink) -> ControlFlow<()> {
    if query.since.is_some() || query.until.is_some() {
        let time = record.nanoseconds().unwrap_or(0);
        if query.since.is_some_and(|since| time < since) {
            return ControlFlow::Continue(());
        }
        if query.until.is_some_and(|until| time > until) {
            let _ = sink.idle();
            return ControlFlow::Break(());
        }
    }
    let wanted = match record.stream {
        Stream::Stdout => query.stdout,
        Stream::Stderr => query.stderr,
    };
    if wanted { sink.record(record) } else { ControlFlow::Continue(()) }
}

/// All files of the log, the oldest first. They are opened from the newest on: when the log is turned meanwhile, a
/// file shows up twice, never not at all.
fn open_all(path: &Path) -> Result<Vec<LogFile>, Error> {
    let mut files: Vec<LogFile> = Vec::new();
    files.extend(LogFile::plain(path)?);
    for number in 1.. {
        let Some(file) = LogFile::aside(path, number)? else { break };
        if !files.iter().any(|other| other.is(&file)) {
            files.push(file);
        }
    }
    files.reverse();
    Ok(files)
}

/// Where to begin in each file; nothing for files that are not needed.
fn starts(files: &[LogFile], query: &Query) -> Result<Vec<Option<u64>>, Error> {
    let mut starts = vec![Some(0); files.len()];
    if let Some(mut wanted) = query.tail {
        for (place, (file, start)) in files.iter().zip(&mut starts).enumerate().rev() {
            if wanted == 0 && place + 1 < files.len() {
                *start = None;
                continue;
            }
            let (offset, lines) = seek::tail(file, wanted)?;
            *start = Some(offset);
            wanted -= lines;
        }
    }
    if let Some(since) = query.since {
        for (file, start) in files.iter().zip(&mut starts) {
            if let Some(offset) = start {
                *offset = (*offset).max(seek::since(file, since)?);
            }
        }
    }
    Ok(starts)
}

/// Goes on with what is written after the end was reached.
fn follow_on(
    path: &Path,
    watch: &Watch<'_>,
    tip: Option<(LogFile, Lines)>,
    reading: &mut Reading<'_>,
) -> Result<(), Error> {
    let mut tip = tip;
    let mut ended = false;
    loop {
        if let Some((file, lines)) = &mut tip {
            // Looked up before the last read: what was written before the file was moved aside is then surely read.
            let turned = file.is_turned(path);
            if reading.drain(lines, None)?.is_break() {
                return Ok(());
            }
            if turned && let Some(next) = next_file(path, file)? {
                let lines = next.lines(0)?;
                tip = Some((next, lines));
                continue;
            }
        } else if let Some(file) = LogFile::plain(path)? {
            let lines = file.lines(0)?;
            tip = Some((file, lines));
            continue;
        }
        if reading.sink.idle().is_break() || ended {
            return Ok(());
        }
        match watch.wait(reading.query.until) {
            Woken::Changed => {}
            // One more round for what was written last.
            Woken::Ended => ended = true,
            Woken::Cancelled => return Ok(()),
        }
    }
}

/// The file that was begun after this one; nothing while it is not there yet.
fn next_file(path: &Path, tip: &LogFile) -> Result<Option<LogFile>, Error> {
    let mut newer = LogFile::plain(path)?;
    if newer.as_ref().is_some_and(|file| file.is(tip)) {
        return Ok(None);
    }
    for number in 1.. {
        match LogFile::aside(path, number)? {
            Some(file) if file.is(tip) => return Ok(newer),
            Some(file) => newer = Some(file),
            None if numbered(path, number + 1).exists() || zipped(path, number + 1).exists() => {}
            // It is gone: the oldest that is left came after it.
            None => return Ok(newer),
        }
    }
    Ok(newer)
}
