//! The loopback device of the calling process's network namespace.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::{SysResult, check};

/// Brings `lo` up, which also gives it its addresses. Allocates nothing.
pub fn bring_up() -> SysResult<()> {
    // SAFETY: socket takes numbers only.
    let number = check(libc::c_long::from(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    }))?;
    let number = libc::c_int::try_from(number).map_err(|_| crate::Errno::BADF)?;
    // SAFETY: the kernel has just made this descriptor for us, nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    // SAFETY: a zeroed ifreq is a valid one: numbers, and a union of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or_default();
    // SAFETY: the kernel reads an ifreq that outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, std::ptr::from_ref(&request)) };
    check(libc::c_long::from(result)).map(drop)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_new_network_namespace_gets_its_loopback() {
        std::thread::spawn(|| {
            crate::namespace::unshare(crate::namespace::Namespaces::NETWORK).unwrap();
            assert!(std::net::UdpSocket::bind("127.0.0.1:0").unwrap().connect("127.0.0.1:9").is_err());
            super::bring_up().unwrap();
            std::net::UdpSocket::bind("127.0.0.1:0").unwrap().connect("127.0.0.1:9").unwrap();
        })
        .join()
        .unwrap();
    }
}
