//! System call filters: Docker profiles and OCI documents compiled to the kernel's classic BPF.
//!
//! [`Profile`] is Docker's document with its conditions on capabilities, architecture and kernel; resolving it for one
//! container gives the OCI document. [`compile`] turns that into a [`Program`], which is plain bytes: made once by the
//! engine, installed by each container's first process just before it becomes the container's program.
//!
//! One program serves several architectures. For each of them the call numbers are cut into ranges that meet the same
//! fate, and a balanced tree of comparisons finds the range: seven steps instead of hundreds. Calls newer than
//! everything the document names fail with ENOSYS, so that a C library falls back to what it knew before.
//!
//! Reading order: profile, rules (document to ranges), emit (ranges to instructions), install; table is generated.

mod emit;
mod install;
mod profile;
mod rules;
mod table;

#[cfg(test)]
mod tests;

use model::{ErrorKind, Kinded};
use oci::runtime::Seccomp;

pub use profile::{Host, Profile};

/// A document that cannot be made a filter.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The profile is no JSON of the known form.
    #[error("decoding seccomp profile failed")]
    Parse {
        /// What was found.
        source: serde_json::Error,
    },
    /// An architecture nobody knows.
    #[error("unknown architecture {name} in seccomp profile")]
    Architecture {
        /// The name as given.
        name: String,
    },
    /// A flag nobody knows.
    #[error("unknown seccomp flag {name}")]
    Flag {
        /// The name as given.
        name: String,
    },
    /// System calls have six arguments.
    #[error("seccomp rule for {syscall} compares argument {index}")]
    Argument {
        /// The system call.
        syscall: String,
        /// The argument's number.
        index: u32,
    },
    /// A listener cannot be asked here: the question itself would ask again.
    #[error("SCMP_ACT_NOTIFY cannot be used {place}")]
    Notify {
        /// Where it was used.
        place: &'static str,
    },
    /// A notifying rule without anybody to be notified.
    #[error("SCMP_ACT_NOTIFY needs a listenerPath")]
    Listener,
    /// The kernel takes 4096 instructions.
    #[error("seccomp filter has {instructions} instructions, the kernel takes 4096")]
    TooLong {
        /// How many there are.
        instructions: usize,
    },
    /// Bytes that are no program.
    #[error("{length} bytes are no seccomp program")]
    Bytes {
        /// How many there were.
        length: usize,
    },
}

impl Kinded for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// One instruction of classic BPF, as the kernel reads it (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    pub(crate) code: u16,
    pub(crate) if_true: u8,
    pub(crate) if_false: u8,
    pub(crate) value: u32,
}

/// A compiled filter with the flags it is installed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<Instruction>,
    flags: u32,
}

/// The longest program the kernel takes.
const LONGEST: usize = 4096;

impl Program {
    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Whether installing gives a descriptor for a listener.
    pub fn notifies(&self) -> bool {
        self.flags & rules::NEW_LISTENER != 0
    }

    /// The program as bytes, to be kept or sent; only for this machine's byte order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.flags.to_ne_bytes().to_vec();
        for one in &self.instructions {
            bytes.extend_from_slice(&one.code.to_ne_bytes());
            bytes.extend_from_slice(&[one.if_true, one.if_false]);
            bytes.extend_from_slice(&one.value.to_ne_bytes());
        }
        bytes
    }

    /// Reads what [`Program::to_bytes`] gave. The kernel checks the instructions themselves.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let error = Error::Bytes { length: bytes.len() };
        let Some((flags, rest)) = bytes.split_first_chunk::<4>() else { return Err(error) };
        let (chunks, remainder) = rest.as_chunks::<8>();
        if chunks.is_empty() || chunks.len() > LONGEST || !remainder.is_empty() {
            return Err(error);
        }
        let instruction = |[a, b, if_true, if_false, c, d, e, f]: &[u8; 8]| Instruction {
            code: u16::from_ne_bytes([*a, *b]),
            if_true: *if_true,
            if_false: *if_false,
            value: u32::from_ne_bytes([*c, *d, *e, *f]),
        };
        Ok(Self { instructions: chunks.iter().map(instruction).collect(), flags: u32::from_ne_bytes(*flags) })
    }
}

/// Compiles an OCI document.
///
/// The machine's own architecture is always among those served. Names of calls that no architecture here has are
/// passed over, as runc does. Rules for the same call apply in the document's order, the first that matches decides;
/// a rule that compares one argument more than once matches when any of its comparisons holds (runc does so too).
pub fn compile(document: &Seccomp) -> Result<Program, Error> {
    let plan = rules::plan(document)?;
    let instructions = emit::emit(&plan);
    if instructions.len() > LONGEST {
        return Err(Error::TooLong { instructions: instructions.len() });
    }
    Ok(Program { instructions, flags: plan.flags })
}
