//! Signal masks and dispositions.

use std::mem::MaybeUninit;

use crate::{SysResult, check};

/// A saved signal mask.
pub struct Mask(libc::sigset_t);

/// Blocks all signals for the calling thread and returns what was blocked before.
pub fn block_all() -> SysResult<Mask> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills the set it is given.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    swap_mask(&unsafe { all.assume_init() })
}

/// Blocks exactly the given signals for the calling thread and returns what was blocked before.
pub fn block(numbers: &[i32]) -> SysResult<Mask> {
    swap_mask(&set_of(numbers))
}

/// Restores a mask.
pub fn set_mask(mask: &Mask) -> SysResult<()> {
    swap_mask(&mask.0).map(drop)
}

/// Every signal back to what it does by default and none blocked, as a new program expects.
pub fn restore_defaults() {
    // The raw call also reaches the two numbers that libc keeps to itself.
    let default = [0u64; 4];
    for number in 1..=64_i32 {
        // SAFETY: a kernel sigaction of zeros means SIG_DFL; KILL and STOP fail harmlessly.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), std::ptr::null_mut::<u64>(), 8)
        };
    }
    let none = 0u64;
    // SAFETY: an empty kernel signal set of eight bytes.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            std::ptr::null_mut::<u64>(),
            8,
        )
    };
}

/// Ignores a signal from now on.
pub fn ignore(number: i32) -> SysResult<()> {
    // SAFETY: SIG_IGN runs no code of ours.
    if unsafe { libc::signal(number, libc::SIG_IGN) } == libc::SIG_ERR {
        Err(crate::Errno::INVAL)
    } else {
        Ok(())
    }
}

/// Sends a signal to a process, or to a process group when the id is negative, or to all (-1).
pub fn send(pid: i32, signal: i32) -> SysResult<()> {
    // SAFETY: plain system call on numbers.
    check(libc::c_long::from(unsafe { libc::kill(pid, signal) })).map(drop)
}

pub(crate) fn set_of(numbers: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: initialises the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    let mut set = unsafe { set.assume_init() };
    for number in numbers {
        // SAFETY: an initialised set; invalid numbers are refused.
        unsafe { libc::sigaddset(&raw mut set, *number) };
    }
    set
}

fn swap_mask(new: &libc::sigset_t) -> SysResult<Mask> {
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid; the old one is filled on success.
    let error = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, new, old.as_mut_ptr()) };
    if error != 0 {
        return Err(crate::Errno::from_raw_os_error(error));
    }
    // SAFETY: filled by the successful call.
    Ok(Mask(unsafe { old.assume_init() }))
}
