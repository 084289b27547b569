//! Starting a program quickly from a large process with many threads.
//!
//! The child shares the parent's memory until it executes (as after vfork), on a stack of its own, so that nothing of
//! the parent's page tables is copied; the calling thread waits for that moment, other threads go on.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::arguments::Arguments;
use crate::clone::{CLONE_CLEAR_SIGHAND, CLONE_INTO_CGROUP, CLONE_PIDFD, Child, CloneArgs};
use crate::{Errno, SysResult, execute, signal};

const CLONE_VM: u64 = 0x100;
const CLONE_VFORK: u64 = 0x4000;

/// Bytes of stack the child gets: descriptor moves and execve need little.
const STACK: usize = 64 * 1024;

/// What to start and how.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The program, open for reading or as O_PATH; a sealed memfd works.
    pub program: BorrowedFd<'a>,
    /// Its arguments, the name first.
    pub arguments: &'a Arguments,
    /// Its environment.
    pub environment: &'a Arguments,
    /// Descriptors it inherits and under which numbers; all others are closed on exec.
    pub descriptors: &'a [(BorrowedFd<'a>, i32)],
    /// Leads a session of its own.
    pub new_session: bool,
    /// Version 2 cgroup directory it is born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Version 1 `tasks` files it joins.
    pub tasks: &'a [OwnedFd],
}

impl Spawn<'_> {
    /// Starts the program. The error is that of the step that failed, execve included.
    pub fn run(&self) -> SysResult<Child> {
        let stack = Stack::new(STACK)?;
        let mut order = Order { spawn: self, error: None, scratch: self.scratch() };
        let mut pidfd: libc::c_int = -1;
        let mut args = CloneArgs {
            flags: CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
            pidfd: (&raw mut pidfd) as u64,
            exit_signal: libc::SIGCHLD as u64,
            stack: stack.start as u64,
            stack_size: STACK as u64,
            ..CloneArgs::default()
        };
        if let Some(cgroup) = self.cgroup {
            args.flags |= CLONE_INTO_CGROUP;
            args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or_default();
        }
        // A signal handler running in the child would work on the parent's memory.
        let mask = signal::block_all()?;
        // SAFETY: the child runs `enter` on its own stack, allocates nothing and ends in execve or _exit; the parent
        // thread is suspended meanwhile, so that the order it writes to is not touched by two at once.
        let pid = unsafe { clone_on_stack(&mut args, enter, (&raw mut order).cast()) };
        signal::set_mask(&mask)?;
        if pid < 0 {
            return Err(Errno::from_raw_os_error(i32::try_from(-pid).unwrap_or(libc::EINVAL)));
        }
        // SAFETY: the kernel has stored a new descriptor that nobody else owns.
        let child = Child {
            pid: i32::try_from(pid).unwrap_or_default(),
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        };
        match order.error {
            None => Ok(child),
            Some(error) => {
                let _ = crate::pidfd::wait(std::os::fd::AsFd::as_fd(&child.pidfd));
                Err(error)
            }
        }
    }

    /// A number above all targets, from which descriptors are moved to their places without treading on each other.
    fn scratch(&self) -> i32 {
        self.descriptors.iter().map(|(_, target)| *target).max().unwrap_or(2).max(2) + 1
    }

    fn child(&self, scratch: i32) -> Errno {
        match self.prepare(scratch) {
            Err(error) => error,
            Ok(program) => execute::descriptor(program, self.arguments, self.environment),
        }
    }

    fn prepare(&self, scratch: i32) -> SysResult<BorrowedFd<'_>> {
        if self.new_session {
            rustix::process::setsid()?;
        }
        crate::cgroup::join(self.tasks).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        // First away from all targets, then each to its place.
        let mut moved = [-1; 64];
        for ((source, _), moved) in self.descriptors.iter().zip(&mut moved) {
            *moved = duplicate_above(source.as_raw_fd(), scratch)?;
        }
        let program = duplicate_above(self.program.as_raw_fd(), scratch)?;
        for ((_, target), moved) in self.descriptors.iter().zip(moved) {
            // SAFETY: plain system call on numbers; the child owns its own descriptor table.
            crate::check(libc::c_long::from(unsafe { libc::dup2(moved, *target) }))?;
        }
        crate::descriptor::close_on_exec_from(scratch)?;
        self.close_gaps(scratch)?;
        signal::restore_defaults();
        if let Some(limit) = crate::rlimit::files_before() {
            limit.apply()?;
        }
        // SAFETY: the number was just made and stays open until execve.
        Ok(unsafe { BorrowedFd::borrow_raw(program) })
    }

    /// Numbers between stdio and the highest target that are nobody's target must not leak either.
    fn close_gaps(&self, scratch: i32) -> SysResult<()> {
        for number in 3..scratch {
            if !self.descriptors.iter().any(|(_, target)| *target == number) {
                crate::descriptor::close_on_exec_range(number, number)?;
            }
        }
        Ok(())
    }
}

