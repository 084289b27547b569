//! Counters in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Kinds of routes.
const KINDS: [&str; 9] =
    ["base", "catalog", "tags", "manifest", "blob", "upload", "referrers", "token", "other"];
/// Upper ends of the duration buckets, microseconds.
const BUCKETS: [u64; 7] = [100, 1_000, 5_000, 25_000, 100_000, 1_000_000, 10_000_000];
/// Classes of statuses: 1xx to 5xx.
const CLASSES: usize = 5;

#[derive(Debug, Default)]
struct Row {
    statuses: [AtomicU64; CLASSES],
    buckets: [AtomicU64; BUCKETS.len()],
    microseconds: AtomicU64,
}

/// What a server has done.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    rows: [Row; KINDS.len()],
    in_flight: AtomicI64,
}

impl Metrics {
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// A request has ended; `status` 499 stands for clients that went away.
    pub(super) fn end(&self, kind: &str, status: u16, took: Duration) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let at = KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len() - 1);
        let Some(row) = self.rows.get(at) else { return };
        let class = usize::from(status / 100).clamp(1, CLASSES) - 1;
        if let Some(counter) = row.statuses.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        row.microseconds.fetch_add(microseconds, Ordering::Relaxed);
        let bucket = BUCKETS.iter().position(|end| microseconds <= *end);
        if let Some(counter) = bucket.and_then(|at| row.buckets.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Everything as text; `uploads` are under way.
    pub(super) fn text(&self, uploads: usize) -> String {
        let mut text = String::new();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        text.push_str("# TYPE registry_requests_total counter\n");
        for (kind, row) in KINDS.iter().zip(&self.rows) {
            for (class, counter) in row.statuses.iter().enumerate() {
                let count = read(counter);
                if count > 0 {
                    let class = class + 1;
                    let _ = writeln!(
                        text,
                        "registry_requests_total{{route=\"{kind}\",status=\"{class}xx\"}} {count}"
                    );
                }
            }
        }
        text.push_str("# TYPE registry_request_seconds histogram\n");
        for (kind, row) in KINDS.iter().zip(&self.rows) {
            let total: u64 = row.statuses.iter().map(read).sum();
            if total == 0 {
                continue;
            }
            let mut below = 0;
            for (end, counter) in BUCKETS.iter().zip(&row.buckets) {
                below += read(counter);
                let end = Duration::from_micros(*end).as_secs_f64();
                let _ = writeln!(
                    text,
                    "registry_request_seconds_bucket{{route=\"{kind}\",le=\"{end}\"}} {below}"
                );
            }
            let sum = Duration::from_micros(read(&row.microseconds)).as_secs_f64();
            let _ = writeln!(text, "registry_request_seconds_bucket{{route=\"{kind}\",le=\"+Inf\"}} {total}");
            let _ = writeln!(text, "registry_request_seconds_sum{{route=\"{kind}\"}} {sum}");
            let _ = writeln!(text, "registry_request_seconds_count{{route=\"{kind}\"}} {total}");
        }
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let _ = writeln!(
            text,
            "# TYPE registry_requests_in_flight gauge\nregistry_requests_in_flight {in_flight}"
        );
        let _ = writeln!(text, "# TYPE registry_uploads_open gauge\nregistry_uploads_open {uploads}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_written() {
        let metrics = Metrics::default();
        metrics.begin();
        metrics.begin();
        metrics.end("blob", 206, Duration::from_millis(2));
        let text = metrics.text(3);
        for line in [
            "registry_requests_total{route=\"blob\",status=\"2xx\"} 1",
            "registry_request_seconds_bucket{route=\"blob\",le=\"0.001\"} 0",
            "registry_request_seconds_bucket{route=\"blob\",le=\"0.005\"} 1",
            "registry_request_seconds_sum{route=\"blob\"} 0.002",
            "registry_requests_in_flight 1",
            "registry_uploads_open 3",
        ] {
            assert!(text.lines().any(|held| held == line), "{line} in\n{text}");
        }
    }
}
