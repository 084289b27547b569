//! From ranges of call numbers to instructions.
//!
//! Instructions are made from the last to the first, because jumps only go forward: whatever is jumped to exists
//! already. A place is the number of instructions that follow it, itself included.

use std::collections::HashMap;

use oci::runtime::SeccompOperator;

use super::Instruction;
use super::rules::{Fate, Plan, Range, Test};

// linux/bpf_common.h: class, size or operation, mode or source.
const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;

// linux/seccomp.h: struct seccomp_data.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

pub(super) fn emit(plan: &Plan) -> Vec<Instruction> {
    let mut code = Emitter { plan, reversed: Vec::new(), returns: HashMap::new(), chains: HashMap::new() };
    let mut next = code.result(plan.elsewhere);
    for (token, ranges) in plan.arches.iter().rev() {
        let tree = code.tree(ranges);
        let number = code.push(LOAD, NUMBER);
        debug_assert!(number == tree + 1);
        next = code.branch(IF_EQUAL, *token, number, next);
    }
    code.fall_through(next);
    code.push(LOAD, ARCHITECTURE);
    code.reversed.reverse();
    code.reversed
}

/// How many instructions follow a place, itself included.
type Place = usize;

struct Emitter<'a> {
    plan: &'a Plan,
    reversed: Vec<Instruction>,
    /// The nearest place that returns an action.
    returns: HashMap<u32, Place>,
    /// The nearest place that decides a chain.
    chains: HashMap<usize, Place>,
}

impl Emitter<'_> {
    fn push(&mut self, code: u16, value: u32) -> Place {
        self.reversed.push(Instruction { code, if_true: 0, if_false: 0, value });
        self.reversed.len()
    }

    /// What the next instruction has to skip to get to a place, if a branch can skip so much.
    fn distance(&self, place: Place) -> Option<u8> {
        u8::try_from(self.reversed.len() - place).ok()
    }

    /// Makes the next instruction lead to a place: nothing when it directly follows.
    fn fall_through(&mut self, place: Place) -> Place {
        let distance = self.reversed.len() - place;
        if distance == 0 { place } else { self.push(JUMP, u32::try_from(distance).unwrap_or(0)) }
    }

    /// A place that leads to `place` and can be reached by a branch.
    fn near(&mut self, place: Place) -> Place {
        match self.distance(place) {
            Some(_) => place,
            None => {
                let target = self.reversed[place - 1];
                if target.code == RETURN { self.push(RETURN, target.value) } else { self.fall_through(place) }
            }
        }
    }

    fn branch(&mut self, code: u16, value: u32, yes: Place, no: Place) -> Place {
        if yes == no {
            return self.fall_through(yes);
        }
        let (mut yes, mut no) = (yes, no);
        loop {
            // Making one of them near may push the other away.
            yes = self.near(yes);
            no = self.near(no);
            if let (Some(if_true), Some(if_false)) = (self.distance(yes), self.distance(no)) {
                self.reversed.push(Instruction { code, if_true, if_false, value });
                return self.reversed.len();
            }
        }
    }

    fn result(&mut self, action: u32) -> Place {
        match self.returns.get(&action) {
            Some(place) if self.distance(*place).is_some() => *place,
            _ => {
                let place = self.push(RETURN, action);
                self.returns.insert(action, place);
                place
            }
        }
    }

    fn fate(&mut self, fate: Fate) -> Place {
        match fate {
            Fate::Action(action) => self.result(action),
            Fate::Chain(index) => match self.chains.get(&index) {
                Some(place) => *place,
                None => {
                    let place = self.chain(index);
                    self.chains.insert(index, place);
                    place
                }
            },
        }
    }

    /// Rules in order, so the last is made first.
    fn chain(&mut self, index: usize) -> Place {
        let plan = self.plan;
        let chain = &plan.chains[index];
        let mut failed = self.result(chain.otherwise);
        for (tests, action) in chain.rules.iter().rev() {
            let mut passed = self.result(*action);
            for test in tests.iter().rev() {
                passed = self.test(test, passed, failed);
            }
            failed = passed;
        }
        failed
    }

    fn test(&mut self, test: &Test, yes: Place, no: Place) -> Place {
        use SeccompOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
        match test.op {
            Equal => self.equal(test, u64::MAX, test.value, yes, no),
            NotEqual => self.equal(test, u64::MAX, test.value, no, yes),
            MaskedEqual => self.equal(test, test.value, test.masked, yes, no),
            Greater => self.greater(test, IF_GREATER, yes, no),
            GreaterOrEqual => self.greater(test, IF_AT_LEAST, yes, no),
            Less => self.greater(test, IF_AT_LEAST, no, yes),
            LessOrEqual => self.greater(test, IF_GREATER, no, yes),
        }
    }

    /// The masked argument is equal to the masked value.
    fn equal(&mut self, test: &Test, mask: u64, value: u64, yes: Place, no: Place) -> Place {
        let low = self.equal_half(test, mask as u32, (value & mask) as u32, false, yes, no);
        if test.narrow {
            return low;
        }
        self.equal_half(test, (mask >> 32) as u32, ((value & mask) >> 32) as u32, true, low, no)
    }

    fn equal_half(&mut self, test: &Test, mask: u32, value: u32, high: bool, yes: Place, no: Place) -> Place {
        if mask == 0 {
            return yes;
        }
        self.branch(IF_EQUAL, value, yes, no);
        if mask != u32::MAX {
            self.push(AND, mask);
        }
        self.load(test, high)
    }

    /// The argument is greater (or equal, with the other operation on the lower half).
    fn greater(&mut self, test: &Test, low_code: u16, yes: Place, no: Place) -> Place {
        self.branch(low_code, test.value as u32, yes, no);
        let low = self.load(test, false);
        if test.narrow {
            return low;
        }
        let high = (test.value >> 32) as u32;
        let equal = self.branch(IF_EQUAL, high, low, no);
        self.branch(IF_GREATER, high, yes, equal);
        self.load(test, true)
    }

    fn load(&mut self, test: &Test, high: bool) -> Place {
        let second = high == cfg!(target_endian = "little");
        self.push(LOAD, ARGUMENTS + 8 * test.argument + if second { 4 } else { 0 })
    }

    /// A balanced tree over the ranges; the number is loaded.
    fn tree(&mut self, ranges: &[Range]) -> Place {
        let place = self.subtree(ranges);
        self.fall_through(place)
    }

    fn subtree(&mut self, ranges: &[Range]) -> Place {
        let (left, right) = ranges.split_at(ranges.len() / 2);
        let (Some(_), Some(middle)) = (left.first(), right.first()) else {
            let only = ranges.first().map_or(Fate::Action(self.plan.elsewhere), |range| range.fate);
            return self.fate(only);
        };
        let no_less = self.subtree(right);
        let less = self.subtree(left);
        self.branch(IF_AT_LEAST, middle.first, no_less, less)
    }
}
