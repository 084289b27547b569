//! The Debian packages that commands need, installed when they are missing.

use std::path::Path;
use std::process::Command;

use crate::Outcome;

/// A package and a file that is there when it is installed.
pub(crate) type Package = (&'static str, &'static [&'static str]);

/// What makes base images.
pub(crate) const IMAGES: &[Package] = &[
    ("busybox-static", &["/bin/busybox", "/usr/bin/busybox"]),
    ("debootstrap", &["/usr/sbin/debootstrap"]),
    ("ca-certificates", &["/etc/ssl/certs/ca-certificates.crt"]),
];

/// What the tests look at the machine with.
pub(crate) const TESTS: &[Package] = &[
    ("busybox-static", &["/bin/busybox", "/usr/bin/busybox"]),
    ("iproute2", &["/usr/sbin/ip", "/sbin/ip", "/bin/ip"]),
    ("curl", &["/usr/bin/curl"]),
    ("git", &["/usr/bin/git"]),
    ("openssh-client", &["/usr/bin/ssh-add"]),
    ("docker-registry", &["/usr/bin/docker-registry"]),
    ("nftables", &["/usr/sbin/nft", "/sbin/nft"]),
    ("e2fsprogs", &["/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4"]),
    ("erofs-utils", &["/usr/bin/fsck.erofs", "/bin/fsck.erofs"]),
    ("skopeo", &["/usr/bin/skopeo"]),
    ("podman", &["/usr/bin/podman"]),
    ("buildah", &["/usr/bin/buildah"]),
];

/// Installs what is missing.
pub(crate) fn ensure(packages: &[Package]) -> Outcome {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|(_, files)| !files.iter().any(|file| Path::new(file).exists()))
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !rustix::process::getuid().is_root() {
        return Err(format!("these Debian packages are needed, install them as root: {}", missing.join(" ")));
    }
    println!("installing {}", missing.join(" "));
    apt(&["update", "-q"])?;
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(missing);
    apt(&arguments)
}

/// Runs apt-get without questions.
pub(crate) fn apt(arguments: &[&str]) -> Outcome {
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // No package starts a service: what is installed is only called by tests.
        .env("RUNLEVEL", "1")
        .output()
        .map_err(|error| format!("start apt-get: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("apt-get {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
}
