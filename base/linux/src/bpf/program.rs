//! Device rules as an eBPF program.

use oci::runtime::DeviceCgroup;

use crate::cgroup::Error;

/// One eBPF instruction as the kernel reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// One device rule; of several that match, the last decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Allowed or denied.
    pub allow: bool,
    /// Character (2) or block (1) devices; none for both. The kernel's `BPF_DEVCG_DEV_*`.
    pub kind: Option<u8>,
    /// Major number; none for all.
    pub major: Option<u32>,
    /// Minor number; none for all.
    pub minor: Option<u32>,
    /// `BPF_DEVCG_ACC_*`: 1 make nodes, 2 read, 4 write.
    pub access: u8,
}

const BLOCK: u8 = 1;
const CHARACTER: u8 = 2;
const ANY_ACCESS: u8 = 7;

impl Rule {
    fn is_total(self) -> bool {
        self.kind.is_none() && self.major.is_none() && self.minor.is_none() && self.access == ANY_ACCESS
    }
}

/// The rules of an OCI document.
pub fn rules(document: &[DeviceCgroup]) -> Result<Vec<Rule>, Error> {
    document.iter().map(rule).collect()
}

fn rule(document: &DeviceCgroup) -> Result<Rule, Error> {
    let kind = match document.kind.as_str() {
        "" | "a" => None,
        "c" | "u" => Some(CHARACTER),
        "b" => Some(BLOCK),
        other => return Err(Error::Value { limit: "device type", value: other.into() }),
    };
    let bit = |letter| match letter {
        'm' => 1,
        'r' => 2,
        _ => 4,
    };
    Ok(Rule {
        allow: document.allow,
        kind,
        major: crate::cgroup::wildcard(document.major)?,
        minor: crate::cgroup::wildcard(document.minor)?,
        access: crate::cgroup::access(&document.access)?.chars().fold(0, |bits, letter| bits | bit(letter)),
    })
}

// Registers: 0 the answer, 1 the context and then scratch, 2 the kind, 3 the access, 4 major, 5 minor.
const ANSWER: u8 = 0;
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

// linux/bpf.h and linux/bpf_common.h: class, size or operation, source.
const LOAD_WORD: u8 = 0x61;
const MOVE_REGISTER: u8 = 0xbc;
const MOVE_VALUE: u8 = 0xb4;
const AND_VALUE: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_UNEQUAL: u8 = 0x56;
const JUMP_EQUAL: u8 = 0x16;
const EXIT: u8 = 0x95;

fn op(code: u8, target: u8, source: u8, offset: i16, immediate: u32) -> Instruction {
    Instruction { code, registers: target | source << 4, offset, immediate: immediate.cast_signed() }
}

/// Compiles rules to a program for `BPF_PROG_TYPE_CGROUP_DEVICE`. What no rule matches is denied.
///
/// The program tries the rules from the last to the first and stops at the first that matches, so a rule that matches
/// everything ends it.
pub fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        op(LOAD_WORD, KIND, SCRATCH, 0, 0),
        op(MOVE_REGISTER, ACCESS, KIND, 0, 0),
        op(AND_VALUE, KIND, 0, 0, 0xffff),
        op(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        op(LOAD_WORD, MAJOR, SCRATCH, 4, 0),
        op(LOAD_WORD, MINOR, SCRATCH, 8, 0),
    ];
    for rule in rules.iter().rev() {
        add(&mut program, *rule);
        if rule.is_total() {
            return program;
        }
    }
    add_answer(&mut program, false);
    program
}

