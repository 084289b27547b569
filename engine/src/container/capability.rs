//! Which capabilities a container has: Docker's default set, `--cap-add`, `--cap-drop`, `--privileged`.

use crate::{Error, Result};

/// What a container has when nothing is said.
pub const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Every capability in the order of its number.
pub use linux::capability::NAMES as ALL;

const EVERY: &str = "ALL";

/// Upper case with prefix; `ALL` stays.
fn normalize(name: &str) -> String {
    let upper = name.trim().to_ascii_uppercase();
    if upper == EVERY || upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
}

/// Brings names of `CapAdd`/`CapDrop` to their stored form.
///
/// # Errors
/// `invalid CapAdd: unknown capability: "CAP_BOGUS"`.
pub fn normalize_list(field: &str, names: &[String]) -> Result<Vec<String>> {
    names
        .iter()
        .map(|name| {
            let full = normalize(name);
            if full == EVERY || ALL.contains(&full.as_str()) {
                return Ok(full);
            }
            Err(Error::invalid(format!("invalid {field}: unknown capability: \"{full}\"")))
        })
        .collect()
}

/// The container's set; `host` is what the kernel and the engine itself have.
pub fn resolve(add: &[String], drop: &[String], privileged: bool, host: &[&'static str]) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    if privileged {
        return owned(host);
    }
    let add: Vec<String> = add.iter().map(|name| normalize(name)).collect();
    let drop: Vec<String> = drop.iter().map(|name| normalize(name)).collect();
    let has = |list: &[String], name: &str| list.iter().any(|held| held == name);
    if add.is_empty() && drop.is_empty() {
        return owned(&DEFAULT);
    }
    match (has(&add, EVERY), has(&drop, EVERY)) {
        (true, _) => owned(host).into_iter().filter(|name| !has(&drop, name)).collect(),
        (false, true) => add.into_iter().filter(|name| name != EVERY).collect(),
        (false, false) => {
            let mut set: Vec<String> = owned(&DEFAULT).into_iter().filter(|name| !has(&drop, name)).collect();
            for name in add {
                if !has(&set, &name) {
                    set.push(name);
                }
            }
            set
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(add: &[&str], drop: &[&str]) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        resolve(&owned(add), &owned(drop), false, &ALL)
    }

    #[test]
    fn sets_are_docker_s() {
        assert_eq!(check(&[], &[]).len(), 14);
        assert_eq!(check(&["sys_admin"], &["chown"]).len(), 14);
        assert!(check(&["SYS_ADMIN"], &[]).contains(&"CAP_SYS_ADMIN".to_owned()));
        assert_eq!(check(&["NET_ADMIN"], &["ALL"]), ["CAP_NET_ADMIN"]);
        assert_eq!(check(&["ALL"], &["MKNOD"]).len(), 40);
        assert_eq!(resolve(&[], &[], true, &ALL).len(), 41);
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = normalize_list("CapAdd", &["bogus".to_owned()]).unwrap_err();
        assert_eq!(error.message(), "invalid CapAdd: unknown capability: \"CAP_BOGUS\"");
    }
}
