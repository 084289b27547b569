//! The process part of the configuration; also the document that `exec --process` takes.

use super::document;

document! {
    /// A process to run inside the container.
    pub struct Process {
        always {
            /// Who it runs as.
            pub user: User,
            /// Absolute working directory.
            pub cwd: String,
        }
        omit {
            /// Has a terminal.
            pub terminal: bool,
            /// The terminal's size.
            pub console_size: Option<ConsoleSize>,
            /// Program and arguments.
            pub args: Vec<String>,
            /// `NAME=value` pairs.
            pub env: Vec<String>,
            /// Capability sets; none given means none held.
            pub capabilities: Option<Capabilities>,
            /// Resource limits.
            pub rlimits: Vec<Rlimit>,
            /// Never gains privileges by execve.
            pub no_new_privileges: bool,
            /// AppArmor profile.
            #[serde(rename = "apparmorProfile")]
            pub apparmor_profile: String,
            /// Score adjustment, -1000 to 1000.
            pub oom_score_adj: Option<i64>,
            /// SELinux label.
            pub selinux_label: String,
            /// CPU scheduling.
            pub scheduler: Option<Scheduler>,
            /// Input and output scheduling.
            pub io_priority: Option<IoPriority>,
            /// CPUs used while an exec enters and afterwards.
            #[serde(rename = "execCPUAffinity")]
            pub exec_cpu_affinity: Option<CpuAffinity>,
        }
    }
}

document! {
    /// Ids a process runs with.
    pub struct User {
        always {
            /// User id inside the container.
            pub uid: u32,
            /// Group id inside the container.
            pub gid: u32,
        }
        omit {
            /// File mode creation mask.
            pub umask: Option<u32>,
            /// Supplementary groups.
            pub additional_gids: Vec<u32>,
            /// Windows only; kept for round trips.
            pub username: String,
        }
    }
}

document! {
    /// A terminal's size in characters.
    pub struct ConsoleSize {
        always {
            /// Rows.
            pub height: u64,
            /// Columns.
            pub width: u64,
        }
        omit {}
    }
}

document! {
    /// Capability names (`CAP_...`) by set.
    pub struct Capabilities {
        always {}
        omit {
            /// Upper bound for what execve can give.
            pub bounding: Vec<String>,
            /// What is checked.
            pub effective: Vec<String>,
            /// Kept across execve of programs that ask for it.
            pub inheritable: Vec<String>,
            /// What may be made effective.
            pub permitted: Vec<String>,
            /// Kept across execve of ordinary programs.
            pub ambient: Vec<String>,
        }
    }
}

document! {
    /// One resource limit.
    pub struct Rlimit {
        always {
            /// `RLIMIT_...`.
            #[serde(rename = "type")]
            pub kind: String,
            /// Ceiling for the soft limit.
            pub hard: u64,
            /// Limit in force.
            pub soft: u64,
        }
        omit {}
    }
}

document! {
    /// CPU scheduling as `sched_setattr(2)` takes it.
    pub struct Scheduler {
        always {
            /// `SCHED_...`.
            pub policy: String,
        }
        omit {
            /// Niceness of ordinary policies.
            pub nice: i32,
            /// Static priority of real-time policies.
            pub priority: i32,
            /// `SCHED_FLAG_...`.
            pub flags: Vec<String>,
            /// Deadline policy, nanoseconds.
            pub runtime: u64,
            /// Deadline policy, nanoseconds.
            pub deadline: u64,
            /// Deadline policy, nanoseconds.
            pub period: u64,
        }
    }
}

document! {
    /// Input and output priority as `ioprio_set(2)` takes it.
    pub struct IoPriority {
        always {
            /// `IOPRIO_CLASS_...`.
            pub class: String,
            /// 0 (highest) to 7.
            pub priority: i32,
        }
        omit {}
    }
}

document! {
    /// CPU lists of an exec process.
    pub struct CpuAffinity {
        always {}
        omit {
            /// While entering the container.
            pub initial: String,
            /// Once inside.
            #[serde(rename = "final")]
            pub final_: String,
        }
    }
}
