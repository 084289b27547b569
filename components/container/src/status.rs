//! The status texts of `ps` and the durations in them, as people and their scripts know them.

use std::time::Duration;

use model::Timestamp;

use crate::{HealthStatus, Lifecycle, State};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY_HOURS: u64 = 24;

/// The text of the status column: `Up 2 minutes (healthy)`, `Exited (0) 3 hours ago`.
pub fn text(lifecycle: &Lifecycle, health: HealthStatus, now: Timestamp) -> String {
    let since =
        |moment: Option<Timestamp>| human_duration(moment.map(|at| now.since(at)).unwrap_or_default());
    match &lifecycle.state {
        State::Paused { .. } => format!("Up {} (Paused)", since(lifecycle.started_at)),
        State::Restarting => {
            format!("Restarting ({}) {} ago", lifecycle.exit_code, since(lifecycle.finished_at))
        }
        State::Running { .. } => {
            let up = since(lifecycle.started_at);
            match health {
                HealthStatus::None => format!("Up {up}"),
                HealthStatus::Starting => format!("Up {up} (health: starting)"),
                HealthStatus::Healthy | HealthStatus::Unhealthy => format!("Up {up} ({})", health.name()),
            }
        }
        State::Removing => "Removal In Progress".to_owned(),
        State::Dead => "Dead".to_owned(),
        State::Created | State::Exited => match (lifecycle.started_at, lifecycle.finished_at) {
            (None, _) => "Created".to_owned(),
            (Some(_), None) => String::new(),
            (Some(_), finished) => format!("Exited ({}) {} ago", lifecycle.exit_code, since(finished)),
        },
    }
}

/// A length of time in the one unit a person would use.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / MINUTE;
    // Hours are rounded, all else is cut off.
    let hours = (duration.as_millis() + u128::from(HOUR) * 500) / (u128::from(HOUR) * 1000);
    let hours = u64::try_from(hours).unwrap_or(u64::MAX);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < MINUTE => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < DAY_HOURS * 2 => format!("{hours} hours"),
        () if hours < DAY_HOURS * 7 * 2 => format!("{} days", hours / DAY_HOURS),
        () if hours < DAY_HOURS * 30 * 2 => format!("{} weeks", hours / DAY_HOURS / 7),
        () if hours < DAY_HOURS * 365 * 2 => format!("{} months", hours / DAY_HOURS / 30),
        () => format!("{} years", seconds / HOUR / DAY_HOURS / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_say_them() {
        for (seconds, expected) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (13 * 86400, "13 days"),
            (14 * 86400, "2 weeks"),
            (60 * 86400, "2 months"),
            (729 * 86400, "24 months"),
            (730 * 86400, "2 years"),
        ] {
            assert_eq!(human_duration(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn status_texts() {
        let now = Timestamp::from_unix(1_000_000, 0);
        let earlier = |seconds: i64| Some(Timestamp::from_unix(1_000_000 - seconds, 0));
        let mut lifecycle = Lifecycle::default();
        let shown = |lifecycle: &Lifecycle, health| text(lifecycle, health, now);
        assert_eq!(shown(&lifecycle, HealthStatus::None), "Created");
        lifecycle.state = State::Running { pid: 1 };
        lifecycle.started_at = earlier(130);
        assert_eq!(shown(&lifecycle, HealthStatus::None), "Up 2 minutes");
        assert_eq!(shown(&lifecycle, HealthStatus::Healthy), "Up 2 minutes (healthy)");
        assert_eq!(shown(&lifecycle, HealthStatus::Starting), "Up 2 minutes (health: starting)");
        lifecycle.state = State::Paused { pid: 1 };
        assert_eq!(shown(&lifecycle, HealthStatus::Healthy), "Up 2 minutes (Paused)");
        lifecycle.finished_at = earlier(3 * 3600);
        lifecycle.exit_code = 3;
        lifecycle.state = State::Exited;
        assert_eq!(shown(&lifecycle, HealthStatus::Healthy), "Exited (3) 3 hours ago");
        lifecycle.state = State::Restarting;
        assert_eq!(shown(&lifecycle, HealthStatus::None), "Restarting (3) 3 hours ago");
        lifecycle.state = State::Dead;
        assert_eq!(shown(&lifecycle, HealthStatus::None), "Dead");
    }
}
