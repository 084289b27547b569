//! Points in time as protocol buffers have them.

/// A point in time: `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Timestamp {
    /// Since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// After the second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        let (since, before) = match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => (since, false),
            Err(error) => (error.duration(), true),
        };
        let (seconds, nanos) = (since.as_secs().cast_signed(), since.subsec_nanos().cast_signed());
        match (before, nanos) {
            (false, _) => Self { seconds, nanos },
            (true, 0) => Self { seconds: -seconds, nanos },
            (true, _) => Self { seconds: -seconds - 1, nanos: 1_000_000_000 - nanos },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn times_before_and_after_1970() {
        let at = |seconds, nanos| Timestamp { seconds, nanos };
        assert_eq!(Timestamp::from(UNIX_EPOCH + Duration::new(5, 7)), at(5, 7));
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::new(5, 0)), at(-5, 0));
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_millis(1)), at(-1, 999_000_000));
    }
}
