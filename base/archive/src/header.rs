//! The 512-byte header block of ustar and its GNU variant.

use crate::error::{ArchiveError, Result};

/// Bytes in a header and the unit contents are padded to.
pub(crate) const BLOCK: usize = 512;

/// One header block.
#[derive(Clone, Copy)]
pub(crate) struct Header(pub(crate) [u8; BLOCK]);

/// Where a field is.
pub(crate) type Field = std::ops::Range<usize>;

pub(crate) const NAME: Field = 0..100;
pub(crate) const MODE: Field = 100..108;
pub(crate) const UID: Field = 108..116;
pub(crate) const GID: Field = 116..124;
pub(crate) const SIZE: Field = 124..136;
pub(crate) const MTIME: Field = 136..148;
pub(crate) const CHECKSUM: Field = 148..156;
pub(crate) const TYPE: usize = 156;
pub(crate) const LINK: Field = 157..257;
pub(crate) const MAGIC: Field = 257..265;
pub(crate) const USER: Field = 265..297;
pub(crate) const GROUP: Field = 297..329;
pub(crate) const MAJOR: Field = 329..337;
pub(crate) const MINOR: Field = 337..345;
pub(crate) const PREFIX: Field = 345..500;
/// GNU sparse files: four pieces, a flag for more, the real size.
pub(crate) const GNU_SPARSE: Field = 386..482;
pub(crate) const GNU_EXTENDED: usize = 482;
pub(crate) const GNU_REAL_SIZE: Field = 483..495;

pub(crate) const USTAR: &[u8; 8] = b"ustar\x0000";

impl Header {
    pub(crate) fn bytes(&self, field: Field) -> &[u8] {
        self.0.get(field).unwrap_or_default()
    }

    /// A text field up to its NUL.
    pub(crate) fn text(&self, field: Field) -> &[u8] {
        let bytes = self.bytes(field);
        bytes.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> u8 {
        self.0.get(TYPE).copied().unwrap_or_default()
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub(crate) fn is_ustar(&self) -> bool {
        self.bytes(MAGIC).starts_with(b"ustar\0")
    }

    pub(crate) fn is_gnu(&self) -> bool {
        self.bytes(MAGIC) == b"ustar  \0"
    }

    pub(crate) fn number(&self, field: Field, what: &'static str) -> Result<i64> {
        parse_number(self.bytes(field)).ok_or(ArchiveError::Field { what })
    }

    /// Both sums are in use: of unsigned bytes, and by old programs of signed ones.
    pub(crate) fn check(&self) -> Result<()> {
        let written = parse_number(self.bytes(CHECKSUM)).ok_or(ArchiveError::Header)?;
        let (mut unsigned, mut signed) = (0i64, 0i64);
        for (index, byte) in self.0.iter().enumerate() {
            let byte = if CHECKSUM.contains(&index) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        if written == unsigned || written == signed { Ok(()) } else { Err(ArchiveError::Header) }
    }

    pub(crate) fn empty() -> Self {
        let mut header = Self([0; BLOCK]);
        header.put(MAGIC, USTAR);
        header
    }

    /// Puts bytes at the start of a field; what is too long is cut.
    pub(crate) fn put(&mut self, field: Field, bytes: &[u8]) {
        if let Some(field) = self.0.get_mut(field) {
            let length = bytes.len().min(field.len());
            for (target, byte) in field.iter_mut().zip(bytes.iter().take(length)) {
                *target = *byte;
            }
        }
    }

    /// Puts an octal number; false when it does not fit.
    pub(crate) fn put_number(&mut self, field: Field, number: u64) -> bool {
        let digits = field.len() - 1;
        let text = format!("{number:0digits$o}");
        if text.len() > digits {
            self.put(field, "0".repeat(digits).as_bytes());
            return false;
        }
        self.put(field, text.as_bytes());
        true
    }

    pub(crate) fn put_kind(&mut self, kind: u8) {
        self.put(TYPE..TYPE + 1, &[kind]);
    }

    pub(crate) fn seal(&mut self) {
        self.put(CHECKSUM, b"        ");
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        self.put(CHECKSUM, format!("{sum:06o}\0 ").as_bytes());
    }
}

/// Octal digits with spaces or NULs around, or GNU's base 256 (first bit set). Empty is zero.
pub(crate) fn parse_number(bytes: &[u8]) -> Option<i64> {
    let first = *bytes.first()?;
    if first & 0x80 != 0 {
        return parse_base_256(bytes);
    }
    let text: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 32).collect();
    let digits = text.split(|byte| *byte == 0 || *byte == b' ').next().unwrap_or_default();
    let mut number = 0i64;
    for digit in digits {
        if !(b'0'..=b'7').contains(digit) {
            return None;
        }
        number = number.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(number)
}

fn parse_base_256(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.first()? & 0x40 != 0;
    let mut number: i128 = if negative { -1 } else { 0 };
    for (index, byte) in bytes.iter().enumerate() {
        let byte = if index == 0 { if negative { byte | 0x80 } else { byte & 0x7f } } else { *byte };
        number = number.checked_mul(256)? | i128::from(byte);
        if i64::try_from(number).is_err() {
            return None;
        }
    }
    i64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (bytes, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777777\0", Some(0o77_777_777_777)),
            (b"9\0", None),
            (b"-1\0", None),
            (b"\x80\0\0\0\0\0\0\x01", Some(1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(parse_number(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn sealed_headers_check() {
        let mut header = Header::empty();
        header.put(NAME, b"x");
        assert!(header.put_number(MODE, 0o644) && !header.put_number(UID, 1 << 40));
        header.seal();
        header.check().unwrap();
        header.put(NAME, b"y");
        assert!(header.check().is_err());
    }
}
