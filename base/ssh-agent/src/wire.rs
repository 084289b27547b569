//! Numbers and strings of ssh's messages and key files (RFC 4251, section 5).

/// Reads what comes in, from the front; `None` when it ends too early.
#[derive(Clone)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn number(&mut self) -> Option<u32> {
        self.take(4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
    }

    /// Bytes with their number before them.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    /// A number of any size that is not negative, without leading zeros.
    pub(crate) fn big_number(&mut self) -> Option<&'a [u8]> {
        let bytes = self.string()?;
        let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
        (!is_negative).then(|| without_zeros(bytes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A number's bytes without the zeros before them.
pub(crate) fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// Writes a string.
pub(crate) fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len());
    to.extend_from_slice(bytes);
}

/// Writes a length or a count, all of which are small here.
pub(crate) fn put_number(to: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    to.extend_from_slice(&number.to_be_bytes());
}

/// Writes a number of any size that is not negative.
pub(crate) fn put_big_number(to: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = without_zeros(bytes);
    // A first bit that is set would make it negative.
    let sign: &[u8] = if bytes.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    put_string(to, &[sign, bytes].concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_are_read_as_written() {
        let mut all = Vec::new();
        put_string(&mut all, b"text");
        for number in [&[0, 0x7f][..], &[0x80], &[0], &[]] {
            put_big_number(&mut all, number);
        }
        assert_eq!(all, b"\0\0\0\x04text\0\0\0\x01\x7f\0\0\0\x02\0\x80\0\0\0\0\0\0\0\0");
        let mut reader = Reader(&all);
        assert_eq!(reader.string(), Some(&b"text"[..]));
        let read: Vec<_> = std::iter::from_fn(|| reader.big_number()).collect();
        assert_eq!(read, [&[0x7f][..], &[0x80], &[], &[]]);
        assert!(reader.is_empty());
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        for length in 0..8 {
            assert_eq!(Reader(&b"\0\0\0\x04text"[..length]).string(), None);
        }
        assert_eq!(Reader(b"\xff\xff\xff\xfftext").string(), None);
        assert_eq!(Reader(b"\0\0\0\x01\x80").big_number(), None, "negative");
    }
}