struct Order<'a, 'b> {
    spawn: &'a Spawn<'b>,
    error: Option<Errno>,
    scratch: i32,
}

extern "C" fn enter(order: *mut libc::c_void) -> ! {
    // SAFETY: `run` passes a pointer to its order, which lives on the suspended parent's stack.
    let order = unsafe { &mut *order.cast::<Order<'_, '_>>() };
    order.error = Some(order.spawn.child(order.scratch));
    crate::clone::end(127)
}

fn duplicate_above(number: i32, least: i32) -> SysResult<i32> {
    // SAFETY: plain system call on numbers.
    let copy =
        crate::check(libc::c_long::from(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, least) }))?;
    i32::try_from(copy).map_err(|_| Errno::MFILE)
}

/// A child's stack, with a page below that faults.
struct Stack {
    base: *mut libc::c_void,
    start: usize,
}

const GUARD: usize = 4096;

impl Stack {
    fn new(size: usize) -> SysResult<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), size + GUARD, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Errno::NOMEM);
        }
        // SAFETY: the first page of the mapping just made.
        unsafe { libc::mprotect(base, GUARD, libc::PROT_NONE) };
        Ok(Self { base, start: base as usize + GUARD })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; the child has left it by execve or exit.
        unsafe { libc::munmap(self.base, STACK + GUARD) };
    }
}

/// `clone3` whose child calls `entry(argument)` on the stack in `args`. Returns the pid or a negated error number.
///
/// # Safety
/// `args` and what it points to are valid, `entry` never returns, and what it does is sound in memory shared with the
/// suspended caller.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_on_stack(
    args: &mut CloneArgs,
    entry: extern "C" fn(*mut libc::c_void) -> !,
    argument: *mut libc::c_void,
) -> i64 {
    let result: i64;
    // SAFETY: the child never leaves the assembly: it calls `entry`, which does not return.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw mut *args,
            in("rsi") size_of::<CloneArgs>(),
            in("r12") entry,
            in("r13") argument,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// As on x86-64.
///
/// # Safety
/// As on x86-64.
#[cfg(target_arch = "aarch64")]
unsafe fn clone_on_stack(
    args: &mut CloneArgs,
    entry: extern "C" fn(*mut libc::c_void) -> !,
    argument: *mut libc::c_void,
) -> i64 {
    let result: i64;
    // SAFETY: the child never leaves the assembly: it calls `entry`, which does not return.
    unsafe {
        std::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x21",
            "blr x20",
            "brk #1",
            "2:",
            inlateout("x0") &raw mut *args => result,
            in("x1") size_of::<CloneArgs>(),
            in("x8") libc::SYS_clone3,
            in("x20") entry,
            in("x21") argument,
        );
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    fn busybox() -> std::fs::File {
        let path =
            ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| std::path::Path::new(path).exists());
        std::fs::File::open(path.unwrap()).unwrap()
    }

    #[test]
    fn programs_get_exactly_their_descriptors() {
        let program = busybox();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let extra = std::fs::File::open("/dev/null").unwrap();
        let arguments =
            Arguments::new(["sh", "-c", "ls /proc/self/fd; ps -o sid= | head -0; echo $X"]).unwrap();
        let environment = Arguments::new(["X=y"]).unwrap();
        let spawn = Spawn {
            program: program.as_fd(),
            arguments: &arguments,
            environment: &environment,
            descriptors: &[(extra.as_fd(), 0), (writer.as_fd(), 1), (writer.as_fd(), 2), (extra.as_fd(), 7)],
            new_session: true,
            cgroup: None,
            tasks: &[],
        };
        let child = spawn.run().unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(crate::pidfd::wait(child.pidfd.as_fd()), Ok(crate::pidfd::Exit::Code(0)));
        // 3 is ls's own directory.
        assert_eq!(text, "0\n1\n2\n3\n7\ny\n");
    }

    #[test]
    fn a_failing_exec_is_an_error() {
        let program = std::fs::File::open("/etc/passwd").unwrap();
        let list = Arguments::new(["x"]).unwrap();
        let spawn = Spawn {
            program: program.as_fd(),
            arguments: &list,
            environment: &list,
            descriptors: &[],
            new_session: false,
            cgroup: None,
            tasks: &[],
        };
        assert_eq!(spawn.run().unwrap_err(), Errno::ACCESS);
    }
}
