//! Text as the inside of a JSON string, spelled exactly as Docker spells it.

/// Appends `text`. Bytes that are no UTF-8 become U+FFFD, one for each, as Go does it.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let plain = plain_prefix(rest);
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let Some(first) = rest.first() else { return };
        let taken = if *first < 0x80 { escape_byte(*first, out) } else { escape_wide(rest, out) };
        rest = &rest[taken..];
    }
}

/// How many bytes from the start can be copied as they are.
fn plain_prefix(text: &[u8]) -> usize {
    let mut length = 0;
    let mut blocks = text.chunks_exact(32);
    for block in &mut blocks {
        // Written so that the compiler turns it into a few vector instructions.
        let special = block.iter().fold(false, |special, byte| special | is_special(*byte));
        if special {
            return length + block.iter().position(|byte| is_special(*byte)).unwrap_or(0);
        }
        length += 32;
    }
    let rest = blocks.remainder();
    length + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

#[inline]
fn is_special(byte: u8) -> bool {
    !(0x20..0x80).contains(&byte)
        | (byte == b'"')
        | (byte == b'\\')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == b'&')
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) -> usize {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        other => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digit = |value: u8| DIGITS[usize::from(value & 15)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(other >> 4), digit(other)]);
        }
    }
    1
}

/// A run of characters beyond ASCII.
fn escape_wide(text: &[u8], out: &mut Vec<u8>) -> usize {
    let run = text.iter().position(|byte| *byte < 0x80).unwrap_or(text.len());
    let (good, bad) = match std::str::from_utf8(&text[..run]) {
        Ok(good) => (good, 0),
        Err(error) => (std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(), 1),
    };
    // The line separators are escaped because JavaScript takes them for line ends.
    let mut plain = good;
    while let Some(at) = plain.find(['\u{2028}', '\u{2029}']) {
        out.extend_from_slice(&plain.as_bytes()[..at]);
        out.extend_from_slice(if plain[at..].starts_with('\u{2028}') { b"\\u2028" } else { b"\\u2029" });
        plain = &plain[at + 3..];
    }
    out.extend_from_slice(plain.as_bytes());
    if bad == 1 {
        out.extend_from_slice(b"\\ufffd");
    }
    good.len() + bad
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn spelling() {
        let rows: &[(&[u8], &str)] = &[
            (b"", ""),
            (b"plain text\n", "plain text\\n"),
            (b"a\"b\\c\r\t\x00\x1f\x7f", "a\\\"b\\\\c\\r\\u0009\\u0000\\u001f\x7f"),
            (b"<a&b>", "\\u003ca\\u0026b\\u003e"),
            ("gr\u{fc}n \u{1f600}".as_bytes(), "gr\u{fc}n \u{1f600}"),
            ("a\u{2028}b\u{2029}".as_bytes(), "a\\u2028b\\u2029"),
            (b"\xff\xfe\xe2\x82x", "\\ufffd\\ufffd\\ufffd\\ufffdx"),
            (b"\xc3\xa4\xff\xc3\xa4", "\u{e4}\\ufffd\u{e4}"),
        ];
        for (text, expected) in rows {
            assert_eq!(encoded(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn long_texts_around_the_block_size() {
        for length in 0..100usize {
            for at in 0..length {
                let mut text = vec![b'x'; length];
                text[at] = b'\n';
                let expected = format!("{}\\n{}", "x".repeat(at), "x".repeat(length - at - 1));
                assert_eq!(encoded(&text), expected);
            }
        }
    }
}
