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
            "no-new-privileges" => parsed.no_new_privileges = Some(parse_bool(value).ok_or_else(bad)?),
            "writable-cgroups" => parsed.writable_cgroups = Some(parse_bool(value).ok_or_else(bad)?),
            _ => return Err(bad()),
        }
    }
    Ok(parsed)
}

/// Go's `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
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
}
