//! OCI runtime specification 1.3: the configuration, state and features documents.
//!
//! The documents follow Go's reading rules where runtimes meet them in practice: `null` and a missing field both mean
//! the zero value, unknown fields are ignored, and zero values are left out when writing.

mod features;
mod linux;
mod process;
mod resources;
mod seccomp;
mod spec;
mod state;

pub use features::{
    AppArmorFeature, CgroupFeature, EnabledFeature, Features, LinuxFeatures, MountExtensions, SeccompFeature,
};
pub use linux::{
    Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NamespaceType, NetDevice, Personality,
    TimeOffset, TimeOffsets,
};
pub use process::{Capabilities, ConsoleSize, CpuAffinity, IoPriority, Process, Rlimit, Scheduler, User};
pub use resources::{
    BlockIo, Cpu, DeviceCgroup, HugepageLimit, InterfacePriority, Memory, NetworkResources, Pids, Rdma,
    Resources, ThrottleDevice, WeightDevice,
};
pub use seccomp::{Seccomp, SeccompAction, SeccompArg, SeccompOperator, SeccompSyscall};
pub use spec::{Hook, Hooks, Mount, Root, Spec};
pub use state::{State, Status};

/// The newest specification version these documents express.
pub const VERSION: &str = "1.3.0";

/// Reads `null` as the zero value, as Go does.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de> + Default,
{
    Ok(<Option<T> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a value is the zero value, which is left out when writing.
fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Declares a document: the fields in `always` are written even when zero, those in `omit` are not.
macro_rules! document {
    ($(#[$meta:meta])* pub struct $name:ident {
        always { $($(#[$always_meta:meta])* pub $always:ident: $always_type:ty,)* }
        omit { $($(#[$omit_meta:meta])* pub $omit:ident: $omit_type:ty,)* }
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$always_meta])* #[serde(deserialize_with = "super::nullable")] pub $always: $always_type,)*
            $($(#[$omit_meta])* #[serde(deserialize_with = "super::nullable", skip_serializing_if = "super::is_zero")]
            pub $omit: $omit_type,)*
        }
    };
}
use document;

#[cfg(test)]
mod tests;
