//! Applying limits: which back end, and what both share.

use oci::runtime::{DeviceCgroup, Resources, ThrottleDevice};

use super::{Cgroup, Error, Layout, Result, apply_v1, apply_v2};

impl Cgroup {
    /// Applies all limits that are set; those that are not set stay as they are, so this also serves `update`.
    pub fn apply(&self, resources: &Resources) -> Result<()> {
        match (self.layout, &self.unified) {
            (Layout::Unified, Some(directory)) => apply_v2::apply(directory, resources),
            (Layout::Unified, None) => Err(Error::NotMounted),
            _ => apply_v1::apply(self, resources),
        }
    }
}

/// The access every container has beside what its configuration says (runtime specification, "Default Devices", and
/// making nodes, which is of no use without access).
pub fn default_devices() -> Vec<DeviceCgroup> {
    let rule = |kind: &str, major: Option<i64>, minor: Option<i64>, access: &str| DeviceCgroup {
        allow: true,
        kind: kind.into(),
        major,
        minor,
        access: access.into(),
    };
    let mut rules = vec![rule("c", None, None, "m"), rule("b", None, None, "m")];
    // null, zero, full, random, urandom, tty, console, ptmx, pts
    let nodes = [
        (1, Some(3)),
        (1, Some(5)),
        (1, Some(7)),
        (1, Some(8)),
        (1, Some(9)),
        (5, Some(0)),
        (5, Some(1)),
        (5, Some(2)),
        (136, None),
    ];
    rules.extend(nodes.map(|(major, minor)| rule("c", Some(major), minor, "rwm")));
    rules
}

/// A device number as rules are written: a number, or `None` for all.
pub(crate) fn wildcard(number: Option<i64>) -> Result<Option<u32>> {
    match number {
        None | Some(-1) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::Value { limit: "device number", value: number.to_string() }),
        },
    }
}

/// The access letters of a rule; none means all.
pub(crate) fn access(text: &str) -> Result<&str> {
    match text {
        "" => Ok("rwm"),
        letters if letters.chars().all(|letter| "rwm".contains(letter)) => Ok(letters),
        other => Err(Error::Value { limit: "device access", value: other.into() }),
    }
}

/// `major:minor` of a throttled device.
pub(crate) fn throttled(device: &ThrottleDevice) -> String {
    format!("{}:{}", device.major, device.minor)
}

/// -1 as the kernel's word or number for "no limit"; other negative numbers are refused.
pub(crate) fn limit(name: &'static str, value: i64, none: &str) -> Result<String> {
    match value {
        -1 => Ok(none.to_owned()),
        value if value < -1 => Err(Error::Value { limit: name, value: value.to_string() }),
        value => Ok(value.to_string()),
    }
}

/// A list of CPUs or memory nodes may only hold numbers, commas and ranges: it is written as it is.
pub(crate) fn list<'a>(name: &'static str, text: &'a str) -> Result<&'a str> {
    if super::features::parse_list(text).is_some() {
        Ok(text)
    } else {
        Err(Error::Value { limit: name, value: text.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_below_minus_one_are_refused() {
        assert_eq!(limit("memory", -1, "max").unwrap(), "max");
        assert_eq!(limit("memory", 0, "max").unwrap(), "0");
        assert!(limit("memory", -2, "max").is_err());
    }

    #[test]
    fn device_words() {
        assert_eq!(wildcard(None).unwrap(), None);
        assert_eq!(wildcard(Some(-1)).unwrap(), None);
        assert_eq!(wildcard(Some(5)).unwrap(), Some(5));
        assert!(wildcard(Some(-7)).is_err());
        assert_eq!(access("").unwrap(), "rwm");
        assert!(access("rx").is_err());
    }
}
