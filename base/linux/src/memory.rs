//! Keeping a long-lived small process small.

/// One arena for all threads and early return of free memory, for processes that live long and allocate little.
pub fn stay_small() {
    // SAFETY: sets numbers of the allocator; called before threads exist or harmlessly later.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 * 1024);
        libc::mallopt(libc::M_TOP_PAD, 4 * 1024);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 * 1024);
    }
}

/// One arena for all threads.
pub fn limit_arenas(count: i32) {
    // SAFETY: sets a number of the allocator.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, count) };
}

/// Gives free memory of the allocator back to the kernel, and on the first thread the part of the stack that
/// earlier calls touched and nobody uses any more.
pub fn trim() {
    // SAFETY: only memory that is free is given back.
    unsafe { libc::malloc_trim(0) };
    // Below another thread's stack may lie anything; the first thread's has only a gap there.
    if rustix::thread::gettid() == rustix::process::getpid() {
        trim_stack();
    }
}

/// Bytes below the present frame that are left alone: the red zone and what this function itself uses.
const FRAME: usize = 4 * 1024;
/// How far below earlier calls may have reached.
const REACH: usize = 512 * 1024;

#[inline(never)]
fn trim_stack() {
    let here = 0u8;
    let end = ((&raw const here) as usize).saturating_sub(FRAME) & !4095;
    let mut start = end.saturating_sub(REACH);
    // The stack's mapping may begin higher up than that; pages that are not mapped are skipped one by one downwards.
    while start < end {
        // SAFETY: below the present frame nothing of this thread is alive; the kernel refuses what is not mapped.
        let result = unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
        if result == 0 {
            return;
        }
        start += ((end - start) / 2) & !4095;
        if end - start <= 4096 {
            return;
        }
    }
}
