//! EROFS images in files, mounted detached: nothing appears in any mount namespace, no loop device is taken.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::mount::{Configuration, attribute};
use crate::{Errno, SysResult};

/// Mounts the image in a file, with the files that have its contents as devices, in the image's order (Linux 6.12; 6.15
/// to use the mount below an overlay). Read-only; set-id programs and devices are as the image says.
pub fn mount(image: BorrowedFd<'_>, devices: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let configuration = Configuration::new(c"erofs")?;
    configure(&configuration, image, devices)
        .and_then(|()| configuration.mount(attribute::READ_ONLY | attribute::NO_ACCESS_TIME))
        .map_err(|error| explain(error, &configuration))
}

fn configure(
    configuration: &Configuration,
    image: BorrowedFd<'_>,
    devices: &[BorrowedFd<'_>],
) -> SysResult<()> {
    configuration.flag(c"ro")?;
    configuration.string(c"source", &path_of(image)?)?;
    for device in devices {
        configuration.string(c"device", &path_of(*device)?)?;
    }
    Ok(())
}

fn explain(error: Errno, configuration: &Configuration) -> io::Error {
    match configuration.message() {
        Some(message) => io::Error::new(io::Error::from(error).kind(), format!("erofs: {message}")),
        None => error.into(),
    }
}

/// A path of a descriptor for this process; the kernel opens the file anew.
fn path_of(fd: BorrowedFd<'_>) -> SysResult<CString> {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(|_| Errno::INVAL)
}

/// Keeps all of a file in memory: the kernel never has to read it again, whatever else needs memory.
#[derive(Debug)]
pub struct Pinned {
    address: *mut libc::c_void,
    length: usize,
}

// SAFETY: the mapping is never read or written through the address; it is only unmapped, once.
unsafe impl Send for Pinned {}
// SAFETY: as above.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// Reads a file and holds it.
    pub fn new(file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| Errno::FBIG)?;
        // SAFETY: a new read-only mapping at an address of the kernel's choice touches nothing of this program.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let pinned = Self { address, length };
        // SAFETY: the range is the mapping made above.
        if unsafe { libc::mlock(pinned.address, pinned.length) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(pinned)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing points into it.
        unsafe { libc::munmap(self.address, self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn files_are_held_in_memory_and_no_image_is_refused() {
        let path = std::env::temp_dir().join(format!("wharf-pinned-{}", std::process::id()));
        std::fs::write(&path, vec![1; 100_000]).unwrap();
        let file = File::open(&path).unwrap();
        let locked = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmLck")).unwrap().to_owned();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let before = locked();
        let pinned = Pinned::new(&file).unwrap();
        assert!(locked() >= before + 97);
        drop(pinned);
        assert_eq!(locked(), before);
        assert!(mount(file.as_fd(), &[]).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
