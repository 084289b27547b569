//! PAX extended headers: records of `length key=value\n`.

use crate::error::{ArchiveError, Result};
use crate::limits::Limits;

/// Attributes are written with this prefix before their name.
pub(crate) const XATTR: &str = "SCHILY.xattr.";

/// What extended headers said about the entry that follows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extended {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) group: Option<Vec<u8>>,
    pub(crate) time: Option<(i64, u32)>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sparse: SparseKeys,
}

/// The keys of GNU's sparse files in PAX, versions 0.0, 0.1 and 1.0.
#[derive(Debug, Clone, Default)]
pub(crate) struct SparseKeys {
    pub(crate) major: Option<u64>,
    pub(crate) minor: Option<u64>,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) real_size: Option<u64>,
    pub(crate) numbers: Vec<u64>,
    pub(crate) present: bool,
}

impl Extended {
    /// Takes in the records of one extended header; later records win.
    pub(crate) fn read(&mut self, mut bytes: &[u8], limits: &Limits) -> Result<()> {
        while !bytes.is_empty() {
            let (record, rest) = split_record(bytes)?;
            bytes = rest;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
            let (key, value) = record.split_at_checked(equals).ok_or(BAD)?;
            self.set(key, value.get(1..).unwrap_or_default(), limits)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8], limits: &Limits) -> Result<()> {
        match key {
            b"path" => self.path = text(value)?,
            b"linkpath" => self.link = text(value)?,
            b"size" => self.size = number(value)?,
            b"uid" => self.uid = number(value)?,
            b"gid" => self.gid = number(value)?,
            b"uname" => self.user = text(value)?,
            b"gname" => self.group = text(value)?,
            b"mtime" => self.time = time(value)?,
            key if key.starts_with(XATTR.as_bytes()) => {
                let name = key.get(XATTR.len()..).unwrap_or_default();
                self.set_xattr(name, value, limits)?;
            }
            key if key.starts_with(b"GNU.sparse.") => {
                self.sparse.set(key.get(b"GNU.sparse.".len()..).unwrap_or_default(), value, limits)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn set_xattr(&mut self, name: &[u8], value: &[u8], limits: &Limits) -> Result<()> {
        self.xattrs.retain(|(known, _)| known != name);
        if self.xattrs.len() >= limits.xattrs {
            return Err(ArchiveError::Limit { what: "extended attributes", limit: limits.xattrs as u64 });
        }
        if name.is_empty() || name.contains(&0) {
            return Err(ArchiveError::Field { what: "extended attribute" });
        }
        self.xattrs.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

impl SparseKeys {
    fn set(&mut self, key: &[u8], value: &[u8], limits: &Limits) -> Result<()> {
        self.present = true;
        match key {
            b"major" => self.major = number(value)?,
            b"minor" => self.minor = number(value)?,
            b"name" => self.name = text(value)?,
            b"size" | b"realsize" => self.real_size = number(value)?,
            b"offset" | b"numbytes" => self.push(value, limits)?,
            b"map" => {
                for part in value.split(|byte| *byte == b',').filter(|part| !part.is_empty()) {
                    self.push(part, limits)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, value: &[u8], limits: &Limits) -> Result<()> {
        if self.numbers.len() >= limits.sparse_pieces * 2 {
            return Err(ArchiveError::Limit {
                what: "pieces of a sparse file",
                limit: limits.sparse_pieces as u64,
            });
        }
        self.numbers.push(number(value)?.ok_or(BAD)?);
        Ok(())
    }
}

const BAD: ArchiveError = ArchiveError::Field { what: "extended header" };

/// The first record without its length and line end, and what follows it.
fn split_record(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or(BAD)?;
    let length = number(bytes.get(..space).unwrap_or_default())?.ok_or(BAD)?;
    let length = usize::try_from(length).map_err(|_| BAD)?;
    let (record, rest) = bytes.split_at_checked(length).ok_or(BAD)?;
    let record = record.get(space + 1..).and_then(|record| record.strip_suffix(b"\n")).ok_or(BAD)?;
    Ok((record, rest))
}

/// An empty value takes an earlier one back.
fn text(value: &[u8]) -> Result<Option<Vec<u8>>> {
    if value.contains(&0) {
        return Err(BAD);
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

pub(crate) fn number(value: &[u8]) -> Result<Option<u64>> {
    if value.is_empty() {
        return Ok(None);
    }
    if !value.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    let text = std::str::from_utf8(value).map_err(|_| BAD)?;
    text.parse().map(Some).map_err(|_| BAD)
}

/// Seconds with a fraction of any length; negative ones too.
fn time(value: &[u8]) -> Result<Option<(i64, u32)>> {
    if value.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(value).map_err(|_| BAD)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| BAD)?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BAD);
    }
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanoseconds: u32 = digits.parse().map_err(|_| BAD)?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Ok(Some((seconds.checked_sub(1).ok_or(BAD)?, 1_000_000_000 - nanoseconds)));
    }
    Ok(Some((seconds, nanoseconds)))
}

/// Appends one record; its length counts itself.
pub(crate) fn write_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_at_every_length() {
        for length in 0..1200 {
            let mut bytes = Vec::new();
            let value = vec![b'v'; length];
            write_record(&mut bytes, b"path", &value);
            let mut extended = Extended::default();
            extended.read(&bytes, &Limits::DEFAULT).unwrap();
            assert_eq!(extended.path.unwrap_or_default(), value);
        }
    }

    #[test]
    fn hostile_records_are_refused() {
        for bytes in [
            &b"5"[..],
            b"0 a=b\n",
            b"99999999999999999999 a=b\n",
            b"18446744073709551615 a=b\n",
            b"6 a=bx",
            b"6 abc\n",
            b"3 \n",
            b"11 size=-1\n",
            b"12 path=a\0b\n",
        ] {
            assert!(Extended::default().read(bytes, &Limits::DEFAULT).is_err(), "{bytes:?}");
        }
        let mut many = Vec::new();
        for number in 0..200 {
            write_record(&mut many, format!("SCHILY.xattr.user.a{number}").as_bytes(), b"x");
        }
        assert!(matches!(
            Extended::default().read(&many, &Limits::DEFAULT),
            Err(ArchiveError::Limit { what: "extended attributes", .. })
        ));
    }

    #[test]
    fn times() {
        assert_eq!(time(b"1.5").unwrap(), Some((1, 500_000_000)));
        assert_eq!(time(b"-1.5").unwrap(), Some((-2, 500_000_000)));
        assert_eq!(time(b"12.1234567891").unwrap(), Some((12, 123_456_789)));
        assert!(time(b"1.x").is_err());
    }
}
