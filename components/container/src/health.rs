//! The health state machine: probe results in, status out.

use std::collections::VecDeque;
use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// Results kept.
pub const KEPT_RESULTS: usize = 5;
/// Bytes of a probe's output kept.
pub const MAX_OUTPUT: usize = 4096;
/// The exit code recorded for a probe that ran into its timeout or could not be run.
pub const PROBE_FAILED: i32 = -1;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_RETRIES: u32 = 3;

/// How a container's health is found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is run.
    pub test: ProbeTest,
    /// Time from one probe's end to the next one's start; zero for 30 seconds.
    pub interval: Duration,
    /// Time a probe may take; zero for 30 seconds.
    pub timeout: Duration,
    /// Time after the start in which failures do not count.
    pub start_period: Duration,
    /// Interval during the start period; zero for 5 seconds.
    pub start_interval: Duration,
    /// Failures in a row that make it unhealthy; zero for 3.
    pub retries: u32,
}

/// What a probe runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeTest {
    /// A program with its arguments.
    Command(Vec<String>),
    /// A line for the container's shell.
    Shell(String),
}

/// How a container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// No probe is configured.
    #[default]
    None,
    /// No probe has decided yet.
    Starting,
    /// The last probe succeeded.
    Healthy,
    /// Too many probes failed in a row.
    Unhealthy,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthResult {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// 0 healthy, 1 unhealthy, others as the program gave them, -1 for no end in time.
    pub exit_code: i32,
    /// Its output, at most [`MAX_OUTPUT`] bytes.
    pub output: String,
}

/// The present health.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// How it is.
    pub status: HealthStatus,
    /// Failures since the last success.
    pub failing_streak: u32,
    /// The last results, oldest first.
    pub log: VecDeque<HealthResult>,
}

impl HealthStatus {
    /// The word answers use.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl HealthCheck {
    /// Time until the next probe.
    pub fn next_interval(&self, status: HealthStatus, since_start: Duration) -> Duration {
        if status == HealthStatus::Starting && since_start < self.start_period {
            return or_default(self.start_interval, DEFAULT_START_INTERVAL);
        }
        or_default(self.interval, DEFAULT_INTERVAL)
    }

    /// Time a probe may take.
    pub fn probe_timeout(&self) -> Duration {
        or_default(self.timeout, DEFAULT_TIMEOUT)
    }

    fn allowed_failures(&self) -> u32 {
        if self.retries == 0 { DEFAULT_RETRIES } else { self.retries }
    }
}

fn or_default(value: Duration, default: Duration) -> Duration {
    if value.is_zero() { default } else { value }
}

impl Health {
    /// The health of a container that was just started.
    pub fn starting() -> Self {
        Self { status: HealthStatus::Starting, failing_streak: 0, log: VecDeque::new() }
    }

    /// Takes a probe's result; true when the status changed (an event is due).
    pub fn record(&mut self, check: &HealthCheck, started_at: Timestamp, mut result: HealthResult) -> bool {
        let before = self.status;
        cut_output(&mut result.output);
        if result.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else {
            let in_start_period = result.start.since(started_at) < check.start_period;
            if self.status != HealthStatus::Starting || !in_start_period {
                self.failing_streak = self.failing_streak.saturating_add(1);
                if self.failing_streak >= check.allowed_failures() {
                    self.status = HealthStatus::Unhealthy;
                }
            }
        }
        self.log.push_back(result);
        while self.log.len() > KEPT_RESULTS {
            self.log.pop_front();
        }
        self.status != before
    }
}

fn cut_output(output: &mut String) {
    if output.len() > MAX_OUTPUT {
        let mut end = MAX_OUTPUT;
        while !output.is_char_boundary(end) {
            end -= 1;
        }
        output.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_config(start_period: u64, retries: u32) -> HealthCheck {
        HealthCheck {
            test: ProbeTest::Shell("true".to_owned()),
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            start_period: Duration::from_secs(start_period),
            start_interval: Duration::ZERO,
            retries,
        }
    }

    fn check(start_period: u64, retries: u32, results: &[(i64, i32)], expected: &str) {
        let config = check_config(start_period, retries);
        let mut health = Health::starting();
        let mut shown = Vec::new();
        for &(second, exit_code) in results {
            let at = Timestamp::from_unix(second, 0);
            let result = HealthResult { start: at, end: at, exit_code, output: String::new() };
            if health.record(&config, Timestamp::from_unix(0, 0), result) {
                shown.push(format!("{second}:{}", health.status.name()));
            }
        }
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn status_follows_the_results() {
        check(0, 0, &[(1, 1), (2, 1), (3, 1), (4, 0), (5, 1)], "3:unhealthy 4:healthy");
        check(0, 1, &[(1, 1), (2, 0), (3, 1)], "1:unhealthy 2:healthy 3:unhealthy");
        check(10, 1, &[(1, 1), (9, 1), (10, 1)], "10:unhealthy");
        check(10, 2, &[(1, 1), (2, 0), (3, 1), (4, 1)], "2:healthy 4:unhealthy");
    }

    #[test]
    fn little_is_kept() {
        let config = check_config(0, 0);
        let mut health = Health::starting();
        for second in 0..9 {
            let at = Timestamp::from_unix(second, 0);
            let result = HealthResult { start: at, end: at, exit_code: 0, output: "ä".repeat(4000) };
            health.record(&config, at, result);
        }
        assert_eq!(health.log.len(), KEPT_RESULTS);
        assert!(health.log.iter().all(|result| result.output.len() == MAX_OUTPUT));
        assert_eq!(health.log[0].start.seconds(), 4);
    }

    #[test]
    fn intervals_are_short_during_the_start_period() {
        let config = check_config(60, 0);
        let seconds = |status, since| config.next_interval(status, Duration::from_secs(since)).as_secs();
        assert_eq!(seconds(HealthStatus::Starting, 10), 5);
        assert_eq!(seconds(HealthStatus::Starting, 61), 30);
        assert_eq!(seconds(HealthStatus::Healthy, 10), 30);
    }
}
