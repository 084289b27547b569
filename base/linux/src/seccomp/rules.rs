//! From a document to what happens to each call number of each architecture.

use std::collections::BTreeMap;

use oci::runtime::{Seccomp, SeccompAction, SeccompArg, SeccompOperator, SeccompSyscall};

use super::Error;
use super::table::{ARCHES, Arch, NAMES};

/// Everything the program has to decide.
#[derive(Debug)]
pub(super) struct Plan {
    /// By the kernel's architecture number.
    pub(super) arches: Vec<(u32, Vec<Range>)>,
    /// The tests that ranges refer to.
    pub(super) chains: Vec<Chain>,
    /// For calls of an architecture that is not served.
    pub(super) elsewhere: u32,
    pub(super) flags: u32,
}

/// Call numbers from here to the next range's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) fate: Fate,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    /// The kernel's action number.
    Action(u32),
    /// Its arguments decide: an index into the plan's chains.
    Chain(usize),
}

/// Rules of one call in order, then what happens when none matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    pub(super) rules: Vec<(Vec<Test>, u32)>,
    pub(super) otherwise: u32,
}

/// A comparison of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Test {
    pub(super) argument: u32,
    pub(super) op: SeccompOperator,
    pub(super) value: u64,
    pub(super) masked: u64,
    /// Only the lower 32 bits are compared.
    pub(super) narrow: bool,
}

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
pub(super) const NEW_LISTENER: u32 = 8;

const KILL_THREAD: u32 = 0;
const ERRNO: u32 = 0x0005_0000;
const ENOSYS: u32 = ERRNO | 38;
/// Where the x32 numbers begin, which share their architecture number with x86-64.
const X32: u32 = 0x4000_0000;

/// Arguments the kernel reads as 32 bits although registers have 64: bits above must not make them look like another
/// value than the one the kernel then uses.
const NARROW: [(&str, u32); 4] = [("socket", 0), ("socket", 1), ("socket", 2), ("personality", 0)];

/// Architectures where socket calls also exist as numbers of one call.
const MULTIPLEXED: [&str; 6] = ["X86", "S390", "S390X", "PPC", "PPC64", "PPC64LE"];
const SOCKET_CALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];
const IPC_CALLS: [(&str, u64); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

pub(super) fn plan(document: &Seccomp) -> Result<Plan, Error> {
    let default = action(document.default_action, document.default_errno_ret);
    let mut flags = flags(document)?;
    if uses_listener(document)? {
        flags |= NEW_LISTENER;
    }
    let names: BTreeMap<&str, usize> = NAMES.split_ascii_whitespace().zip(0..).collect();
    let mut maker = Maker { document, default, names, chains: Vec::new() };
    let mut arches: Vec<(u32, Vec<Range>)> = Vec::new();
    for arch in served(document)? {
        let ranges = maker.ranges(arch)?;
        match arches.iter_mut().find(|(token, _)| *token == arch.token) {
            Some((_, known)) => join(known, ranges),
            None => arches.push((arch.token, ranges)),
        }
    }
    Ok(Plan { arches, chains: maker.chains, elsewhere: KILL_THREAD, flags })
}

/// The architectures of the document, the machine's own first.
fn served(document: &Seccomp) -> Result<Vec<&'static Arch>, Error> {
    let mut arches = Vec::new();
    for name in std::iter::once(super::profile::native_arch())
        .chain(document.architectures.iter().map(String::as_str))
    {
        let short = name.strip_prefix("SCMP_ARCH_").unwrap_or(name);
        let Some(arch) = ARCHES.iter().find(|arch| arch.name == short) else {
            return Err(Error::Architecture { name: name.to_owned() });
        };
        if arches.iter().all(|known: &&Arch| known.name != arch.name) {
            arches.push(arch);
        }
    }
    Ok(arches)
}

/// Puts the ranges of x32 behind those of x86-64, with which it shares the architecture number.
fn join(known: &mut Vec<Range>, more: Vec<Range>) {
    known.retain(|range| range.first < X32);
    known.extend(more);
}

struct Maker<'a> {
    document: &'a Seccomp,
    default: u32,
    names: BTreeMap<&'static str, usize>,
    chains: Vec<Chain>,
}

