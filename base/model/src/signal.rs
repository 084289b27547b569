//! Signal names and numbers as Docker's `--signal` and `STOPSIGNAL` take them.

/// A Linux signal by number, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(u8);

/// A text names no signal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid signal: {text}")]
pub struct ParseSignalError {
    /// What was given.
    pub text: String,
}

impl crate::Kinded for ParseSignalError {
    fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Invalid
    }
}

/// Names by number; index 0 is unused.
const NAMES: [&str; 32] = [
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

const REALTIME_MIN: u8 = 34;
const REALTIME_MAX: u8 = 64;

impl Signal {
    /// Ends a process that cannot refuse.
    pub const KILL: Self = Self(9);
    /// Asks a process to end.
    pub const TERM: Self = Self(15);

    /// The number the kernel uses.
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// From the kernel's number, if it is one.
    pub fn from_number(number: i32) -> Option<Self> {
        u8::try_from(number).ok().filter(|number| (1..=64).contains(number)).map(Self)
    }

    /// The name without `SIG`, or the number where there is none.
    pub fn name(self) -> String {
        match self.0 {
            number @ 1..=31 => NAMES[usize::from(number)].to_owned(),
            REALTIME_MIN => "RTMIN".to_owned(),
            REALTIME_MAX => "RTMAX".to_owned(),
            number => number.to_string(),
        }
    }
}

impl std::str::FromStr for Signal {
    type Err = ParseSignalError;

    /// A number, or a name in any case with or without `SIG`; also `RTMIN+3`, `RTMAX-2`.
    fn from_str(text: &str) -> Result<Self, ParseSignalError> {
        let bad = || ParseSignalError { text: text.to_owned() };
        if let Ok(number) = text.parse::<i32>() {
            return Self::from_number(number).ok_or_else(bad);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let realtime = |base: u8, offset: &str| -> Option<u8> {
            if offset.is_empty() {
                return Some(base);
            }
            let value: i16 = offset.parse().ok()?;
            u8::try_from(i16::from(base) + value).ok()
        };
        let number = match name {
            "CLD" => Some(17),
            "POLL" => Some(29),
            "IOT" => Some(6),
            "" => None,
            _ => NAMES.iter().position(|known| *known == name).and_then(|index| u8::try_from(index).ok()),
        };
        number
            .or_else(|| name.strip_prefix("RTMIN").and_then(|offset| realtime(REALTIME_MIN, offset)))
            .or_else(|| name.strip_prefix("RTMAX").and_then(|offset| realtime(REALTIME_MAX, offset)))
            .and_then(|number| Self::from_number(i32::from(number)))
            .ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for (text, number) in
            [("KILL", 9), ("sigterm", 15), ("2", 2), ("SIGRTMIN+1", 35), ("RTMAX-1", 63), ("sigrtmin", 34)]
        {
            assert_eq!(text.parse::<Signal>().unwrap().number(), number, "{text}");
        }
        for text in ["", "SIG", "0", "65", "-1", "nope", "RTMIN+99"] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
        assert_eq!("nope".parse::<Signal>().unwrap_err().to_string(), "invalid signal: nope");
    }
}
