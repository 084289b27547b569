//! `--security-opt`: labels, AppArmor, system call filter, no-new-privileges.

use crate::{Error, Result};

/// What the options of one container say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityOptions {
    /// `seccomp=`: `unconfined`, `builtin`, or the profile's JSON text. `None` means the engine's default.
    pub seccomp: Option<String>,
    /// `apparmor=`: a profile's name or `unconfined`.
    pub apparmor: Option<String>,
    /// `no-new-privileges`, when said.
    pub no_new_privileges: Option<bool>,
    /// `writable-cgroups`, when said.
    pub writable_cgroups: Option<bool>,
    /// `label=` words, kept for SELinux machines.
    pub labels: Vec<String>,
}

/// Reads `HostConfig.SecurityOpt`.
///
/// # Errors
/// Docker's two texts for words it does not know.
pub fn parse(options: &[String]) -> Result<SecurityOptions> {
    let mut parsed = SecurityOptions::default();
    for option in options {
        match option.as_str() {
            "no-new-privileges" => {
                parsed.no_new_privileges = Some(true);
                continue;
            }
            "writable-cgroups" => {
                parsed.writable_cgroups = Some(true);
                continue;
            }
            "disable" => {
                parsed.labels.push("disable".to_owned());
                continue;
            }
            _ => {}
        }
        let (key, value) = option
            .split_once('=')
            .or_else(|| option.split_once(':'))
            .ok_or_else(|| Error::internal(format!("invalid --security-opt 1: \"{option}\"")))?;
        let bad = || Error::internal(format!("invalid --security-opt 2: \"{option}\""));
        match key {
            "label" => parsed.labels.push(value.to_owned()),
            "apparmor" => parsed.apparmor = Some(value.to_owned()),
            "seccomp" => parsed.seccomp = Some(value.to_owned()),
            "no-new-privileges" => {
                parsed.no_new_privileges = Some(model::boolean::parse(value).ok_or_else(bad)?)
            }
            "writable-cgroups" => {
                parsed.writable_cgroups = Some(model::boolean::parse(value).ok_or_else(bad)?)
            }
            _ => return Err(bad()),
        }
    }
    Ok(parsed)
}

/// The profile that containers get where the machine has it loaded; its name is Docker's.
const DEFAULT_PROFILE: &str = "docker-default";

/// What AppArmor is on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppArmor {
    /// The kernel has it and it is on.
    pub enabled: bool,
    /// Names of the loaded profiles.
    pub profiles: Vec<String>,
}

impl AppArmor {
    /// Looks at the machine.
    pub fn detect() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let enabled = read("/sys/module/apparmor/parameters/enabled").starts_with('Y');
        let list = if enabled { read("/sys/kernel/security/apparmor/profiles") } else { String::new() };
        // `name (mode)` on each line.
        let name = |line: &str| line.rsplit_once(" (").map(|(name, _)| name.to_owned());
        Self { enabled, profiles: list.lines().filter_map(name).collect() }
    }

    /// The profile a container runs under; empty for none.
    ///
    /// A profile that was asked for is taken at its word: when it is not loaded, the start fails. The default one is
    /// taken only where it is loaded, since nothing here compiles profiles.
    pub fn profile(&self, options: &SecurityOptions, privileged: bool) -> String {
        match options.apparmor.as_deref() {
            _ if !self.enabled => String::new(),
            Some(name) if !name.is_empty() => name.to_owned(),
            _ if privileged => "unconfined".to_owned(),
            _ if self.profiles.iter().any(|name| name == DEFAULT_PROFILE) => DEFAULT_PROFILE.to_owned(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood() {
        let list: Vec<String> =
            ["no-new-privileges:true", "seccomp=unconfined", "apparmor=x", "label=disable"]
                .map(str::to_owned)
                .to_vec();
        let options = parse(&list).unwrap();
        assert_eq!(options.no_new_privileges, Some(true));
        assert_eq!(options.seccomp.as_deref(), Some("unconfined"));
        assert_eq!(options.labels, ["disable"]);
    }

    #[test]
    fn wrong_words_have_docker_s_text() {
        for (text, message) in [
            ("bogus", "invalid --security-opt 1: \"bogus\""),
            ("bogus=1", "invalid --security-opt 2: \"bogus=1\""),
            ("no-new-privileges=maybe", "invalid --security-opt 2: \"no-new-privileges=maybe\""),
        ] {
            assert_eq!(parse(&[text.to_owned()]).unwrap_err().message(), message);
        }
    }

    #[test]
    fn profiles_are_chosen_as_docker_does() {
        let loaded = |names: &[&str]| AppArmor {
            enabled: true,
            profiles: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let asked = |name: &str| SecurityOptions { apparmor: Some(name.to_owned()), ..Default::default() };
        let nothing = SecurityOptions::default();
        let with_default = loaded(&["cups", "docker-default"]);
        assert_eq!(with_default.profile(&nothing, false), "docker-default");
        assert_eq!(with_default.profile(&nothing, true), "unconfined");
        assert_eq!(with_default.profile(&asked("mine"), true), "mine");
        assert_eq!(with_default.profile(&asked("unconfined"), false), "unconfined");
        assert_eq!(loaded(&["cups"]).profile(&nothing, false), "");
        let off = AppArmor { enabled: false, profiles: vec!["docker-default".to_owned()] };
        assert_eq!(off.profile(&asked("mine"), false), "");
    }
}
