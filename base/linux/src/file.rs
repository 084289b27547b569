//! What `rustix` does not have for files.

use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{SysResult, check};

/// Has the kernel begin to write a part of a file to the disk, without waiting for it. This makes nothing durable: it
/// only leaves less to do for the flush that does.
pub fn start_write_back(file: BorrowedFd<'_>, range: Range<u64>) -> SysResult<()> {
    let offset = i64::try_from(range.start).unwrap_or(i64::MAX);
    let length = i64::try_from(range.end.saturating_sub(range.start)).unwrap_or(i64::MAX - offset);
    // SAFETY: the call takes numbers only, and the descriptor is open as long as it is borrowed.
    let result =
        unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
    check(libc::c_long::from(result)).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn files_are_taken_and_pipes_refused() {
        let path = std::env::temp_dir().join(format!("wharf-write-back-{}", std::process::id()));
        std::fs::write(&path, [7; 10_000]).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        start_write_back(file.as_fd(), 4096..10_000).unwrap();
        let (pipe, _end) = std::io::pipe().unwrap();
        assert_eq!(start_write_back(pipe.as_fd(), 0..1), Err(rustix::io::Errno::SPIPE));
        std::fs::remove_file(path).unwrap();
    }
}
