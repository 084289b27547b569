//! What a build says while it runs, kept for everybody who listens, also for those who come later.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use grpc::Cancellation;

use crate::control::{StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning};

/// Bytes of output kept of one step; BuildKit's limit.
const LOG_LIMIT: usize = 2 << 20;
/// Pieces of news put into one message.
const TOGETHER: usize = 256;
/// Bytes of output put into one message.
const BYTES_TOGETHER: usize = 1 << 20;

/// The news of one build.
#[derive(Debug, Default)]
pub struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    news: Vec<News>,
    logged: HashMap<String, usize>,
    ended: bool,
}

#[derive(Debug, Clone)]
enum News {
    Vertex(Vertex),
    Status(VertexStatus),
    Log(VertexLog),
    Warning(VertexWarning),
}

impl Progress {
    /// A step is new or has changed. The latest word about a step counts.
    pub fn vertex(&self, vertex: Vertex) {
        self.add(News::Vertex(vertex));
    }

    /// Something inside a step goes on.
    pub fn status(&self, status: VertexStatus) {
        self.add(News::Status(status));
    }

    /// A step writes. Beyond two mebibytes only a word that it went on is kept.
    pub fn log(&self, vertex: &str, stream: i64, bytes: &[u8]) {
        let mut state = self.lock();
        let logged = state.logged.entry(vertex.to_owned()).or_default();
        let before = *logged;
        *logged = logged.saturating_add(bytes.len());
        let room = LOG_LIMIT.saturating_sub(before).min(bytes.len());
        let mut piece = bytes[..room].to_vec();
        if before <= LOG_LIMIT && before + bytes.len() > LOG_LIMIT {
            piece.extend_from_slice(b"\n[output clipped, log limit 2MiB reached]\n");
        }
        if piece.is_empty() {
            return;
        }
        let timestamp = Some(SystemTime::now().into());
        state.news.push(News::Log(VertexLog { vertex: vertex.to_owned(), timestamp, stream, msg: piece }));
        drop(state);
        self.changed.notify_all();
    }

    /// Something about the Dockerfile should not be so.
    pub fn warning(&self, warning: VertexWarning) {
        self.add(News::Warning(warning));
    }

    /// Nothing more will be said.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// How many steps there are, how many of them came from the cache, and how many ended.
    pub fn steps(&self) -> (usize, usize, usize) {
        let state = self.lock();
        let mut last: HashMap<&str, &Vertex> = HashMap::new();
        for news in &state.news {
            if let News::Vertex(vertex) = news {
                last.insert(&vertex.digest, vertex);
            }
        }
        let cached = last.values().filter(|vertex| vertex.cached).count();
        let completed = last.values().filter(|vertex| vertex.completed.is_some()).count();
        (last.len(), cached, completed)
    }

    /// The news from a place on; waits for some. `None` when it has ended, or `until` is cancelled.
    pub fn read(&self, from: &mut usize, until: &Cancellation) -> Option<StatusResponse> {
        let mut state = self.lock();
        while state.news.len() <= *from {
            if state.ended || until.is_cancelled() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut response = StatusResponse::default();
        let mut bytes = 0;
        for news in state.news[*from..].iter().take(TOGETHER) {
            if let News::Log(log) = news {
                bytes += log.msg.len();
            }
            if bytes > BYTES_TOGETHER && *from < state.news.len() && !response.is_nothing() {
                break;
            }
            *from += 1;
            match news.clone() {
                News::Vertex(vertex) => response.vertexes.push(vertex),
                News::Status(status) => response.statuses.push(status),
                News::Log(log) => response.logs.push(log),
                News::Warning(warning) => response.warnings.push(warning),
            }
        }
        Some(response)
    }

    /// Wakes everybody who waits, so that they look at their cancellations.
    pub(super) fn nudge(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    fn add(&self, news: News) {
        self.lock().news.push(news);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StatusResponse {
    fn is_nothing(&self) -> bool {
        self.vertexes.is_empty()
            && self.statuses.is_empty()
            && self.logs.is_empty()
            && self.warnings.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_without_end_is_clipped_once() {
        let progress = Progress::default();
        for _ in 0..40 {
            progress.log("a", 1, &[b'x'; 100 << 10]);
        }
        progress.log("b", 1, b"other\n");
        progress.end();
        let (mut from, mut logs, mut largest) = (0, Vec::new(), 0);
        while let Some(news) = progress.read(&mut from, &Cancellation::new()) {
            largest = largest.max(news.logs.iter().map(|log| log.msg.len()).sum());
            logs.extend(news.logs);
        }
        let kept: usize = logs.iter().filter(|log| log.vertex == "a").map(|log| log.msg.len()).sum();
        assert_eq!(kept, LOG_LIMIT + b"\n[output clipped, log limit 2MiB reached]\n".len());
        assert_eq!(logs.last().map(|log| log.msg.as_slice()), Some(&b"other\n"[..]));
        assert!(largest <= BYTES_TOGETHER, "{largest}");
    }

    #[test]
    fn the_last_word_about_a_step_counts() {
        let progress = Progress::default();
        let step = |digest: &str, cached, done: bool| Vertex {
            digest: digest.into(),
            cached,
            completed: done.then(<_>::default),
            ..Vertex::default()
        };
        progress.vertex(step("a", false, false));
        progress.vertex(step("b", false, false));
        progress.vertex(step("a", true, true));
        assert_eq!(progress.steps(), (2, 1, 1));
    }

    #[test]
    fn a_cancelled_listener_goes_away() {
        let progress = std::sync::Arc::new(Progress::default());
        let until = Cancellation::new();
        let nudged = std::sync::Arc::clone(&progress);
        let _hook = until.on_cancel(move || nudged.nudge());
        let canceller = until.clone();
        let thread = std::thread::spawn(move || canceller.cancel());
        assert_eq!(progress.read(&mut 0, &until), None);
        thread.join().expect("no panic");
    }
}
