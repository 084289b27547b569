//! Values of flags: what each kind takes, with Go's complaints.

use crate::command::Kind;

/// Whether a kind takes the value.
///
/// # Errors
/// The reason, as Go's flag types word it.
pub fn check(kind: Kind, value: &str) -> Result<(), String> {
    match kind {
        Kind::Switch => truth(value).map(drop),
        Kind::Int => int(value).map(drop),
        Kind::Uint => unsigned(value, u64::MAX).map(drop),
        Kind::Uint16 => unsigned(value, 65535).map(drop),
        Kind::Bytes => bytes(value).map(drop),
        Kind::Swap if value == "-1" => Ok(()),
        Kind::Swap => bytes(value).map(drop),
        Kind::Decimal => cpus(value).map(drop),
        Kind::Duration => {
            model::duration::parse_nanoseconds(value).map(drop).map_err(|error| error.to_string())
        }
        Kind::Filter => {
            if value.is_empty() || value.contains('=') {
                Ok(())
            } else {
                Err("bad format of filter (expected name=value)".to_owned())
            }
        }
        Kind::Checked(_, check) | Kind::CheckedText(_, check) => check(value),
        Kind::Text | Kind::List | Kind::Strings => Ok(()),
    }
}

/// A text in Go's quotes.
pub fn quoted(text: &str) -> String {
    model::quote::go(text)
}

/// Go's `strconv.ParseBool`.
///
/// # Errors
/// Go's text.
pub fn truth(text: &str) -> Result<bool, String> {
    let fault = || format!("strconv.ParseBool: parsing {}: invalid syntax", quoted(text));
    model::boolean::parse(text).ok_or_else(fault)
}

fn digits(text: &str) -> (u32, &str) {
    match text.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &text[2..]),
        Some("0o") => (8, &text[2..]),
        Some("0b") => (2, &text[2..]),
        _ if text.len() > 1 && text.starts_with('0') => (8, &text[1..]),
        _ => (10, text),
    }
}

/// Go's `strconv.ParseInt` of base 0.
///
/// # Errors
/// Go's text.
pub fn int(text: &str) -> Result<i64, String> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, body) = digits(body);
    let fault = |what: &str| format!("strconv.ParseInt: parsing {}: {what}", quoted(text));
    if body.is_empty() || !body.chars().all(|c| c.is_digit(radix)) {
        return Err(fault("invalid syntax"));
    }
    let size = i128::from_str_radix(body, radix).map_err(|_| fault("value out of range"))?;
    i64::try_from(if negative { -size } else { size }).map_err(|_| fault("value out of range"))
}

fn unsigned(text: &str, most: u64) -> Result<u64, String> {
    let (radix, body) = digits(text);
    let fault = |what: &str| format!("strconv.ParseUint: parsing {}: {what}", quoted(text));
    if body.is_empty() || !body.chars().all(|c| c.is_digit(radix)) {
        return Err(fault("invalid syntax"));
    }
    match u64::from_str_radix(body, radix) {
        Ok(value) if value <= most => Ok(value),
        _ => Err(fault("value out of range")),
    }
}

/// An amount of bytes: a number with an optional fraction and one of b, k, m, g, t, p (1024 each).
///
/// # Errors
/// The text of docker's units package.
pub fn bytes(text: &str) -> Result<i64, String> {
    model::size::binary(text).map_err(|error| error.to_string())
}

/// A number of processors, in billionths.
///
/// # Errors
/// Docker's text.
pub fn cpus(text: &str) -> Result<i64, String> {
    let rational = || format!("failed to parse {text} as a rational number");
    let (negative, body) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some((top, bottom)) = body.split_once('/') {
        let (top, bottom): (i128, i128) =
            (top.parse().map_err(|_| rational())?, bottom.parse().map_err(|_| rational())?);
        if bottom == 0 {
            return Err(rational());
        }
        if (top * 1_000_000_000) % bottom != 0 {
            return Err("value is too precise".to_owned());
        }
        return i64::try_from(top * 1_000_000_000 / bottom).map_err(|_| rational());
    }
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty())
        || !all_digits(whole)
        || !all_digits(fraction)
        || body.len() > 30
    {
        return Err(rational());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| rational())? };
    let fraction: i128 = format!("{fraction:0<9}").parse().map_err(|_| rational())?;
    let value = whole * 1_000_000_000 + fraction;
    i64::try_from(if negative { -value } else { value }).map_err(|_| rational())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_follow_dockers_units() {
        for (text, expected) in [
            ("32", Ok(32)),
            ("32b", Ok(32)),
            ("32k", Ok(32 << 10)),
            ("32K", Ok(32 << 10)),
            ("32kb", Ok(32 << 10)),
            ("32Kib", Ok(32 << 10)),
            ("1.5m", Ok(3 << 19)),
            ("2 g", Ok(2 << 30)),
            ("1t", Ok(1 << 40)),
            ("abc", Err("invalid size: 'abc'")),
            ("", Err("invalid size: ''")),
            ("-5", Err("invalid size: '-5'")),
            ("5x", Err("invalid suffix: 'x'")),
            ("5kx", Err("invalid suffix: 'kx'")),
        ] {
            assert_eq!(bytes(text), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn processors_are_exact() {
        for (text, expected) in [
            ("1.5", Ok(1_500_000_000)),
            ("2", Ok(2_000_000_000)),
            (".25", Ok(250_000_000)),
            ("1/4", Ok(250_000_000)),
            ("0.0000000001", Err("value is too precise")),
            ("abc", Err("failed to parse abc as a rational number")),
        ] {
            assert_eq!(cpus(text), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn numbers_have_gos_bases() {
        assert_eq!(int("0x10"), Ok(16));
        assert_eq!(int("-010"), Ok(-8));
        assert_eq!(int("9223372036854775808").unwrap_err().split(": ").last(), Some("value out of range"));
        assert!(unsigned("70000", 65535).is_err() && unsigned("-1", 10).is_err());
    }
}
