//! What /proc says about one process.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Clock ticks a second, as every Linux tells user space.
pub(super) const TICKS: u64 = 100;
const PAGE_KILOBYTES: u64 = 4;
/// A program's arguments are cut here; a process can make them as long as it likes.
const MAX_ARGUMENTS: usize = 32 << 10;

/// The machine's numbers that a process's are shown against.
#[derive(Debug)]
pub(super) struct Machine {
    /// Seconds since the epoch at boot.
    pub(super) boot: i64,
    /// Seconds since boot.
    pub(super) uptime: u64,
    /// Kilobytes of memory.
    pub(super) memory: u64,
}

impl Machine {
    pub(super) fn read() -> Self {
        let field = |path: &str, key: &str| -> Option<u64> {
            let text = fs::read_to_string(path).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        Self {
            boot: field("/proc/stat", "btime ").and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(0),
            uptime: uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0),
            memory: field("/proc/meminfo", "MemTotal:").unwrap_or(1).max(1),
        }
    }
}

/// One process.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) real_uid: u32,
    pub(super) name: String,
    pub(super) arguments: String,
    pub(super) state: char,
    pub(super) parent: i64,
    pub(super) group: i64,
    pub(super) session: i64,
    pub(super) terminal: i64,
    pub(super) foreground: i64,
    pub(super) flags: u64,
    /// Ticks of processor time.
    pub(super) time: u64,
    pub(super) priority: i64,
    pub(super) nice: i64,
    pub(super) threads: u64,
    /// Ticks after boot.
    pub(super) start: u64,
    /// Kilobytes.
    pub(super) virtual_size: u64,
    /// Kilobytes.
    pub(super) resident: u64,
    pub(super) processor: u64,
    pub(super) policy: u64,
    pub(super) wait_channel: String,
    pub(super) locked: bool,
}

impl Process {
    /// The process with this id; None when it has ended.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let directory = format!("/proc/{pid}");
        let owner = fs::metadata(&directory).ok()?;
        let stat = fs::read_to_string(format!("{directory}/stat")).ok()?;
        let status = fs::read_to_string(format!("{directory}/status")).unwrap_or_default();
        let mut process = Self::from_stat(pid, &stat)?;
        process.uid = owner.uid();
        process.gid = owner.gid();
        let id = |key: &str| -> Option<Vec<u32>> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.split_whitespace().filter_map(|field| field.parse().ok()).collect())
        };
        if let Some([real, effective, ..]) = id("Uid:").as_deref() {
            (process.real_uid, process.uid) = (*real, *effective);
        }
        if let Some([_, effective, ..]) = id("Gid:").as_deref() {
            process.gid = *effective;
        }
        process.locked = id("VmLck:").is_some_and(|sizes| sizes.first().is_some_and(|size| *size > 0));
        process.arguments = arguments(&fs::read(format!("{directory}/cmdline")).unwrap_or_default());
        if process.arguments.is_empty() {
            process.arguments = format!("[{}]", process.name);
            if process.state == 'Z' {
                process.arguments.push_str(" <defunct>");
            }
        }
        process.wait_channel = fs::read_to_string(format!("{directory}/wchan")).unwrap_or_default();
        Some(process)
    }

    /// From the text of /proc/PID/stat (proc(5)).
    fn from_stat(pid: u32, stat: &str) -> Option<Self> {
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = tail.split_whitespace().collect();
        // `fields[0]` is field 3 of the manual page.
        let signed =
            |number: usize| fields.get(number - 3).and_then(|field| field.parse::<i64>().ok()).unwrap_or(0);
        let unsigned =
            |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        Some(Self {
            pid,
            name,
            state: fields.first()?.chars().next()?,
            parent: signed(4),
            group: signed(5),
            session: signed(6),
            terminal: signed(7),
            foreground: signed(8),
            flags: unsigned(9),
            time: unsigned(14).saturating_add(unsigned(15)),
            priority: signed(18),
            nice: signed(19),
            threads: unsigned(20),
            start: unsigned(22),
            virtual_size: unsigned(23) / 1024,
            resident: unsigned(24).saturating_mul(PAGE_KILOBYTES),
            processor: unsigned(39),
            policy: unsigned(41),
            ..Self::default()
        })
    }

    /// Seconds it has lived.
    pub(super) fn elapsed(&self, machine: &Machine) -> u64 {
        machine.uptime.saturating_sub(self.start / TICKS)
    }

    /// Tenths of a percent of one processor, over its life.
    pub(super) fn cpu_permille(&self, machine: &Machine) -> u64 {
        (self.time * 1000)
            .checked_div(machine.uptime.saturating_mul(TICKS).saturating_sub(self.start))
            .unwrap_or(0)
    }
}

/// Arguments joined by blanks, control characters replaced as `ps` does.
fn arguments(bytes: &[u8]) -> String {
    let end = bytes.len().min(MAX_ARGUMENTS);
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    let text = text.trim_end_matches('\0');
    text.chars()
        .map(|letter| match letter {
            '\0' => ' ',
            letter if letter.is_control() => '?',
            letter => letter,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_do_not_confuse() {
        let stat = "5 (a) R (b) S 1 5 5 34816 5 4194560 1 2 3 4 150 50 0 0 20 0 2 0 1000 4096000 30 0";
        let process = Process::from_stat(5, stat).unwrap();
        assert_eq!((process.name.as_str(), process.state, process.parent), ("a) R (b", 'S', 1));
        assert_eq!(
            (process.time, process.threads, process.virtual_size, process.resident),
            (200, 2, 4000, 120)
        );
        assert!(Process::from_stat(5, "").is_none());
    }

    #[test]
    fn arguments_are_readable() {
        assert_eq!(arguments(b"sh\0-c\0a\nb\0"), "sh -c a?b");
        assert_eq!(arguments(b""), "");
        assert!(arguments(&vec![b'a'; 1 << 20]).len() <= MAX_ARGUMENTS);
    }
}
