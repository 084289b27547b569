//! Docker's profiles: rules with conditions, resolved for one container on one machine.

use oci::runtime::{Seccomp, SeccompAction, SeccompArg, SeccompSyscall};
use serde::Deserialize;

use super::Error;

/// A profile as `--security-opt seccomp=` takes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    default_action: SeccompAction,
    default_errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "null_is_empty")]
    architectures: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    arch_map: Vec<ArchFamily>,
    #[serde(default, deserialize_with = "null_is_empty")]
    syscalls: Vec<Rule>,
    #[serde(default, deserialize_with = "null_is_empty")]
    flags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    listener_path: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    listener_metadata: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchFamily {
    architecture: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    sub_architectures: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    /// The old form with a single name.
    #[serde(default, deserialize_with = "null_is_empty")]
    name: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    names: Vec<String>,
    action: SeccompAction,
    errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "null_is_empty")]
    args: Vec<SeccompArg>,
    #[serde(default, deserialize_with = "null_is_empty")]
    includes: Condition,
    #[serde(default, deserialize_with = "null_is_empty")]
    excludes: Condition,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(deserialize_with = "null_is_empty")]
    caps: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    arches: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    min_kernel: String,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// What a profile's conditions ask about the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// `SCMP_ARCH_X86_64` and so on.
    pub arch: String,
    /// Major and minor version of the kernel.
    pub kernel: (u32, u32),
}

impl Host {
    /// This machine.
    pub fn detect() -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        Self { arch: native_arch().to_owned(), kernel: version(&release).unwrap_or((0, 0)) }
    }
}

/// The architecture this program was built for, as documents name it.
pub(super) fn native_arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "SCMP_ARCH_AARCH64",
        "arm" => "SCMP_ARCH_ARM",
        "loongarch64" => "SCMP_ARCH_LOONGARCH64",
        "powerpc64" if cfg!(target_endian = "little") => "SCMP_ARCH_PPC64LE",
        "riscv64" => "SCMP_ARCH_RISCV64",
        "s390x" => "SCMP_ARCH_S390X",
        "x86" => "SCMP_ARCH_X86",
        _ => "SCMP_ARCH_X86_64",
    }
}

impl Profile {
    /// Docker's own profile.
    pub fn standard() -> Result<Self, Error> {
        Self::parse(include_bytes!("default.json"))
    }

    /// Reads a profile; an OCI document is one without conditions.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(json).map_err(|source| Error::Parse { source })
    }

    /// The OCI document for a container with these capabilities (`CAP_CHOWN`, the bounding set).
    pub fn resolve<S: AsRef<str>>(&self, capabilities: &[S], host: &Host) -> Seccomp {
        let has = |wanted: &String| capabilities.iter().any(|capability| capability.as_ref() == wanted);
        let rules = self.syscalls.iter().filter(|rule| rule.applies(&has, host));
        let family = self.arch_map.iter().find(|family| family.architecture == host.arch);
        let mut architectures = self.architectures.clone();
        if let Some(family) = family {
            architectures.push(family.architecture.clone());
            architectures.extend(family.sub_architectures.iter().cloned());
        }
        Seccomp {
            default_action: self.default_action,
            default_errno_ret: self.default_errno_ret,
            architectures,
            flags: self.flags.clone(),
            listener_path: self.listener_path.clone(),
            listener_metadata: self.listener_metadata.clone(),
            syscalls: rules.map(Rule::plain).collect(),
        }
    }
}

impl Rule {
    /// All of what is included has to hold, and nothing of what is excluded may.
    fn applies(&self, has: &impl Fn(&String) -> bool, host: &Host) -> bool {
        let arch_in = |arches: &[String]| arches.iter().any(|arch| *arch == docker_arch(&host.arch));
        let includes = (self.includes.arches.is_empty() || arch_in(&self.includes.arches))
            && self.includes.caps.iter().all(has)
            && self.includes.min_kernel_holds(host);
        let excludes = arch_in(&self.excludes.arches)
            || self.excludes.caps.iter().any(has)
            || (!self.excludes.min_kernel.is_empty() && self.excludes.min_kernel_holds(host));
        includes && !excludes
    }

    fn plain(&self) -> SeccompSyscall {
        let names = if self.name.is_empty() { self.names.clone() } else { vec![self.name.clone()] };
        SeccompSyscall { names, action: self.action, errno_ret: self.errno_ret, args: self.args.clone() }
    }
}

impl Condition {
    fn min_kernel_holds(&self, host: &Host) -> bool {
        self.min_kernel.is_empty() || version(&self.min_kernel).is_some_and(|least| host.kernel >= least)
    }
}

/// Conditions name architectures as Go does.
fn docker_arch(arch: &str) -> String {
    let short = arch.strip_prefix("SCMP_ARCH_").unwrap_or(arch);
    match short {
        "X86_64" => "amd64".to_owned(),
        "AARCH64" => "arm64".to_owned(),
        other => other.to_lowercase(),
    }
}

/// `6.18.2-foo` as (6, 18).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
