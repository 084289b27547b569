//! Restart policies and their back-off: what follows an exit, and after how long.

use std::time::Duration;

use model::{ErrorKind, Kinded};
use serde::{Deserialize, Serialize};

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A run this long counts as success and begins the back-off anew.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// What follows an exit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// Start again, also when the engine starts.
    Always,
    /// Start again unless a user stopped it.
    UnlessStopped,
    /// Start again after a failure.
    OnFailure {
        /// How often at most; 0 for no limit.
        maximum: u32,
    },
}

/// A restart policy that can't be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    /// Unknown name.
    #[error(
        "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )]
    Unknown {
        /// The name given.
        name: String,
    },
    /// A maximum where there can't be one.
    #[error("invalid restart policy: maximum retry count can only be used with 'on-failure'")]
    CountWithoutFailure,
    /// A negative maximum with another policy.
    #[error(
        "invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative"
    )]
    CountWithoutFailureAndNegative,
    /// A negative maximum.
    #[error("invalid restart policy: maximum retry count cannot be negative")]
    NegativeCount,
}

impl Kinded for PolicyError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl RestartPolicy {
    /// From the name and count of the API; the empty name is `no`.
    ///
    /// # Errors
    /// Docker's refusal of unknown names and wrong counts.
    pub fn new(name: &str, maximum: i64) -> Result<Self, PolicyError> {
        let policy = match name {
            "" | "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" => {
                let maximum = u32::try_from(maximum).map_err(|_| PolicyError::NegativeCount)?;
                return Ok(Self::OnFailure { maximum });
            }
            _ => return Err(PolicyError::Unknown { name: name.to_owned() }),
        };
        match maximum {
            0 => Ok(policy),
            1.. => Err(PolicyError::CountWithoutFailure),
            _ => Err(PolicyError::CountWithoutFailureAndNegative),
        }
    }

    /// The API's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
            Self::OnFailure { .. } => "on-failure",
        }
    }

    /// The API's maximum; 0 when there is none.
    pub fn maximum(self) -> u32 {
        match self {
            Self::OnFailure { maximum } => maximum,
            _ => 0,
        }
    }

    /// Whether an exit is followed by a restart. A user's stop or kill never is.
    pub fn restarts(self, exit_code: i32, restart_count: u32, stopped_by_user: bool) -> bool {
        if stopped_by_user {
            return false;
        }
        match self {
            Self::No => false,
            Self::Always | Self::UnlessStopped => true,
            Self::OnFailure { maximum } => exit_code != 0 && (maximum == 0 || restart_count < maximum),
        }
    }

    /// Whether an engine that has just started starts the container: it was running when the engine ended, or
    /// its policy says always.
    pub fn restarts_with_engine(self, was_running: bool, exit_code: i32, stopped_by_user: bool) -> bool {
        match self {
            Self::No => false,
            Self::Always => true,
            Self::UnlessStopped => !stopped_by_user,
            Self::OnFailure { .. } => was_running && exit_code != 0 && !stopped_by_user,
        }
    }
}

/// How long the next restart waits: 100 ms doubling to a minute, from the start again after a run of ten seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackOff {
    last: Option<Duration>,
}

impl BackOff {
    /// No restart yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The delay before the restart after a run of this length.
    pub fn next_delay(&mut self, run: Duration) -> Duration {
        let delay = match self.last {
            Some(last) if run < GOOD_RUN => (last * 2).min(LONGEST_DELAY),
            _ => FIRST_DELAY,
        };
        self.last = Some(delay);
        delay
    }

    /// A user started or stopped the container: the next delay is the first again.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_a_minute_and_begin_again() {
        let mut back_off = BackOff::new();
        let short = Duration::from_millis(5);
        let delays: Vec<u128> = (0..12).map(|_| back_off.next_delay(short).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        assert_eq!(back_off.next_delay(GOOD_RUN).as_millis(), 100);
        assert_eq!(back_off.next_delay(short).as_millis(), 200);
        back_off.reset();
        assert_eq!(back_off.next_delay(short).as_millis(), 100);
    }

    #[test]
    fn policies_decide_by_code_count_and_user() {
        let limited = RestartPolicy::OnFailure { maximum: 2 };
        for (policy, code, count, by_user, expected) in [
            (RestartPolicy::No, 1, 0, false, false),
            (RestartPolicy::Always, 0, 99, false, true),
            (RestartPolicy::Always, 0, 0, true, false),
            (RestartPolicy::UnlessStopped, 0, 0, false, true),
            (limited, 0, 0, false, false),
            (limited, 1, 1, false, true),
            (limited, 1, 2, false, false),
            (RestartPolicy::OnFailure { maximum: 0 }, 1, 500, false, true),
        ] {
            assert_eq!(
                policy.restarts(code, count, by_user),
                expected,
                "{policy:?} {code} {count} {by_user}"
            );
        }
        assert!(RestartPolicy::Always.restarts_with_engine(false, 0, true));
        assert!(!RestartPolicy::UnlessStopped.restarts_with_engine(true, 0, true));
        assert!(RestartPolicy::UnlessStopped.restarts_with_engine(false, 0, false));
    }

    #[test]
    fn names_and_counts_are_checked() {
        assert_eq!(RestartPolicy::new("on-failure", 3), Ok(RestartPolicy::OnFailure { maximum: 3 }));
        assert_eq!(RestartPolicy::new("", 0), Ok(RestartPolicy::No));
        assert_eq!(RestartPolicy::new("always", 3), Err(PolicyError::CountWithoutFailure));
        assert_eq!(RestartPolicy::new("on-failure", -1), Err(PolicyError::NegativeCount));
        assert!(RestartPolicy::new("nope", 0).is_err());
    }
}
