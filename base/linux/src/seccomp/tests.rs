//! Filters compared with libseccomp's for every call number, and tried on the kernel.

use std::collections::BTreeMap;

use oci::runtime::Seccomp;

use super::table::{ARCHES, NAMES};
use super::{Host, Instruction, Profile, Program, compile};

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;
const ENOSYS: u32 = 0x0005_0000 | 38;

/// What the kernel's interpreter answers.
fn run(program: &[Instruction], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
    interpret(program, arch, number, arguments).0
}

/// The same, and whether an argument was looked at.
fn interpret(program: &[Instruction], arch: u32, number: u32, arguments: [u64; 6]) -> (u32, bool) {
    let mut looked = false;
    let mut data = Vec::with_capacity(64);
    data.extend_from_slice(&number.to_le_bytes());
    data.extend_from_slice(&arch.to_le_bytes());
    data.extend_from_slice(&0x1234_5678_9abcu64.to_le_bytes());
    for argument in arguments {
        data.extend_from_slice(&argument.to_le_bytes());
    }
    let (mut accumulator, mut index) = (0u32, 0u32);
    let mut memory = [0u32; 16];
    let mut at = 0;
    loop {
        let now = program[at];
        let value = usize::try_from(now.value).unwrap();
        at += 1;
        let condition = match now.code {
            0x20 => {
                looked |= value >= 16;
                accumulator = u32::from_le_bytes(data[value..value + 4].try_into().unwrap());
                continue;
            }
            0x06 => return (now.value, looked),
            0x54 => {
                accumulator &= now.value;
                continue;
            }
            0x02 => {
                memory[value] = accumulator;
                continue;
            }
            0x60 => {
                accumulator = memory[value];
                continue;
            }
            0x07 => {
                index = accumulator;
                continue;
            }
            0x87 => {
                accumulator = index;
                continue;
            }
            0x05 => {
                at += value;
                continue;
            }
            0x15 => accumulator == now.value,
            0x25 => accumulator > now.value,
            0x35 => accumulator >= now.value,
            0x45 => accumulator & now.value != 0,
            other => panic!("instruction {other:#x}"),
        };
        at += usize::from(if condition { now.if_true } else { now.if_false });
    }
}

fn raw(bytes: &[u8]) -> Vec<Instruction> {
    let with_flags: Vec<u8> = [0u8; 4].iter().chain(bytes).copied().collect();
    Program::from_bytes(&with_flags).unwrap().instructions
}

fn document(json: &[u8]) -> Seccomp {
    serde_json::from_slice(json).unwrap()
}

/// The last number a document names on an architecture.
fn last_number(document: &Seccomp, arch: &str) -> Option<u32> {
    let arch = ARCHES.iter().find(|known| known.name == arch).unwrap();
    let names: BTreeMap<&str, usize> = NAMES.split_ascii_whitespace().zip(0..).collect();
    let known =
        document.syscalls.iter().flat_map(|rule| &rule.names).filter_map(|name| names.get(name.as_str()));
    known
        .map(|at| arch.numbers[*at])
        .filter(|number| *number < 0xf000)
        .map(|number| u32::from(number) + arch.offset)
        .max()
}

