//! Times as Go's RFC 3339 with nanoseconds writes them, formatted and parsed without allocation.

use std::time::{SystemTime, UNIX_EPOCH};

/// Formats the present time; the date part is kept from call to call.
#[derive(Debug)]
pub(crate) struct Clock {
    second: u64,
    text: [u8; 30],
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    pub(crate) fn new() -> Self {
        let mut clock = Self { second: 0, text: *b"1970-01-01T00:00:00.000000000Z" };
        clock.set_second(0);
        clock
    }

    /// The time now, in nanoseconds since 1970.
    pub(crate) fn nanoseconds() -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    }

    /// A time in nanoseconds since 1970, spelled as [`Clock::now`] does.
    pub(crate) fn spell(&mut self, nanoseconds: u64, out: &mut Vec<u8>) {
        let fraction = u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0);
        self.write(nanoseconds / 1_000_000_000, fraction, out);
    }

    /// The time now, trailing zeros of the fraction left out.
    pub(crate) fn now(&mut self, out: &mut Vec<u8>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.write(now.as_secs(), now.subsec_nanos(), out);
    }

    fn write(&mut self, second: u64, nanosecond: u32, out: &mut Vec<u8>) {
        if second != self.second {
            self.set_second(second);
        }
        out.extend_from_slice(&self.text[..19]);
        if nanosecond != 0 {
            let mut digits = *b".000000000";
            put(&mut digits[1..], nanosecond.into());
            let length = digits.iter().rposition(|digit| *digit != b'0').unwrap_or(0);
            out.extend_from_slice(&digits[..=length]);
        }
        out.push(b'Z');
    }

    fn set_second(&mut self, second: u64) {
        self.second = second;
        let (days, rest) = (second / 86_400, second % 86_400);
        let (year, month, day) = date_of(days);
        let text = &mut self.text;
        put(&mut text[0..4], year.min(9999));
        put(&mut text[5..7], month);
        put(&mut text[8..10], day);
        put(&mut text[11..13], rest / 3600);
        put(&mut text[14..16], rest / 60 % 60);
        put(&mut text[17..19], rest % 60);
    }
}

/// Fills a field with a number, zeros in front.
fn put(field: &mut [u8], mut value: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01, by counting in years that begin in March.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Nanoseconds since 1970 of a time as [`Clock`] writes it; other spellings of RFC 3339 take the slow way.
pub(crate) fn parse(text: &str) -> Option<i64> {
    parse_plain(text.as_bytes()).or_else(|| {
        let time: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(time.as_nanosecond()).ok()
    })
}

fn parse_plain(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(19)?;
    let fits = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]
        .iter()
        .all(|(at, sign)| date[*at] == *sign);
    if !fits {
        return None;
    }
    let field = |from: usize, to: usize| number(&date[from..to]);
    let days = days_of(field(0, 4)?, field(5, 7)?, field(8, 10)?)?;
    let seconds = days * 86_400 + field(11, 13)? * 3600 + field(14, 16)? * 60 + field(17, 19)?;
    let fraction = match rest.strip_suffix(b"Z")? {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            number(digits)? * 10i64.pow(9 - u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0i64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = (month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_both_ways() {
        let rows = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_400, 5, "2000-02-29T00:00:00.000000005Z"),
            (1_709_251_199, 120_000_000, "2024-02-29T23:59:59.12Z"),
            (4_102_444_800, 999_999_999, "2100-01-01T00:00:00.999999999Z"),
        ];
        let mut clock = Clock::new();
        for (second, nanosecond, text) in rows {
            let mut out = Vec::new();
            clock.write(second, nanosecond, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
            let expected = i64::try_from(second).unwrap() * 1_000_000_000 + i64::from(nanosecond);
            assert_eq!(parse_plain(text.as_bytes()), Some(expected), "{text}");
            let slow: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(slow.as_nanosecond(), i128::from(expected));
        }
    }

    #[test]
    fn every_day_of_eight_centuries() {
        for days in 0..300_000u64 {
            let (year, month, day) = date_of(days);
            let back = days_of(year.cast_signed(), month.cast_signed(), day.cast_signed());
            assert_eq!(back, Some(days.cast_signed()));
        }
    }

    #[test]
    fn other_spellings() {
        assert_eq!(parse("1970-01-01T01:00:00+01:00"), Some(0));
        for bad in ["", "1970", "1970-13-01T00:00:00Z", "1970-01-01T00:00:00.Z", "x970-01-01T00:00:00Z"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
