//! Durations in Go's notation (`1h2m3.5s`), as Docker's flags and files use them.

use std::time::Duration;

/// A text is no Go duration.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ParseDurationError {
    /// A number has no unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// The unit is not one of ns us ms s m h.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// The unit given.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// Anything else.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
}

impl crate::Kinded for ParseDurationError {
    fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Invalid
    }
}

/// Nanoseconds of a Go duration text, negative ones included.
///
/// # Errors
/// With Go's wording when the text is not a duration or overflows 64 bits.
pub fn parse_nanoseconds(text: &str) -> Result<i64, ParseDurationError> {
    let invalid = || ParseDurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 40 {
            return Err(invalid());
        }
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let scale: i128 = match unit {
            "" => return Err(ParseDurationError::MissingUnit(text.to_owned())),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => {
                return Err(ParseDurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
            }
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        total = whole.checked_mul(scale).and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
        let mut digit_scale = scale;
        for digit in fraction.bytes() {
            digit_scale /= 10;
            total += i128::from(digit - b'0') * digit_scale;
        }
        rest = next;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// A Go duration that may not be negative.
///
/// # Errors
/// As [`parse_nanoseconds`], and for negative values.
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    let nanoseconds = parse_nanoseconds(text)?;
    u64::try_from(nanoseconds)
        .map(Duration::from_nanos)
        .map_err(|_| ParseDurationError::Invalid(text.to_owned()))
}

/// The text Go's `time.Duration.String` gives (`1m30s`, `1.5s`, `100ms`, `0s`).
pub fn format_nanoseconds(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let value = nanoseconds.unsigned_abs();
    if value < 1_000_000_000 {
        let (scale, unit) = match value {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{unit}", decimal(value, scale));
    }
    let minutes = value / 60_000_000_000;
    let seconds = decimal(value % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn decimal(value: u64, scale: u64) -> String {
    let fraction = value % scale;
    if fraction == 0 {
        return (value / scale).to_string();
    }
    let width = scale.ilog10() as usize;
    format!("{}.{fraction:0width$}", value / scale).trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_parse_and_print() {
        for (text, nanoseconds, printed) in [
            ("0", 0, "0s"),
            ("1h2m3.5s", 3_723_500_000_000, "1h2m3.5s"),
            ("90s", 90_000_000_000, "1m30s"),
            ("100ms", 100_000_000, "100ms"),
            ("-1.5h", -5_400_000_000_000, "-1h30m0s"),
            ("1us", 1_000, "1µs"),
            (".5s", 500_000_000, "500ms"),
        ] {
            assert_eq!(parse_nanoseconds(text), Ok(nanoseconds), "{text}");
            assert_eq!(format_nanoseconds(nanoseconds), printed);
        }
    }

    #[test]
    fn wrong_durations_name_the_fault() {
        assert_eq!(parse_nanoseconds("5").unwrap_err().to_string(), "time: missing unit in duration \"5\"");
        assert_eq!(
            parse_nanoseconds("5d").unwrap_err().to_string(),
            "time: unknown unit \"d\" in duration \"5d\""
        );
        for text in ["", "-", ".", "s", "1.2.3s", "9999999999999h"] {
            assert!(parse_nanoseconds(text).is_err(), "{text}");
        }
        assert!(parse("-1s").is_err());
    }
}
