//! Socket options that `rustix` does not have.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{SysResult, check};

const SOL_NETLINK: libc::c_int = 270;
const NETLINK_CAP_ACK: libc::c_int = 10;
const NETLINK_EXT_ACK: libc::c_int = 11;

/// Has the kernel say in words why it refuses a netlink request, without repeating the request.
pub fn explain_netlink_refusals(socket: BorrowedFd<'_>) -> SysResult<()> {
    for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK] {
        let on: libc::c_int = 1;
        let length = std::mem::size_of_val(&on) as libc::socklen_t;
        // SAFETY: the kernel reads one integer that outlives the call.
        let result = unsafe {
            libc::setsockopt(socket.as_raw_fd(), SOL_NETLINK, option, std::ptr::from_ref(&on).cast(), length)
        };
        check(libc::c_long::from(result))?;
    }
    Ok(())
}
