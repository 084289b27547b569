//! Amounts of bytes as people type them.

/// A text is no amount; the words are those of Docker's units package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSizeError {
    /// No number, or a negative one.
    #[error("invalid size: '{text}'")]
    Size {
        /// All of it.
        text: String,
    },
    /// Something beside digits in the number.
    #[error("strconv.ParseFloat: parsing {number:?}: invalid syntax")]
    Number {
        /// What stands there.
        number: String,
    },
    /// An unknown unit.
    #[error("invalid suffix: '{suffix}'")]
    Suffix {
        /// What stands there, in small letters.
        suffix: String,
    },
}

/// Bytes of a number with an optional fraction and one of b, k, m, g, t, p (1024 each; `kb` and `kib` mean the same).
///
/// # Errors
/// When the text is something else.
pub fn binary(text: &str) -> Result<i64, ParseSizeError> {
    let fault = || ParseSizeError::Size { text: text.to_owned() };
    let split = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(fault)?;
    let (number, suffix) = text.split_at(split + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let size: f64 = match number.parse() {
        Ok(size) if number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-') => size,
        _ => return Err(ParseSizeError::Number { number: number.to_owned() }),
    };
    if size < 0.0 {
        return Err(fault());
    }
    let suffix = suffix.to_ascii_lowercase();
    let scale = scale(&suffix).ok_or(ParseSizeError::Suffix { suffix })?;
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    Ok((size * scale) as i64)
}

/// What one of a unit is in bytes.
fn scale(suffix: &str) -> Option<f64> {
    let mut rest = suffix.chars();
    let power = match rest.next() {
        None => return Some(1.0),
        Some('b') => return (suffix.len() == 1).then_some(1.0),
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some(_) => return None,
    };
    matches!(rest.as_str(), "" | "b" | "ib").then(|| 1024f64.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read() {
        for (text, bytes) in [
            ("64m", Ok(64 << 20)),
            ("1.5k", Ok(1536)),
            ("7", Ok(7)),
            ("7b", Ok(7)),
            ("1 GiB", Ok(1 << 30)),
            ("x", Err("invalid size: 'x'")),
            ("", Err("invalid size: ''")),
            ("-1", Err("invalid size: '-1'")),
            ("1x", Err("invalid suffix: 'x'")),
            ("1bb", Err("invalid suffix: 'bb'")),
            ("1.2.3", Err("strconv.ParseFloat: parsing \"1.2.3\": invalid syntax")),
        ] {
            assert_eq!(
                binary(text).map_err(|error| error.to_string()),
                bytes.map_err(str::to_owned),
                "{text}"
            );
        }
    }
}
