//! Space of the database file set aside in advance, so that records can still be changed and removed on a full disk.
//!
//! The database reuses pages of its file and doubles the file when it has none left. So as many blocks again as the
//! file is long are allocated, behind its end where nobody else gets at them. When even that is not to be had any more,
//! the file has room for changes (they free what they replace), and only new records have to wait.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// The file's blocks, allocated for twice its length.
pub(crate) struct Reserve {
    /// None when it could not be opened: nothing is set aside then.
    file: Option<File>,
    /// Length of the file when its blocks were last allocated; none when that failed.
    held_for: Option<u64>,
}

impl Reserve {
    /// Sets space aside for a database file; on a full disk that has to wait.
    pub(crate) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(path).ok();
        let mut reserve = Self { file, held_for: None };
        reserve.refill();
        reserve
    }

    /// Whether the file could double and be written from end to end.
    pub(crate) fn is_held(&self) -> bool {
        self.held_for.is_some()
    }

    /// After a failed commit the file may have been cut, and its spare blocks with that.
    pub(crate) fn forget(&mut self) {
        self.held_for = None;
    }

    /// Allocates what is missing since the file has grown.
    pub(crate) fn refill(&mut self) {
        let Some(file) = &self.file else { return };
        let length = file.metadata().map(|metadata| metadata.len()).ok();
        if length.is_some() && length != self.held_for {
            self.held_for = length.filter(|&length| allocate(file, length * 2).is_ok());
        }
    }
}

fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        // Where space cannot be promised, all goes on until the disk really is full.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn twice_the_length_is_allocated_and_follows_it() {
        let path = std::env::temp_dir().join(format!("wharf-reserve-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let mut reserve = Reserve::open(&path);
        for length in [100_000, 300_000] {
            file.set_len(length).unwrap();
            reserve.refill();
            let metadata = file.metadata().unwrap();
            assert!(reserve.is_held());
            assert!(metadata.blocks() * 512 >= 2 * length, "{} blocks", metadata.blocks());
            assert_eq!(metadata.len(), length);
        }
        reserve.forget();
        assert!(!reserve.is_held());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn without_a_file_nothing_is_held() {
        assert!(!Reserve::open(Path::new("/nonexistent/state")).is_held());
    }
}
