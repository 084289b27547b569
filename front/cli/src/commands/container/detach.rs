//! Keys that end an attachment: their notation, and finding them in what is typed.

/// The keys when nothing else is said.
pub const DEFAULT: &str = "ctrl-p,ctrl-q";

/// Bytes of keys like `ctrl-p,ctrl-q` or `a,b`.
///
/// # Errors
/// When a key is not known.
pub fn parse(text: &str) -> Result<Vec<u8>, String> {
    text.split(',')
        .map(|key| match key.as_bytes() {
            [single] => Ok(*single),
            _ => match key.to_lowercase().strip_prefix("ctrl-").map(str::as_bytes) {
                Some([letter @ b'a'..=b'z']) => Ok(letter - b'a' + 1),
                Some([b'@']) => Ok(0),
                Some([b'[']) => Ok(27),
                Some([b'\\']) => Ok(28),
                Some([b']']) => Ok(29),
                Some([b'^']) => Ok(30),
                Some([b'_']) => Ok(31),
                _ => Err(format!("Unknown character: '{key}'")),
            },
        })
        .collect()
}

/// Finds the keys in a stream of typed bytes.
#[derive(Debug)]
pub struct Filter {
    keys: Vec<u8>,
    matched: usize,
}

impl Filter {
    /// Looks for the keys.
    pub fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// The bytes to pass on; true when the keys were typed. A begun match is held back.
    pub fn feed(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.keys.is_empty() {
                out.push(*byte);
                continue;
            }
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (out, true);
                }
                continue;
            }
            out.extend_from_slice(self.keys.get(..self.matched).unwrap_or_default());
            self.matched = usize::from(self.keys.first() == Some(byte));
            if self.matched == 0 {
                out.push(*byte);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_across_reads() {
        let mut filter = Filter::new(parse(DEFAULT).unwrap());
        assert_eq!(filter.feed(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(filter.feed(b"x"), (b"\x10x".to_vec(), false));
        assert_eq!(filter.feed(b"\x10"), (b"".to_vec(), false));
        assert_eq!(filter.feed(b"\x11z"), (b"".to_vec(), true));
        assert!(parse("ctrl-?").is_err() && parse("ab").is_err());
        assert_eq!(parse("a,ctrl-@,ctrl-]").unwrap(), [b'a', 0, 29]);
    }
}
