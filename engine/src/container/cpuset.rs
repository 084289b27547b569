//! Lists of processors and memory nodes: `0-3,7`.

use std::collections::BTreeSet;

/// Highest number a list may name (Docker's bound; keeps a hostile list small).
const MAXIMUM: u32 = 8192;

/// Reads a list.
///
/// # Errors
/// The words Docker puts after `Invalid value … for cpuset cpus: `.
pub fn parse(text: &str) -> Result<BTreeSet<u32>, String> {
    let mut set = BTreeSet::new();
    if text.is_empty() {
        return Ok(set);
    }
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first, part)?, number(last, part)?),
            None => {
                let only = number(part, part)?;
                (only, only)
            }
        };
        if first > last {
            return Err(format!("invalid format: {part}"));
        }
        set.extend(first..=last);
    }
    Ok(set)
}

fn number(text: &str, part: &str) -> Result<u32, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("invalid format: {part}"));
    }
    match text.parse::<u32>() {
        Ok(value) if value <= MAXIMUM => Ok(value),
        _ => Err(format!("value of out range, maximum is {MAXIMUM}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_parse_and_huge_ones_do_not() {
        assert_eq!(parse("0-2,5").unwrap().into_iter().collect::<Vec<_>>(), [0, 1, 2, 5]);
        for (text, message) in [
            ("a", "invalid format: a"),
            ("-1", "invalid format: -1"),
            ("3-1", "invalid format: 3-1"),
            ("0-4294967295", "value of out range, maximum is 8192"),
            ("99999999999999999999", "value of out range, maximum is 8192"),
        ] {
            assert_eq!(parse(text).unwrap_err(), message);
        }
    }
}
