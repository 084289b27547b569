//! Query parameters, read the way Docker's handlers read them.

use model::{Filters, Timestamp};
use transport::server::percent_decode;

use crate::failure::Failure;

/// The decoded parameters of a request, in the order sent.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes `a=b&c`; pairs with broken escapes are left out, as Go does.
    pub(crate) fn parse(text: &str) -> Self {
        let decode = |part| percent_decode(part, true).map(std::borrow::Cow::into_owned);
        let pairs = text
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains(';'))
            .filter_map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode(key)?, decode(value)?))
            })
            .collect();
        Self { pairs }
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value, empty when absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The first value unless it is empty.
    pub(crate) fn non_empty(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Every value of a parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// Anything but the words for no is yes.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let word = self.text(name).trim().to_ascii_lowercase();
        !matches!(word.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A flag that has a value of its own when it isn't sent.
    pub(crate) fn flag_or(&self, name: &str, default: bool) -> bool {
        if self.get(name).is_some() { self.flag(name) } else { default }
    }

    /// A number, 0 when absent or empty.
    pub(crate) fn number(&self, name: &str) -> Result<i64, Failure> {
        Ok(self.optional_number(name)?.unwrap_or(0))
    }

    /// A number, if one was sent.
    pub(crate) fn optional_number(&self, name: &str) -> Result<Option<i64>, Failure> {
        match self.text(name) {
            "" => Ok(None),
            text => parse_number(text).map(Some),
        }
    }

    /// A number that has to be there; Docker answers 400 here.
    pub(crate) fn required_number(&self, name: &str) -> Result<i64, Failure> {
        let text = self.text(name);
        parse_number(text).map_err(|failure| failure.with_status(400))
    }

    /// The `filters` parameter.
    pub(crate) fn filters(&self) -> Result<Filters, Failure> {
        Filters::parse(self.text("filters")).map_err(|error| Failure::new(400, error.to_string()))
    }

    /// `seconds[.nanoseconds]`, or `None` when absent, empty or 0.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Failure> {
        let text = self.text(name);
        if text.is_empty() || text == "0" {
            return Ok(None);
        }
        parse_time(text).map(Some)
    }
}

/// The words of Go's `strconv.Atoi`.
fn parse_number(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let why = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Failure::new(500, format!("strconv.Atoi: parsing {text:?}: {why}"))
    })
}

/// Unix seconds with up to nine fractional digits.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, Failure> {
    let wrong = |part: &str| Failure::new(500, format!("strconv.ParseInt: parsing {part:?}: invalid syntax"));
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = seconds.parse().map_err(|_| wrong(seconds))?;
    if fraction.is_empty() {
        return Ok(Timestamp::from_unix(whole, 0));
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong(fraction));
    }
    let nine: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    Ok(Timestamp::from_unix(whole, nine.parse().map_err(|_| wrong(fraction))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_follow_docker() {
        for (text, expected) in [
            ("a=1", true),
            ("a=true", true),
            ("a=yes", true),
            ("a=2", true),
            ("a=", false),
            ("a", false),
            ("", false),
            ("a=0", false),
            ("a=False", false),
            ("a=no", false),
            ("a=none", false),
        ] {
            assert_eq!(Query::parse(text).flag("a"), expected, "{text}");
        }
        assert!(Query::parse("").flag_or("a", true));
        assert!(!Query::parse("a=0").flag_or("a", true));
    }

    #[test]
    fn values_decode_and_repeat() {
        let query = Query::parse("a=x%20y+z&a=2&b&c=%zz&d=5");
        assert_eq!(query.all("a"), ["x y z", "2"]);
        assert_eq!(query.get("b"), Some(""));
        assert_eq!(query.get("c"), None);
        assert_eq!(query.number("d").unwrap(), 5);
    }

    #[test]
    fn numbers_fail_in_go_words() {
        let failure = Query::parse("t=abc").number("t").unwrap_err();
        assert_eq!(failure.to_string(), "strconv.Atoi: parsing \"abc\": invalid syntax");
        assert_eq!(Query::parse("").required_number("h").unwrap_err().status(), 400);
    }

    #[test]
    fn times_have_nanoseconds() {
        let time = |text| parse_time(text).map(|time| time.nanoseconds()).ok();
        assert_eq!(time("1.5"), Some(1_500_000_000));
        assert_eq!(time("1.000000001"), Some(1_000_000_001));
        assert_eq!(time("7"), Some(7_000_000_000));
        for text in ["", "a", "1.x", "1.-5", "."] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
