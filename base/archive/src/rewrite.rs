//! A tar stream written anew with other times: what makes the same build the same bytes on any day.

use std::io::{Read, Write};

use crate::error::Result;
use crate::{Entry, Limits, Reader, Writer};

/// Writes the members of a stream as they are, but none of them younger than `latest` (seconds since 1970).
///
/// # Errors
/// When the stream is no tar, or the sink cannot be written.
pub fn clamp_times<W: Write>(stream: impl Read, latest: i64, out: W) -> Result<W> {
    let mut writer = Writer::new(out);
    append_all(stream, &mut writer, &mut |entry| {
        if (entry.seconds, entry.nanoseconds) > (latest, 0) {
            (entry.seconds, entry.nanoseconds) = (latest, 0);
        }
    })?;
    writer.finish()
}

/// Appends the members of a stream to another one, each changed on the way.
///
/// # Errors
/// When the stream is no tar, or the sink cannot be written.
pub fn append_all<W: Write>(
    stream: impl Read,
    writer: &mut Writer<W>,
    change: &mut dyn FnMut(&mut Entry),
) -> Result<()> {
    let mut reader = Reader::new(stream, Limits::DEFAULT);
    while let Some(mut entry) = reader.next_entry()? {
        change(&mut entry);
        writer.append(&entry, &mut reader)?;
    }
    reader.drain()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryKind;

    fn archive(seconds: i64, nanoseconds: u32) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        let mut folder = Entry::directory("d", 0o755);
        folder.seconds = 5;
        writer.append_empty(&folder).expect("appends");
        let mut file = Entry::file("d/f", 0o640, 3);
        (file.seconds, file.nanoseconds, file.uid) = (seconds, nanoseconds, 1000);
        file.xattrs = vec![(b"user.a".to_vec(), b"b".to_vec())];
        writer.append_bytes(&file, b"abc").expect("appends");
        let mut link = Entry::new("d/l", EntryKind::HardLink, 0o640);
        (link.link, link.seconds) = ("d/f".into(), seconds);
        writer.append_empty(&link).expect("appends");
        writer.finish().expect("ends")
    }

    #[test]
    fn only_what_is_too_young_changes() {
        let old = archive(90, 5);
        assert_eq!(clamp_times(&*old, 100, Vec::new()).expect("rewrites"), old);
        assert_eq!(clamp_times(&*archive(100, 5), 100, Vec::new()).expect("rewrites"), archive(100, 0));
        assert_eq!(clamp_times(&*archive(2000, 7), 100, Vec::new()).expect("rewrites"), archive(100, 0));
        assert!(clamp_times(&b"no tar at all, but long enough"[..], 1, Vec::new()).is_err());
    }
}
