//! Points in time, written the way Go's RFC 3339 with nanoseconds writes them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A point in time with nanoseconds, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

/// Go's zero time, which Docker shows for times that are not set.
pub const ZERO: &str = "0001-01-01T00:00:00Z";

/// A text is no RFC 3339 time.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a time like 2006-01-02T15:04:05Z")]
pub struct ParseTimestampError {
    /// What was given.
    pub text: String,
}

impl crate::Kinded for ParseTimestampError {
    fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Invalid
    }
}

impl Timestamp {
    /// The time now.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now())
    }

    /// From seconds and nanoseconds since the epoch; out of range values become the nearest possible time.
    pub fn from_unix(seconds: i64, nanoseconds: i32) -> Self {
        let clamped = if seconds < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        Self(jiff::Timestamp::new(seconds, nanoseconds).unwrap_or(clamped))
    }

    /// Whole seconds since the epoch.
    pub fn seconds(self) -> i64 {
        self.0.as_second()
    }

    /// Nanoseconds since the epoch, saturating.
    pub fn nanoseconds(self) -> i64 {
        i64::try_from(self.0.as_nanosecond()).unwrap_or(i64::MAX)
    }

    /// The nanoseconds within the second.
    pub fn subsecond_nanoseconds(self) -> i32 {
        self.0.subsec_nanosecond()
    }

    /// Time since an earlier point; zero when that point is later.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or_default()
    }

    /// The time with exactly nine fractional digits, as `logs --timestamps` shows it.
    pub fn to_fixed_nanos(self) -> String {
        format!("{:.9}", self.0)
    }

    /// The underlying value, for calendars and time zones.
    pub fn as_jiff(self) -> jiff::Timestamp {
        self.0
    }
}

impl std::ops::Add<std::time::Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: std::time::Duration) -> Self {
        Self(
            self.0
                .saturating_add(jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX))
                .unwrap_or(jiff::Timestamp::MAX),
        )
    }
}

/// RFC 3339 with as many fractional digits as needed, like Go's `time.RFC3339Nano`.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, out)
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        text.parse().map(Self).map_err(|_| ParseTimestampError { text: text.to_owned() })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text of a time that may not be set.
pub fn or_zero(time: Option<Timestamp>) -> String {
    time.map_or_else(|| ZERO.to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_zeros_are_dropped_like_in_go() {
        assert_eq!(Timestamp::from_unix(0, 0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_unix(1, 120_000_000).to_string(), "1970-01-01T00:00:01.12Z");
        assert_eq!(Timestamp::from_unix(1, 120_000_000).to_fixed_nanos(), "1970-01-01T00:00:01.120000000Z");
    }

    #[test]
    fn offsets_are_understood() {
        let time: Timestamp = "2026-01-01T02:00:00+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-01-01T00:00:00Z");
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
