//! What a build says while it runs, kept for everybody who listens, also for those who come later.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use grpc::Cancellation;
use prost::Message as _;

use crate::control::{StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning};

/// Bytes of output kept of one step; BuildKit's limit.
const LOG_LIMIT: usize = 2 << 20;
/// Pieces of news put into one message.
const TOGETHER: usize = 256;
/// Bytes of output put into one message.
const BYTES_TOGETHER: usize = 1 << 20;
/// How long news waits for more of it: steps that are known end many at once, and each message passes five threads.
const LINGER: Duration = Duration::from_millis(5);

/// The news of one build.
#[derive(Debug, Default)]
pub struct Progress {
    state: Mutex<State>,
    changed: Condvar,
    /// It ended, or somebody who listens has to look at their cancellation.
    urgent: Condvar,
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
        self.wake();
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

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.lock().news.iter().filter(|news| matches!(news, News::Warning(_))).count()
    }

    /// All that was said, to be kept: what goes on inside steps only at its end, and of the output as much as fits in so
    /// many bytes.
    pub fn keep(&self, most: usize) -> Vec<u8> {
        let state = self.lock();
        let mut kept = Vec::new();
        for news in &state.news {
            let mut response = StatusResponse::default();
            match news {
                News::Status(status) if status.completed.is_none() => continue,
                News::Log(log) if kept.len() + log.msg.len() > most => continue,
                news => response.add(news.clone()),
            }
            // It grows as it has to.
            let _ = response.encode_length_delimited(&mut kept);
        }
        kept
    }

    /// Reads what [`Self::keep`] gave, piece by piece.
    ///
    /// # Errors
    /// When it was something else.
    pub fn kept(mut bytes: &[u8]) -> impl Iterator<Item = Result<StatusResponse, prost::DecodeError>> {
        std::iter::from_fn(move || {
            if bytes.is_empty() {
                return None;
            }
            let mut together = StatusResponse::default();
            let from = bytes.len();
            while !bytes.is_empty() && from - bytes.len() < BYTES_TOGETHER {
                match StatusResponse::decode_length_delimited(&mut bytes) {
                    Ok(response) => together.append(response),
                    Err(error) => {
                        bytes = &[];
                        return Some(Err(error));
                    }
                }
            }
            Some(Ok(together))
        })
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
        if state.news.len() - *from < TOGETHER {
            let is_calm = |state: &mut State| !state.ended && !until.is_cancelled();
            let waited = self.urgent.wait_timeout_while(state, LINGER, is_calm);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
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
            response.add(news.clone());
        }
        Some(response)
    }

    /// Wakes everybody who waits, so that they look at their cancellations.
    pub(super) fn nudge(&self) {
        drop(self.lock());
        self.wake();
    }

    fn wake(&self) {
        self.changed.notify_all();
        self.urgent.notify_all();
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
    fn add(&mut self, news: News) {
        match news {
            News::Vertex(vertex) => self.vertexes.push(vertex),
            News::Status(status) => self.statuses.push(status),
            News::Log(log) => self.logs.push(log),
            News::Warning(warning) => self.warnings.push(warning),
        }
    }

    fn append(&mut self, mut other: Self) {
        self.vertexes.append(&mut other.vertexes);
        self.statuses.append(&mut other.statuses);
        self.logs.append(&mut other.logs);
        self.warnings.append(&mut other.warnings);
    }

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
    fn what_was_said_is_kept_and_read_again() {
        let progress = Progress::default();
        progress.vertex(Vertex { digest: "a".into(), ..Vertex::default() });
        let status = VertexStatus { id: "s".into(), ..VertexStatus::default() };
        progress.status(status.clone());
        progress.status(VertexStatus { completed: Some(<_>::default()), ..status });
        progress.log("a", 1, &[b'x'; 100]);
        progress.log("a", 1, &[b'y'; 1000]);
        progress.warning(VertexWarning { level: 1, ..VertexWarning::default() });
        let kept = progress.keep(500);
        let read: Vec<StatusResponse> = Progress::kept(&kept).map(|news| news.expect("reads")).collect();
        let [news] = read.as_slice() else { panic!("together: {read:?}") };
        assert_eq!((news.vertexes.len(), news.statuses.len(), news.warnings.len()), (1, 1, 1));
        assert_eq!(news.logs.iter().map(|log| log.msg.len()).collect::<Vec<_>>(), [100], "no more than that");
        assert!(Progress::kept(&kept[..kept.len() - 1]).last().expect("something").is_err());
        assert_eq!(progress.warnings(), 1);
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
