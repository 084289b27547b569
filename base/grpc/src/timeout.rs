//! The header `grpc-timeout`: a number of at most eight digits and a unit.

use std::time::Duration;

/// The time a header gives; `None` when it is not of the form.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A time as a header: the finest unit whose number still fits, rounded up.
pub(crate) fn format(time: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let nanos = time.as_nanos();
    for (unit, size) in [("n", 1), ("u", 1000), ("m", 1_000_000), ("S", 1_000_000_000), ("M", 60_000_000_000)]
    {
        let number = nanos.div_ceil(size);
        if number <= MOST {
            return format!("{number}{unit}");
        }
    }
    format!("{}H", nanos.div_ceil(3_600_000_000_000).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, time) in [
            ("0n", Duration::ZERO),
            ("5000000n", Duration::from_millis(5)),
            ("30000000u", Duration::from_secs(30)),
            ("90000000m", Duration::from_secs(90_000)),
        ] {
            assert_eq!(parse(text), Some(time));
            assert_eq!(format(time), text);
        }
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(format(Duration::MAX), "99999999H");
        assert_eq!(format(Duration::from_nanos(100_000_001)), "100001u", "rounded up");
    }

    #[test]
    fn other_forms_are_none() {
        for text in ["", "S", "1", "1s", "123456789S", "-1S", "+1S", "1ü", "1.5S"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
