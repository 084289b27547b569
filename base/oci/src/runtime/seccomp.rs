//! The system call filter document.

use super::document;

document! {
    /// A system call filter.
    pub struct Seccomp {
        always {
            /// What happens to calls no rule matches.
            pub default_action: SeccompAction,
        }
        omit {
            /// Error number of the default action; EPERM when none.
            pub default_errno_ret: Option<u32>,
            /// `SCMP_ARCH_...`.
            pub architectures: Vec<String>,
            /// `SECCOMP_FILTER_FLAG_...`.
            pub flags: Vec<String>,
            /// Socket that receives notifications.
            pub listener_path: String,
            /// Sent along to the listener.
            pub listener_metadata: String,
            /// The rules.
            pub syscalls: Vec<SeccompSyscall>,
        }
    }
}

document! {
    /// One rule.
    pub struct SeccompSyscall {
        always {
            /// System calls by name.
            pub names: Vec<String>,
            /// What happens to them.
            pub action: SeccompAction,
        }
        omit {
            /// Error number for `Errno` and data for `Trace`.
            pub errno_ret: Option<u32>,
            /// Conditions that all have to hold.
            pub args: Vec<SeccompArg>,
        }
    }
}

document! {
    /// One condition on an argument.
    #[derive(Copy)]
    pub struct SeccompArg {
        always {
            /// Argument number, 0 to 5.
            pub index: u32,
            /// What is compared with (the mask for `MaskedEqual`).
            pub value: u64,
            /// How it is compared.
            pub op: SeccompOperator,
        }
        omit {
            /// What the masked argument has to equal.
            pub value_two: u64,
        }
    }
}

/// What the kernel does with a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum SeccompAction {
    /// The thread is killed.
    #[serde(rename = "SCMP_ACT_KILL")]
    Kill,
    /// The process is killed.
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    /// The thread is killed.
    #[serde(rename = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    /// SIGSYS is sent.
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    /// An error number is returned.
    #[default]
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    /// A tracer is asked.
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    /// The call is made.
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    /// The call is made and logged.
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    /// A listener is asked.
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum SeccompOperator {
    /// Not equal.
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    /// Less.
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    /// Less or equal.
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    /// Equal.
    #[default]
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    /// Greater or equal.
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    /// Greater.
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    /// Equal after masking.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}
