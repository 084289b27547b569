//! Putting a filter on the calling process.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::Program;

/// `SECCOMP_SET_MODE_FILTER`
const SET_FILTER: libc::c_long = 1;

/// The kernel's `struct sock_fprog`.
#[repr(C)]
struct Filter {
    length: libc::c_ushort,
    instructions: *const super::Instruction,
}

impl Program {
    /// Filters the calling thread (and all it makes) from now on. Needs no_new_privs or CAP_SYS_ADMIN. Gives the
    /// listener's descriptor when the program notifies. Allocates nothing.
    #[expect(unsafe_code, reason = "seccomp(2) has no safe wrapper")]
    pub fn install(&self) -> Result<Option<OwnedFd>, Errno> {
        let length = libc::c_ushort::try_from(self.instructions.len()).map_err(|_| Errno::INVAL)?;
        let filter = Filter { length, instructions: self.instructions.as_ptr() };
        // SAFETY: the pointer and length describe the live vector; the kernel copies it and checks every instruction.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, SET_FILTER, libc::c_ulong::from(self.flags), &raw const filter)
        };
        let fd = i32::try_from(result).unwrap_or(-1);
        if fd < 0 {
            return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL));
        }
        if !self.notifies() {
            // With TSYNC a positive number is a thread that could not follow.
            return if fd == 0 { Ok(None) } else { Err(Errno::SRCH) };
        }
        // SAFETY: the call just made this descriptor for us.
        Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}
