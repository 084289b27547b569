//! The compact format of the `local` driver: a head of letters, the bytes as they came, a newline.
//!
//! The head is one letter for the stream (small when the text ended with a newline, which is then the frame's own), eleven
//! for the time in nanoseconds and three for the length of the text, in digits of six bits. Texts have no newline inside,
//! so that a frame is a line and is found from both ends; a torn one does not have the length it tells.

use crate::Stream;

/// Letters before the text.
pub(crate) const HEAD: usize = 1 + TIME + LENGTH;
const TIME: usize = 11;
const LENGTH: usize = 3;
/// The digit zero; the 63 that follow are letters and signs that stand for themselves in a terminal.
const ZERO: u8 = b'0';

/// The letters of a time.
pub(crate) fn stamp(nanoseconds: u64, out: &mut Vec<u8>) {
    push::<TIME>(nanoseconds, out);
}

/// Appends a record; its time is given as [`stamp`] made it.
pub(crate) fn encode(stream: Stream, stamp: &[u8], text: &[u8], out: &mut Vec<u8>) {
    let (body, ended) = match text.strip_suffix(b"\n") {
        Some(body) => (body, true),
        None => (text, false),
    };
    out.push(match (stream, ended) {
        (Stream::Stdout, true) => b'o',
        (Stream::Stdout, false) => b'O',
        (Stream::Stderr, true) => b'e',
        (Stream::Stderr, false) => b'E',
    });
    out.extend_from_slice(stamp);
    push::<LENGTH>(body.len() as u64, out);
    out.extend_from_slice(body);
    out.push(b'\n');
}

/// What the head of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) stream: Stream,
    /// The text ends with a newline.
    pub(crate) ended: bool,
    /// Since 1970.
    pub(crate) nanoseconds: u64,
}

/// The head of a line without its newline; nothing when it is no whole frame.
pub(crate) fn head(line: &[u8]) -> Option<Head> {
    let (stream, ended) = match line.first()? {
        b'o' => (Stream::Stdout, true),
        b'O' => (Stream::Stdout, false),
        b'e' => (Stream::Stderr, true),
        b'E' => (Stream::Stderr, false),
        _ => return None,
    };
    let nanoseconds = number(line.get(1..=TIME)?)?;
    let length = number(line.get(1 + TIME..HEAD)?)?;
    (length == (line.len() - HEAD) as u64).then_some(Head { stream, ended, nanoseconds })
}

fn push<const DIGITS: usize>(value: u64, out: &mut Vec<u8>) {
    let digit = |place: usize| ZERO + u8::try_from(value >> (6 * place) & 63).unwrap_or(0);
    out.extend((0..DIGITS).rev().map(digit));
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.checked_sub(ZERO).filter(|digit| *digit < 64)?;
        value.checked_mul(64)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: Stream, nanoseconds: u64, text: &[u8]) -> Vec<u8> {
        let (mut time, mut out) = (Vec::new(), Vec::new());
        stamp(nanoseconds, &mut time);
        encode(stream, &time, text, &mut out);
        out
    }

    #[test]
    fn spelling() {
        let spelled = frame(Stream::Stderr, 1_767_323_045_600_000_000, b"text\n");
        assert_eq!(String::from_utf8_lossy(&spelled), "e1R6b_90FGP0004text\n");
        assert_eq!(frame(Stream::Stdout, 65, b""), b"O00000000011000\n");
        assert_eq!(frame(Stream::Stdout, 0, b"\n"), b"o00000000000000\n");
    }

    #[test]
    fn heads_come_back() {
        for (stream, nanoseconds, text) in [
            (Stream::Stdout, 0, &b"x\n"[..]),
            (Stream::Stderr, u64::MAX, b"\xff\0"),
            (Stream::Stdout, 1_767_323_045_600_000_001, &[b'y'; crate::LONGEST]),
        ] {
            let spelled = frame(stream, nanoseconds, text);
            let line = spelled.strip_suffix(b"\n").unwrap();
            assert_eq!(head(line), Some(Head { stream, ended: text.ends_with(b"\n"), nanoseconds }));
            for torn in [0, 1, HEAD - 1, HEAD, line.len() - 1] {
                assert_eq!(head(&line[..torn]), None, "{torn}");
            }
        }
        assert_eq!(head(b"{\"log\":\"x\"}"), None);
        assert_eq!(head(b"o~~~~~~~~~~~000"), None);
    }
}
