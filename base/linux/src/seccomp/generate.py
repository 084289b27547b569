#!/usr/bin/python3
"""Records facts from libseccomp: system call numbers (table.rs) and the filters it makes (golden/*.bpf).

A development tool, not part of any build. Needs libseccomp 2.6 or newer:
    generate.py table /path/to/libseccomp.so.2 > table.rs
    generate.py golden /path/to/libseccomp.so.2 golden/*.json
"""
import ctypes, json, os, sys

ARCHES = [  # OCI name, libseccomp name, audit number is libseccomp's token, offset of the numbers
    ("X86", "x86", 0), ("X86_64", "x86_64", 0), ("X32", "x32", 0x40000000), ("ARM", "arm", 0),
    ("AARCH64", "aarch64", 0), ("LOONGARCH64", "loongarch64", 0), ("M68K", "m68k", 0),
    ("MIPS", "mips", 4000), ("MIPSEL", "mipsel", 4000), ("MIPS64", "mips64", 5000), ("MIPSEL64", "mipsel64", 5000),
    ("MIPS64N32", "mips64n32", 6000), ("MIPSEL64N32", "mipsel64n32", 6000), ("PARISC", "parisc", 0),
    ("PARISC64", "parisc64", 0), ("PPC", "ppc", 0), ("PPC64", "ppc64", 0), ("PPC64LE", "ppc64le", 0),
    ("RISCV64", "riscv64", 0), ("S390", "s390", 0), ("S390X", "s390x", 0), ("SH", "sh", 0), ("SHEB", "sheb", 0),
]
# Newer than the library; every architecture has them at the same place.
NEWER = {"open_tree_attr": 467, "file_getattr": 468, "file_setattr": 469}

def library(path):
    lib = ctypes.CDLL(path)
    lib.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    lib.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    lib.seccomp_init.restype = ctypes.c_void_p
    return lib

def numbers(lib, name, offset):
    token, found = lib.seccomp_arch_resolve_name(name.encode()), {}
    for number in list(range(offset, offset + 1000)) + list(range(0xF0000, 0xF0010)):
        text = lib.seccomp_syscall_resolve_num_arch(ctypes.c_uint32(token), number)
        if text:
            found[text.decode()] = (number - offset) if number < 0xF0000 or offset else 0xF000 | (number & 0xFF)
    found.update(NEWER)
    return token, found

def table(lib):
    arches = [(oci, *numbers(lib, name, offset), offset) for oci, name, offset in ARCHES]
    names = sorted(set().union(*(found for _, _, found, _ in arches)))
    print("//! System call numbers of every architecture seccomp documents can name. Recorded from libseccomp by generate.py;")
    print("//! do not edit.\n\n#![cfg_attr(rustfmt, rustfmt_skip)]\n")
    print("/// Every system call, in the order of the number arrays.")
    print('pub(super) static NAMES: &str = "\\')
    line = ""
    for name in names:
        if len(line) + len(name) > 116:
            print(line + "\\"); line = ""
        line += name + " "
    print(line.rstrip() + '";\n')
    print("/// The numbers of one architecture.\npub(super) struct Arch {")
    print("    /// The name in documents, without `SCMP_ARCH_`.\n    pub(super) name: &'static str,")
    print("    /// The kernel's `AUDIT_ARCH_` number.\n    pub(super) token: u32,")
    print("    /// What is added to each number.\n    pub(super) offset: u32,")
    print("    /// 65535 where the architecture lacks the call; 61440 and up are ARM's own from 983040 up.")
    print(f"    pub(super) numbers: &'static [u16; {len(names)}],\n}}\n")
    print("/// All architectures.\npub(super) static ARCHES: [Arch; %d] = [" % len(arches))
    known = {}
    for oci, token, found, offset in arches:
        row = tuple(found.get(name, 65535) for name in names)
        array = known.setdefault(row, oci)
        token = 0xC000003E if oci == "X32" else token
        token = {"MIPS64N32": 0xA0000008, "MIPSEL64N32": 0xE0000008}.get(oci, token)
        print(f'    Arch {{ name: "{oci}", token: {token:#x}, offset: {offset:#x}, numbers: &{array} }},')
    print("];")
    for row, oci in known.items():
        print(f"\nstatic {oci}: [u16; {len(names)}] = [")
        line = "   "
        for number in row:
            if len(line) > 114:
                print(line); line = "   "
            line += f" {number},"
        print(line + "\n];")

ACTIONS = {"KILL": 0, "KILL_THREAD": 0, "KILL_PROCESS": 0x80000000, "TRAP": 0x30000, "ERRNO": 0x50000,
           "TRACE": 0x7FF00000, "LOG": 0x7FFC0000, "ALLOW": 0x7FFF0000, "NOTIFY": 0x7FC00000}
OPS = {"NE": 1, "LT": 2, "LE": 3, "EQ": 4, "GE": 5, "GT": 6, "MASKED_EQ": 7}

class Cmp(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]

def action(name, errno):
    name = name.removeprefix("SCMP_ACT_")
    return ACTIONS[name] | ((1 if errno is None else errno) if name in ("ERRNO", "TRACE") else 0)

def golden(lib, path):
    doc = json.load(open(path))
    default = action(doc["defaultAction"], doc.get("defaultErrnoRet"))
    ctx = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(default)))
    native = lib.seccomp_arch_resolve_name(b"x86_64")
    wanted = [lib.seccomp_arch_resolve_name(a.removeprefix("SCMP_ARCH_").lower().encode()) for a in doc.get("architectures", [])]
    for token in wanted:
        if token != native:
            assert lib.seccomp_arch_add(ctx, ctypes.c_uint32(token)) == 0
    for rule in doc.get("syscalls", []):
        act = action(rule["action"], rule.get("errnoRet"))
        if act == default:
            continue
        for name in rule["names"]:
            number = lib.seccomp_syscall_resolve_name(name.encode())
            if number == -1:
                continue
            args = [Cmp(a["index"], OPS[a["op"].removeprefix("SCMP_CMP_")], a["value"], a.get("valueTwo", 0)) for a in rule.get("args") or []]
            repeated = len({a.arg for a in args}) < len(args)
            for group in ([[a] for a in args] if repeated else [args]):
                array = (Cmp * len(group))(*group)
                code = lib.seccomp_rule_add_array(ctx, ctypes.c_uint32(act), number, len(group), array)
                if code:
                    print(path, name, group, code, file=sys.stderr)
    out = os.open(path.replace(".json", ".bpf"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
    assert lib.seccomp_export_bpf(ctx, out) == 0
    os.close(out)

if __name__ == "__main__":
    lib = library(sys.argv[2])
    if sys.argv[1] == "table":
        table(lib)
    else:
        for path in sys.argv[3:]:
            golden(lib, path)
