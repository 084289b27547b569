//! The columns of `ps`: names, headings, and how each is written.

use jiff::Zoned;

use super::Names;
use super::process::{Machine, Process, TICKS};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Pid,
    Parent,
    Group,
    Session,
    Uid,
    User,
    RealUser,
    Gid,
    GroupName,
    Name,
    Arguments,
    Time,
    BsdTime,
    Elapsed,
    ElapsedSeconds,
    VirtualSize,
    Resident,
    Pages,
    Stat,
    State,
    Threads,
    Nice,
    Priority,
    Processor,
    Terminal,
    Started,
    StartTime,
    LongStart,
    CpuPercent,
    CpuWhole,
    MemoryPercent,
    WaitChannel,
    Flags,
    Class,
    Address,
    Foreground,
}

const KNOWN: &[(&str, Column, &str)] = &[
    ("pid", Column::Pid, "PID"),
    ("tgid", Column::Pid, "TGID"),
    ("ppid", Column::Parent, "PPID"),
    ("pgid", Column::Group, "PGID"),
    ("pgrp", Column::Group, "PGRP"),
    ("sid", Column::Session, "SID"),
    ("sess", Column::Session, "SESS"),
    ("session", Column::Session, "SESS"),
    ("tpgid", Column::Foreground, "TPGID"),
    ("uid", Column::Uid, "UID"),
    ("euid", Column::Uid, "EUID"),
    ("user", Column::User, "USER"),
    ("uname", Column::User, "USER"),
    ("euser", Column::User, "EUSER"),
    ("ruser", Column::RealUser, "RUSER"),
    ("gid", Column::Gid, "GID"),
    ("egid", Column::Gid, "EGID"),
    ("group", Column::GroupName, "GROUP"),
    ("egroup", Column::GroupName, "EGROUP"),
    ("comm", Column::Name, "COMMAND"),
    ("ucomm", Column::Name, "COMMAND"),
    ("ucmd", Column::Name, "CMD"),
    ("args", Column::Arguments, "COMMAND"),
    ("command", Column::Arguments, "COMMAND"),
    ("cmd", Column::Arguments, "CMD"),
    ("time", Column::Time, "TIME"),
    ("cputime", Column::Time, "TIME"),
    ("bsdtime", Column::BsdTime, "TIME"),
    ("etime", Column::Elapsed, "ELAPSED"),
    ("etimes", Column::ElapsedSeconds, "ELAPSED"),
    ("vsz", Column::VirtualSize, "VSZ"),
    ("vsize", Column::VirtualSize, "VSZ"),
    ("rss", Column::Resident, "RSS"),
    ("rssize", Column::Resident, "RSS"),
    ("rsz", Column::Resident, "RSZ"),
    ("sz", Column::Pages, "SZ"),
    ("stat", Column::Stat, "STAT"),
    ("s", Column::State, "S"),
    ("state", Column::State, "S"),
    ("nlwp", Column::Threads, "NLWP"),
    ("thcount", Column::Threads, "THCNT"),
    ("ni", Column::Nice, "NI"),
    ("nice", Column::Nice, "NI"),
    ("pri", Column::Priority, "PRI"),
    ("psr", Column::Processor, "PSR"),
    ("tty", Column::Terminal, "TT"),
    ("tt", Column::Terminal, "TT"),
    ("tname", Column::Terminal, "TTY"),
    ("start", Column::Started, "STARTED"),
    ("stime", Column::StartTime, "STIME"),
    ("start_time", Column::StartTime, "START"),
    ("lstart", Column::LongStart, "STARTED"),
    ("%cpu", Column::CpuPercent, "%CPU"),
    ("pcpu", Column::CpuPercent, "%CPU"),
    ("c", Column::CpuWhole, "C"),
    ("%mem", Column::MemoryPercent, "%MEM"),
    ("pmem", Column::MemoryPercent, "%MEM"),
    ("wchan", Column::WaitChannel, "WCHAN"),
    ("f", Column::Flags, "F"),
    ("flag", Column::Flags, "F"),
    ("flags", Column::Flags, "F"),
    ("cls", Column::Class, "CLS"),
    ("class", Column::Class, "CLS"),
    ("policy", Column::Class, "POL"),
    ("addr", Column::Address, "ADDR"),
];

/// The column with this name, and its heading.
pub(super) fn find(name: &str) -> Option<(Column, &'static str)> {
    KNOWN.iter().find(|(known, ..)| *known == name).map(|(_, column, heading)| (*column, *heading))
}