impl Maker<'_> {
    /// All numbers of one architecture.
    fn ranges(&mut self, arch: &Arch) -> Result<Vec<Range>, Error> {
        let mut calls: BTreeMap<u32, Chain> = BTreeMap::new();
        let mut last = None;
        for rule in &self.document.syscalls {
            for name in &rule.names {
                for (number, implied) in self.numbers(arch, name) {
                    last = last.max(implied.is_none().then_some(number));
                    let action = action(rule.action, rule.errno_ret);
                    if action != self.default || calls.contains_key(&number) {
                        let chain = calls
                            .entry(number)
                            .or_insert(Chain { rules: Vec::new(), otherwise: self.default });
                        add_rule(chain, rule, name, implied, action, arch)?;
                    }
                }
            }
        }
        let mut fates: BTreeMap<u32, Fate> = BTreeMap::new();
        for (number, chain) in calls {
            fates.insert(number, self.fate(chain));
        }
        Ok(self.cut(arch, &fates, last))
    }

    /// The numbers a name has: its own, and on some architectures one of a multiplexing call with its first argument.
    fn numbers(&self, arch: &Arch, name: &str) -> Vec<(u32, Option<u64>)> {
        let mut numbers = Vec::new();
        numbers.extend(self.number(arch, name).map(|number| (number, None)));
        if MULTIPLEXED.contains(&arch.name) {
            let socket = SOCKET_CALLS
                .iter()
                .zip(1u64..)
                .find(|(call, _)| **call == name)
                .map(|(_, part)| ("socketcall", part));
            let ipc = IPC_CALLS.iter().find(|(call, _)| *call == name).map(|(_, part)| ("ipc", *part));
            if let Some((call, part)) = socket.or(ipc) {
                numbers.extend(self.number(arch, call).map(|number| (number, Some(part))));
            }
        }
        numbers
    }

    fn number(&self, arch: &Arch, name: &str) -> Option<u32> {
        match u32::from(arch.numbers[*self.names.get(name)?]) {
            0xffff => None,
            own @ 0xf000.. => Some(0x000f_0000 | (own & 0xff)),
            number => Some(number + arch.offset),
        }
    }

    fn fate(&mut self, mut chain: Chain) -> Fate {
        if let Some(end) = chain.rules.iter().position(|(tests, _)| tests.is_empty()) {
            chain.otherwise = chain.rules[end].1;
            chain.rules.truncate(end);
        }
        while chain.rules.last().is_some_and(|(_, action)| *action == chain.otherwise) {
            chain.rules.pop();
        }
        if chain.rules.is_empty() {
            return Fate::Action(chain.otherwise);
        }
        let known = self.chains.iter().position(|known| *known == chain);
        Fate::Chain(known.unwrap_or_else(|| {
            self.chains.push(chain);
            self.chains.len() - 1
        }))
    }

    /// Joins neighbours with the same fate. Numbers after the last one the document knows are unknown calls.
    fn cut(&self, arch: &Arch, fates: &BTreeMap<u32, Fate>, last: Option<u32>) -> Vec<Range> {
        let default = Fate::Action(self.default);
        let unknown = match last {
            Some(last) if self.hides_unknown() => {
                Some(last.max(fates.keys().next_back().copied().unwrap_or(0)))
            }
            _ => None,
        };
        let mut ranges: Vec<Range> = Vec::new();
        let mut push = |first: u32, fate: Fate| {
            if ranges.last().is_none_or(|range| range.fate != fate) {
                ranges.push(Range { first, fate });
            }
        };
        let start = if arch.offset == X32 { X32 } else { 0 };
        let mut next = start;
        for (number, fate) in fates {
            if *number > next {
                push(next, default);
            }
            push(*number, *fate);
            next = number + 1;
        }
        match unknown {
            Some(unknown) if unknown >= next => {
                push(next, default);
                push(unknown + 1, Fate::Action(ENOSYS));
            }
            Some(_) => push(next, Fate::Action(ENOSYS)),
            None => push(next, default),
        }
        if arch.name == "X86_64" && unknown.is_none() {
            // Numbers of x32, which is not served unless its own ranges replace this one.
            ranges.retain(|range| range.first < X32);
            ranges.push(Range { first: X32, fate: Fate::Action(KILL_THREAD) });
        }
        ranges
    }

    /// Whether unknown calls fail with ENOSYS: not where they are let through anyway, and not where the document says
    /// itself that ENOSYS is the answer.
    fn hides_unknown(&self) -> bool {
        let lenient = matches!(self.document.default_action, SeccompAction::Allow | SeccompAction::Log);
        !lenient && self.default != ENOSYS
    }
}

