//! One place of a container where something else than its own root shows: what is asked for, parsed and checked.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A path of the host.
    Bind,
    /// A named or anonymous volume.
    Volume,
    /// Memory.
    Tmpfs,
}

impl MountKind {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
        }
    }
}

/// A mount as the container's record keeps it and `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountRequest {
    /// What is mounted.
    pub kind: MountKind,
    /// Name of the volume.
    pub name: String,
    /// Path on the host; of a volume, its data folder.
    pub source: String,
    /// Path in the container, cleaned.
    pub destination: String,
    /// Driver of the volume.
    pub driver: String,
    /// The mode text as `inspect` shows it.
    pub mode: String,
    /// Whether the container may write.
    pub writable: bool,
    /// `rprivate` and its like; empty for volumes.
    pub propagation: String,
    /// Whether an empty volume is filled from the image.
    pub copy: bool,
    /// Whether the volume was made for this container only and goes with it.
    pub anonymous: bool,
    /// Part of the volume that is mounted.
    pub subpath: String,
    /// Whether a missing host folder is made (`-v`, not `--mount`).
    pub create_source: bool,
    /// Whether mounts below the source are left out.
    pub non_recursive: bool,
    /// Whether mounts below a read-only source stay writable.
    pub read_only_non_recursive: bool,
    /// Whether a kernel without recursive read-only is an error.
    pub read_only_force_recursive: bool,
    /// Options of a tmpfs, comma separated.
    pub tmpfs_options: String,
    /// Labels of a volume that is made.
    pub volume_labels: std::collections::BTreeMap<String, String>,
    /// Driver options of a volume that is made.
    pub volume_options: std::collections::BTreeMap<String, String>,
    /// Whether it came by `HostConfig.Tmpfs`, which `inspect` does not list among the mounts.
    pub from_tmpfs_map: bool,
}

impl Default for MountRequest {
    fn default() -> Self {
        Self {
            kind: MountKind::Bind,
            name: String::new(),
            source: String::new(),
            destination: String::new(),
            driver: String::new(),
            mode: String::new(),
            writable: true,
            propagation: String::new(),
            copy: false,
            anonymous: false,
            subpath: String::new(),
            create_source: false,
            non_recursive: false,
            read_only_non_recursive: false,
            read_only_force_recursive: false,
            tmpfs_options: String::new(),
            volume_labels: std::collections::BTreeMap::new(),
            volume_options: std::collections::BTreeMap::new(),
            from_tmpfs_map: false,
        }
    }
}

/// Default propagation of binds.
pub const DEFAULT_PROPAGATION: &str = "rprivate";

const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// A parsed mode like `ro,z,rslave`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mode {
    /// `ro` was said.
    pub read_only: bool,
    /// The propagation, when said.
    pub propagation: Option<String>,
    /// `nocopy` was said.
    pub no_copy: bool,
}

/// Reads a mode; `None` when it is not one.
pub fn parse_mode(text: &str) -> Option<Mode> {
    let mut mode = Mode::default();
    let (mut access, mut label, mut propagation, mut copy) = (0, 0, 0, 0);
    if text.is_empty() {
        return Some(mode);
    }
    for word in text.split(',') {
        match word {
            "ro" => {
                mode.read_only = true;
                access += 1;
            }
            "rw" => access += 1,
            "z" | "Z" => label += 1,
            "nocopy" => {
                mode.no_copy = true;
                copy += 1;
            }
            word if PROPAGATIONS.contains(&word) => {
                mode.propagation = Some(word.to_owned());
                propagation += 1;
            }
            _ => return None,
        }
    }
    [access, label, propagation, copy].iter().all(|count| *count <= 1).then_some(mode)
}

/// Checks a target path: given, not the root, absolute.
pub fn check_target(target: &str) -> Result<()> {
    if target.is_empty() {
        return Err(Error::invalid("field Target must not be empty"));
    }
    if model::path::clean(target) == "/" {
        return Err(Error::invalid("invalid specification: destination can't be '/'"));
    }
    check_absolute(target)
}