fn add(program: &mut Vec<Instruction>, rule: Rule) {
    let mut conditions: Vec<Instruction> = Vec::new();
    // Jumps are filled in below with the distance to the end of this rule.
    let kind = rule.kind.map(|kind| (KIND, u32::from(kind)));
    for (register, value) in
        [kind, rule.major.map(|n| (MAJOR, n)), rule.minor.map(|n| (MINOR, n))].into_iter().flatten()
    {
        conditions.push(op(JUMP_UNEQUAL, register, 0, 0, value));
    }
    if rule.access != ANY_ACCESS {
        // Allowed is what asks for nothing else; denied is what asks for any of it.
        let (mask, jump) = if rule.allow {
            (!u32::from(rule.access), JUMP_UNEQUAL)
        } else {
            (rule.access.into(), JUMP_EQUAL)
        };
        conditions.push(op(MOVE_REGISTER, SCRATCH, ACCESS, 0, 0));
        conditions.push(op(AND_VALUE, SCRATCH, 0, 0, mask));
        conditions.push(op(jump, SCRATCH, 0, 0, 0));
    }
    let length = conditions.len();
    for (at, condition) in conditions.iter_mut().enumerate() {
        if matches!(condition.code, JUMP_UNEQUAL | JUMP_EQUAL) {
            // Over the remaining conditions and the two instructions of the answer; at most eight.
            condition.offset = i16::try_from(length - at - 1 + 2).unwrap_or(i16::MAX);
        }
    }
    program.append(&mut conditions);
    add_answer(program, rule.allow);
}

fn add_answer(program: &mut Vec<Instruction>, allow: bool) {
    program.push(op(MOVE_VALUE, ANSWER, 0, 0, allow.into()));
    program.push(op(EXIT, 0, 0, 0, 0));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program the way the kernel would, for the few instructions used.
    fn run(program: &[Instruction], context: [u32; 3]) -> bool {
        let mut registers = [0u32; 6];
        let mut at = 0usize;
        loop {
            let now = program[at];
            let (target, source) = (usize::from(now.registers & 15), usize::from(now.registers >> 4));
            let value = now.immediate.cast_unsigned();
            at += 1;
            let taken = match now.code {
                LOAD_WORD => {
                    registers[target] = context[usize::try_from(now.offset).unwrap() / 4];
                    false
                }
                MOVE_REGISTER => {
                    registers[target] = registers[source];
                    false
                }
                MOVE_VALUE => {
                    registers[target] = value;
                    false
                }
                AND_VALUE => {
                    registers[target] &= value;
                    false
                }
                SHIFT_RIGHT => {
                    registers[target] >>= value;
                    false
                }
                JUMP_UNEQUAL => registers[target] != value,
                JUMP_EQUAL => registers[target] == value,
                EXIT => return registers[0] == 1,
                other => panic!("instruction {other:#x}"),
            };
            if taken {
                at += usize::try_from(now.offset).unwrap();
            }
        }
    }

    /// What the rules mean, told without a program.
    fn decide(rules: &[Rule], kind: u8, major: u32, minor: u32, access: u8) -> bool {
        for rule in rules.iter().rev() {
            let here = rule.kind.is_none_or(|k| k == kind) && rule.major.is_none_or(|n| n == major);
            let here = here && rule.minor.is_none_or(|n| n == minor);
            let touched = if rule.allow { access & !rule.access == 0 } else { access & rule.access != 0 };
            if here && touched {
                return rule.allow;
            }
        }
        false
    }

    #[test]
    fn programs_decide_like_rules() {
        let rule = |allow, kind, major, minor, access| Rule { allow, kind, major, minor, access };
        let sets: &[Vec<Rule>] = &[
            vec![],
            vec![rule(true, None, None, None, 7)],
            vec![rule(false, None, None, None, 7), rule(true, Some(2), Some(1), Some(3), 7)],
            vec![rule(true, None, None, None, 7), rule(false, Some(1), Some(8), None, 4)],
            vec![
                rule(true, Some(2), None, None, 1),
                rule(true, Some(1), Some(8), Some(1), 2),
                rule(false, None, Some(8), Some(1), 1),
            ],
            vec![rule(true, Some(2), Some(u32::MAX), Some(0x8000_0000), 6)],
        ];
        for rules in sets {
            let program = compile(rules);
            for kind in [BLOCK, CHARACTER] {
                for major in [0, 1, 8, u32::MAX] {
                    for minor in [0, 1, 3, 0x8000_0000] {
                        for access in 1..=7u8 {
                            let context = [u32::from(kind) | u32::from(access) << 16, major, minor];
                            let expected = decide(rules, kind, major, minor, access);
                            assert_eq!(run(&program, context), expected, "{rules:?} {context:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_total_rule_ends_the_program() {
        let total = Rule { allow: true, kind: None, major: None, minor: None, access: 7 };
        let ignored = Rule { allow: false, kind: Some(1), major: Some(8), minor: None, access: 7 };
        assert_eq!(compile(&[ignored, total]).len(), 8);
    }
}
