//! The access log: a line for each request, written by a thread of its own so that no client waits for a disk.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bytes that may wait; lines beyond are counted, not kept.
const MOST: usize = 1024 * 1024;
/// Lines are gathered for so long.
const GATHER: Duration = Duration::from_millis(100);

/// Where lines go.
pub struct AccessLog {
    shared: Arc<Shared>,
    writer: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    lost: u64,
    ended: bool,
}

impl AccessLog {
    /// Starts the writer; it sleeps while there is nothing to write.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub fn start(mut output: Box<dyn Write + Send>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let write = move || {
            while let Some(bytes) = own.next() {
                // A log that can't be written must not stop the registry.
                let _ = output.write_all(&bytes).and_then(|()| output.flush());
            }
        };
        let writer =
            std::thread::Builder::new().name("access-log".to_owned()).stack_size(128 * 1024).spawn(write)?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Adds a line.
    pub(super) fn line(&self, text: std::fmt::Arguments<'_>) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.bytes.len() >= MOST {
            waiting.lost += 1;
            return;
        }
        let first = waiting.bytes.is_empty();
        let _ = writeln!(waiting.bytes, "{text}");
        if first {
            self.shared.arrived.notify_one();
        }
    }
}

impl Shared {
    /// What has come; `None` when the log ended and all is written.
    fn next(&self) -> Option<Vec<u8>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.bytes.is_empty() {
            if waiting.ended {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if !waiting.ended {
            drop(waiting);
            std::thread::sleep(GATHER);
            waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        }
        let lost = std::mem::take(&mut waiting.lost);
        let mut bytes = std::mem::take(&mut waiting.bytes);
        if lost > 0 {
            let _ = writeln!(bytes, "{lost} lines were lost: the log is written too slowly");
        }
        Some(bytes)
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.shared.arrived.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("AccessLog")
    }
}

/// A path as it may stand in a log: nothing that could end a line or speak to a terminal.
pub(super) fn clean(path: &str) -> String {
    path.chars().take(512).map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_before_the_end() {
        let kept = Kept::default();
        let log = AccessLog::start(Box::new(kept.clone())).unwrap();
        for number in 0..100 {
            log.line(format_args!("{number}"));
        }
        drop(log);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 100);
        assert_eq!(clean("/a\n\u{1b}[31m"), "/a??[31m");
    }
}
