//! The steps of setting a process up, so that a failure can be told across a pipe by number.

/// One step. The text names it in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Nothing in particular.
    Unknown,
    /// Making the process.
    Clone,
    /// Talking to the other side.
    Channel,
    /// Entering a control group.
    Cgroup,
    /// Joining or making namespaces.
    Namespace,
    /// Writing id mappings.
    IdMap,
    /// Becoming root of the user namespace.
    BecomeRoot,
    /// Starting a session.
    Session,
    /// Placing standard streams.
    Streams,
    /// Making the container's view private.
    Propagation,
    /// Attaching the root file system.
    Root,
    /// Making a mount.
    Mount,
    /// Making a mount point.
    MountPoint,
    /// Configuring a file system.
    Configure,
    /// Attaching a mount.
    Attach,
    /// Making a device node.
    Device,
    /// Making a link in /dev.
    DeviceLink,
    /// Opening the terminal.
    Terminal,
    /// Running a hook.
    Hook,
    /// Changing the root.
    Pivot,
    /// Making a path read-only.
    ReadOnly,
    /// Hiding a path.
    Mask,
    /// Setting the host name.
    HostName,
    /// Setting the domain name.
    DomainName,
    /// Opening a proc file system.
    Proc,
    /// Setting a kernel parameter.
    Sysctl,
    /// Setting the out-of-memory score.
    OomScore,
    /// Setting a resource limit.
    Rlimit,
    /// Setting the scheduler.
    Scheduler,
    /// Setting the input and output priority.
    IoPriority,
    /// Setting CPU affinity.
    Affinity,
    /// Setting the memory policy.
    MemoryPolicy,
    /// Setting the execution domain.
    Personality,
    /// Setting a security label.
    Label,
    /// Entering the working directory.
    WorkingDirectory,
    /// Setting capabilities.
    Capabilities,
    /// Setting user and groups.
    Identity,
    /// Installing the system call filter.
    Seccomp,
    /// Closing descriptors.
    Descriptors,
    /// Finding the command.
    Lookup,
    /// Executing the command.
    Execute,
    /// Opening a path of the host.
    Open,
    /// Making a network device the container's.
    NetDevice,
}

/// All steps by number, with their texts.
const TEXTS: [(Step, &str); 43] = [
    (Step::Unknown, "setting up the process"),
    (Step::Clone, "making the process"),
    (Step::Channel, "talking to the process"),
    (Step::Cgroup, "entering the cgroup"),
    (Step::Namespace, "setting up namespaces"),
    (Step::IdMap, "writing id mappings"),
    (Step::BecomeRoot, "becoming root in the user namespace"),
    (Step::Session, "starting a session"),
    (Step::Streams, "placing standard streams"),
    (Step::Propagation, "setting mount propagation"),
    (Step::Root, "mounting the root file system"),
    (Step::Mount, "mounting"),
    (Step::MountPoint, "creating mountpoint"),
    (Step::Configure, "configuring file system"),
    (Step::Attach, "attaching mount"),
    (Step::Device, "creating device"),
    (Step::DeviceLink, "creating link"),
    (Step::Terminal, "opening the terminal"),
    (Step::Hook, "running hook"),
    (Step::Pivot, "changing the root"),
    (Step::ReadOnly, "making path read-only"),
    (Step::Mask, "masking path"),
    (Step::HostName, "sethostname"),
    (Step::DomainName, "setdomainname"),
    (Step::Proc, "opening procfs"),
    (Step::Sysctl, "writing sysctl"),
    (Step::OomScore, "setting oom score"),
    (Step::Rlimit, "setting rlimit"),
    (Step::Scheduler, "setting scheduler"),
    (Step::IoPriority, "setting io priority"),
    (Step::Affinity, "setting cpu affinity"),
    (Step::MemoryPolicy, "setting memory policy"),
    (Step::Personality, "setting personality"),
    (Step::Label, "setting security label"),
    (Step::WorkingDirectory, "chdir to"),
    (Step::Capabilities, "setting capabilities"),
    (Step::Identity, "setting user and groups"),
    (Step::Seccomp, "setting seccomp filter"),
    (Step::Descriptors, "closing descriptors"),
    (Step::Lookup, "finding"),
    (Step::Execute, "exec"),
    (Step::Open, "open"),
    (Step::NetDevice, "moving network device"),
];

impl Step {
    /// The step with a number; unknown numbers are [`Step::Unknown`].
    pub(crate) fn from_number(number: u8) -> Self {
        TEXTS.get(usize::from(number)).map_or(Self::Unknown, |(step, _)| *step)
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(TEXTS.get(*self as usize).map_or("", |(_, text)| text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positions() {
        for (number, (step, _)) in TEXTS.iter().enumerate() {
            assert_eq!(*step as usize, number);
            assert_eq!(Step::from_number(u8::try_from(number).unwrap()), *step);
        }
        assert_eq!(Step::from_number(255), Step::Unknown);
    }
}
