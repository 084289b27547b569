//! Resource limits as people type them: `NAME=SOFT[:HARD]`.

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// `nofile` and such.
    pub name: String,
    /// In force; -1 for none.
    pub soft: i64,
    /// Ceiling; -1 for none.
    pub hard: i64,
}

/// A text is no limit; the words are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseUlimitError {
    /// No `=`.
    #[error("invalid ulimit argument: {text}")]
    Form {
        /// All of it.
        text: String,
    },
    /// Not one of the kernel's.
    #[error("invalid ulimit type: {name}")]
    Name {
        /// What was named.
        name: String,
    },
    /// Not a number.
    #[error("strconv.ParseInt: parsing {text:?}: invalid syntax")]
    Number {
        /// What stands there.
        text: String,
    },
    /// More than soft and hard.
    #[error("too many limit value arguments - {values}, can only have up to two, `soft[:hard]`")]
    Values {
        /// All values.
        values: String,
    },
    /// Nothing soft is above something hard.
    #[error("ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}")]
    Unlimited {
        /// The hard value.
        hard: i64,
    },
    /// Soft above hard.
    #[error("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")]
    Order {
        /// The soft value.
        soft: i64,
        /// The hard value.
        hard: i64,
    },
}

const NAMES: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

impl std::str::FromStr for Ulimit {
    type Err = ParseUlimitError;

    fn from_str(text: &str) -> Result<Self, ParseUlimitError> {
        let (name, values) =
            text.split_once('=').ok_or_else(|| ParseUlimitError::Form { text: text.to_owned() })?;
        if !NAMES.contains(&name) {
            return Err(ParseUlimitError::Name { name: name.to_owned() });
        }
        let number =
            |text: &str| text.parse().map_err(|_| ParseUlimitError::Number { text: text.to_owned() });
        let (soft, hard) = match values.split(':').collect::<Vec<_>>().as_slice() {
            [only] => (number(only)?, number(only)?),
            [soft, hard] => (number(soft)?, number(hard)?),
            _ => return Err(ParseUlimitError::Values { values: values.to_owned() }),
        };
        match (soft, hard) {
            (_, -1) => {}
            (-1, hard) => return Err(ParseUlimitError::Unlimited { hard }),
            (soft, hard) if soft > hard => return Err(ParseUlimitError::Order { soft, hard }),
            _ => {}
        }
        Ok(Self { name: name.to_owned(), soft, hard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        for (text, soft, hard) in
            [("nofile=10:20", 10, 20), ("as=5", 5, 5), ("core=-1", -1, -1), ("cpu=7:-1", 7, -1)]
        {
            let name = text.split('=').next().unwrap_or_default().to_owned();
            assert_eq!(text.parse(), Ok(Ulimit { name, soft, hard }), "{text}");
        }
        for (text, words) in [
            ("nofile", "invalid ulimit argument: nofile"),
            ("foo=1", "invalid ulimit type: foo"),
            ("nofile=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
            (
                "nofile=1:2:3",
                "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`",
            ),
            ("nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
            (
                "nofile=-1:5",
                "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 5",
            ),
        ] {
            assert_eq!(text.parse::<Ulimit>().unwrap_err().to_string(), words);
        }
    }
}
