//! Sealed copies of programs in memory: what runs from one has no file on any disk that it could change.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags};

/// How long the kernel may be busy with memory that is to be sealed.
const BUSY: Duration = Duration::from_secs(5);
/// How long to leave it alone between two questions.
const PAUSE: Duration = Duration::from_millis(2);

/// A copy of a file that nobody can change any more, fit for execution.
pub fn sealed_copy(name: &str, source: impl AsFd) -> io::Result<OwnedFd> {
    let memory = create(name)?;
    let size = u64::try_from(rustix::fs::fstat(&source)?.st_size).unwrap_or_default();
    let (mut offset, mut left) = (0, size);
    while left > 0 {
        let count = usize::try_from(left.min(1 << 30)).unwrap_or(usize::MAX);
        match rustix::fs::sendfile(&memory, &source, Some(&mut offset), count)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            sent => left -= sent as u64,
        }
    }
    seal(&memory)?;
    Ok(memory)
}

/// Bytes that nobody can change any more.
pub fn sealed_bytes(name: &str, mut bytes: &[u8]) -> io::Result<OwnedFd> {
    let memory = create(name)?;
    while !bytes.is_empty() {
        let written = rustix::io::write(&memory, bytes)?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    rustix::fs::seek(&memory, rustix::fs::SeekFrom::Start(0))?;
    seal(&memory)?;
    Ok(memory)
}

fn create(name: &str) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know the flag, and all their memfds are executable.
    match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        Err(crate::Errno::INVAL) => Ok(rustix::fs::memfd_create(name, flags)?),
        result => Ok(result?),
    }
}

/// Nobody else has the memory, but while the kernel itself looks at one of its pages (to move it, to count its uses) there
/// might be a writer as far as it knows. It waits for that a little, and then refuses.
fn seal(memory: &OwnedFd) -> io::Result<()> {
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let late = Instant::now() + BUSY;
    loop {
        match rustix::fs::fcntl_add_seals(memory, seals) {
            Err(crate::Errno::BUSY) if Instant::now() < late => std::thread::sleep(PAUSE),
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_cannot_change() {
        let source = std::fs::File::open("/proc/self/exe").unwrap();
        let copy = sealed_copy("test", &source).unwrap();
        assert_eq!(rustix::fs::fstat(&copy).unwrap().st_size, rustix::fs::fstat(&source).unwrap().st_size);
        assert_eq!(rustix::io::write(&copy, b"x"), Err(crate::Errno::PERM));
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&copy));
        let writable = std::fs::OpenOptions::new().write(true).open(&path);
        assert!(writable.is_err() || rustix::io::write(writable.unwrap(), b"x").is_err());
        assert!(std::fs::OpenOptions::new().write(true).truncate(true).open(path).is_err());
    }
}