/// Argument values around everything the document compares with.
fn interesting(document: &Seccomp) -> Vec<u64> {
    let mut values = vec![
        0,
        1,
        2,
        16,
        0x1001_0000,
        u64::from(u32::MAX),
        1 << 32,
        (1 << 32) | 38,
        u64::MAX,
        1 << 63,
        0x7e02_0000,
    ];
    for argument in document.syscalls.iter().flat_map(|rule| &rule.args) {
        for value in [argument.value, argument.value_two] {
            values.extend([
                value,
                value.wrapping_sub(1),
                value.wrapping_add(1),
                value | 1 << 32,
                value ^ (1 << 31),
                value << 32,
                !value,
            ]);
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

struct Golden {
    name: &'static str,
    json: &'static [u8],
    bpf: &'static [u8],
}

macro_rules! golden {
    ($name:literal) => {
        Golden {
            name: $name,
            json: include_bytes!(concat!("golden/", $name, ".json")),
            bpf: include_bytes!(concat!("golden/", $name, ".bpf")),
        }
    };
}

const GOLDEN: [Golden; 5] = [
    golden!("docker"),
    golden!("docker-all-capabilities"),
    golden!("operators"),
    golden!("deny-list"),
    golden!("one-arch"),
];

#[test]
fn every_number_of_every_architecture_as_libseccomp_decides_it() {
    for golden in GOLDEN {
        let document = document(golden.json);
        let own = compile(&document).unwrap();
        let theirs = raw(golden.bpf);
        println!("{}: {} instructions, libseccomp {}", golden.name, own.instructions().len(), theirs.len());
        let stub = !matches!(document.default_action, oci::runtime::SeccompAction::Allow);
        let last = |arch: &str| last_number(&document, arch).filter(|_| stub).unwrap_or(u32::MAX);
        let (last_64, last_32, last_x32) = (last("X86_64"), last("X86"), last("X32"));
        let served = |arch: &str| document.architectures.iter().any(|name| name.ends_with(arch));
        let values = interesting(&document);
        let numbers =
            (0..700u32).chain(X32..X32 + 700).chain([0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe]);
        for number in numbers {
            for arch in [X86_64, X86, 0x4000_0028, 0xc000_00b7, 0] {
                let x32 = arch == X86_64 && number >= X32;
                let last = match arch {
                    X86_64 if x32 && served("X32") => last_x32,
                    X86_64 => last_64,
                    X86 if served("X86") => last_32,
                    _ => u32::MAX,
                };
                let all = values.iter().flat_map(|value| (0..6).map(move |argument| (argument, *value)));
                for (argument, value) in all {
                    let mut arguments = [0u64; 6];
                    // What the kernel reads as 32 bits is compared so; see NARROW.
                    let narrow = argument < 3 && matches!((arch, number & !X32), (X86_64, 41 | 135));
                    arguments[argument] = if narrow { value & 0xffff_ffff } else { value };
                    let (theirs, their_look) = interpret(&theirs, arch, number, arguments);
                    let (answer, own_look) = interpret(own.instructions(), arch, number, arguments);
                    let expected = if number > last { ENOSYS } else { theirs };
                    // What does not look at arguments answers the same for all of them.
                    let looked = own_look || their_look;
                    assert_eq!(answer, expected, "{}: {arch:#x} {number} {arguments:x?}", golden.name);
                    if !looked {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn the_programs_stay_small() {
    for (golden, most) in [(&GOLDEN[0], 320), (&GOLDEN[1], 240)] {
        let length = compile(&document(golden.json)).unwrap().instructions().len();
        assert!(length <= most, "{}: {length}", golden.name);
    }
}

#[test]
fn bits_beyond_an_int_do_not_smuggle_a_socket_family() {
    let own = compile(&document(GOLDEN[0].json)).unwrap();
    let socket = |family: u64| run(own.instructions(), X86_64, 41, [family, 1, 0, 0, 0, 0]);
    assert_eq!(socket(2), 0x7fff_0000);
    assert_eq!(socket(38), 0x0005_0001);
    assert_eq!(socket(38 | 1 << 32), 0x0005_0001);
}

#[test]
fn the_recorded_documents_are_those_of_the_profile() {
    let host = Host { arch: "SCMP_ARCH_X86_64".into(), kernel: (6, 18) };
    let profile = Profile::standard().unwrap();
    let docker = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ];
    let all = [
        "CAP_SYS_ADMIN",
        "CAP_DAC_READ_SEARCH",
        "CAP_SYS_BOOT",
        "CAP_SYS_CHROOT",
        "CAP_SYS_MODULE",
        "CAP_SYS_PACCT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_SYS_NICE",
        "CAP_SYSLOG",
        "CAP_BPF",
        "CAP_PERFMON",
    ];
    for (golden, capabilities) in [(&GOLDEN[0], &docker), (&GOLDEN[1], &all)] {
        let resolved = profile.resolve(capabilities, &host);
        if let Ok(directory) = std::env::var("WHARF_RECORD_SECCOMP") {
            let json = serde_json::to_string(&resolved).unwrap();
            std::fs::write(format!("{directory}/{}.json", golden.name), json).unwrap();
        } else {
            assert_eq!(resolved, document(golden.json), "{}", golden.name);
        }
    }
}

#[test]
fn conditions_of_profiles() {
    let profile = br#"{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]}],
        "syscalls":[
            {"name":"read","action":"SCMP_ACT_ALLOW","args":null},
            {"names":["new"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"5.10"}},
            {"names":["old"],"action":"SCMP_ACT_ALLOW","excludes":{"minKernel":"5.10"}},
            {"names":["arm"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["arm64"]}},
            {"names":["noarm"],"action":"SCMP_ACT_ALLOW","excludes":{"arches":["arm64"]}}]}"#;
    let profile = Profile::parse(profile).unwrap();
    let names = |arch: &str, kernel| {
        let document = profile.resolve::<&str>(&[], &Host { arch: arch.into(), kernel });
        let names: Vec<String> = document.syscalls.into_iter().flat_map(|rule| rule.names).collect();
        (names.join(" "), document.architectures.len())
    };
    assert_eq!(names("SCMP_ARCH_AARCH64", (5, 10)), ("read new arm".into(), 2));
    assert_eq!(names("SCMP_ARCH_X86_64", (5, 9)), ("read old noarm".into(), 0));
    assert!(Profile::parse(b"{").is_err());
    assert!(Profile::parse(br#"{"defaultAction":"SCMP_ACT_JUMP"}"#).is_err());
}

#[test]
fn bad_documents_are_refused() {
    let rows = [
        (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, "SCMP_ACT_NOTIFY cannot be used as default action"),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_VAX"]}"#,
            "unknown architecture SCMP_ARCH_VAX in seccomp profile",
        ),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]}"#, "unknown seccomp flag X"),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_NOTIFY"}]}"#,
            "SCMP_ACT_NOTIFY needs a listenerPath",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_KILL","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
            "seccomp rule for read compares argument 6",
        ),
    ];
    for (json, expected) in rows {
        assert_eq!(compile(&document(json.as_bytes())).unwrap_err().to_string(), expected);
    }
}

#[test]
fn bytes_go_both_ways() {
    let program = compile(&document(GOLDEN[0].json)).unwrap();
    assert_eq!(Program::from_bytes(&program.to_bytes()).unwrap(), program);
    for bad in [&[][..], &[0; 4], &[0; 13]] {
        assert!(Program::from_bytes(bad).is_err());
    }
}

#[test]
fn every_architecture_can_be_compiled() {
    let architectures: Vec<String> = ARCHES.iter().map(|arch| format!("SCMP_ARCH_{}", arch.name)).collect();
    let mut document = document(GOLDEN[0].json);
    document.architectures = architectures;
    let program = compile(&document).unwrap();
    for arch in &ARCHES {
        let number = |name: &str| {
            let at = NAMES.split_ascii_whitespace().position(|known| known == name).unwrap();
            u32::from(arch.numbers[at]) + arch.offset
        };
        assert_eq!(
            run(program.instructions(), arch.token, number("read"), [0; 6]),
            0x7fff_0000,
            "{}",
            arch.name
        );
        assert_eq!(
            run(program.instructions(), arch.token, number("mount"), [0; 6]),
            0x0005_0001,
            "{}",
            arch.name
        );
        assert_eq!(
            run(program.instructions(), arch.token, arch.offset + 700, [0; 6]) & 0xffff_0000,
            0x0005_0000,
            "{}",
            arch.name
        );
    }
}

#[test]
fn the_kernel_takes_the_program() {
    let json = br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["getpriority"],"action":"SCMP_ACT_ERRNO","errnoRet":77,"args":[{"index":1,"value":5,"op":"SCMP_CMP_GE"}]}]}"#;
    let program = compile(&document(json)).unwrap();
    let docker = compile(&document(GOLDEN[0].json)).unwrap();
    // A filter stays with its thread for ever.
    let answers = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        program.install().unwrap();
        docker.install().unwrap();
        let ask = |who: u32| {
            rustix::process::getpriority_process(rustix::process::Pid::from_raw(who.cast_signed()))
                .map_err(|error| error.raw_os_error())
        };
        (ask(1), ask(77).map(drop), rustix::process::chroot("/").map_err(|error| error.raw_os_error()))
    });
    let (first, second, chroot) = answers.join().unwrap();
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(second, Err(77));
    assert_eq!(chroot, Ok(()), "allowed with CAP_SYS_CHROOT, which Docker grants");
}
