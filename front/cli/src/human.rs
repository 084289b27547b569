//! Sizes, times and shortened texts for people, as docker's tables print them.

pub use terminal::amount::{binary_size, size, size3};

/// `5 minutes`, `About an hour`: how long ago, in words.
pub fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds as f64 / 3600.0 + 0.5) as i64;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// How long ago a unix time was, `5 minutes ago`.
pub fn ago(unix_seconds: i64) -> String {
    let now = model::Timestamp::now().seconds();
    format!("{} ago", duration(now - unix_seconds))
}

/// A unix time like Go prints it: `2026-01-02 15:04:05 +0000 UTC`, in the machine's zone.
pub fn date(unix_seconds: i64) -> String {
    let zone = jiff::tz::TimeZone::system();
    let time = model::Timestamp::from_unix(unix_seconds, 0).as_jiff().to_zoned(zone);
    time.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// The text cut to a width, with an ellipsis in place of the last column.
pub fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    if width <= 1 {
        return text.chars().take(width).collect();
    }
    let mut cut: String = text.chars().take(width - 1).collect();
    cut.push('…');
    cut
}

/// The first 12 digits of an id, without the name of the algorithm.
pub fn short_id(id: &str) -> &str {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_few_digits() {
        for (bytes, text) in [
            (0.0, "0B"),
            (999.0, "999B"),
            (1000.0, "1kB"),
            (1_234_567.0, "1.235MB"),
            (167_000_000.0, "167MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size3(1_984_000.0), "1.98MB");
        assert_eq!(binary_size(25_280_000_000.0), "23.54GiB");
    }

    #[test]
    fn durations_are_words() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (300, "5 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (86_400 * 3, "3 days"),
            (86_400 * 20, "2 weeks"),
            (86_400 * 100, "3 months"),
            (86_400 * 800, "2 years"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        assert_eq!(ellipsis("abcdef", 4), "abc…");
        assert_eq!(ellipsis("abc", 4), "abc");
    }
}
