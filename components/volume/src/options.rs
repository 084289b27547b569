//! The `local` driver's options: what a volume mounts instead of being a plain directory.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::Result;
use crate::{Volume, VolumeError};

/// What to mount for a volume, always inside the container's own mount namespace only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A directory to bind.
    Directory(PathBuf),
    /// A file system to mount, in the words of mount(8).
    Mount {
        /// The file system's type (`tmpfs`, `nfs`); `none` or empty together with `bind` in the options for a bind.
        kind: String,
        /// What is mounted.
        device: String,
        /// Options separated by commas.
        options: String,
    },
}

impl Source {
    /// The source of a volume.
    pub fn of(volume: &Volume) -> Self {
        let option = |name: &str| volume.options.as_ref().and_then(|options| options.get(name)).cloned();
        match option("device") {
            Some(device) => Self::Mount {
                kind: option("type").unwrap_or_default(),
                device,
                options: option("o").unwrap_or_default(),
            },
            None => Self::Directory(volume.mountpoint.clone()),
        }
    }
}

/// Refuses options `local` does not have, and incomplete ones.
pub(crate) fn check(name: &str, options: &BTreeMap<String, String>) -> Result<()> {
    let name = || name.to_owned();
    for option in options.keys() {
        if !matches!(option.as_str(), "type" | "o" | "device" | "size") {
            return Err(VolumeError::Option { name: name(), option: option.clone() });
        }
    }
    let needs: [(&str, &[&'static str]); 3] =
        [("device", &["type"]), ("type", &["device"]), ("o", &["device", "type"])];
    for (option, needed) in needs {
        if options.contains_key(option)
            && let Some(missing) = needed.iter().find(|needed| !options.contains_key(**needed))
        {
            return Err(VolumeError::MissingOption { name: name(), option: missing });
        }
    }
    if options.contains_key("size") { Err(VolumeError::Quota { name: name() }) } else { Ok(()) }
}