/// One cell.
pub(super) fn show(
    column: Column,
    process: &Process,
    machine: &Machine,
    names: &Names,
    now: &Zoned,
) -> String {
    match column {
        Column::Pid => process.pid.to_string(),
        Column::Parent => process.parent.to_string(),
        Column::Group => process.group.to_string(),
        Column::Session => process.session.to_string(),
        Column::Foreground => process.foreground.to_string(),
        Column::Uid => process.uid.to_string(),
        Column::User => names.user(process.uid),
        Column::RealUser => names.user(process.real_uid),
        Column::Gid => process.gid.to_string(),
        Column::GroupName => names.group(process.gid),
        Column::Name => process.name.clone(),
        Column::Arguments => process.arguments.clone(),
        Column::Time => cpu_time(process.time / TICKS),
        Column::BsdTime => format!("{}:{:02}", process.time / TICKS / 60, process.time / TICKS % 60),
        Column::Elapsed => elapsed(process.elapsed(machine)),
        Column::ElapsedSeconds => process.elapsed(machine).to_string(),
        Column::VirtualSize => process.virtual_size.to_string(),
        Column::Resident => process.resident.to_string(),
        Column::Pages => (process.virtual_size / 4).to_string(),
        Column::Stat => long_state(process),
        Column::State => process.state.to_string(),
        Column::Threads => process.threads.to_string(),
        Column::Nice => process.nice.to_string(),
        // The kernel's 0 to 39 (20 is ordinary) is shown as 39 down; `-l` shows 60 more, as every ps does.
        Column::Priority => (process.priority + 60).to_string(),
        Column::Processor => process.processor.to_string(),
        Column::Terminal => terminal(process.terminal),
        Column::Started | Column::StartTime | Column::LongStart => started(column, process, machine, now),
        Column::CpuPercent => tenths(process.cpu_permille(machine)),
        Column::CpuWhole => (process.cpu_permille(machine) / 10).min(99).to_string(),
        Column::MemoryPercent => tenths(process.resident.saturating_mul(1000) / machine.memory),
        Column::WaitChannel => wait_channel(&process.wait_channel),
        // Only PF_FORKNOEXEC and PF_SUPERPRIV are shown.
        Column::Flags => ((process.flags >> 6) & 7).to_string(),
        Column::Class => class(process.policy).to_owned(),
        Column::Address => "-".to_owned(),
    }
}

fn tenths(permille: u64) -> String {
    format!("{}.{}", permille / 10, permille % 10)
}

fn cpu_time(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let clock = format!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    if days > 0 { format!("{days}-{clock}") } else { clock }
}

fn elapsed(seconds: u64) -> String {
    if seconds < 3600 {
        return format!("{:02}:{:02}", seconds / 60, seconds % 60);
    }
    cpu_time(seconds)
}

fn long_state(process: &Process) -> String {
    let mut text = process.state.to_string();
    let marks = [
        (process.nice < 0, '<'),
        (process.nice > 0, 'N'),
        (process.locked, 'L'),
        (process.session == i64::from(process.pid), 's'),
        (process.threads > 1, 'l'),
        (process.foreground == process.group && process.foreground > 0, '+'),
    ];
    text.extend(marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| *mark));
    text
}

/// From the device number of proc(5): bits 15 to 8 are the major one, bits 31 to 20 and 7 to 0 the minor one.
fn terminal(number: i64) -> String {
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        _ => "?".to_owned(),
    }
}

fn started(column: Column, process: &Process, machine: &Machine, now: &Zoned) -> String {
    let seconds = machine.boot.saturating_add(i64::try_from(process.start / TICKS).unwrap_or(0));
    let at = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let at = at.to_zoned(now.time_zone().clone());
    let format = match column {
        Column::LongStart => "%a %b %e %H:%M:%S %Y",
        Column::Started if now.timestamp().as_second() - seconds < 86_400 => "%H:%M:%S",
        Column::Started => "%b %d",
        _ if at.date() == now.date() => "%H:%M",
        _ if at.year() == now.year() => "%b%d",
        _ => "%Y",
    };
    at.strftime(format).to_string()
}

fn wait_channel(name: &str) -> String {
    match name {
        "" | "0" => "-".to_owned(),
        // ps drops the kernel's prefixes and shows six letters.
        name => name.trim_start_matches("do_").trim_start_matches('_').chars().take(6).collect(),
    }
}

fn class(policy: u64) -> &'static str {
    match policy {
        0 => "TS",
        1 => "FF",
        2 => "RR",
        3 => "B",
        5 => "IDL",
        6 => "DLN",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_written_as_ps_writes_them() {
        assert_eq!([cpu_time(59), cpu_time(90_061)], ["00:00:59", "1-01:01:01"]);
        assert_eq!([elapsed(59), elapsed(3661)], ["00:59", "01:01:01"]);
        assert_eq!(
            [terminal(0), terminal(0x8805), terminal(0x0402), terminal(0x0440)],
            ["?", "pts/5", "tty2", "ttyS0"]
        );
        assert_eq!(
            [wait_channel("do_wait"), wait_channel("0"), wait_channel("hrtimer_nanosleep")],
            ["wait", "-", "hrtime"]
        );
        let process = Process { pid: 5, state: 'S', session: 5, nice: 5, threads: 3, ..Process::default() };
        assert_eq!(long_state(&process), "SNsl");
    }
}
