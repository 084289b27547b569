//! Device nodes and links of a container's /dev.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use linux::mount::{Change, Propagation, clone_tree};
use oci::runtime::Device;
use rustix::fs::{CWD, FileType, makedev};

use super::text::{c_string, clean};
use crate::error::{Error, Result};
use crate::step::Step;

/// One node to make.
#[derive(Debug)]
pub(crate) struct DevicePlan {
    /// Where, inside the root.
    pub(crate) path: CString,
    /// Character device, block device or FIFO.
    pub(crate) kind: FileType,
    /// Its number.
    pub(crate) number: u64,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Owner inside the container.
    pub(crate) uid: u32,
    /// Group inside the container.
    pub(crate) gid: u32,
    /// The host's node, attached where nodes cannot be made (in a user namespace).
    pub(crate) tree: Option<OwnedFd>,
}

/// Nodes every container has: path, major, minor.
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/random", 1, 8),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/zero", 1, 5),
    ("/dev/urandom", 1, 9),
];

/// Links every container has: path below /dev and text.
pub(crate) const LINKS: [(&std::ffi::CStr, &std::ffi::CStr); 6] = [
    (c"core", c"/proc/kcore"),
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
];

/// The default nodes and those of the specification, which win.
pub(crate) fn prepare(devices: &[Device], in_user_namespace: bool) -> Result<Vec<DevicePlan>> {
    let mut plans = Vec::new();
    for (path, major, minor) in DEFAULTS {
        if !devices.iter().any(|device| clean(&device.path) == path) {
            plans.push(DevicePlan {
                path: c_string(path)?,
                kind: FileType::CharacterDevice,
                number: makedev(major, minor),
                mode: 0o666,
                uid: 0,
                gid: 0,
                tree: None,
            });
        }
    }
    for device in devices {
        plans.push(plan(device)?);
    }
    if in_user_namespace {
        for plan in &mut plans {
            plan.tree = Some(host_node(plan)?);
        }
    }
    Ok(plans)
}

fn plan(device: &Device) -> Result<DevicePlan> {
    let invalid = || Error::spec(format!("invalid device {:?}", device.path));
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        _ => return Err(invalid()),
    };
    let path = clean(&device.path);
    if path == "/" || device.uid == Some(u32::MAX) || device.gid == Some(u32::MAX) {
        return Err(invalid());
    }
    let number = |number: i64| u32::try_from(number).map_err(|_| invalid());
    let number =
        if kind == FileType::Fifo { 0 } else { makedev(number(device.major)?, number(device.minor)?) };
    Ok(DevicePlan {
        path: c_string(path)?,
        kind,
        number,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
        tree: None,
    })
}

/// A private copy of the host's node of the same path, checked to be the same device.
fn host_node(plan: &DevicePlan) -> Result<OwnedFd> {
    let name = plan.path.to_string_lossy().into_owned();
    let tree =
        clone_tree(CWD, plan.path.as_c_str(), false).map_err(Error::system(Step::Device, name.as_str()))?;
    let stat = rustix::fs::fstat(&tree).map_err(Error::system(Step::Device, name.as_str()))?;
    if FileType::from_raw_mode(stat.st_mode) != plan.kind || stat.st_rdev != plan.number {
        return Err(Error::spec(format!("{name} of the host is another device than the container asks for")));
    }
    let private = Change { propagation: Some(Propagation::Private), ..Change::default() };
    private.apply(std::os::fd::AsFd::as_fd(&tree)).map_err(Error::system(Step::Device, name.as_str()))?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_the_specification_win() {
        let own = Device {
            path: "/dev//null".into(),
            kind: "c".into(),
            major: 1,
            minor: 3,
            file_mode: Some(0o600),
            ..Device::default()
        };
        let plans = prepare(&[own], false).unwrap();
        assert_eq!(plans.len(), DEFAULTS.len());
        assert_eq!(plans.last().unwrap().mode, 0o600);
    }

    #[test]
    fn nonsense_is_refused() {
        let cases =
            [("/dev/x", "x", 1, 1), ("/", "c", 1, 1), ("/dev/x", "c", -1, 1), ("/dev/x", "b", 1, 1 << 40)];
        for (path, kind, major, minor) in cases {
            let device = Device { path: path.into(), kind: kind.into(), major, minor, ..Device::default() };
            assert!(prepare(&[device], false).is_err(), "{path} {kind} {major} {minor}");
        }
    }
}