/// Checks that a path starts at the root.
pub fn check_absolute(path: &str) -> Result<()> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(Error::invalid(format!("invalid mount path: '{path}' mount path must be absolute")))
}

/// Parses `source:target:mode` of `-v`.
pub fn parse_bind(text: &str, volume_driver: &str) -> Result<MountRequest> {
    let bad = || Error::internal(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode_text) = match parts.as_slice() {
        [target] if !target.is_empty() => ("", *target, ""),
        [source, target] if !source.is_empty() && !target.is_empty() && parse_mode(target).is_none() => {
            (*source, *target, "")
        }
        [source, target, mode] if !source.is_empty() && !target.is_empty() => (*source, *target, *mode),
        _ => return Err(bad()),
    };
    let mode = parse_mode(mode_text).ok_or_else(|| Error::internal(format!("invalid mode: {mode_text}")))?;
    let kind = if source.starts_with('/') { MountKind::Bind } else { MountKind::Volume };
    check_bind(kind, target, &mode).map_err(|error| {
        let kind = kind.name();
        let detail = error.message();
        Error::internal(format!(
            "invalid volume specification: '{text}': invalid mount config for type \"{kind}\": {detail}"
        ))
    })?;
    let destination = model::path::clean(target);
    let writable = !mode.read_only;
    if kind == MountKind::Bind {
        return Ok(MountRequest {
            kind,
            source: model::path::clean(source),
            destination,
            mode: mode_text.to_owned(),
            writable,
            propagation: mode.propagation.unwrap_or_else(|| DEFAULT_PROPAGATION.to_owned()),
            create_source: true,
            ..MountRequest::default()
        });
    }
    let driver = if volume_driver.is_empty() { "local" } else { volume_driver };
    Ok(MountRequest {
        kind,
        name: source.to_owned(),
        destination,
        driver: driver.to_owned(),
        mode: if mode_text.is_empty() && driver == "local" { "z".to_owned() } else { mode_text.to_owned() },
        writable,
        copy: !mode.no_copy,
        anonymous: source.is_empty(),
        ..MountRequest::default()
    })
}

fn check_bind(kind: MountKind, target: &str, mode: &Mode) -> Result<()> {
    check_target(target)?;
    match kind {
        MountKind::Bind if mode.no_copy => Err(Error::invalid("field VolumeOptions must not be specified")),
        MountKind::Volume if mode.propagation.is_some() => {
            Err(Error::invalid("field BindOptions must not be specified"))
        }
        _ => Ok(()),
    }
}

/// Checks a propagation word of `--mount`.
pub fn check_propagation(word: &str) -> Result<()> {
    if word.is_empty() || PROPAGATIONS.contains(&word) {
        return Ok(());
    }
    Err(Error::invalid(format!("invalid propagation mode: {word}")))
}

/// `container[:mode]` of `--volumes-from`.
pub fn parse_volumes_from(text: &str) -> Result<(String, Mode, String)> {
    if text.is_empty() {
        return Err(Error::invalid("volumes-from specification cannot be an empty string"));
    }
    let (container, mode_text) = text.split_once(':').unwrap_or((text, ""));
    let mode = parse_mode(mode_text)
        .filter(|mode| mode.propagation.is_none() && !mode.no_copy)
        .ok_or_else(|| Error::invalid(format!("invalid mode: {mode_text}")))?;
    Ok((container.to_owned(), mode, mode_text.to_owned()))
}

