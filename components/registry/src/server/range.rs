//! The `Range` of a download and the `Content-Range` of an upload.

use std::ops::Range;

/// What part of a blob was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: no range was asked for, or none that is understood.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that are not there.
    Outside,
}

/// Reads `bytes=a-b`, `bytes=a-` and `bytes=-n`. Several ranges at once are answered with everything (RFC 9110 14.2).
pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(range) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Wanted::All };
    let Some((first, last)) = range.split_once('-') else { return Wanted::All };
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        (Some(first), _) if first >= size && (last.is_empty() || number(last).is_some()) => Wanted::Outside,
        (Some(first), None) if last.is_empty() => Wanted::Part(first..size),
        (Some(first), Some(last)) if first <= last => Wanted::Part(first..size.min(last.saturating_add(1))),
        (None, Some(0)) if first.is_empty() => Wanted::Outside,
        (None, Some(count)) if first.is_empty() => match size {
            0 => Wanted::Outside,
            _ => Wanted::Part(size.saturating_sub(count)..size),
        },
        _ => Wanted::All,
    }
}

/// Reads `a-b` of an upload: the place of the first byte and the number of them.
pub fn chunk(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text.strip_prefix("bytes ").or_else(|| text.strip_prefix("bytes=")).unwrap_or(text);
    let (first, last) = text.split('/').next()?.split_once('-')?;
    let (first, last) = (number(first.trim())?, number(last.trim())?);
    Some((first, last.checked_sub(first)?.checked_add(1)?))
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_downloads() {
        for (header, size, expected) in [
            (None, 10, Wanted::All),
            (Some("bytes=0-4"), 10, Wanted::Part(0..5)),
            (Some("bytes=5-"), 10, Wanted::Part(5..10)),
            (Some("bytes=-3"), 10, Wanted::Part(7..10)),
            (Some("bytes=-30"), 10, Wanted::Part(0..10)),
            (Some("bytes=9-99"), 10, Wanted::Part(9..10)),
            (Some("bytes=0-18446744073709551615"), 10, Wanted::Part(0..10)),
            (Some("bytes=10-"), 10, Wanted::Outside),
            (Some("bytes=10-12"), 10, Wanted::Outside),
            (Some("bytes=-0"), 10, Wanted::Outside),
            (Some("bytes=0-"), 0, Wanted::Outside),
            (Some("bytes=5-4"), 10, Wanted::All),
            (Some("bytes=0-1,3-4"), 10, Wanted::All),
            (Some("bytes=a-"), 10, Wanted::All),
            (Some("bytes=-"), 10, Wanted::All),
            (Some("bytes=99999999999999999999-"), 10, Wanted::All),
            (Some("lines=1-2"), 10, Wanted::All),
        ] {
            assert_eq!(wanted(header, size), expected, "{header:?} of {size}");
        }
    }

    #[test]
    fn ranges_of_chunks() {
        for (header, expected) in [
            ("0-9", Some((0, 10))),
            ("bytes 5-5/10", Some((5, 1))),
            ("9-0", None),
            ("0-18446744073709551615", None),
            ("-1", None),
            ("", None),
            ("a-b", None),
        ] {
            assert_eq!(chunk(header), expected, "{header}");
        }
    }
}
