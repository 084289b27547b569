//! `--chmod`: permissions in numbers or in the letters of chmod(1).

use crate::{Error, Result};

/// Clauses of a symbolic mode at most.
const MOST: usize = 64;

/// What becomes of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// Exactly these.
    Exact(u32),
    /// Changed one after the other.
    Changes(Vec<Change>),
}

/// `u+x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Whose: bits of all permissions they have.
    who: u32,
    operator: char,
    /// Permissions in the place of others' ones, with set-id and sticky bits.
    bits: u32,
    /// `X`: execution only for folders and what somebody may execute already.
    maybe_execute: bool,
}

impl Mode {
    /// Reads a mode.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(format!(
                "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
            ))
        };
        if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
            return mode.map(Self::Exact).ok_or_else(bad);
        }
        let changes: Option<Vec<Vec<Change>>> = text.split(',').take(MOST + 1).map(clause).collect();
        let changes = changes.filter(|changes| changes.len() <= MOST).ok_or_else(bad)?;
        Ok(Self::Changes(changes.into_iter().flatten().collect()))
    }

    /// The permissions it makes of some.
    pub(super) fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        match self {
            Self::Exact(mode) => *mode,
            Self::Changes(changes) => changes.iter().fold(mode, |mode, change| change.apply(mode, is_folder)),
        }
    }
}

impl Change {
    fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        let mut bits = self.bits;
        if self.maybe_execute && (is_folder || mode & 0o111 != 0) {
            bits |= 0o111;
        }
        let bits = bits & self.who;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => (mode & !(self.who & 0o777)) | bits,
        }
    }
}

/// `ugo+rwx-x`: one or more operators for the same people.
fn clause(text: &str) -> Option<Vec<Change>> {
    let end = text.find(['+', '-', '='])?;
    let (people, mut rest) = text.split_at_checked(end)?;
    let mut who = 0;
    for letter in people.chars() {
        who |= match letter {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if people.is_empty() {
        who = 0o7777;
    }
    let mut changes = Vec::new();
    while let Some(operator) = rest.chars().next() {
        let after = rest.get(1..)?;
        let length = after.find(['+', '-', '=']).unwrap_or(after.len());
        let (letters, next) = after.split_at_checked(length)?;
        let mut change = Change { who, operator, bits: 0, maybe_execute: false };
        for letter in letters.chars() {
            match letter {
                'r' => change.bits |= 0o444,
                'w' => change.bits |= 0o222,
                'x' => change.bits |= 0o111,
                'X' => change.maybe_execute = true,
                's' => change.bits |= 0o6000,
                't' => change.bits |= 0o1000,
                _ => return None,
            }
        }
        changes.push(change);
        rest = next;
    }
    Some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_numbers_or_letters() {
        let of = |text: &str, mode: u32, folder| Mode::parse(text).unwrap().apply(mode, folder);
        assert_eq!(of("644", 0o777, false), 0o644);
        assert_eq!(of("04755", 0, false), 0o4755);
        assert_eq!(of("u=rwX,go=rX", 0o600, true), 0o755);
        assert_eq!(of("u=rwX,go=rX", 0o600, false), 0o644);
        assert_eq!(of("a+x", 0o644, false), 0o755);
        assert_eq!(of("go-rwx", 0o755, false), 0o700);
        assert_eq!(of("u+s", 0o755, false), 0o4755);
        for text in ["", "8", "99999", "u", "u?x", "z+x", "u+q"] {
            assert!(Mode::parse(text).is_err(), "{text}");
        }
    }
}
