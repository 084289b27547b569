//! Descriptors: closing ranges of them, duplicating to fixed numbers, sending them over sockets.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::{Errno, SysResult, check};

/// The most descriptors one message carries (the kernel's SCM_MAX_FD).
pub const MOST: usize = 253;

const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;

/// Marks all descriptors from a number on to be closed by execve.
pub fn close_on_exec_from(first: RawFd) -> SysResult<()> {
    close_on_exec_range(first, RawFd::MAX)
}

/// Marks a range of descriptors, both ends included, to be closed by execve.
pub fn close_on_exec_range(first: RawFd, last: RawFd) -> SysResult<()> {
    // SAFETY: marking changes nothing for code that owns the descriptors now.
    unsafe { close_range(first, last, CLOSE_RANGE_CLOEXEC) }
}

/// Closes all descriptors from a number on, for a forked child about to execute whose owned descriptors are never
/// used or dropped again.
pub fn close_from_in_child(first: RawFd) -> SysResult<()> {
    // SAFETY: the copies of owned descriptors in a forked child are never dropped: it ends in execve or _exit.
    unsafe { close_range(first, RawFd::MAX, 0) }
}

/// Makes `target` a duplicate of `source` that survives execve, in a forked child.
pub fn place_in_child(source: BorrowedFd<'_>, target: RawFd) -> SysResult<()> {
    if source.as_raw_fd() == target {
        // SAFETY: clears the close-on-exec flag of an open descriptor.
        return check(libc::c_long::from(unsafe { libc::fcntl(target, libc::F_SETFD, 0) })).map(drop);
    }
    // SAFETY: plain system call; what was at `target` in the child's table is replaced knowingly.
    check(libc::c_long::from(unsafe { libc::dup2(source.as_raw_fd(), target) })).map(drop)
}

/// A duplicate with a number of at least `least`, closed by execve.
pub fn duplicate_above(source: BorrowedFd<'_>, least: RawFd) -> SysResult<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(source, least)
}

/// A duplicate that replaces `target` and is closed by execve, in a forked child.
pub fn place_closing_in_child(source: BorrowedFd<'_>, target: RawFd) -> SysResult<()> {
    if source.as_raw_fd() == target {
        return close_on_exec_range(target, target);
    }
    // SAFETY: plain system call; what was at `target` in the child's table is replaced knowingly.
    check(libc::c_long::from(unsafe { libc::dup3(source.as_raw_fd(), target, libc::O_CLOEXEC) })).map(drop)
}

/// Takes over a descriptor this process inherited under a known number; EBADF when there is none.
pub fn inherited(number: RawFd) -> SysResult<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the number is open.
    check(libc::c_long::from(unsafe { libc::fcntl(number, libc::F_GETFD) }))?;
    // SAFETY: open, and by the caller's word nobody else in this process owns it.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(number) })
}

/// Borrows an open descriptor of this process by its number, for a forked child that placed it there.
pub fn borrowed_in_child(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the child has just placed it and never closes it before execve.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Sends bytes with descriptors over a unix socket; at least one byte.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> SysResult<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    if descriptors.len() > 16 {
        return Err(Errno::TOOMANYREFS);
    }
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::TOOMANYREFS);
    }
    loop {
        let sent = rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
        if sent != Err(Errno::INTR) {
            return sent;
        }
    }
}

/// Receives bytes and hands every descriptor that came with them to `take`. Zero means the other side has closed.
pub fn receive(socket: impl AsFd, bytes: &mut [u8], mut take: impl FnMut(OwnedFd)) -> SysResult<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        let result = rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(bytes)], &mut control, flags);
        if !matches!(result, Err(Errno::INTR)) {
            break result?;
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            rights.for_each(&mut take);
        }
    }
    Ok(received.bytes)
}

/// # Safety
/// When descriptors are closed, nothing may use or drop them afterwards.
unsafe fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> SysResult<()> {
    // SAFETY: plain system call on numbers; see above for closing.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    check(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn descriptors_travel() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        assert_eq!(send(&ours, b"x", &[writer.as_fd()]), Ok(1));
        drop(writer);
        let mut got = Vec::new();
        let mut byte = [0; 4];
        assert_eq!(receive(&theirs, &mut byte, |fd| got.push(fd)), Ok(1));
        std::fs::File::from(got.pop().unwrap()).write_all(b"hello").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }
}