fn add_rule(
    chain: &mut Chain,
    rule: &SeccompSyscall,
    name: &str,
    implied: Option<u64>,
    action: u32,
    arch: &Arch,
) -> Result<(), Error> {
    let narrow_arch = is_narrow(arch);
    let mut tests = Vec::with_capacity(rule.args.len());
    for argument in &rule.args {
        tests.push(test(argument, name, narrow_arch)?);
    }
    if let Some(part) = implied {
        // The call's own arguments lie in memory, where a filter cannot look: a rule that denies some of them denies
        // all, one that allows some of them allows none beyond what other rules allow.
        let lenient = matches!(rule.action, SeccompAction::Allow | SeccompAction::Log);
        if lenient && !tests.is_empty() {
            return Ok(());
        }
        let number =
            Test { argument: 0, op: SeccompOperator::Equal, value: part, masked: 0, narrow: narrow_arch };
        chain.rules.push((vec![number], action));
        return Ok(());
    }
    let repeated = tests
        .iter()
        .enumerate()
        .any(|(at, test)| tests[..at].iter().any(|other| other.argument == test.argument));
    if repeated {
        chain.rules.extend(tests.into_iter().map(|test| (vec![test], action)));
    } else {
        chain.rules.push((tests, action));
    }
    Ok(())
}

fn test(argument: &SeccompArg, name: &str, narrow_arch: bool) -> Result<Test, Error> {
    if argument.index > 5 {
        return Err(Error::Argument { syscall: name.to_owned(), index: argument.index });
    }
    let narrow = narrow_arch || NARROW.contains(&(name, argument.index));
    Ok(Test {
        argument: argument.index,
        op: argument.op,
        value: argument.value,
        masked: argument.value_two,
        narrow,
    })
}

/// Architectures with registers, or at least arguments, of 32 bits.
fn is_narrow(arch: &Arch) -> bool {
    const AUDIT_64_BIT: u32 = 0x8000_0000;
    arch.token & AUDIT_64_BIT == 0 || arch.offset == X32 || arch.name.ends_with("N32")
}

/// The kernel's number of an action.
fn action(action: SeccompAction, data: Option<u32>) -> u32 {
    const EPERM: u32 = 1;
    let data = data.unwrap_or(EPERM) & 0xffff;
    match action {
        SeccompAction::Kill | SeccompAction::KillThread => KILL_THREAD,
        SeccompAction::KillProcess => 0x8000_0000,
        SeccompAction::Trap => 0x0003_0000,
        SeccompAction::Errno => ERRNO | data,
        SeccompAction::Notify => 0x7fc0_0000,
        SeccompAction::Trace => 0x7ff0_0000 | data,
        SeccompAction::Log => 0x7ffc_0000,
        SeccompAction::Allow => 0x7fff_0000,
    }
}

fn flags(document: &Seccomp) -> Result<u32, Error> {
    document.flags.iter().try_fold(0, |bits, name| {
        let bit = match name.as_str() {
            "SECCOMP_FILTER_FLAG_TSYNC" => 1,
            "SECCOMP_FILTER_FLAG_LOG" => 2,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => 4,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => 32,
            _ => return Err(Error::Flag { name: name.clone() }),
        };
        Ok(bits | bit)
    })
}

fn uses_listener(document: &Seccomp) -> Result<bool, Error> {
    let notify = |action: &SeccompAction| *action == SeccompAction::Notify;
    if notify(&document.default_action) {
        return Err(Error::Notify { place: "as default action" });
    }
    let rules = || document.syscalls.iter().filter(|rule| notify(&rule.action));
    if rules().any(|rule| rule.names.iter().any(|name| name == "write")) {
        return Err(Error::Notify { place: "for the write syscall" });
    }
    let used = rules().next().is_some();
    if used && document.listener_path.is_empty() { Err(Error::Listener) } else { Ok(used) }
}
