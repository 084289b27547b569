//! Capability names and sets.

use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::{SysResult, check};

/// Names by number (`include/uapi/linux/capability.h`).
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// The set of one capability by name, in any case, with or without `CAP_`.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        NAMES
            .iter()
            .position(|known| known.strip_prefix("CAP_") == Some(name))
            .map(|number| Self(1 << number))
    }

    /// All that the calling process's bounding set holds.
    pub fn bounding() -> Self {
        // SAFETY: asks about one capability by number; beyond the last one the kernel says EINVAL.
        let held = |number: u64| unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) };
        let known = (0..64).map(|number| (number, held(number))).take_while(|(_, held)| *held >= 0);
        Self(known.filter(|(_, held)| *held == 1).fold(0, |bits, (number, _)| bits | 1 << number))
    }

    /// The kernel's bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// From the kernel's bits.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// In both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// In either.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in the set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Names with `CAP_`, by number.
    pub fn names(self) -> impl Iterator<Item = String> {
        let named = NAMES.iter().enumerate();
        named.filter(move |(number, _)| self.0 & (1 << number) != 0).map(|(_, name)| (*name).to_owned())
    }
}

/// Names of all capabilities this code knows and the kernel has.
pub fn known() -> Vec<String> {
    NAMES.iter().map(|name| (*name).to_owned()).collect()
}

/// The five sets of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// Ceiling of what execve gives.
    pub bounding: Set,
    /// What is checked.
    pub effective: Set,
    /// What may be made effective.
    pub permitted: Set,
    /// Kept by programs that ask for it.
    pub inheritable: Set,
    /// Kept by ordinary programs.
    pub ambient: Set,
}

impl Sets {
    /// Lowers the bounding set of the calling thread.
    pub fn apply_bounding(&self) -> SysResult<()> {
        for number in 0..64_u64 {
            if self.bounding.0 & (1 << number) != 0 {
                continue;
            }
            // SAFETY: drops one capability by number; beyond the last one the kernel says EINVAL.
            match check(libc::c_long::from(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) })) {
                Ok(_) => {}
                Err(crate::Errno::INVAL) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sets effective, permitted, inheritable and ambient of the calling thread.
    pub fn apply(&self) -> SysResult<()> {
        let sets = CapabilitySets {
            effective: CapabilitySet::from_bits_retain(self.effective.0),
            permitted: CapabilitySet::from_bits_retain(self.permitted.0),
            inheritable: CapabilitySet::from_bits_retain(self.inheritable.0),
        };
        rustix::thread::set_capabilities(None, sets)?;
        rustix::thread::clear_ambient_capability_set()?;
        for number in (0..64_u64).filter(|number| self.ambient.0 & (1 << number) != 0) {
            // SAFETY: raises one ambient capability by number.
            let result =
                unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0) };
            // One that is not both permitted and inheritable cannot be ambient; runc warns and goes on.
            if let Err(error) = check(libc::c_long::from(result))
                && error != crate::Errno::PERM
            {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The sets of a thread as the kernel reports them (without bounding and ambient).
pub fn held() -> SysResult<(Set, Set, Set)> {
    let sets = rustix::thread::capabilities(None)?;
    Ok((Set(sets.effective.bits()), Set(sets.permitted.bits()), Set(sets.inheritable.bits())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers() {
        for (name, bits) in [("CAP_CHOWN", 1), ("chown", 1), ("CAP_SYS_ADMIN", 1 << 21), ("cap_bpf", 1 << 39)]
        {
            assert_eq!(Set::of(name), Some(Set(bits)), "{name}");
        }
        assert_eq!(Set::of("CAP_MOON"), None);
        assert_eq!(Set(1 | 1 << 40).names().collect::<Vec<_>>(), ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"]);
    }
}
