//! A head and a part of a file behind it, the file copied by the kernel.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::SendFlags;

/// Bytes asked of the kernel at once.
const PORTION: u64 = 16 * 1024 * 1024;

/// Sends both; a file that is shorter than promised is an error.
pub(super) fn send(socket: &UnixStream, head: &[u8], file: &File, range: Range<u64>) -> io::Result<()> {
    let flags = if range.is_empty() { SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL | SendFlags::MORE };
    send_all(socket, head, flags)?;
    let mut offset = range.start;
    while offset < range.end {
        let portion = usize::try_from((range.end - offset).min(PORTION)).unwrap_or(usize::MAX);
        match rustix::fs::sendfile(socket, file, Some(&mut offset), portion) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn send_all(socket: &UnixStream, mut bytes: &[u8], flags: SendFlags) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::net::send(socket, bytes, flags) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