/// Puts tmpfs options in one list where later words win over earlier ones they contradict.
pub fn merge_tmpfs_options(defaults: &[&str], options: &str) -> std::result::Result<Vec<String>, String> {
    const FLAGS: [(&str, &str); 24] = [
        ("defaults", ""),
        ("ro", "access"),
        ("rw", "access"),
        ("suid", "suid"),
        ("nosuid", "suid"),
        ("dev", "dev"),
        ("nodev", "dev"),
        ("exec", "exec"),
        ("noexec", "exec"),
        ("sync", "sync"),
        ("async", "sync"),
        ("dirsync", "dirsync"),
        ("mand", "mand"),
        ("nomand", "mand"),
        ("atime", "atime"),
        ("noatime", "atime"),
        ("diratime", "diratime"),
        ("nodiratime", "diratime"),
        ("relatime", "atime"),
        ("norelatime", "atime"),
        ("strictatime", "atime"),
        ("nostrictatime", "atime"),
        ("bind", "bind"),
        ("rbind", "bind"),
    ];
    const VALUES: [&str; 9] =
        ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge", "noswap"];
    let mut seen: Vec<String> = Vec::new();
    let mut merged: Vec<String> = Vec::new();
    let words: Vec<&str> =
        defaults.iter().copied().chain(options.split(',').filter(|word| !word.is_empty())).collect();
    for word in words.iter().rev() {
        let key = word.split('=').next().unwrap_or(word);
        let group = if let Some((_, group)) = FLAGS.iter().find(|(name, _)| name == word) {
            if group.is_empty() {
                continue;
            }
            (*group).to_owned()
        } else if PROPAGATIONS.contains(word) || matches!(*word, "unbindable" | "runbindable") {
            "propagation".to_owned()
        } else if VALUES.contains(&key) {
            key.to_owned()
        } else {
            return Err((*word).to_owned());
        };
        if !seen.contains(&group) {
            seen.push(group);
            merged.push((*word).to_owned());
        }
    }
    merged.reverse();
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_binds_have_docker_s_words() {
        for (text, message) in [
            (
                "a",
                "invalid volume specification: 'a': invalid mount config for type \"volume\": invalid mount path: 'a' mount path must be absolute",
            ),
            ("a:", "invalid volume specification: 'a:'"),
            ("a:/b:c:d", "invalid volume specification: 'a:/b:c:d'"),
            (":/b", "invalid volume specification: ':/b'"),
            ("/h:/c:zz", "invalid mode: zz"),
            ("/h:/c:ro,rw", "invalid mode: ro,rw"),
            ("nm:/c:z,Z", "invalid mode: z,Z"),
            (
                "/h:/",
                "invalid volume specification: '/h:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
            ),
            (
                "/h:.",
                "invalid volume specification: '/h:.': invalid mount config for type \"bind\": invalid mount path: '.' mount path must be absolute",
            ),
            (
                "/tmp:/c:nocopy",
                "invalid volume specification: '/tmp:/c:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified",
            ),
            (
                "name:/c:shared",
                "invalid volume specification: 'name:/c:shared': invalid mount config for type \"volume\": field BindOptions must not be specified",
            ),
            ("", "invalid volume specification: ''"),
        ] {
            assert_eq!(parse_bind(text, "").unwrap_err().message(), message, "{text}");
        }
    }

    #[test]
    fn binds_and_volumes_are_told_apart() {
        let bind = parse_bind("/h/../x:/c/:ro,rslave", "").unwrap();
        assert_eq!(
            (bind.kind, bind.source.as_str(), bind.destination.as_str()),
            (MountKind::Bind, "/x", "/c")
        );
        assert_eq!(
            (bind.writable, bind.propagation.as_str(), bind.mode.as_str()),
            (false, "rslave", "ro,rslave")
        );
        let volume = parse_bind("name:/c", "").unwrap();
        assert_eq!((volume.kind, volume.mode.as_str(), volume.copy), (MountKind::Volume, "z", true));
        assert!(parse_bind("/data", "").unwrap().anonymous);
    }

    #[test]
    fn later_tmpfs_words_win() {
        let defaults = ["noexec", "nosuid", "nodev"];
        assert_eq!(
            merge_tmpfs_options(&defaults, "exec,size=1m,size=2m").unwrap(),
            ["nosuid", "nodev", "exec", "size=2m"]
        );
        assert_eq!(merge_tmpfs_options(&defaults, "bogus").unwrap_err(), "bogus");
    }
}
