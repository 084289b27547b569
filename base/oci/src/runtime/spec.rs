//! The configuration document's top level: root, mounts, hooks.

use std::collections::BTreeMap;

use super::{IdMapping, Linux, Process, document};

document! {
    /// `config.json` of a bundle.
    pub struct Spec {
        always {
            /// Specification version the document was written for.
            pub oci_version: String,
        }
        omit {
            /// The init process.
            pub process: Option<Process>,
            /// The root file system.
            pub root: Option<Root>,
            /// Host name inside the container.
            pub hostname: String,
            /// NIS domain name inside the container.
            pub domainname: String,
            /// Mounts below the root, in order.
            pub mounts: Vec<Mount>,
            /// Programs run at points of the lifecycle.
            pub hooks: Option<Hooks>,
            /// Free metadata.
            pub annotations: BTreeMap<String, String>,
            /// Linux settings.
            pub linux: Option<Linux>,
        }
    }
}

document! {
    /// Where the container's root file system is.
    pub struct Root {
        always {
            /// Absolute, or relative to the bundle.
            pub path: String,
        }
        omit {
            /// Mounted read-only.
            pub readonly: bool,
        }
    }
}

document! {
    /// One mount below the container's root.
    pub struct Mount {
        always {
            /// Absolute path inside the container.
            pub destination: String,
        }
        omit {
            /// File system type; `bind` or empty with a bind option for bind mounts.
            #[serde(rename = "type")]
            pub kind: String,
            /// Device, directory or file on the host.
            pub source: String,
            /// Options as `mount(8)` writes them.
            pub options: Vec<String>,
            /// User ids as this mount shows them.
            pub uid_mappings: Vec<IdMapping>,
            /// Group ids as this mount shows them.
            pub gid_mappings: Vec<IdMapping>,
        }
    }
}

document! {
    /// Programs run at points of the lifecycle, each kind in order.
    pub struct Hooks {
        always {}
        omit {
            /// Runtime namespace, before pivot_root (deprecated, same time as `create_runtime`).
            pub prestart: Vec<Hook>,
            /// Runtime namespace, after the namespaces exist and before pivot_root.
            pub create_runtime: Vec<Hook>,
            /// Container namespace, before pivot_root.
            pub create_container: Vec<Hook>,
            /// Container namespace, before the process is executed.
            pub start_container: Vec<Hook>,
            /// Runtime namespace, after the process is executed.
            pub poststart: Vec<Hook>,
            /// Runtime namespace, after the container is removed.
            pub poststop: Vec<Hook>,
        }
    }
}

document! {
    /// One program to run with the state document on its standard input.
    pub struct Hook {
        always {
            /// Absolute path.
            pub path: String,
        }
        omit {
            /// Arguments with the program's name first.
            pub args: Vec<String>,
            /// `NAME=value` pairs.
            pub env: Vec<String>,
            /// Seconds until it is killed.
            pub timeout: Option<i64>,
        }
    }
}

impl Hooks {
    /// Whether there is no hook of any kind.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
